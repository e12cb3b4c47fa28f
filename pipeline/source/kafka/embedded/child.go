package broker

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// This file is the life of a child process, seen from both sides. The child tells its address in a
// file, lives while its standard input is open or anyone holds a lease on it, and so never outlives
// the last process that uses it, however that process ends. The embedded broker keeps the same
// file under its own package name, because sinks and sources may not import each other; a test
// there holds the two equal.

const (
	leasePath       = "/usher/lease"
	startWait       = 60 * time.Second       // an engine with much data may take a while to open it
	pollWait        = 20 * time.Millisecond  // between looks at a file, lock or process
	lockWait        = 15 * time.Second       // for a predecessor that is just ending
	restartWait     = 200 * time.Millisecond // before a child that ended by itself is started again
	endWait         = 20 * time.Second       // for a child that was told to end
	leaseReplyWait  = 2 * time.Second        // an address that does not answer by then is nobody's
	stderrTailBytes = 2048                   // of a child that could not start, for the error
	filePerm        = os.FileMode(0o600)     // what these files name is for this user alone
	dirPerm         = os.FileMode(0o700)     //
	leaseGreeting   = "usher lease granted"  // of a granted lease; the process follows
	leasedHeader    = "X-Usher-Held"         // says by whom a child is kept alive
	leasedAlone     = "by leases alone"
	endedErrorText  = "usher child is ending" // answer to a lease that came too late
)

// childInfo is what a child writes for those who look for it.
type childInfo struct {
	Addr    string `json:"addr"`    // what it serves, host:port
	Control string `json:"control"` // where leases are granted, host:port
	PID     int    `json:"pid"`
}

// writeInfo puts info at path, whole or not at all.
func writeInfo(path string, info childInfo) error {
	b, err := json.Marshal(info)
	if err != nil {
		return fmt.Errorf("cannot encode %s: %w", path, err)
	}
	temporary := fmt.Sprintf("%s.%d.tmp", path, info.PID)
	if err := os.WriteFile(temporary, append(b, '\n'), filePerm); err != nil {
		return fmt.Errorf("cannot write the child's address: %w", err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("cannot publish the child's address: %w", err)
	}
	return nil
}

func readInfo(path string) (info childInfo, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return info, err
	}
	return info, json.Unmarshal(b, &info)
}

// awaitLock takes the lock at path, waiting a while for a predecessor that is just ending. The
// lock goes with the process, however it ends. The file stays: removing it would let two processes
// hold locks on two files of one name.
func awaitLock(ctx context.Context, path string, wait time.Duration) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), dirPerm); err != nil {
		return nil, fmt.Errorf("cannot create the data directory: %w", err)
	}
	deadline := time.Now().Add(wait)
	for {
		f, err := lockFile(path)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, errLocked) || time.Now().After(deadline) {
			return nil, fmt.Errorf("cannot lock %s: %w", path, err)
		}
		if err := sleep(ctx, pollWait); err != nil {
			return nil, err
		}
	}
}

var errLocked = errors.New("another process uses this data directory")

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// lifetime decides when a child ends: when its owner is gone and nobody holds a lease.
type lifetime struct {
	mu     sync.Mutex
	owned  bool // standard input is open
	leases int
	over   bool
	ended  chan struct{} // closed when over
}

// newLifetime watches stdin; nil means that nobody owns the child by an input.
func newLifetime(stdin io.Reader) *lifetime {
	l := &lifetime{owned: true, ended: make(chan struct{})}
	if stdin != nil {
		go func() {
			_, _ = io.Copy(io.Discard, stdin)
			l.change(func() { l.owned = false })
		}()
	}
	return l
}

// during returns a context that ends with the lifetime.
func (l *lifetime) during(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-l.ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

func (l *lifetime) change(do func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	do()
	if !l.over && !l.owned && l.leases == 0 {
		l.over = true
		close(l.ended)
	}
}

// end ends every lease: the child stops for a reason of its own.
func (l *lifetime) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.over {
		l.over = true
		close(l.ended)
	}
}

