// Package gen makes lifelike chat traffic as usher events: several businesses, five languages, bots
// and people, bursts, reopened and abandoned conversations, late, repeated, displaced and broken
// records. The same seed and configuration give the same bytes, on every machine. The stream is an
// iterator: no goroutine, no clock, memory bounded by the conversations that are open.
package gen

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"usher/pipeline/event"
)

// Config says how much traffic of which kind. Rates are per ten thousand good events; zero means
// the default and a negative number none.
type Config struct {
	Seed          uint64
	Conversations int           // how many begin; about 13 events each
	EndMS         int64         // no event is dated after it; a demo passes now, a test an instant
	Span          time.Duration // conversations begin in [EndMS − Span, EndMS); 14 days when zero
	Tenants       []string      // names out of Tenants(); all when empty

	// Visit is how often these conversations have been told before: the same Seed, Conversations and
	// Span, with an EndMS whole weeks later, bring the same customers back to the same conversations,
	// under event ids and sequence numbers of their own.
	Visit uint16

	Broken     int // records that must become dead letters; default 10
	Duplicates int // events sent twice, at most four events of the conversation apart; default 60
	Displaced  int // events up to eight events of the conversation late; default 150
	FarLate    int // events so late that they have left the window; default 3
	Skewed     int // events written by a clock that is wrong by up to two minutes; default 40

	// Oversized is how many of the broken records are beyond 1 MiB, so that the code too_large
	// occurs. Zero by default: a producer must allow batches of 2 MiB before it may be raised.
	Oversized int
}

// Limits of the configuration.
const (
	conversationsMax = 1 << 31
	spanMax          = 5 * 366 * 24 * time.Hour
	spanDefault      = 14 * 24 * time.Hour
	rateMax          = 5000
	firstMS          = 946_771_200_000 // 2000-01-02: a day of room for wrong clocks
)

// Record is what a producer sends. Key and Value are valid until the next call of Next; a tombstone
// has a nil Value.
type Record struct {
	Key   []byte
	Value []byte

	ConversationID []byte // empty for agent_status; for a broken record, that of the event it was
	ArrivedMS      int64  // when the producer sends it: rises along the stream
	Type           event.Type
	Label          Label      // the truth about a customer's message
	Code           event.Code // why the record must be rejected; empty for a good one
	Duplicate      bool       // the same bytes were sent before
}

// Stats is the truth about what Next has returned so far.
type Stats struct {
	Records       int64 // all, broken ones included
	Events        int64 // good records, duplicates included
	Broken        int64
	BrokenBy      map[event.Code]int64
	Duplicates    int64
	Displaced     int64 // sent after events that follow them, by at most eight
	FarLate       int64 // sent when at least 20 later events of the conversation had gone out
	Skewed        int64
	Conversations int64                     // with at least one good event
	ByType        [event.TypeVoid + 1]int64 // good records; duplicates included
	ByLabel       [labels]int64             // messages of customers; index 0 those without a label
	CustomerMessages,
	AgentMessages,
	BotMessages,
	SystemMessages int64 // private, automated and media ones included
	Escalations map[string]int64 // by reason
	TextBytes   int64            // of all texts
	Texts       int64
	ValueBytes  int64 // of the good records
}

// Generator is the stream. It is not safe for concurrent use.
type Generator struct {
	cfg     Config
	tenants []tenant
	books   [len(languages)]*phrasebook

	arrivals arrivals
	agenda   agenda
	slots    []conversation
	free     []uint32
	opened   uint32
	planner  planner

	chaos    rng // decides which records are followed by a broken one
	breakDue bool
	key      []byte
	value    []byte
	broken   []byte
	day      int64 // of dayText
	dayText  [10]byte
	stats    Stats
}

