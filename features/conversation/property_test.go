package conversation

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/google/go-cmp/cmp"

	"usher/features/calendar"
	"usher/pipeline/event"
)

// ledger adds up facts as ClickHouse would: signs summed, newest revision of a cycle.
type ledger struct {
	turns, human map[Turn]int
	escs         map[Escalation]int
	voids        map[Void]int
	cycles       map[int64]Cycle
	revisions    map[int64]uint32
}

func newLedger() *ledger {
	return &ledger{map[Turn]int{}, map[Turn]int{}, map[Escalation]int{}, map[Void]int{},
		map[int64]Cycle{}, map[int64]uint32{}}
}

func (l *ledger) add(t *testing.T, f *Facts) {
	for _, x := range f.Turns {
		addTurn(l.turns, x)
	}
	for _, x := range f.TurnsHuman {
		addTurn(l.human, x)
	}
	for _, x := range f.Escalations {
		n := int(x.Sign)
		x.Sign, x.Revision, x.SrcOffset = 0, 0, 0
		l.escs[x] += n
	}
	for _, x := range f.Voids {
		n := int(x.Sign)
		x.Sign, x.Revision, x.SrcOffset = 0, 0, 0
		l.voids[x] += n
	}
	once := map[int64]bool{}
	for _, x := range f.Cycles {
		if once[x.CycleOffset] {
			t.Fatalf("two rows of cycle %d in one transaction", x.CycleOffset)
		}
		once[x.CycleOffset] = true
		if old, ok := l.revisions[x.CycleOffset]; ok && old >= x.Revision {
			t.Fatalf("cycle row of revision %d after %d", x.Revision, old)
		}
		l.revisions[x.CycleOffset] = x.Revision
		x.Revision, x.SrcOffset = 0, 0
		l.cycles[x.CycleOffset] = x
	}
}

func addTurn(to map[Turn]int, x Turn) {
	n := int(x.Sign)
	x.Sign, x.Revision, x.SrcOffset = 0, 0, 0
	to[x] += n
}

// net are the facts that stand, each once; a fact that stands twice or less than not at all shows
// as a difference.
func net[T comparable](t *testing.T, of map[T]int, less func(a, b T) int) []T {
	t.Helper()
	var out []T
	for x, n := range of {
		if n < 0 || n > 1 {
			t.Errorf("a fact stands %d times: %+v", n, x)
		}
		if n == 1 {
			out = append(out, x)
		}
	}
	slices.SortFunc(out, less)
	return out
}

func (l *ledger) facts(t *testing.T) refFacts {
	f := refFacts{turns: net(t, l.turns, byTurn), human: net(t, l.human, byTurn)}
	f.escs = net(t, l.escs, func(a, b Escalation) int { return int(a.SinceOffset - b.SinceOffset) })
	f.voids = net(t, l.voids, func(a, b Void) int { return int(a.CycleOffset - b.CycleOffset) })
	for _, c := range l.cycles {
		if !c.Gone {
			f.cycles = append(f.cycles, c)
			continue
		}
		for at, steps := c, 0; at.Gone; steps++ {
			next, ok := l.cycles[at.ReplacedByOffset]
			if !ok || steps > len(l.cycles) {
				t.Errorf("cycle %d is gone, but its replacement never stands", c.CycleOffset)
				break
			}
			at = next
		}
	}
	slices.SortFunc(f.cycles, byCycle)
	return f
}

func byTurn(a, b Turn) int   { return int(a.SinceOffset - b.SinceOffset) }
func byCycle(a, b Cycle) int { return int(a.CycleOffset - b.CycleOffset) }

func (f *refFacts) sort() {
	slices.SortFunc(f.turns, byTurn)
	slices.SortFunc(f.human, byTurn)
	slices.SortFunc(f.escs, func(a, b Escalation) int { return int(a.SinceOffset - b.SinceOffset) })
	slices.SortFunc(f.voids, func(a, b Void) int { return int(a.CycleOffset - b.CycleOffset) })
	slices.SortFunc(f.cycles, byCycle)
}

// play is one table over several conversations with transactions, restarts and a changelog.
type play struct {
	t         *testing.T
	r         *rand.Rand
	cfg       Config
	table     *Table
	changelog map[Key][]byte
	ledgers   map[string]*ledger
	offset    int64
	sla       map[SLAEvent]int
	watermark int64
	late      int
	dups      int
}

