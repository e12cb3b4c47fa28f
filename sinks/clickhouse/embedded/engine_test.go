//go:build unix

package embedded_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go/compress"

	"usher/sinks/clickhouse/embedded"
	"usher/sinks/clickhouse/embedded/embeddedtest"
)

// TestKilledDuringInserts kills the engine while four writers insert: what was acknowledged is there
// whole, what was not is there whole or not at all, and repeating it under its token doubles
// nothing.
//
// It may, however, do nothing: now and then the repeat is dropped as a duplicate and acknowledged
// though the rows are not there (doc.go). Whoever repeats an insert in doubt therefore reads back and
// repeats under another token what is still absent, as this test does; it reports how often.
func TestKilledDuringInserts(t *testing.T) {
	const kills, writers, rows = 6, 4, 500
	dir := t.TempDir()
	e := embeddedtest.StartIn(t, dir)
	mustPost(t, e.Addr(), ingestTable)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	var next atomic.Int64
	var mu sync.Mutex
	acked, doubtful := map[int64]bool{}, map[int64]bool{}
	lease := time.Now().Add(time.Hour)
	insertAs := func(token, addr string, n int64) error {
		return insertColumns(pinned(t.Context(), fmt.Sprint(token, n), rows), open(t, addr, nil),
			int(n*rows), rows, lease)
	}
	insert := func(addr string, n int64) error { return insertAs("block ", addr, n) }
	swallowed := 0
	for range kills {
		var wg sync.WaitGroup
		for range writers {
			wg.Go(func() {
				for {
					n := next.Add(1)
					err := insert(e.Addr(), n)
					mu.Lock()
					if err == nil {
						acked[n] = true
					} else {
						doubtful[n] = true
					}
					mu.Unlock()
					if err != nil {
						return
					}
				}
			})
		}
		time.Sleep(time.Duration(100+rnd.IntN(200)) * time.Millisecond)
		if err := syscall.Kill(e.PID(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		<-e.Gone()
		wg.Wait()
		before := e.Addr()
		if e = embeddedtest.StartIn(t, dir); e.Addr() != before {
			t.Errorf("the engine came back on %s, was on %s", e.Addr(), before)
		}
		checkBlocks(t, e.Addr(), rows, acked, doubtful)
		for n := range doubtful {
			if err := insert(e.Addr(), n); err != nil {
				t.Fatal(err)
			}
			if !present(t, e.Addr(), rows, n) { // see the comment of the test
				swallowed++
				if err := insertAs("again ", e.Addr(), n); err != nil {
					t.Fatal(err)
				}
			}
			acked[n] = true
		}
		clear(doubtful)
		checkBlocks(t, e.Addr(), rows, acked, doubtful)
	}
	t.Logf("%d blocks acknowledged over %d kills, %d repeats swallowed", len(acked), kills, swallowed)
}

func present(t *testing.T, addr string, rows, n int64) bool {
	t.Helper()
	_, got := post(t, addr, nil, fmt.Sprintf("SELECT count() FROM t WHERE intDiv(a, %d) = %d", rows, n))
	return got != "0\n"
}

func mustPost(t *testing.T, addr, sql string) {
	t.Helper()
	if resp, body := post(t, addr, nil, sql); resp.StatusCode != 200 {
		t.Fatalf("%s: %s", sql, body)
	}
}

func checkBlocks(t *testing.T, addr string, rows int64, acked, doubtful map[int64]bool) {
	t.Helper()
	r, err := open(t, addr, nil).Query(t.Context(), fmt.Sprintf(
		"SELECT intDiv(a, %d) AS block, count() AS n, uniqExact(a) FROM t GROUP BY block", rows))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int64]bool{}
	for r.Next() {
		var block int64
		var n, different uint64
		if err := r.Scan(&block, &n, &different); err != nil {
			t.Fatal(err)
		}
		seen[block] = true
		if n != uint64(rows) || different != n {
			t.Errorf("block %d has %d rows, %d different, want %d", block, n, different, rows)
		}
		if !acked[block] && !doubtful[block] {
			t.Errorf("block %d was never sent", block)
		}
	}
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	for block := range acked {
		if !seen[block] {
			t.Errorf("block %d was acknowledged and is not there", block)
		}
	}
}

// A second user shares the engine and keeps it alive when its owner lets go.
func TestLease(t *testing.T) {
	dir := t.TempDir()
	owner, guest := embeddedtest.StartIn(t, dir), embeddedtest.StartIn(t, dir)
	if !owner.Owned() || guest.Owned() || owner.Addr() != guest.Addr() {
		t.Fatalf("owner %v, guest %v, at %s and %s", owner.Owned(), guest.Owned(), owner.Addr(),
			guest.Addr())
	}
	mustPost(t, owner.Addr(), "CREATE TABLE l (a Int8) ENGINE = MergeTree ORDER BY a")
	if err := owner.Close(); err != nil {
		t.Fatal(err)
	}
	mustPost(t, guest.Addr(), "INSERT INTO l VALUES (1)")
	if err := guest.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-owner.Gone():
	case <-time.After(10 * time.Second):
		t.Fatal("the engine lives on without users")
	}
	again := embeddedtest.StartIn(t, dir)
	if _, n := post(t, again.Addr(), nil, "SELECT count() FROM l"); !again.Owned() || n != "1\n" {
		t.Errorf("owned %v, %q rows, want 1", again.Owned(), n)
	}
}

