package sim

import (
	"errors"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"

	"usher/sinks/clickhouse/deliver"
	"usher/sinks/clickhouse/rows"
	"usher/sinks/clickhouse/schema"
)

// Timing of a sink, as sinks/clickhouse/sink has it.
const (
	flushMS       = 1_000
	commitMS      = 10_000
	clockEveryMS  = 60_000
	clockSkewMax  = 5_000
	retryFirstMS  = 100
	retryMostMS   = 5_000
	sinkRangeRows = 60
)

var errClock = errors.New("clocks are too far apart")

// sink drives the machines of its partitions as sinks/clickhouse/sink does.
type sink struct {
	proc
	b        *broker
	member   *member
	workers  map[int32]*worker
	asked    map[int32]int
	offset   int64 // of the store's clock
	measured int64 // 0: never
}

// worker stores one partition while it is assigned to the sink.
type worker struct {
	s         *sink
	partition int32
	m         *deliver.Machine
	position  int64
	inbox     []deliver.Record
	oldest    int64 // when the oldest record that waits was consumed
	as        identity
	backoff   int64
	ended     func() // the partition is to be given up; called when it is
	gone      bool
}

func (s *sink) boot() {
	s.alive, s.life = true, s.life+1
	s.workers, s.asked, s.measured = map[int32]*worker{}, map[int32]int{}, 0
	s.member = &member{
		p: &s.proc, g: s.b.groups[sinkGroup], gained: s.gained, revoked: s.revoked, lost: s.abandon,
		dead: func() { s.die("its instance id is taken", 1_000) },
	}
	if s.w.seed%2 == 0 {
		s.member.as.instance = s.name
	}
	s.member.start()
	s.poll()
}

func (s *sink) die(why string, downMS int64) {
	s.w.trace("%s: dies: %s", s.name, why)
	s.alive, s.life = false, s.life+1
	s.w.after(downMS, s.boot)
}

func (s *sink) gained(partitions []int32) {
	for _, p := range partitions {
		s.asked[p]++
		s.askOffset(p, s.asked[p])
	}
}

func (s *sink) askOffset(p int32, number int) {
	call(&s.proc, requestMS, func() (offset, error) { return s.member.g.fetch(p, true) },
		func(o offset, err error) {
			switch {
			case s.asked[p] != number || !s.member.owned[p]:
			case err != nil:
				s.on(retryMS, func() { s.askOffset(p, number) })
			default:
				base := max(0, o.at)
				w := &worker{
					s: s, partition: p, position: base, backoff: retryFirstMS,
					m: deliver.NewMachine(rowsID, p, base, deliver.Limits{Rows: sinkRangeRows, Bytes: 1 << 20}),
				}
				if s.w.weak.Stage2 != 0 {
					w.m.Weaken(s.w.weak.Stage2)
				}
				s.workers[p] = w
				w.loop()
			}
		})
}

// revoked returns the partitions when no attempt of theirs is under way any more.
func (s *sink) revoked(partitions []int32, done func()) {
	left := 1
	ended := func() {
		if left--; left == 0 {
			done()
		}
	}
	for _, p := range partitions {
		s.asked[p]++
		w := s.workers[p]
		switch {
		case w == nil:
		case s.w.weak.RevokedNotAwaited:
			w.ended = func() {}
		default:
			left++
			w.ended = ended
		}
	}
	ended()
}

func (s *sink) abandon(partitions []int32) {
	for _, p := range partitions {
		s.asked[p]++
		if w := s.workers[p]; w != nil {
			w.end()
		}
	}
}

func (w *worker) end() {
	w.gone = true
	if w.s.workers[w.partition] == w {
		delete(w.s.workers, w.partition)
	}
	if w.ended != nil {
		w.ended()
		w.ended = nil
	}
}

