//go:build (linux || darwin) && !noembed

package embedded

import (
	"context"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// markSetting carries the mark of a connection into the engine's list of processes, so that the
// statement running on it can be found there and killed: the library tells no query id.
const markSetting = "log_comment"

// conn is one connection to the engine; it runs one statement at a time.
type conn struct {
	handle  uintptr
	mark    string
	applied settings
	broken  bool // an error or a session statement leaves leftovers: never use it again
}

// pool hands out connections. One in use serves one statement; its settings are made those of the
// request before it, preferably by taking a connection that has them already.
type pool struct {
	l      *library
	slots  chan struct{} // one per connection that may be in use
	mu     sync.Mutex
	idle   []*conn
	closed bool
	marks  atomic.Uint64
	killMu sync.Mutex
	killer *conn // kept free for KILL QUERY
}

func newPool(l *library, connectionsMax int) (*pool, error) {
	p := &pool{l: l, slots: make(chan struct{}, connectionsMax)}
	var err error
	p.killer, err = p.open()
	return p, err
}

func (p *pool) open() (*conn, error) {
	h, err := p.l.open()
	if err != nil {
		return nil, err
	}
	c := &conn{handle: h, mark: "usher-" + strconv.FormatUint(p.marks.Add(1), 10),
		applied: settings{}}
	if err := p.run(c, "SET "+markSetting+" = "+quote(c.mark)); err != nil {
		p.l.close(h)
		return nil, err
	}
	return c, nil
}

func (p *pool) run(c *conn, sql string) error {
	r, err := p.l.query(c.handle, sql, "TabSeparated", nil)
	if err != nil {
		c.broken = true
		return err
	}
	r.free()
	return nil
}

// take returns a connection on which want is in force; the caller gives it back with put.
func (p *pool) take(ctx context.Context, want settings) (*conn, error) {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("cannot get a connection to the engine, all %d are busy: %w",
			cap(p.slots), ctx.Err())
	}
	c := p.pick(want)
	if c == nil {
		var err error
		if c, err = p.open(); err != nil {
			<-p.slots
			return nil, err
		}
	}
	if err := p.apply(c, want); err != nil {
		p.put(c)
		return nil, err
	}
	return c, nil
}

// pick takes an idle connection: one whose settings are the wanted ones, else the one used last
// that can still change its settings.
func (p *pool) pick(want settings) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	best := -1
	for i := len(p.idle) - 1; i >= 0; i-- {
		c := p.idle[i]
		if sameSettings(c.applied, want) {
			best = i
			break
		}
		if best < 0 && c.applied["readonly"] == "" {
			best = i
		}
	}
	if best < 0 {
		return nil
	}
	c := p.idle[best]
	p.idle = append(p.idle[:best], p.idle[best+1:]...)
	return c
}

func sameSettings(a, b settings) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if w, ok := b[k]; !ok || w != v {
			return false
		}
	}
	return true
}

// apply brings the settings of c to want: what is no longer wanted goes back to its default.
func (p *pool) apply(c *conn, want settings) error {
	var changes []string
	for k := range c.applied {
		if _, ok := want[k]; !ok && k != databaseKey {
			changes = append(changes, k+" = DEFAULT")
		}
	}
	for k, v := range want {
		if w, ok := c.applied[k]; (!ok || w != v) && k != databaseKey && k != "readonly" {
			changes = append(changes, k+" = "+quote(v))
		}
	}
	sort.Strings(changes)
	if v, ok := want["readonly"]; ok && c.applied["readonly"] != v {
		changes = append(changes, "readonly = "+quote(v)) // last: it forbids further changes
	}
	db := want[databaseKey]
	if db != c.applied[databaseKey] {
		if db == "" {
			db = "default"
		}
		if err := p.run(c, "USE "+quoteName(db)); err != nil {
			return err
		}
	}
	if len(changes) > 0 {
		if err := p.run(c, "SET "+strings.Join(changes, ", ")); err != nil {
			return err
		}
	}
	c.applied = want
	return nil
}

// put gives a connection back. A broken one is closed: after an error the next answer on it may
// begin with what was left over.
func (p *pool) put(c *conn) {
	drop := c
	p.mu.Lock()
	if !c.broken && !p.closed {
		drop = nil
		if len(p.idle) == cap(p.slots) { // the one unused for longest makes room
			drop, p.idle = p.idle[0], p.idle[1:]
		}
		p.idle = append(p.idle, c)
	}
	p.mu.Unlock()
	if drop != nil {
		p.l.close(drop.handle)
	}
	<-p.slots
}

// guard kills the statement that runs on c when ctx ends. The function returned must be called
// before c is given back: it returns only when no kill is under way that could hit a later one.
func (p *pool) guard(ctx context.Context, c *conn) (release func()) {
	done, idle := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(idle)
		for {
			select {
			case <-done:
				return
			case <-ctx.Done():
			}
			p.kill(c.mark)
			// The statement may not have reached the engine when it was looked for: look again.
			select {
			case <-done:
				return
			case <-time.After(killRetryWait):
			}
		}
	}()
	return func() {
		close(done)
		<-idle
	}
}

const killRetryWait = 100 * time.Millisecond

func (p *pool) kill(mark string) {
	p.killMu.Lock()
	defer p.killMu.Unlock()
	if p.killer.broken {
		p.l.close(p.killer.handle)
		c, err := p.open()
		if err != nil {
			return // max_execution_time still ends the statement
		}
		p.killer = c
	}
	_ = p.run(p.killer, "KILL QUERY WHERE Settings['"+markSetting+"'] = "+quote(mark)+" ASYNC")
}

// close closes every idle connection; those in use close when they are given back.
func (p *pool) close() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	p.mu.Unlock()
	for _, c := range idle {
		p.l.close(c.handle)
	}
	p.killMu.Lock()
	defer p.killMu.Unlock()
	p.l.close(p.killer.handle)
}

// quote writes s as a string literal of ClickHouse.
func quote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

// quoteName writes s as an identifier of ClickHouse.
func quoteName(s string) string {
	return "`" + strings.NewReplacer(`\`, `\\`, "`", "\\`").Replace(s) + "`"
}