// Many starts at once agree on one engine.
func TestStartRace(t *testing.T) {
	dir := t.TempDir()
	engines := make(chan *embedded.Engine, 5)
	var wg sync.WaitGroup
	for range cap(engines) {
		wg.Go(func() { engines <- embeddedtest.StartIn(t, dir) })
	}
	wg.Wait()
	close(engines)
	owners, addr := 0, ""
	for e := range engines {
		if e.Owned() {
			owners++
		}
		if addr == "" {
			addr = e.Addr()
		}
		if e.Addr() != addr {
			t.Errorf("two engines on one directory: %s and %s", addr, e.Addr())
		}
	}
	if owners != 1 {
		t.Errorf("%d owners, want 1", owners)
	}
}

// A client that leaves takes its query with it.
func TestClientLeft(t *testing.T) {
	addr := embeddedtest.Start(t)
	const mark = "SELECT max(sipHash64(number, 'left behind')) FROM numbers(100000000000)"
	ctx, leave := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		req, _ := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/",
			strings.NewReader(mark))
		_, err := http.DefaultClient.Do(req)
		gone <- err
	}()
	running := func() bool {
		_, n := post(t, addr, nil,
			"SELECT count() FROM system.processes WHERE query LIKE '%left behind%' AND query NOT LIKE '%processes%'")
		return n != "0\n"
	}
	await := func(want bool) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); running() != want; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("the query runs: %v, want %v", !want, want)
			}
		}
	}
	await(true)
	leave()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	await(false)
}

