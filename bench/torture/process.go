package torture

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// restartDelay is what a supervisor waits before it starts a process again.
const restartDelay = 300 * time.Millisecond

// errNotRunning says that a process is between two runs: it has just been killed, or cannot start
// because what it needs is away.
var errNotRunning = errors.New("it does not run")

// process is a child that is kept running, as systemd or Kubernetes would.
type process struct {
	name    string
	logFile string
	ready   string // what it prints when it is up
	command func() *exec.Cmd

	mu     sync.Mutex
	cmd    *exec.Cmd
	stdin  io.Closer
	seen   *lookout
	wanted bool
	asked  bool // the present run's end was asked for
	ended  chan struct{}
	faults []string // runs that were up and ended though nobody asked
}

// lookout copies a child's output to its log and notes when it is up.
type lookout struct {
	to    io.Writer
	ready []byte
	mu    sync.Mutex
	up    bool
	tail  []byte
}

// tailBytes is how much of the last output is kept for messages.
const tailBytes = 600

// Write implements io.Writer.
func (l *lookout) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tail = append(l.tail, p...)
	l.up = l.up || bytes.Contains(l.tail, l.ready)
	if extra := len(l.tail) - tailBytes; extra > 0 {
		l.tail = append(l.tail[:0], l.tail[extra:]...)
	}
	return l.to.Write(p)
}

func (l *lookout) state() (up bool, tail string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.up, string(l.tail)
}

// start starts the process and keeps it running until end or kill with forGood.
func (p *process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wanted {
		return nil
	}
	if err := p.launch(); err != nil {
		return err
	}
	p.wanted, p.ended = true, make(chan struct{})
	go p.keep()
	return nil
}

// launch starts one run; the caller holds the lock.
func (p *process) launch() error {
	file, err := os.OpenFile(p.logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("cannot open the log of %s: %w", p.name, err)
	}
	fmt.Fprintf(file, "--- %s starts %s\n", time.Now().UTC().Format("15:04:05.000"), p.name)
	cmd := p.command()
	seen := &lookout{to: file, ready: []byte(p.ready)}
	cmd.Stdout, cmd.Stderr = seen, seen
	// The engine lives as long as its standard input is open.
	stdin, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		_ = file.Close()
		return fmt.Errorf("cannot start %s: %w", p.name, err)
	}
	p.cmd, p.stdin, p.seen, p.asked = cmd, stdin, seen, false
	return nil
}

func (p *process) keep() {
	for {
		err := p.cmd.Wait()
		p.mu.Lock()
		p.note(err)
		_ = p.seen.to.(*os.File).Close()
		for p.wanted {
			p.mu.Unlock()
			time.Sleep(restartDelay)
			p.mu.Lock()
			if !p.wanted || p.launch() == nil {
				break
			}
		}
		if !p.wanted {
			p.cmd = nil
			close(p.ended)
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
	}
}

// note remembers a run that ended by itself; the caller holds the lock. A start that fails while the
// broker or the engine is away is no fault: the supervisor tries again.
func (p *process) note(err error) {
	up, tail := p.seen.state()
	if p.asked || !up {
		return
	}
	if err == nil {
		err = errors.New("exit status 0")
	}
	p.faults = append(p.faults, fmt.Sprintf("%s ended by itself (%v): %s", p.name, err, tail))
}

// signal sends a signal to the present run, if there is one.
func (p *process) signal(s syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil || p.cmd.Process == nil {
		return fmt.Errorf("cannot signal %s: %w", p.name, errNotRunning)
	}
	if s == syscall.SIGKILL || s == syscall.SIGTERM {
		p.asked = true
	}
	if err := p.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("cannot signal %s: %w: %w", p.name, errNotRunning, err)
	}
	return nil
}

// end lets the process end in order and returns how long it took.
func (p *process) end(within time.Duration) (time.Duration, error) {
	p.mu.Lock()
	if !p.wanted {
		p.mu.Unlock()
		return 0, nil
	}
	p.wanted, p.asked = false, true
	began := time.Now()
	if p.cmd.Process != nil {
		_ = p.cmd.Process.Signal(syscall.SIGCONT)
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
	}
	ended := p.ended
	p.mu.Unlock()
	select {
	case <-ended:
		return time.Since(began), nil
	case <-time.After(within):
	}
	_ = p.signal(syscall.SIGKILL)
	<-ended
	return time.Since(began), fmt.Errorf("%s did not end within %v and was killed", p.name, within)
}

// killForGood ends the process at once and lets nobody start it again.
func (p *process) killForGood() {
	p.mu.Lock()
	if !p.wanted {
		p.mu.Unlock()
		return
	}
	p.wanted = false
	ended := p.ended
	p.mu.Unlock()
	_ = p.signal(syscall.SIGKILL)
	<-ended
}

// running reports whether the process is wanted, that is started and not ended.
func (p *process) running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.wanted
}

func (p *process) faultsSoFar() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.faults
}

// broker is Apache Kafka, started and stopped by kafka.sh.
type broker struct {
	script, dir string
	ports       [2]int // of the proxied listener, and where its clients are sent
	addr        string
}

func (b *broker) run(args ...string) (string, error) {
	cmd := exec.Command(b.script, args...)
	cmd.Env = append(os.Environ(), "USHER_TEST_KAFKA_HEAP=512m", "USHER_TEST_KAFKA_START_S=300",
		fmt.Sprintf("USHER_TEST_KAFKA_PROXY=%d,%d", b.ports[0], b.ports[1]))
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("cannot %s Apache Kafka: %w: %s", args[0], err, errs.String())
	}
	return string(bytes.TrimSpace(out)), nil
}

func (b *broker) start() (err error) {
	b.addr, err = b.run("start", b.dir)
	return err
}

func (b *broker) stop() error {
	_, err := b.run("stop", b.dir)
	return err
}

// signal reaches the broker by the pid that kafka.sh wrote.
func (b *broker) signal(s syscall.Signal) error {
	text, err := os.ReadFile(filepath.Join(b.dir, "pid"))
	if err != nil {
		return fmt.Errorf("cannot find the broker's pid: %w", err)
	}
	var pid int
	if _, err := fmt.Sscan(string(text), &pid); err != nil || pid <= 1 {
		return fmt.Errorf("cannot read the broker's pid from %q", text)
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	return p.Signal(s)
}
