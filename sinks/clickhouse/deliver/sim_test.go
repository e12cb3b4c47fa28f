package deliver

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"usher/sinks/clickhouse/rows"
	"usher/sinks/clickhouse/schema"
)

var errSim = errors.New("simulated failure")

// weak are protections taken away, to see that the simulation notices.
type weak struct{ noFence, noToken, noLease, noReadBack, blindIntent, keepGeneration, noSecondLook bool }

// world is one partition of the rows topic, its group and its tables, on simulated time.
type world struct {
	r          *rand.Rand
	weak       weak
	now        int64
	log        []Record
	generation int
	offset     int64
	meta       string
	tokens     map[string]bool
	stored     map[string]map[[2]int64]int // table → (offset, row) → times
	later      []func()                    // requests still on their way
	sinks      []*simSink
}

// simSink is one sink: the owner, or one that was thought dead.
type simSink struct {
	m          *Machine
	generation int
	position   int // records consumed
	dead       bool
}

var simTopic = schema.UUID{1, 2, 3}

func newWorld(seed uint64, w weak) *world {
	s := &world{
		r: rand.New(rand.NewPCG(seed, 9)), weak: w, now: 1_800_000_000_000, offset: -1,
		tokens: map[string]bool{}, stored: map[string]map[[2]int64]int{},
	}
	tables := []string{
		schema.TableEvents, schema.TableTurns, schema.TableConversations, schema.TableVoids,
	}
	day, offset := schema.Day(20_000), int64(s.r.IntN(3))
	for range 40 {
		offset += int64(s.r.IntN(5) / 4) // aborted records leave holes
		if s.r.IntN(12) == 0 {
			day++
		}
		rec := Record{Offset: offset, Control: s.r.IntN(4) == 0}
		if !rec.Control {
			rec.Header = rows.Header{
				Table: tables[s.r.IntN(len(tables))], Version: schema.Version, Day: day,
			}
			rec.Rows, rec.Value = 1+s.r.IntN(5), fmt.Appendf(nil, "block %d", offset)
		}
		s.log = append(s.log, rec)
		offset++
	}
	return s
}

// takeOver gives the partition to a new sink; the old one may live on without knowing.
func (w *world) takeOver() {
	for _, s := range w.sinks {
		if w.r.IntN(3) > 0 {
			s.dead = true
		}
	}
	w.generation++
	base := max(0, w.offset)
	position := 0
	for position < len(w.log) && w.log[position].Offset < base {
		position++
	}
	m := NewMachine(simTopic, 0, base, Limits{Rows: 12, Bytes: 1 << 20})
	if w.weak.noSecondLook {
		m.Weaken(WeakNoSecondLook)
	}
	w.sinks = append(w.sinks, &simSink{m: m, generation: w.generation, position: position})
}

// step lets s do one thing.
func (w *world) step(s *simSink) {
	for range w.r.IntN(4) {
		if s.position < len(w.log) {
			s.m.Add(w.log[s.position])
			s.position++
		}
	}
	a := s.m.Next(w.now, w.r.IntN(3) == 0 || s.position == len(w.log))
	switch a.Kind {
	case ActFetch:
		if w.weak.keepGeneration { // stamps today's generation instead of the attempt's
			s.generation = w.generation
		}
		if w.r.IntN(10) == 0 {
			s.m.Fetched(Fetched{}, errSim)
			return
		}
		s.m.Fetched(Fetched{
			TopicID: simTopic, Offset: w.offset, Meta: w.meta, LogStart: w.log[0].Offset,
		}, nil)
	case ActCommit:
		w.commit(s, a)
	case ActReadBack:
		if w.r.IntN(10) == 0 {
			s.m.ReadBack(nil, errSim)
			return
		}
		s.m.ReadBack(w.readBack(a.Intent), nil)
	case ActInsert:
		a.Records = slices.Clone(a.Records) // what was sent does not change, however late it arrives
		s.m.Inserted(w.send(func() error { return w.insert(a) }))
	case ActStop:
		panic(a.Err)
	}
}

// send carries out a request, or loses it, or its answer, or lets it arrive much later.
func (w *world) send(do func() error) error {
	switch w.r.IntN(8) {
	case 0:
		return errSim
	case 1:
		_ = do()
		return errSim
	case 2:
		w.later = append(w.later, func() { _ = do() })
		return errSim
	}
	return do()
}

func (w *world) commit(s *simSink, a Action) {
	generation := s.generation
	apply := func() error {
		if generation != w.generation && !w.weak.noFence {
			return errSim
		}
		w.offset, w.meta = a.Offset, a.Meta
		return nil
	}
	err := w.send(apply)
	if w.weak.blindIntent && a.Meta != "" {
		err = nil
	}
	s.m.Committed(err)
	if err != nil {
		// The driver renews the generation after a commit in doubt; who was thrown out cannot.
		if generation == w.generation {
			w.generation++
			s.generation = w.generation
		} else {
			s.dead = !w.weak.noFence
		}
	}
}

