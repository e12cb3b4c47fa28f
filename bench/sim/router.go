package sim

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"usher/pipeline"
)

// Bounds of a router's requests.
const (
	restoreTimeoutMS = 30_000
	endTimeoutMS     = 10_000
	fetchMost        = 40
)

// router drives a pipeline.Router as pipeline.Worker does.
type router struct {
	proc
	b        *broker
	line     *pipeline.Line
	member   *member
	machine  *pipeline.Router
	tx       *txn // pid only
	epoch    int
	position map[int32]int64
	stands   map[int32]int64 // committed, as the client knows it
	paused   map[int32]bool
	asked    map[int32]int // newest offset fetch of a partition
	fresh    map[int32]pipeline.Committed
	gone     []int32
	failed   bool // the group took something away since the last transaction ended
	buffer   map[place][]*kgo.Record
	order    []place
	seqs     map[place]int
	produced bool  // something of this transaction was sent
	before   error // how the life before ended
}

// boot begins the life of a router.
func (r *router) boot() {
	r.alive, r.life = true, r.life+1
	r.position, r.stands = map[int32]int64{}, map[int32]int64{}
	r.paused, r.asked = map[int32]bool{}, map[int32]int{}
	r.fresh, r.gone, r.failed = map[int32]pipeline.Committed{}, nil, false
	r.buffer, r.order, r.seqs, r.produced = map[place][]*kgo.Record{}, nil, map[place]int{}, false
	r.machine = pipeline.NewRouter(pipeline.RouterConfig{
		Group: routerGroup, Source: r.w.input.source, Topics: topics,
		RowsPartitions: rowsPartitions, CommitIntervalMS: 100, CommitRecords: fetchMost,
		State: r.w.promises.state(), Timers: r.w.timers(), Now: func() time.Time { return time.UnixMilli(r.now()) },
	}, r.line, r)
	if r.w.weak.Stage1 != 0 {
		r.machine.Weaken(r.w.weak.Stage1)
	}
	r.member = &member{
		p: &r.proc, g: r.b.groups[routerGroup], as: identity{instance: r.name},
		gained: r.gained, lost: r.lost, dead: func() { r.die("its instance id is taken", 1_000) },
		revoked: func(partitions []int32, done func()) {
			r.lost(partitions)
			done()
		},
	}
	r.initProducer()
}

// die ends the process; another begins in its place.
func (r *router) die(why string, downMS int64) {
	r.w.trace("%s: dies: %s", r.name, why)
	r.alive, r.life, r.before = false, r.life+1, nil
	r.w.after(downMS, r.boot)
}

func (r *router) initProducer() {
	type answer struct {
		t     *txn
		epoch int
	}
	call(&r.proc, requestMS, func() (answer, error) {
		t, epoch, err := r.b.initProducer(r.name)
		return answer{t, epoch}, err
	}, func(a answer, err error) {
		if err != nil {
			r.on(retryMS, r.initProducer)
			return
		}
		r.tx, r.epoch = a.t, a.epoch
		r.member.start()
		r.loop()
	})
}

// gained asks for the stable offsets of new partitions.
func (r *router) gained(partitions []int32) {
	for _, p := range partitions {
		r.asked[p]++
		r.askOffset(p, r.asked[p])
	}
}

func (r *router) askOffset(p int32, number int) {
	call(&r.proc, requestMS, func() (offset, error) {
		return r.member.g.fetch(p, !r.w.weak.UnstableFetch)
	}, func(o offset, err error) {
		switch {
		case r.asked[p] != number || !r.member.owned[p]:
		case err != nil:
			r.on(retryMS, func() { r.askOffset(p, number) })
		default:
			r.paused[p] = true
			r.stands[p] = max(0, o.at)
			r.position[p] = r.stands[p]
			r.fresh[p] = pipeline.ParseCommitted(o.at, o.meta)
		}
	})
}

func (r *router) lost(partitions []int32) {
	r.failed = true
	for _, p := range partitions {
		r.asked[p]++
		delete(r.fresh, p)
		delete(r.position, p)
		delete(r.paused, p)
		r.gone = append(r.gone, p)
	}
}