func newPlay(t *testing.T, r *rand.Rand, cfg Config) *play {
	return &play{t: t, r: r, cfg: cfg, table: NewTable(cfg), changelog: map[Key][]byte{},
		ledgers: map[string]*ledger{}, sla: map[SLAEvent]int{}}
}

func (p *play) feed(c *randomConversation, e *refEvent) {
	p.offset++
	in := Input{Key: c.key, Event: &e.ev, ConversationID: []byte(c.id), CustomerKey: []byte(e.cust),
		Offset: p.offset, NowMS: e.at}
	var out Arrival
	if err := p.table.Arrive(&in, &out); err != nil {
		p.t.Fatal(err)
	}
	d := decisionOn(e.ev.ID)
	if e.offset >= 0 {
		e.offset, e.forced = p.offset, d.Escalate
		e.cal, e.policies = p.calendar(), p.cfg.Policies
		if out.Decide {
			e.dec = d
		}
		if ahead := out.Flags&FlagClockAhead != 0; ahead != (e.ev.TimeMS > e.at) {
			p.t.Errorf("clock_ahead is %v", ahead)
		}
	}
	if out.Flags&FlagLate != 0 {
		p.late++
	}
	if out.Flags&FlagDuplicate != 0 {
		p.dups++
	}
	p.table.Settle(d) // what is no customer message can be forced only
	if p.r.IntN(20) == 0 {
		p.commit(p.r.IntN(8) == 0)
	}
}

// commit ends a transaction; restart throws the table away and restores it from the changelog.
func (p *play) commit(restart bool) {
	p.fire()
	f := p.table.Facts()
	split := map[string]*Facts{}
	of := func(id string) *Facts {
		if split[id] == nil {
			split[id] = &Facts{}
		}
		return split[id]
	}
	for _, x := range f.Turns {
		of(x.ConversationID).Turns = append(of(x.ConversationID).Turns, x)
	}
	for _, x := range f.TurnsHuman {
		of(x.ConversationID).TurnsHuman = append(of(x.ConversationID).TurnsHuman, x)
	}
	for _, x := range f.Escalations {
		of(x.ConversationID).Escalations = append(of(x.ConversationID).Escalations, x)
	}
	for _, x := range f.Voids {
		of(x.ConversationID).Voids = append(of(x.ConversationID).Voids, x)
	}
	for _, x := range f.Cycles {
		of(x.ConversationID).Cycles = append(of(x.ConversationID).Cycles, x)
	}
	for id, f := range split {
		if p.ledgers[id] == nil {
			p.ledgers[id] = newLedger()
		}
		p.ledgers[id].add(p.t, f)
	}
	p.table.Changelog(func(k Key, v []byte) {
		p.changelog[k] = bytes.Clone(v)
		if !isCalendarKey(k) && !isPoliciesKey(k) {
			checkRoundTrip(p.t, p.table, k, p.changelog[k])
		}
	})
	p.table.BeginTransaction()
	if !restart {
		return
	}
	p.cfg.Calendars = testCalendars(p.t, p.r) // reloaded with others
	if p.cfg.Policies != nil {
		p.cfg.Policies = testPolicies(p.r)
	}
	p.table = NewTable(p.cfg)
	for k, v := range p.changelog {
		if err := p.table.Restore(k, v); err != nil {
			p.t.Fatal(err)
		}
	}
}

// testCalendars draws one of a few calendars, or none.
func testCalendars(t *testing.T, r *rand.Rand) map[string]*calendar.Calendar {
	t.Helper()
	name := []string{"Europe/Riga", "America/New_York", "Australia/Lord_Howe"}[r.IntN(3)]
	zone, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	d := calendar.Definition{Zone: name}
	for day := range 2 + r.IntN(5) {
		d.Week[day] = []calendar.Span{{FromMin: 8 * 60, ToMin: 12*60 + 30}, {FromMin: 13 * 60, ToMin: 20 * 60}}
	}
	cal, err := calendar.New(zone, d)
	switch {
	case err != nil:
		t.Fatal(err)
	case r.IntN(4) == 0:
		return nil
	case r.IntN(4) == 0:
		return map[string]*calendar.Calendar{"default": nil, "t": cal}
	}
	return map[string]*calendar.Calendar{"default": cal}
}

