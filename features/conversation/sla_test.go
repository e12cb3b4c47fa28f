package conversation

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"usher/features/calendar"
)

const minute = 60_000

// testPolicies draws a list whose policies overlap; the last fits all that is left.
func testPolicies(r *rand.Rand) []Policy {
	return []Policy{
		{Name: "urgent", Queues: []string{"front", "auto"}, Priorities: []string{"high"},
			TargetMS: [metrics]int64{minute, minute, 0, 600 * minute}, DueSoon: 0.5, Business: r.IntN(2) == 0},
		{Name: "web", Channels: []string{"web"}, Tenants: []string{"t"}, DueSoon: 0.8,
			TargetMS: [metrics]int64{10 * minute, int64(1+r.IntN(90)) * minute, 130 * minute, 0}},
		{Name: "none", Queues: []string{"back"}},
		{Name: "rest", TargetMS: [metrics]int64{3 * minute, 10 * minute, 20 * minute, 3 * 1440 * minute},
			DueSoon: []float64{0, 0.9}[r.IntN(2)], Business: r.IntN(2) == 0},
	}
}

// fire lets the watermark come as far as the events that were fed, and takes the SLA facts.
func (p *play) fire() {
	if p.cfg.Policies == nil {
		return
	}
	p.table.Fire(p.watermark)
	for _, x := range p.table.Facts().SLA {
		n := int(x.Sign)
		x.Sign, x.Revision, x.SrcOffset = 0, 0, 0
		p.sla[x] += n
	}
}

// refPromise is one promise: its clock runs after place k when active says so.
type refPromise struct {
	metric Metric
	turn   uint32
	begun  int // place
	end    int // place, −1 open
	status SLAStatus
	active func(k int) bool
}

func (c *refCycle) isPaused(k int) bool {
	for _, p := range c.pauses() {
		if p.from <= k && (p.to < 0 || p.to > k) {
			return true
		}
	}
	return false
}

func (c *refCycle) promises() []refPromise {
	waits := c.waits(false)
	inTime := SLAMet
	if c.end >= 0 && !refIsClose(c.all[c.end]) {
		inTime = SLACancelled
	}
	out := []refPromise{{
		metric: MetricTimeToClose, end: c.end, status: inTime,
		active: func(k int) bool { return (c.end < 0 || k < c.end) && !c.isPaused(k) },
	}}
	for _, w := range waits {
		p := refPromise{metric: MetricNextReply, turn: w.n, begun: w.from, end: w.to, status: SLAMet,
			active: func(k int) bool {
				return k >= w.from && (w.to < 0 || k < w.to) && !c.isPaused(k)
			}}
		if w.n == 1 {
			p.metric = MetricFirstReply
			out = append(out, refPromise{
				metric: MetricRequesterWait, begun: w.from, end: c.end, status: inTime,
				active: func(k int) bool {
					return !c.isPaused(k) && slices.ContainsFunc(waits, func(w refWait) bool {
						return k >= w.from && (w.to < 0 || k < w.to)
					})
				},
			})
		}
		if w.by == EndedByClose {
			p.status = SLACancelled
		}
		out = append(out, p)
	}
	return out
}

// refReach is when the clock of p has run for want ms, and what it would be due for target then; ok
// is false when that has not come by the end or the horizon.
func (c *refCycle) refReach(p refPromise, cal *calendar.Calendar, want, target, horizon int64) (
	at, due int64, ok bool,
) {
	last := len(c.live()) - 1
	if p.end >= 0 {
		last = p.end
	}
	var ran int64
	for k := p.begun; k <= last; k++ {
		if !p.active(k) {
			continue
		}
		from, to := c.all[k].at, horizon+1
		open := k == last
		if !open {
			to = c.all[k+1].at
		}
		if want >= ran {
			at, err := cal.Add(from, want-ran)
			if err == nil && at < to {
				due, err = cal.Add(from, target-ran)
				if err != nil {
					due = never
				}
				return at, due, true
			}
		}
		ran += cal.Business(from, to)
	}
	return 0, 0, false
}

