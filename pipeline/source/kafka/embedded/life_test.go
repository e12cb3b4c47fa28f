//go:build unix

package broker

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The two sides of a child's life are the same in both embedded servers.
func TestChildIsThatOfTheEngine(t *testing.T) {
	for _, name := range []string{"child.go", "child_unix.go", "child_other.go"} {
		mine, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "sinks", "clickhouse",
			"embedded", name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(mine, bytes.Replace(theirs, []byte("package embedded\n"),
			[]byte("package broker\n"), 1)) {
			t.Errorf("%s differs from the engine's: change both", name)
		}
	}
}

func produceOne(t *testing.T, addr, value string) {
	t.Helper()
	cl, err := kgo.NewClient(clientOpts(addr)...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "in",
		Value: []byte(value)}).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// awaitEnd waits until a process that is not this one's child is gone.
func awaitEnd(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); syscall.Kill(pid, 0) == nil; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d lives on", pid)
		}
	}
}

// A second user shares the broker and keeps it alive when its owner is gone.
func TestLease(t *testing.T) {
	dir := t.TempDir()
	owner := startBroker(t, dir)
	guest := startBroker(t, dir)
	if !owner.Owned() || guest.Owned() || owner.Addr() != guest.Addr() {
		t.Fatalf("owner %v, guest %v, at %s and %s", owner.Owned(), guest.Owned(), owner.Addr(),
			guest.Addr())
	}
	if err := owner.Close(); err != nil {
		t.Fatal(err)
	}
	produceOne(t, guest.Addr(), "a")
	if err := guest.Close(); err != nil {
		t.Fatal(err)
	}
	<-owner.Gone()
	again := startBroker(t, dir)
	if !again.Owned() || len(readAll(t, again.Addr(), "in")) != 1 {
		t.Error("after a clean end the record is not there")
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, cleanName)); err != nil {
		t.Errorf("the clean end left no mark: %v", err)
	}
}

// A parent that is killed takes its broker with it, which ends cleanly, and the next one starts at
// once on the same directory.
func TestParentKilled(t *testing.T) {
	dir := t.TempDir()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	parent := exec.Command(program)
	parent.Env = append(os.Environ(), parentEnv+"="+dir)
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 32)
	n, err := out.Read(line) // the broker's process, once it is up
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(string(bytes.TrimSpace(line[:n])))
	if err != nil {
		t.Fatal(err)
	}
	info, err := readInfo(filepath.Join(dir, infoFile))
	if err != nil {
		t.Fatal(err)
	}
	produceOne(t, info.Addr, "a")
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	b := startBroker(t, dir) // at once: the old one is just ending, or is kept by the new lease
	if got := readAll(t, b.Addr(), "in"); len(got) != 1 {
		t.Errorf("%d records, want 1", len(got))
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, out)
	_ = parent.Wait()
	awaitEnd(t, pid)
	if _, err := os.Stat(filepath.Join(dir, cleanName)); err != nil {
		t.Errorf("the broker of a killed parent did not end cleanly: %v", err)
	}
}

// A transaction that is open when the broker ends cleanly goes on with the next one.
func TestTransactionOverCleanEnd(t *testing.T) {
	dir := t.TempDir()
	b := startBroker(t, dir)
	cl := txnClient(t, b.Addr())
	defer cl.Close()
	want := transact(t, cl, "open", 5, false)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = startBroker(t, dir)
	if err := cl.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	if got := append(readAll(t, b.Addr(), "out"), readAll(t, b.Addr(),
		"state")...); len(got) != len(want) {
		t.Errorf("%d records, want %d", len(got), len(want))
	}
	offsets, err := kadm.NewClient(cl).FetchOffsets(t.Context(), "g")
	if err != nil {
		t.Fatal(err)
	}
	if o, _ := offsets.Lookup("in", 0); o.At != 5 {
		t.Errorf("offset %d, want 5", o.At)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestStartSaysWhatFailed(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, dataName), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := tryStart(t, dir)
	if err == nil || !bytes.Contains([]byte(err.Error()),
		[]byte("cannot create the broker's directory")) {
		t.Errorf("error %v does not tell what the child said", err)
	}
}

// A broker that is wanted again comes back by itself, on its port, for its owner and for its guests.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var users []*Broker
	for range 2 {
		b, err := Start(t.Context(), StartConfig{DataDir: dir, Command: []string{program}, Restart: true,
			Env: []string{childEnv + "=" + dir}, Stderr: os.Stderr})
		if err != nil {
			t.Fatal(err)
		}
		users = append(users, b)
	}
	addr := users[0].Addr()
	for i := range 3 {
		pid := users[0].PID()
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		produceOne(t, addr, strconv.Itoa(i))
		awaitEnd(t, pid)
		for deadline := time.Now().Add(10 * time.Second); users[0].PID() != users[1].PID() || users[0].PID() == pid; {
			if time.Now().After(deadline) {
				t.Fatalf("processes %d and %d after %d", users[0].PID(), users[1].PID(), pid)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	if got := readAll(t, addr, "in"); len(got) != 3 {
		t.Errorf("%d records, want 3", len(got))
	}
	pid := users[0].PID()
	for _, b := range users {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
	awaitEnd(t, pid)
}