func (w *world) insert(a Action) error {
	if w.now > a.LeaseUntilMS && !w.weak.noLease {
		return errSim
	}
	token := a.Token(0)
	if w.tokens[token] && !a.Table.Replacing && !w.weak.noToken {
		return nil
	}
	if !w.tokens[token] {
		w.tokens[token] = true
		if w.r.IntN(40) == 0 {
			return errSim // the engine was killed after the token and before the rows
		}
	}
	at := w.stored[a.Table.Name]
	if at == nil {
		at = map[[2]int64]int{}
		w.stored[a.Table.Name] = at
	}
	if a.Table.Writer == schema.ByRange {
		for i := range a.Intent.Shares {
			at[[2]int64{a.Intent.From, int64(i)}]++
		}
		return nil
	}
	for _, r := range a.Records {
		if !r.Control && r.Header.Table == a.Table.Name {
			for i := range r.Rows {
				at[[2]int64{r.Offset, int64(i)}]++
			}
		}
	}
	return nil
}

func (w *world) readBack(in *Intent) map[string]Stored {
	out := map[string]Stored{}
	if w.weak.noReadBack {
		return out
	}
	for table, at := range w.stored {
		var s Stored
		for pos, n := range at {
			if pos[0] >= in.From && pos[0] < in.To {
				s.Rows, s.Distinct = s.Rows+uint64(n), s.Distinct+1
			}
		}
		out[table] = s
	}
	return out
}

// play runs the world until everything is committed, and says what is wrong then.
func (w *world) play() (wrong string) {
	defer func() {
		if p := recover(); p != nil {
			wrong = fmt.Sprint("stopped: ", p)
		}
	}()
	w.takeOver()
	last := w.log[len(w.log)-1].Offset + 1
	for i := 0; ; i++ {
		owner := w.sinks[len(w.sinks)-1]
		if w.offset == last && w.meta == "" && len(w.later) == 0 && owner.m.Idle() {
			break
		}
		if i > 200_000 {
			return fmt.Sprintf("stuck at offset %d of %d, intent %q", w.offset, last, w.meta)
		}
		w.now += int64(w.r.IntN(300))
		switch w.r.IntN(60) {
		case 0:
			if i < 3000 {
				w.takeOver()
			}
		case 1:
			w.now += LeaseMS * 3 / 4 // everybody sleeps
		}
		if n := len(w.later); n > 0 && w.r.IntN(25) == 0 {
			k := w.r.IntN(n)
			arrive := w.later[k]
			w.later = append(w.later[:k], w.later[k+1:]...)
			arrive()
		}
		s := w.sinks[w.r.IntN(len(w.sinks))]
		if i > 3000 && w.r.IntN(2) == 0 {
			s = owner // among many zombies it would never have the time of a lease
		}
		if !s.dead {
			w.step(s)
		}
	}
	return w.check()
}

// check holds the tables to the log.
func (w *world) check() string {
	for _, r := range w.log {
		for i := range r.Rows {
			n := w.stored[r.Header.Table][[2]int64{r.Offset, int64(i)}]
			if n == 0 || n > 1 && r.Header.Table != schema.TableConversations {
				return fmt.Sprintf("row %d of offset %d of %s is stored %d times", i, r.Offset,
					r.Header.Table, n)
			}
		}
	}
	for pos, n := range w.stored[schema.TableManifest] {
		if n != 1 {
			return fmt.Sprintf("manifest row %v is stored %d times", pos, n)
		}
	}
	return ""
}

func TestEveryRowOnceWhateverFails(t *testing.T) {
	for seed := range uint64(2000) {
		if wrong := newWorld(seed, weak{}).play(); wrong != "" {
			t.Fatalf("seed %d: %s", seed, wrong)
		}
	}
}

func TestTheSimulationNoticesWeakenedProtocols(t *testing.T) {
	for name, w := range map[string]weak{
		"no generation fence":        {noFence: true},
		"generation not kept":        {keepGeneration: true},
		"no token":                   {noToken: true},
		"no lease and no token left": {noLease: true, noToken: true},
		"no read-back and no token":  {noReadBack: true, noToken: true},
		"intent not awaited":         {blindIntent: true},
		"no second look":             {noSecondLook: true},
	} {
		caught := false
		for seed := uint64(0); seed < 2000 && !caught; seed++ {
			caught = newWorld(seed, w).play() != ""
		}
		if !caught {
			t.Errorf("%s: not noticed in 2000 worlds", name)
		}
	}
}
