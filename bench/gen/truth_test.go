package gen

import (
	"crypto/sha256"
	"testing"

	state "usher/features/conversation"
	"usher/pipeline/event"
)

// TestTruthHoldsInTheState plays the stream into usher's conversation state and compares what it
// flags with what the generator says it did: two counts that know nothing of each other.
func TestTruthHoldsInTheState(t *testing.T) {
	g := mustNew(t, Config{Seed: 4, Conversations: 20000})
	decoder := event.NewDecoder(event.Limits{})
	table := state.NewTable(state.Config{})
	var rec Record
	var e event.Event
	late, duplicates, skewed, decided := int64(0), int64(0), int64(0), int64(0)
	customers := int64(0)
	for offset := int64(0); g.Next(&rec); offset++ {
		if reject := decoder.Decode(rec.Value, event.Envelope{NowMS: anchorMS}, &e); reject != nil {
			continue
		}
		if e.Type == event.TypeAgentStatus {
			continue
		}
		sum := sha256.Sum256(rec.Key)
		var arrival state.Arrival
		in := state.Input{Key: state.Key(sum[:16]), Event: &e,
			ConversationID: rec.Key, Offset: offset, NowMS: anchorMS}
		if err := table.Arrive(&in, &arrival); err != nil {
			t.Fatal(err)
		}
		table.Settle(nil)
		if arrival.Flags&state.FlagDuplicate != 0 {
			duplicates++
			if !rec.Duplicate {
				t.Errorf("offset %d is flagged duplicate and was sent once", offset)
			}
		}
		if arrival.Flags&state.FlagLate != 0 {
			late++
		}
		if arrival.Flags&state.FlagClockSkew != 0 {
			skewed++
		}
		if arrival.Decide {
			decided++
		}
		if e.Type == event.TypeMessage && e.Actor.Kind == event.ActorCustomer && !rec.Duplicate {
			customers++
		}
		if offset%10_000 == 0 {
			table.BeginTransaction()
		}
	}
	s := g.Stats()
	if duplicates != s.Duplicates || duplicates == 0 {
		t.Errorf("the state flags %d duplicates, %d were sent", duplicates, s.Duplicates)
	}
	if decided != customers || decided == 0 {
		t.Errorf("%d decisions on %d messages of customers", decided, customers)
	}
	// Steps that take no place in the window count for the generator's distance and not for the
	// window's, so the two may differ by a few.
	t.Logf("late %d of %d far late; replies before their question %d of %d skewed", late, s.FarLate,
		skewed, s.Skewed)
	if off := late - s.FarLate; off*off > 9 || s.FarLate == 0 {
		t.Errorf("the state flags %d late, %d were held back", late, s.FarLate)
	}
	if skewed == 0 || skewed > s.Skewed {
		t.Errorf("%d replies are dated before their question, %d clocks were wrong", skewed, s.Skewed)
	}
	if int64(table.Len()) < s.Conversations*95/100 || int64(table.Len()) > s.Conversations {
		t.Errorf("the state holds %d conversations, %d were sent", table.Len(), s.Conversations)
	}
}