// ServeHTTP grants a lease, which lasts as long as the request. HEAD tells whether the child lives
// by leases alone.
func (l *lifetime) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead {
		l.change(func() {
			if !l.owned && l.leases > 0 {
				w.Header().Set(leasedHeader, leasedAlone)
			}
		})
		return
	}
	granted := false
	l.change(func() {
		if granted = !l.over; granted {
			l.leases++
		}
	})
	if !granted {
		http.Error(w, endedErrorText, http.StatusServiceUnavailable)
		return
	}
	defer l.change(func() { l.leases-- })
	_, _ = fmt.Fprintln(w, greeting(os.Getpid()))
	_ = http.NewResponseController(w).Flush()
	select {
	case <-r.Context().Done():
	case <-l.ended:
	}
}

// greeting is the first line of a granted lease. It names the process, because a child may answer on
// the port of the one before it while the address file is still that one's.
func greeting(pid int) string { return fmt.Sprintf("%s %d", leaseGreeting, pid) }

// lease is a running child's word to live on until it is closed; gone says that the child broke it.
type lease struct {
	io.Closer
	gone chan struct{}
}

// takeLease asks the child of info to live on until the returned lease is closed.
func takeLease(ctx context.Context, info childInfo) (*lease, error) {
	control := info.Control
	ctx, cancel := context.WithCancel(ctx)
	timer := time.AfterFunc(leaseReplyWait, cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+control+leasePath, nil)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("cannot ask %s for a lease: %w", control, err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("cannot reach the child at %s: %w", control, err)
	}
	body := bufio.NewReader(resp.Body)
	line, err := body.ReadString('\n')
	if err != nil || strings.TrimSpace(line) != greeting(info.PID) || !timer.Stop() {
		cancel()
		_ = resp.Body.Close()
		return nil, fmt.Errorf("cannot use the child at %s: it is ending or is none of usher's",
			control)
	}
	gone := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, body) // nothing comes: this ends with the lease
		close(gone)
	}()
	return &lease{closerFunc(func() error { cancel(); return resp.Body.Close() }), gone}, nil
}

type closerFunc func() error

func (f closerFunc) Close() error { return f() }

// childSpec says how to find or start a child.
type childSpec struct {
	what    string   // for errors: "embedded engine"
	info    string   // path of its address file
	lock    string   // path of its lock
	command []string // program and arguments
	env     []string // added to this process's own
	stderr  io.Writer
}

// child is a running child process: one's own (with its standard input) or another's (by a lease).
type child struct {
	info  childInfo
	what  string
	lease *lease
	stdin io.Closer
	cmd   *exec.Cmd
	gone  chan struct{} // closed when the child has ended
}

// startChild uses the running child, if one answers, else starts one. Two processes that start at
// once agree on one child: the loser of the lock ends, and its parent uses the winner.
func startChild(ctx context.Context, spec childSpec) (*child, error) {
	if len(spec.command) == 0 {
		return nil, fmt.Errorf("cannot start the %s: no command given", spec.what)
	}
	ctx, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	for {
		if info, err := readInfo(spec.info); err == nil {
			if c := borrow(ctx, spec, info); c != nil {
				return c, nil
			}
		}
		c, err := spawn(ctx, spec)
		if err == nil || ctx.Err() != nil || !heldByAnother(spec.lock) {
			return c, err
		}
		if err := sleep(ctx, pollWait); err != nil {
			return nil, fmt.Errorf("cannot start the %s: %w", spec.what, err)
		}
	}
}

// borrow takes a lease on the running child of info, or returns nil. The lease outlives the start, so it
// must not hang on the start's deadline.
func borrow(ctx context.Context, spec childSpec, info childInfo) *child {
	lease, err := takeLease(context.WithoutCancel(ctx), info)
	if err != nil {
		return nil
	}
	return &child{info: info, what: spec.what, lease: lease, gone: lease.gone}
}

func heldByAnother(lock string) bool {
	f, err := lockFile(lock)
	if err == nil {
		_ = f.Close()
	}
	return errors.Is(err, errLocked)
}

