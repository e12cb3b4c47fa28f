package acceptance

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// diskBytes is the size of a disk that can be filled; fillPiece is how finely.
const (
	diskBytes = 256 << 20
	fillPiece = 64 << 10
)

// smallDisk is a file system of diskBytes; without the right to mount one the test is skipped.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256m"); err != nil {
		t.Skipf("cannot mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill leaves no room on the disk, and returns what makes room again.
func fill(t *testing.T, disk string) (free func()) {
	t.Helper()
	name := filepath.Join(disk, "filler")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	piece := make([]byte, fillPiece)
	for written := 0; err == nil; written += fillPiece {
		if written > diskBytes {
			t.Fatal("the disk is larger than it should be")
		}
		_, err = f.Write(piece)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFullDisks fills the disk of ClickHouse, then the broker's, under a running router and sink. They
// say so, and go on by themselves when there is room; nothing is lost or doubled.
func TestFullDisks(t *testing.T) {
	engine, broker := smallDisk(t), smallDisk(t)
	p := newPlant(t, filepath.Join(engine, "data"), filepath.Join(broker, "data"))
	lines := generated(t, 150)
	p.produce(lines[:300], 0)
	p.run("route")
	p.run("sink")
	p.balanced(300)

	free := fill(t, engine)
	p.produce(lines[300:900], 0)
	p.routed()
	p.says("sink", "has not been stored for")
	p.says("sink", "space")
	if why := p.unready("route"); why != "" {
		t.Errorf("the router says %q: it does not need ClickHouse", why)
	}
	free()
	p.says("sink", "")
	p.balanced(900)

	p.stop("route")
	p.produce(lines[900:1200], 0) // to route without room
	free = fill(t, broker)
	p.run("route")
	p.until("router that says why it cannot go on", func() bool {
		why := p.unready("route")
		return strings.Contains(why, "a new session begins") || strings.Contains(why, "a transaction has been open")
	})
	before, _ := p.committed("chat.events.v1", "usher.router")
	free()
	p.says("route", "")
	p.balanced(1200)
	if before != 900 {
		t.Errorf("%d offsets were committed without room, 900 were before", before)
	}
	if logs := p.procs["broker"].logs.String(); !strings.Contains(logs, "the disk is full") {
		t.Errorf("the broker does not say that its disk is full:\n%s", tail([]byte(logs)))
	}
	for _, stage := range []string{"route", "sink"} {
		p.stop(stage)
	}
}