// loop does the machine's next step.
func (r *router) loop() {
	for _, p := range r.gone {
		r.machine.Revoked(p)
	}
	r.gone = nil
	for _, p := range sorted(r.fresh, inputPartitions) {
		r.machine.Assigned(p, r.fresh[p])
	}
	clear(r.fresh)
	s := r.machine.Next(r.now())
	switch s.Kind {
	case pipeline.StepPoll:
		r.poll(s)
		return
	case pipeline.StepPause:
		r.paused[s.Partition] = true
	case pipeline.StepRestore:
		r.restore(s.State, s.Partition, 0, -1, 0)
	case pipeline.StepResume:
		r.paused[s.Partition] = false
		r.w.trace("%s: resumes %d", r.name, s.Partition)
	case pipeline.StepBegin:
		r.buffer, r.order, r.produced = map[place][]*kgo.Record{}, nil, false
		r.machine.Begun(nil)
	case pipeline.StepFlush:
		r.flush(6)
		return
	case pipeline.StepEnd:
		r.end(s)
		return
	case pipeline.StepRefuse:
		r.w.counts.Refusals++
		if !pipeline.Renews(r.before, s.Err) && r.w.quiet {
			r.w.fail("%s refuses: %v", r.name, s.Err)
		}
		r.die(s.Err.Error(), 1_000)
		r.before = s.Err
		return
	case pipeline.StepWait:
		panic("BUG: nothing is outstanding")
	}
	r.on(0, r.loop)
}

// poll fetches from every partition that may be read.
func (r *router) poll(s pipeline.Step) {
	var from []int32
	for _, p := range sorted(r.position, inputPartitions) {
		if !r.paused[p] {
			from = append(from, p)
		}
	}
	if len(from) == 0 {
		r.on(min(s.WaitMS, 100), r.loop)
		return
	}
	at := map[int32]int64{}
	for _, p := range from {
		at[p] = r.position[p]
	}
	call(&r.proc, requestMS, func() ([]fetched, error) {
		var out []fetched
		for _, p := range from {
			out = append(out, r.b.fetch(place{eventsTopic, p}, at[p], max(1, s.Records/len(from))))
		}
		return out, nil
	}, func(got []fetched, err error) {
		some := false
		for i := range got {
			p := from[i]
			if pos, ok := r.position[p]; !ok || pos != at[p] || r.paused[p] {
				continue // taken away or put back meanwhile
			}
			r.position[p] = got[i].next
			some = some || len(got[i].records) > 0
			r.machine.Fetched(got[i].records)
			if len(got[i].records) == 0 && got[i].next == got[i].end {
				r.machine.CaughtUp(p)
			}
		}
		if some {
			r.on(0, r.loop)
			return
		}
		r.on(r.w.between(1, min(s.WaitMS, 500)), r.loop)
	})
}

// restore reads the changelog from an offset on until the state is complete. end is that of what was
// stable when the reading began, −1 before it is known; waitedMS is how long nothing new came. Time
// in which the process stood still is none in which nothing came.
func (r *router) restore(state *pipeline.Restore, p int32, from, end, waitedMS int64) {
	call(&r.proc, requestMS, func() (fetched, error) {
		return r.b.fetch(place{topics.State, p}, from, 1000), nil
	}, func(got fetched, err error) {
		if err == nil && end < 0 {
			end = got.stable
		}
		done, err := r.apply(state, &got, end, &from)
		switch {
		case done || err != nil:
			r.machine.Restored(state, err)
		case waitedMS > restoreTimeoutMS:
			r.machine.Restored(state, state.TimedOut(restoreTimeoutMS*time.Millisecond))
		default:
			waitedMS += 100
			if len(got.records) > 0 {
				waitedMS = 0
			}
			r.on(100, func() { r.restore(state, p, from, end, waitedMS) })
		}
	})
}

// apply takes what was fetched into the state, up to the record that completes it.
func (r *router) apply(state *pipeline.Restore, got *fetched, end int64, from *int64) (bool, error) {
	if end < 0 {
		return false, nil
	}
	done, err := state.Complete(*from >= end)
	for i := 0; i < len(got.records) && !done && err == nil; i++ {
		if err = state.Apply(got.records[i]); err == nil {
			*from = got.records[i].Offset + 1
			done, err = state.Complete(*from >= end)
		}
	}
	if !done && err == nil {
		*from = max(*from, got.next)
		done, err = state.Complete(*from >= end)
	}
	return done, err
}