// calendar is that of the test's one tenant.
func (p *play) calendar() *calendar.Calendar {
	if cal, ok := p.cfg.Calendars["t"]; ok {
		return cal
	}
	return p.cfg.Calendars["default"]
}

// TestAgainstTheWholeLog: whatever the arrival, the facts that stand are those of the whole log.
func TestAgainstTheWholeLog(t *testing.T) {
	tables, perTable := 500, 20
	if testing.Short() {
		tables = 50
	}
	late, dups := 0, 0
	for seed := range tables {
		r := rand.New(rand.NewPCG(uint64(seed), 7))
		p := newPlay(t, r, Config{
			InitialConversations: seed % 3 * 5000,
			Roles:                map[string][]string{"default": refRoles},
			Calendars:            testCalendars(t, r),
		})
		var cs []*randomConversation
		var queues [][]*refEvent
		for n := range perTable {
			c := newRandomConversation(r, n)
			displaced := []int{0, 2, 8, 15}[r.IntN(4)]
			cs = append(cs, c)
			queues = append(queues, c.arrivals(r, displaced, displaced <= 8))
		}
		for left := perTable; left > 0; {
			i := r.IntN(perTable)
			if len(queues[i]) == 0 {
				continue
			}
			p.feed(cs[i], queues[i][0])
			if queues[i] = queues[i][1:]; len(queues[i]) == 0 {
				left--
			}
		}
		p.commit(false)
		for _, c := range cs {
			compareToLog(t, p, c)
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
		late, dups = late+p.late, dups+p.dups
	}
	if late > 0 || dups < tables {
		t.Errorf("late %d, want 0; duplicates %d, want many", late, dups)
	}
}

func compareToLog(t *testing.T, p *play, c *randomConversation) {
	t.Helper()
	l := p.ledgers[c.id]
	if l == nil {
		l = newLedger()
	}
	var log []*refEvent
	for _, e := range c.log {
		if inReferenceWindow(e.ev.Type) {
			log = append(log, e)
		}
	}
	want := reference(c.id, log)
	want.sort()
	got := l.facts(t)
	if d := cmp.Diff(want, got, cmp.AllowUnexported(refFacts{})); d != "" {
		t.Errorf("conversation %s (-whole log +table):\n%s", c.id, d)
		for i, e := range log {
			t.Logf("%2d offset %d t %d seq %d/%v type %d by %d %d status %d %s public %v %+v",
				i, e.offset, e.at%1e9, e.ev.Seq, e.ev.HasSeq, e.ev.Type, e.ev.Actor.Kind,
				e.ev.Resolution, e.ev.Status.To, e.ev.Reason, e.ev.Message.Public, e.dec)
		}
	}
}

func inReferenceWindow(k event.Type) bool {
	return !slices.Contains([]event.Type{event.Unknown, event.TypeReaction, event.TypeEdit,
		event.TypeDelete, event.TypeRead, event.TypeFeedback, event.TypeLabel,
		event.TypeAgentStatus}, k)
}

// checkRoundTrip: in the same table names have the same numbers, so what is read back must be equal
// field by field.
func checkRoundTrip(t *testing.T, table *Table, k Key, value []byte) {
	t.Helper()
	s := table.slots.at(table.find(&k))
	var want window
	table.store.load(s, &want)
	var base, gotBase state
	table.settled(s, &base)
	var got slot
	conv, err := table.decode(value, &got, &gotBase)
	if err != nil {
		t.Fatal(err)
	}
	w := &table.scratch
	same := string(conv) == table.convs.str(s.conv) && got.tenant == s.tenant &&
		got.owner == s.owner && got.revision == s.revision && got.hour == s.hour &&
		w.n == want.n && w.byTime == want.byTime
	for i := range want.n {
		same = same && w.entries[i] == want.entries[i] &&
			(!w.entries[i].has(flagSeq) || w.seqs[i] == want.seqs[i])
	}
	gotBase.noted = base.noted
	if !same || gotBase != base {
		t.Errorf("read back differently:\n%+v\n%+v", base, gotBase)
	}
}