func spawn(ctx context.Context, spec childSpec) (*child, error) {
	cmd := exec.Command(spec.command[0], spec.command[1:]...)
	cmd.Env = append(os.Environ(), spec.env...)
	tail := &tailWriter{to: spec.stderr}
	cmd.Stdout, cmd.Stderr = tail, tail // the child's standard output is not the command's answer
	ownGroup(cmd)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("cannot start the %s: %w", spec.what, err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start the %s (%s): %w", spec.what, spec.command[0], err)
	}
	c := &child{what: spec.what, stdin: stdin, cmd: cmd, gone: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		close(c.gone)
	}()
	for {
		// One reading of the file decides: read twice, it may change to the own child's in between,
		// which would then be borrowed from itself.
		if info, err := readInfo(spec.info); err == nil && info.PID == cmd.Process.Pid {
			c.info = info
			return c, nil
		} else if err == nil {
			if other := borrow(ctx, spec, info); other != nil { // another process was quicker
				return other, c.close()
			}
		}
		select {
		case <-c.gone:
			return nil, fmt.Errorf("cannot start the %s: it ended at once: %s", spec.what,
				tail.text())
		case <-ctx.Done():
			_ = c.close()
			return nil, fmt.Errorf("cannot start the %s: not ready: %w; it said: %s", spec.what,
				ctx.Err(), tail.text())
		case <-time.After(pollWait):
		}
	}
}

// close gives the lease back or, for an own child, tells it to end and waits until it has. A child
// on which others hold leases lives on; one that does not end in time is killed.
func (c *child) close() error {
	if c.lease != nil {
		return c.lease.Close()
	}
	_ = c.stdin.Close()
	deadline := time.After(endWait)
	for {
		select {
		case <-c.gone:
			return nil
		case <-deadline:
			if err := c.cmd.Process.Kill(); err != nil {
				return fmt.Errorf("cannot end the %s (process %d): %w", c.what, c.cmd.Process.Pid,
					err)
			}
			<-c.gone
			return fmt.Errorf("the %s did not end in %s and was killed; its data is safe", c.what,
				endWait)
		case <-time.After(pollWait):
			if c.info.Control != "" && leasedByOthers(c.info.Control) {
				return nil
			}
		}
	}
}

// leasedByOthers asks whether the child lives on by leases, though its owner has let go.
func leasedByOthers(control string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), leaseReplyWait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, "http://"+control+leasePath, nil)
	if err != nil {
		return false
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK && resp.Header.Get(leasedHeader) == leasedAlone
}

// kept is a child that is started again, if that is wanted, whenever it ends by itself.
type kept struct {
	mu   sync.Mutex
	c    *child
	stop context.CancelFunc
	done chan struct{} // closed when nothing starts it again any more
}

func startKept(ctx context.Context, spec childSpec, restart bool) (*kept, error) {
	c, err := startChild(ctx, spec)
	if err != nil {
		return nil, err
	}
	k := &kept{c: c, done: make(chan struct{})}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	k.stop = stop
	if !restart {
		close(k.done)
		return k, nil
	}
	go func() {
		defer close(k.done)
		for life.Err() == nil {
			k.renew(life, spec)
		}
	}()
	return k, nil
}

// renew waits for the end of the present child and starts another.
func (k *kept) renew(ctx context.Context, spec childSpec) {
	select {
	case <-ctx.Done():
		return
	case <-k.now().gone:
	}
	for sleep(ctx, restartWait) == nil {
		c, err := startChild(ctx, spec)
		if err == nil {
			k.mu.Lock()
			defer k.mu.Unlock()
			k.c = c
			return
		}
		if spec.stderr != nil && ctx.Err() == nil {
			_, _ = fmt.Fprintf(spec.stderr, "%s; trying again\n", err)
		}
	}
}

// now returns the present child.
func (k *kept) now() *child {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.c
}

func (k *kept) close() error {
	k.stop()
	<-k.done
	return k.now().close()
}

// tailWriter passes a child's messages on and keeps the last of them.
type tailWriter struct {
	mu   sync.Mutex
	to   io.Writer
	tail []byte
}

func (w *tailWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tail = append(w.tail, p...)
	if over := len(w.tail) - stderrTailBytes; over > 0 {
		w.tail = append(w.tail[:0], w.tail[over:]...)
	}
	if w.to != nil {
		_, _ = w.to.Write(p)
	}
	return len(p), nil
}

func (w *tailWriter) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.TrimSpace(string(w.tail))
}