// slas are the SLA events of a cycle as of the horizon, found promise by promise.
func (c *refCycle) slas(horizon int64) []SLAEvent {
	var out []SLAEvent
	for _, e := range c.all {
		horizon = max(horizon, e.at-1)
	}
	for _, p := range c.promises() {
		first := c.all[p.begun]
		d := c.dims(p.begun, false)
		pol := refPolicy(first, d, c.priority(p.begun))
		if pol == nil || pol.TargetMS[p.metric] == 0 {
			continue
		}
		var cal *calendar.Calendar
		if pol.Business {
			cal = first.cal
		}
		x := SLAEvent{
			Dims: Dims{Tenant: "t", ConversationID: c.conv}, SinceOffset: first.offset, Cycle: c.n,
			CycleOffset: c.all[0].offset, Turn: p.turn, BegunAtMS: first.at, Policy: pol.Name,
			Metric: p.metric, TargetMS: pol.TargetMS[p.metric], Business: pol.Business,
			CalendarVersion: first.cal.Version(),
		}
		if s := pol.DueSoon; s > 0 && s < 1 {
			want := int64(float64(x.TargetMS) * s)
			if at, due, ok := c.refReach(p, cal, want, x.TargetMS, horizon); ok {
				soon := x
				soon.Status, soon.AtMS, soon.DueAtMS = SLADueSoon, at, due
				out = append(out, soon)
			}
		}
		if at, _, ok := c.refReach(p, cal, x.TargetMS, x.TargetMS, horizon); ok {
			x.Status, x.AtMS, x.DueAtMS = SLABreached, at, at
			out = append(out, x)
		} else if p.end >= 0 {
			x.Status, x.AtMS, x.DueAtMS = p.status, c.all[p.end].at, 0
			out = append(out, x)
		}
	}
	return out
}

func (c *refCycle) priority(i int) string {
	prio := "normal"
	for _, e := range c.live()[:i+1] {
		if e.dec != nil {
			prio = cmp.Or(e.dec.Priority, "normal")
		}
	}
	return prio
}

func refPolicy(e *refEvent, d Dims, priority string) *Policy {
	fits := func(list []string, s string) bool { return len(list) == 0 || slices.Contains(list, s) }
	for i := range e.policies {
		p := &e.policies[i]
		if fits(p.Queues, d.Queue) && fits(p.Channels, d.Channel) && fits(p.Priorities, priority) &&
			fits(p.Tenants, "t") {
			return p
		}
	}
	return nil
}

// TestPromisesAgainstTheWholeLog: timers, pauses, late events, restarts under other policies and
// calendars; what stands is what a computation over the whole log finds, each fact once and exactly
// one terminal one per promise.
func TestPromisesAgainstTheWholeLog(t *testing.T) {
	tables, perTable := 250, 12
	if testing.Short() {
		tables = 40
	}
	seen := map[SLAStatus]int{}
	for seed := range tables {
		r := rand.New(rand.NewPCG(uint64(seed), 77))
		p := newPlay(t, r, Config{
			Roles: map[string][]string{"default": refRoles}, Calendars: testCalendars(t, r),
			Policies: testPolicies(r),
		})
		var cs []*randomConversation
		for n := range perTable {
			c := newRandomConversation(r, n)
			for _, e := range c.log {
				e.ev.HasSeq = false // clocks agree with the order
			}
			refSort(c.log)
			cs = append(cs, c)
			displaced := []int{0, 2, 8, 15}[r.IntN(4)]
			for _, e := range c.arrivals(r, displaced, displaced <= 8) {
				p.feed(c, e)
				p.watermark = max(p.watermark, e.at+r.Int64N(100*minute))
			}
		}
		p.commit(false)
		got := map[string][]SLAEvent{}
		for x, n := range p.sla {
			if n < 0 || n > 1 {
				t.Errorf("a fact stands %d times: %+v", n, x)
			}
			if n == 1 {
				seen[x.Status]++
				x.Dims = Dims{Tenant: x.Tenant, ConversationID: x.ConversationID}
				if x.Status == SLAMet || x.Status == SLACancelled {
					x.DueAtMS = 0
				}
				got[x.ConversationID] = append(got[x.ConversationID], x)
			}
		}
		for _, c := range cs {
			compareToLog(t, p, c)
			var log []*refEvent
			for _, e := range c.log {
				if inReferenceWindow(e.ev.Type) {
					log = append(log, e)
				}
			}
			refSort(log)
			var want []SLAEvent
			for _, cycle := range refCycles(c.id, log) {
				want = append(want, cycle.slas(p.watermark)...)
			}
			sortSLA(want)
			sortSLA(got[c.id])
			if d := gocmp.Diff(want, got[c.id]); d != "" {
				t.Errorf("conversation %s (-whole log +table):\n%s", c.id, d)
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	for status := SLADueSoon; status <= SLACancelled; status++ {
		if seen[status] < tables {
			t.Errorf("%d events are %s: too few to say anything", seen[status], status)
		}
	}
}

func sortSLA(list []SLAEvent) {
	slices.SortFunc(list, func(a, b SLAEvent) int {
		return cmp.Or(cmp.Compare(a.CycleOffset, b.CycleOffset), cmp.Compare(a.Metric, b.Metric),
			cmp.Compare(a.Turn, b.Turn), cmp.Compare(a.Status, b.Status))
	})
}