// poll consumes for all workers.
func (s *sink) poll() {
	from := sorted(s.workers, rowsPartitions)
	at := map[int32]int64{}
	for _, p := range from {
		at[p] = s.workers[p].position
	}
	call(&s.proc, requestMS, func() ([]fetched, error) {
		var out []fetched
		for _, p := range from {
			out = append(out, s.b.fetch(place{topics.Rows, p}, at[p], 50))
		}
		return out, nil
	}, func(got []fetched, _ error) {
		for i := range got {
			if w := s.workers[from[i]]; w != nil && w.position == at[from[i]] {
				w.position = got[i].next
				w.take(got[i].records)
			}
		}
		s.on(s.w.between(10, 400), s.poll)
	})
}

func (w *worker) take(records []*kgo.Record) {
	for _, r := range records {
		w.inbox = append(w.inbox, protocolRecord(r))
	}
	if len(records) > 0 && w.oldest == 0 {
		w.oldest = w.s.w.nowMS
	}
}

// protocolRecord is what sinks/clickhouse/sink makes of a consumed record.
func protocolRecord(r *kgo.Record) deliver.Record {
	d := deliver.Record{Offset: r.Offset, Control: r.Attrs.IsControl()}
	if d.Control {
		return d
	}
	var err error
	if d.Header, err = rows.ParseHeader(r.Headers); err != nil {
		panic("BUG: " + err.Error())
	}
	if d.Rows, err = rows.RowsOf(r.Value); err != nil {
		panic("BUG: " + err.Error())
	}
	d.Value = r.Value
	return d
}

// again lets the worker go on later.
func (w *worker) again(ms int64) {
	w.s.on(ms, func() {
		if !w.gone {
			w.loop()
		}
	})
}

// outcome goes on after an answer: at once, or after a pause when something failed. A worker that
// is to end does not try again: whoever comes next resolves it, that is what the intent is for.
func (w *worker) outcome(err error) {
	switch {
	case err == nil:
		w.backoff = retryFirstMS
		w.again(0)
	case w.ended != nil:
		w.end()
	default:
		w.again(w.backoff)
		w.backoff = min(2*w.backoff, retryMostMS)
	}
}

func (w *worker) loop() {
	for _, r := range w.inbox {
		w.m.Add(r)
	}
	w.inbox = w.inbox[:0]
	if w.ended != nil && w.m.Between() {
		w.end()
		return
	}
	if w.s.measured == 0 || w.s.now()-w.s.measured >= clockEveryMS || w.s.now() < w.s.measured {
		w.s.measure(w)
		return
	}
	now := w.s.now() + w.s.offset
	due := w.oldest != 0 && w.s.w.nowMS-w.oldest >= flushMS
	a := w.m.Next(now, due)
	switch a.Kind {
	case deliver.ActFetch:
		if w.ended != nil { // not again
			w.end()
			return
		}
		w.fetch()
	case deliver.ActCommit:
		w.commit(&a)
	case deliver.ActReadBack:
		in := *a.Intent
		call(&w.s.proc, commitMS, func() (map[string]deliver.Stored, error) {
			return w.s.w.store.readBack(w.partition, &in), nil
		}, func(have map[string]deliver.Stored, err error) {
			if !w.gone {
				w.m.ReadBack(have, err)
				w.outcome(err)
			}
		})
	case deliver.ActInsert:
		w.insert(&a, now)
	case deliver.ActStop:
		w.s.w.fail("%s: %v", w.s.name, a.Err)
	default:
		w.again(w.s.w.between(10, 200))
	}
}

// measure takes the difference of the two clocks, once a minute.
func (s *sink) measure(w *worker) {
	began := s.now()
	call(&s.proc, requestMS, func() (int64, error) { return s.w.store.now(), nil },
		func(server int64, err error) {
			after := s.now()
			offset := server - (began + (after-began)/2)
			switch {
			case err != nil:
			case offset > clockSkewMax || offset < -clockSkewMax:
				err = errClock
			default:
				s.offset, s.measured = offset, after
			}
			if !w.gone {
				w.outcome(err)
			}
		})
}