// Produce implements pipeline.Producer: the client's buffer. Values are the machine's, so copies
// are kept.
func (r *router) Produce(rec *kgo.Record) {
	c := *rec
	c.Key, c.Value = slices.Clone(rec.Key), slices.Clone(rec.Value)
	c.Timestamp = time.UnixMilli(r.now())
	if c.Topic != topics.Rows && c.Topic != topics.State {
		c.Partition = 0
	}
	at := place{c.Topic, c.Partition}
	if len(r.buffer[at]) == 0 {
		r.order = append(r.order, at)
	}
	r.buffer[at] = append(r.buffer[at], &c)
}

// flush sends the buffer, partition after partition.
func (r *router) flush(tries int) {
	if len(r.order) == 0 {
		r.machine.Flushed(nil)
		r.on(0, r.loop)
		return
	}
	at := r.order[0]
	batch, seq, pid, epoch := r.buffer[at], r.seqs[at], r.tx.pid, r.epoch
	r.produced = true
	call(&r.proc, requestMS, func() (struct{}, error) {
		return struct{}{}, r.b.produce(pid, epoch, at, seq, batch)
	}, func(_ struct{}, err error) {
		switch {
		case err == nil:
			r.seqs[at]++
			delete(r.buffer, at)
			r.order = r.order[1:]
			r.flush(tries)
		case errors.Is(err, errFenced) || tries == 0:
			r.machine.Flushed(err)
			r.on(0, r.loop)
		case errors.Is(err, errConcurrent):
			r.on(20, func() { r.flush(tries) })
		default:
			r.on(retryMS, func() { r.flush(tries - 1) })
		}
	})
}

// end ends the transaction as kgo.GroupTransactSession does: commit the offsets as the member of the
// moment, and abort when the group has taken something away.
func (r *router) end(s pipeline.Step) {
	ok := s.Commit && (!r.failed || r.w.weak.RevokedUnseen)
	for p := range s.Offsets {
		ok = ok && (r.member.owned[p] || r.w.weak.RevokedUnseen)
	}
	if !ok || len(s.Offsets) == 0 {
		r.endTxn(ok, s, r.w.nowMS+endTimeoutMS)
		return
	}
	r.commitOffsets(s, 3)
}

func (r *router) commitOffsets(s pipeline.Step, tries int) {
	pid, epoch, as := r.tx.pid, r.epoch, r.member.as
	offsets := map[int32]offset{}
	for p, c := range s.Offsets {
		offsets[p] = offset{c.Offset, c.Meta()}
	}
	r.produced = true
	call(&r.proc, requestMS, func() (struct{}, error) {
		return struct{}{}, r.b.commitOffsets(pid, epoch, r.member.g, as, offsets)
	}, func(_ struct{}, err error) {
		switch {
		case errors.Is(err, errTimeout) && tries > 0:
			r.commitOffsets(s, tries-1)
		case errors.Is(err, errFenced):
			r.ended(s, false, err)
		default:
			ok := err == nil && (!r.failed || r.w.weak.RevokedUnseen)
			r.endTxn(ok, s, r.w.nowMS+endTimeoutMS)
		}
	})
}

func (r *router) endTxn(commit bool, s pipeline.Step, deadline int64) {
	if !r.produced {
		r.ended(s, commit, nil)
		return
	}
	pid, epoch := r.tx.pid, r.epoch
	call(&r.proc, requestMS, func() (int, error) { return r.b.endTxn(pid, epoch, commit) },
		func(next int, err error) {
			switch {
			case err == nil:
				r.epoch = next
				clear(r.seqs)
				r.ended(s, commit, nil)
			case errors.Is(err, errFenced) || r.w.nowMS > deadline:
				r.ended(s, false, err)
			default:
				r.on(retryMS, func() { r.endTxn(commit, s, deadline) })
			}
		})
}

func (r *router) ended(s pipeline.Step, ok bool, err error) {
	r.w.trace("%s: end %v %v (cause %v) %s", r.name, ok, err, r.machine.Cause(), show(s.Offsets))
	r.failed = false
	if ok {
		r.w.counts.Commits++
		for p, c := range s.Offsets {
			if c.Offset == r.stands[p] {
				r.w.counts.TimerCommits++
			}
			r.stands[p] = c.Offset
		}
	} else {
		r.w.counts.Aborts++
		for p := range r.position {
			r.position[p] = r.stands[p]
		}
	}
	r.machine.Ended(ok, err)
	r.on(0, r.loop)
}

func show(offsets map[int32]pipeline.Committed) string {
	out := ""
	for _, p := range sorted(offsets, inputPartitions) {
		out += fmt.Sprintf(" %d:%d/%d", p, offsets[p].Offset, offsets[p].Seq)
	}
	return out
}