// New checks the configuration and prepares the stream; nothing is generated yet.
func New(cfg Config) (*Generator, error) {
	if cfg.Conversations <= 0 || cfg.Conversations > conversationsMax {
		return nil, fmt.Errorf("cannot generate %d conversations: give a number from 1 to %d",
			cfg.Conversations, conversationsMax)
	}
	if cfg.Span == 0 {
		cfg.Span = spanDefault
	}
	if cfg.Span < time.Hour || cfg.Span > spanMax {
		return nil, fmt.Errorf("cannot spread conversations over %v: give a span from 1h to %v",
			cfg.Span, spanMax)
	}
	if cfg.EndMS < cfg.Span.Milliseconds()+firstMS {
		return nil, errors.New("cannot end the stream at EndMS: its first events would be dated " +
			"before 2000, which usher rejects; give milliseconds since 1970")
	}
	defaults := []struct {
		name  string
		rate  *int
		value int
	}{{"Broken", &cfg.Broken, 10}, {"Duplicates", &cfg.Duplicates, 60},
		{"Displaced", &cfg.Displaced, 150}, {"FarLate", &cfg.FarLate, 3}, {"Skewed", &cfg.Skewed, 40}}
	for _, d := range defaults {
		if *d.rate == 0 {
			*d.rate = d.value
		}
		if *d.rate > rateMax {
			return nil, fmt.Errorf("cannot use a rate %s of %d per ten thousand: the most is %d",
				d.name, *d.rate, rateMax)
		}
		*d.rate = max(*d.rate, 0)
	}
	tenants, err := chooseTenants(cfg.Tenants)
	if err != nil {
		return nil, err
	}
	books, err := readPhrasebooks()
	if err != nil {
		return nil, err
	}
	g := &Generator{cfg: cfg, tenants: tenants, books: books, day: -1,
		chaos: rng(mix(cfg.Seed ^ 0xc4a05))}
	g.stats.BrokenBy = map[event.Code]int64{}
	g.stats.Escalations = map[string]int64{}
	g.arrivals.init(cfg, g.tenants)
	return g, nil
}

func chooseTenants(names []string) ([]tenant, error) {
	all := builtinTenants()
	if len(names) == 0 {
		return all, nil
	}
	var chosen []tenant
	for _, name := range names {
		i := slices.IndexFunc(all, func(t tenant) bool { return t.name == name })
		if i < 0 {
			return nil, fmt.Errorf("cannot generate for tenant %q: use one of %v", name, Tenants())
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// Next fills rec with the next record and reports whether there was one.
func (g *Generator) Next(rec *Record) bool {
	if g.breakDue {
		g.breakDue = false
		g.ruin(rec)
		g.count(rec)
		return true
	}
	g.admit()
	if len(g.agenda) == 0 {
		return false
	}
	top := g.agenda[0]
	c := &g.slots[top.slot]
	s := &c.steps[c.next]
	if c.next == 0 && !c.roster {
		g.stats.Conversations++
	}
	c.next++
	g.render(rec, c, s)
	g.countStep(s)
	g.count(rec)
	g.breakDue = !c.roster && g.chaos.below(10_000) < g.cfg.Broken
	if c.next < len(c.steps) {
		top.atMS = c.steps[c.next].emitMS
		g.agenda.replaceTop(top)
	} else {
		g.agenda.pop()
		g.free = append(g.free, top.slot)
	}
	return true
}

// Stats returns the truth about the records returned so far.
func (g *Generator) Stats() Stats {
	s := g.stats
	s.BrokenBy, s.Escalations = maps.Clone(s.BrokenBy), maps.Clone(s.Escalations)
	return s
}

// Open returns how many conversations are under way: the bound of the memory in use.
func (g *Generator) Open() int { return len(g.agenda) }

// admit opens every conversation that begins before the next event.
func (g *Generator) admit() {
	for {
		begin, ok := g.arrivals.peek()
		if !ok || len(g.agenda) > 0 && g.agenda[0].atMS < begin.atMS {
			return
		}
		g.arrivals.take()
		slot := g.slot()
		c := &g.slots[slot]
		c.reset(&g.cfg, g.tenants, begin)
		if begin.agent >= 0 {
			c.roster = true
			c.steps = append(c.steps, step{atMS: begin.atMS, emitMS: begin.atMS,
				kind: stepAgentStatus, a: begin.status})
		} else {
			g.planner.plan(c, &g.cfg)
		}
		if len(c.steps) == 0 {
			g.free = append(g.free, slot)
			continue
		}
		g.opened++
		g.agenda.push(pending{atMS: c.steps[0].emitMS, opened: g.opened, slot: slot})
	}
}

func (g *Generator) slot() uint32 {
	if n := len(g.free); n > 0 {
		slot := g.free[n-1]
		g.free = g.free[:n-1]
		return slot
	}
	g.slots = append(g.slots, conversation{})
	return uint32(len(g.slots) - 1)
}