// fetch begins an attempt: it keeps the generation that the group has now.
func (w *worker) fetch() {
	w.as = w.s.member.as
	call(&w.s.proc, commitMS, func() (offset, error) { return w.s.member.g.fetch(w.partition, true) },
		func(o offset, err error) {
			if !w.gone {
				w.m.Fetched(deliver.Fetched{TopicID: rowsID, Offset: o.at, Meta: o.meta}, err)
				w.outcome(err)
			}
		})
}

func (w *worker) commit(a *deliver.Action) {
	as, o, before := w.as, offset{a.Offset, a.Meta}, w.m.CommittedOffset()
	if w.s.w.weak.GenerationNotKept {
		as = w.s.member.as
	}
	unfenced := w.s.w.weak.NoFence || w.s.w.weak.IntentUnfenced && a.Meta != "" && a.Offset == before
	call(&w.s.proc, commitMS, func() (struct{}, error) {
		err := w.s.member.g.commit(as, w.partition, o, unfenced)
		w.s.w.trace("%s: commit %d as %s/%d: %d %q %v", w.s.name, w.partition, as.id, as.generation,
			o.at, o.meta, err)
		return struct{}{}, err
	}, func(_ struct{}, err error) {
		if w.gone {
			return
		}
		w.m.Committed(err)
		if w.m.CommittedOffset() > before {
			w.oldest = 0
			if w.m.Waiting() || len(w.inbox) > 0 {
				w.oldest = w.s.w.nowMS
			}
		}
		if errors.Is(err, errTimeout) && !w.s.w.weak.NoRenewal {
			w.renew(as, w.s.w.nowMS+30_000, err)
			return
		}
		w.outcome(err)
	})
}

// renew makes the group begin a generation, which fences the commit that is still on its way.
func (w *worker) renew(old identity, deadline int64, cause error) {
	w.s.member.renew()
	var wait func()
	wait = func() {
		switch {
		case w.gone:
		case w.s.member.as != old || w.s.w.nowMS > deadline:
			w.outcome(cause)
		default:
			w.s.on(20, wait)
		}
	}
	wait()
}

func (w *worker) insert(a *deliver.Action, now int64) {
	in := insertion{
		table: a.Table, token: a.Token(w.partition), leaseUntil: a.LeaseUntilMS,
		days: w.block(a),
	}
	weak := &w.s.w.weak
	if weak.NoToken {
		in.token = ""
	}
	if weak.TokenOfStart {
		in.token = strconv.FormatInt(a.Intent.From, 10)
	}
	if weak.NoLease {
		in.leaseUntil = 1 << 62
	}
	w.s.w.trace("%s: insert %d %s %d-%d lease %d", w.s.name, w.partition, a.Table.Name, a.Intent.From,
		a.Intent.To, a.LeaseUntilMS-startMS)
	callSlow(&w.s.proc, max(0, a.DeadlineMS-now), w.s.w.store.takesMS(), func() (struct{}, error) {
		return struct{}{}, w.s.w.store.insert(in)
	}, func(_ struct{}, err error) {
		if !w.gone {
			w.m.Inserted(err)
			w.outcome(err)
		}
	})
}

// block lists the rows that an insert carries, by day. They are a copy: the insert may arrive late.
func (w *worker) block(a *deliver.Action) [][]rowID {
	if a.Table.Writer == schema.ByRange {
		var manifest []rowID
		for i := range a.Intent.Shares {
			manifest = append(manifest, rowID{w.partition, a.Intent.From, int32(i)})
		}
		return [][]rowID{manifest}
	}
	var out [][]rowID
	var days []schema.Day
	for i := range a.Records {
		r := &a.Records[i]
		if r.Control || r.Header.Table != a.Table.Name {
			continue
		}
		at := slices.Index(days, r.Header.Day)
		if at < 0 {
			at, days, out = len(days), append(days, r.Header.Day), append(out, nil)
		}
		for sub := range int32(r.Rows) {
			out[at] = append(out[at], rowID{w.partition, r.Offset, sub})
		}
	}
	return out
}
