package conversation

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// forumFacts are the standing facts of a run without what names a place in the input.
type forumFacts struct {
	turns, human map[Turn]int
	cycles       map[Cycle]int
}

// playForum plays the lines in that order; restarts are places at which the table is rebuilt from
// the changelog.
func playForum(t *testing.T, lines []forumEvent, restarts ...int) forumFacts {
	t.Helper()
	table, changelog := NewTable(Config{}), map[Key][]byte{}
	f := forumFacts{turns: map[Turn]int{}, human: map[Turn]int{}}
	rows := map[int64]Cycle{}
	commit := func() {
		facts := table.Facts()
		for _, x := range facts.Turns {
			x.SinceOffset, x.CycleOffset = 0, 0
			addTurn(f.turns, x)
		}
		for _, x := range facts.TurnsHuman {
			x.SinceOffset, x.CycleOffset = 0, 0
			addTurn(f.human, x)
		}
		for _, c := range facts.Cycles {
			rows[c.CycleOffset] = c
		}
		table.Changelog(func(k Key, v []byte) { changelog[k] = bytes.Clone(v) })
		table.BeginTransaction()
	}
	for i := range lines {
		ev := lines[i].event(i)
		in := Input{Key: keyOf("default", lines[i].ConversationID), Event: &ev,
			ConversationID: ev.ConversationID, Offset: int64(i), NowMS: math.MaxInt64}
		var out Arrival
		if err := table.Arrive(&in, &out); err != nil {
			t.Fatal(err)
		}
		if out.Flags&FlagLate != 0 {
			t.Fatal("an event is late though nothing is displaced by a window")
		}
		table.Settle(nil)
		if i%3000 == 0 || i == len(lines)-1 || slices.Contains(restarts, i) {
			commit()
		}
		if slices.Contains(restarts, i) {
			table = NewTable(Config{})
			for k, v := range changelog {
				if err := table.Restore(k, v); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	f.cycles = standingCycles(rows)
	return f
}

func standingCycles(rows map[int64]Cycle) map[Cycle]int {
	out := map[Cycle]int{}
	for _, c := range rows {
		if !c.Gone {
			c.CycleOffset, c.PrevCycleOffset, c.SrcOffset, c.Revision = 0, 0, 0, 0
			out[c]++
		}
	}
	return out
}

// displaceForum moves each event by at most 8 of its conversation and repeats 5 % at most 4 later.
func displaceForum(lines []forumEvent) []forumEvent {
	r := rand.New(rand.NewPCG(8, 8))
	var out []forumEvent
	for len(lines) > 0 {
		n := slices.IndexFunc(lines, func(f forumEvent) bool {
			return f.ConversationID != lines[0].ConversationID
		})
		if n < 0 {
			n = len(lines)
		}
		place := make([]int, n)
		order := make([]int, n)
		for i := range n {
			place[i], order[i] = i+r.IntN(9), i
		}
		slices.SortStableFunc(order, func(a, b int) int { return place[a] - place[b] })
		for i := 0; i < len(order); i++ {
			if r.IntN(20) == 0 {
				order = slices.Insert(order, min(len(order), i+1+r.IntN(4)), order[i])
			}
		}
		for _, i := range order {
			out = append(out, lines[i])
		}
		lines = lines[n:]
	}
	return out
}

// TestArrivalDoesNotMatter: real events, displaced, repeated and split over three runs, leave the
// same facts as in their order.
func TestArrivalDoesNotMatter(t *testing.T) {
	lines := readForum(t)
	moved := displaceForum(lines)
	if len(moved) <= len(lines)*104/100 {
		t.Fatalf("%d events of %d are repeated", len(moved)-len(lines), len(lines))
	}
	want := playForum(t, lines)
	got := playForum(t, moved, len(moved)/3, len(moved)*2/3)
	sameCounts(t, "turns", want.turns, got.turns)
	sameCounts(t, "turns_human", want.human, got.human)
	sameCounts(t, "cycles", want.cycles, got.cycles)
}

func sameCounts[T comparable](t *testing.T, what string, want, got map[T]int) {
	t.Helper()
	differ := 0
	for x, n := range want {
		if got[x] != n {
			differ++
		}
	}
	for x, n := range got {
		if want[x] != n {
			differ++
		}
	}
	if differ > 0 || len(want) == 0 {
		t.Errorf("%d of %d %s differ", differ, len(want), what)
	}
}