// An insert whose source breaks off leaves nothing, whether it is read whole first or streamed.
func TestSourceBreaksOff(t *testing.T) {
	addr := embeddedtest.Start(t)
	mustPost(t, addr, "CREATE TABLE b (a String) ENGINE = MergeTree ORDER BY a")
	line := strings.Repeat("x", 99) + "\n"
	for _, size := range []int{10, 1 << 20, 80 << 20} {
		q := url.Values{"query": {"INSERT INTO b FORMAT TabSeparated"},
			"min_insert_block_size_rows":  {"10000000"},
			"min_insert_block_size_bytes": {"0"}, "max_insert_block_size": {"10000000"}}
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(nc, "POST /?%s HTTP/1.1\r\nHost: %s\r\nTransfer-Encoding: chunked\r\n\r\n",
			q.Encode(), addr)
		body := strings.Repeat(line, size/len(line)+1)
		fmt.Fprintf(nc, "%x\r\n%s\r\n", len(body), body)
		if err := nc.Close(); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(500 * time.Millisecond)
	if _, n := post(t, addr, nil, "SELECT count() FROM b"); n != "0\n" {
		t.Errorf("%s rows of inserts that broke off", strings.TrimSpace(n))
	}
	w := compress.NewWriter(compress.LevelZero, compress.LZ4)
	if err := w.Compress([]byte(strings.Repeat(line, 1000))); err != nil {
		t.Fatal(err)
	}
	block := string(w.Data)
	for _, cut := range []string{block + block[:len(block)/2], block + block[:5],
		block + "garbage" + block} {
		q := url.Values{"query": {"INSERT INTO b FORMAT TabSeparated"}, "decompress": {"1"}}
		if resp, body := post(t, addr, q,
			cut); resp.Header.Get("X-ClickHouse-Exception-Code") != "210" {
			t.Errorf("a broken block: %d %.100s", resp.StatusCode, body)
		}
	}
	if _, n := post(t, addr, nil, "SELECT count() FROM b"); n != "0\n" {
		t.Errorf("%s rows of broken blocks", strings.TrimSpace(n))
	}
	resp, body := post(t, addr, url.Values{"query": {"INSERT INTO b FORMAT TabSeparated"}},
		strings.Repeat(line, 800_000))
	if _, n := post(t, addr, nil, "SELECT count() FROM b"); n != "800000\n" {
		t.Errorf("%s rows of a large insert, want 800000 (%d %s)", n, resp.StatusCode, body)
	}
}

// A fault in Go code is a panic as ever after the library was loaded, in this very process.
func TestNilDereferenceStaysAPanic(t *testing.T) {
	embeddedtest.Start(t) // for its skip
	cmd := exec.Command(os.Args[0], "-test.run=^TestChildPanics$")
	cmd.Env = append(os.Environ(), "USHER_TEST_PANIC_DIR="+t.TempDir())
	done := make(chan struct{})
	var out []byte
	go func() { out, _ = cmd.CombinedOutput(); close(done) }()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		_ = cmd.Process.Kill()
		t.Fatal("a nil dereference hangs")
	}
	if !bytes.Contains(out, []byte("recovered: runtime error: invalid memory address")) {
		t.Errorf("the child said %.300s", out)
	}
}

// TestChildPanics is the child of the test above.
func TestChildPanics(t *testing.T) {
	dir := os.Getenv("USHER_TEST_PANIC_DIR")
	if dir == "" {
		t.Skip("runs as a child only")
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- embedded.Serve(ctx, embedded.ServeConfig{DataDir: dir}) }()
	for {
		if _, err := os.Stat(filepath.Join(dir, "engine.json")); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	func() {
		defer func() { fmt.Println("recovered:", recover()) }()
		var p *http.Request
		_, _ = io.Discard.Write([]byte(p.Method))
	}()
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestLibraryPath(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(embedded.LibraryEnv, "")
	t.Setenv(embedded.CacheEnv, dir)
	_, err := embedded.LibraryPath()
	if !errors.Is(err, embedded.ErrNoLibrary) || !strings.Contains(err.Error(),
		"run `make libchdb`") {
		t.Errorf("missing library: %v", err)
	}
	if _, err := embedded.Start(t.Context(), embedded.StartConfig{DataDir: t.TempDir(),
		Command: []string{"false"}}); !errors.Is(err, embedded.ErrNoLibrary) {
		t.Errorf("start without a library: %v", err)
	}
	file := filepath.Join(dir, "libchdb", embedded.LibraryVersion, "libchdb.so")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("no library"), 0o600); err != nil {
		t.Fatal(err)
	}
	if p, err := embedded.LibraryPath(); err != nil || p != file {
		t.Errorf("cache: %q, %v", p, err)
	}
	t.Setenv(embedded.LibraryEnv, filepath.Join(dir, "nosuch.so"))
	if _, err := embedded.LibraryPath(); !errors.Is(err, embedded.ErrNoLibrary) ||
		!strings.Contains(err.Error(), embedded.LibraryEnv) {
		t.Errorf("wrong %s: %v", embedded.LibraryEnv, err)
	}
	if err := embedded.Serve(t.Context(), embedded.ServeConfig{DataDir: t.TempDir(),
		Addr: "0.0.0.0:0"}); err == nil {
		t.Error("an engine without users listens on every address")
	}
}
