package conversation

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"usher/pipeline/event"
)

// script plays one conversation written as words: who, minute, and what, e.g. "C0 A1 close2".
type script struct {
	t     *testing.T
	table *Table
	n     int64
	last  Arrival
	facts *ledger
}

func newScript(t *testing.T) *script {
	cfg := Config{Roles: map[string][]string{"default": refRoles}}
	return &script{t: t, table: NewTable(cfg), facts: newLedger()}
}

const scriptStartMS = 1_793_613_600_000

var scriptKinds = map[string]event.Event{
	"C": {Type: event.TypeMessage, Actor: event.Actor{Kind: event.ActorCustomer}},
	"A": {Type: event.TypeMessage, Actor: event.Actor{Kind: event.ActorAgent, ID: []byte("ag1")}},
	"B": {Type: event.TypeBotAnswer, Actor: event.Actor{Kind: event.ActorBot, ID: []byte("bot1")}},
	"F": {Type: event.TypeBotAnswer, Actor: event.Actor{Kind: event.ActorBot, ID: []byte("bot1")},
		Message: event.Message{Fallback: true}},
	"close":    {Type: event.TypeClose, Actor: event.Actor{Kind: event.ActorSystem}},
	"open":     {Type: event.TypeOpen},
	"note":     {Type: event.TypeNote, Actor: event.Actor{Kind: event.ActorAgent}},
	"read":     {Type: event.TypeRead},
	"unknown":  {Type: event.Unknown},
	"escalate": {Type: event.TypeEscalate, Actor: event.Actor{Kind: event.ActorBot}},
	"contact":  {Type: event.TypeContactProvided},
	"assign": {Type: event.TypeAssign, Move: event.Move{To: event.Party{
		Agent: []byte("ag2"), Team: []byte("tier2"), Queue: []byte("back")}}},
	"void": {Type: event.TypeVoid, Reason: []byte("test")},
	"good": {Type: event.TypeCSAT, CSAT: event.CSAT{Score: 5, Scale: 5, HasScore: true}},
	"bad":  {Type: event.TypeCSAT, CSAT: event.CSAT{Score: 1, Scale: 5, HasScore: true}},
	"sale": {Type: event.TypeOutcome, Outcome: event.Outcome{Kind: event.OutcomeSale}},
	"left": {Type: event.TypeSessionEnd, Reason: []byte("left")},
}

// play feeds the words; a word may end in "=id" to give the event an id of its own.
func (s *script) play(words string, d *Decided) *script {
	s.t.Helper()
	for _, w := range strings.Fields(words) {
		s.n++
		w, id, _ := strings.Cut(w, "=")
		if id == "" {
			id = fmt.Sprint("e", s.n)
		}
		at := strings.IndexAny(w, "-0123456789")
		var minute int64
		if _, err := fmt.Sscan(w[at:], &minute); err != nil {
			s.t.Fatal(err)
		}
		ev, ok := scriptKinds[w[:at]]
		if !ok {
			s.t.Fatalf("no event is called %s", w[:at])
		}
		ev.ID, ev.Tenant, ev.TimeMS = []byte(id), []byte("t"), scriptStartMS+minute*60_000
		ev.Message.Public = true
		in := Input{Key: Key{1}, Event: &ev, Offset: s.n, NowMS: math.MaxInt64}
		if err := s.table.Arrive(&in, &s.last); err != nil {
			s.t.Fatal(err)
		}
		if s.last.Decide {
			s.table.Settle(d)
		} else {
			s.table.Settle(nil)
		}
		s.facts.add(s.t, s.table.Facts())
		s.table.BeginTransaction()
	}
	return s
}

func (s *script) cycles() []Cycle {
	f := s.facts.facts(s.t)
	return f.cycles
}

// long is a conversation of 18 messages, minutes 100 to 117: 16 fill the window.
const long = "C100 A101 C102 A103 C104 A105 C106 A107 C108 A109 " +
	"C110 A111 C112 A113 C114 A115 C116 A117 "

func TestFlagsOnArrival(t *testing.T) {
	for _, x := range []struct {
		words  string
		flags  Flags
		cycle  uint32
		opener int64
		decide bool
	}{
		{"C0", 0, 1, 1, true},
		{"A0", 0, 0, -1, false},
		{"C0 A1", 0, 1, 1, false},
		{"C0=x A1 C5=x", FlagDuplicate, 1, 1, false},
		{"C0 A1 close2 C3", 0, 2, 4, true},
		{"C0 A1 close2 A9", 0, 1, 1, false},
		{"C0 A1 close2 C9 A1", 0, 1, 1, false},
		{"C0 A1 C9 close2", 0, 1, 1, false},
		{"read0", 0, 0, -1, false},
		{"C0 read1", 0, 1, 1, false},
		{"C5 read1", 0, 0, -1, false},
		{"C0 close2 C4 read3", 0, 1, 1, false},
		{"C0 unknown1", 0, 1, 1, false},
		{"C0 read1=x read2=x", 0, 1, 1, false},
		{long + "C50", FlagLate, 0, -1, true},
		{long + "A100", FlagLate, 1, 1, false},
		{long + "C101", FlagLate, 1, 1, true},
		{long + "C103", 0, 1, 1, true},
	} {
		s := newScript(t).play(x.words, nil)
		a := s.last
		same := a.Cycle == x.cycle && a.CycleOffset == x.opener && a.Decide == x.decide
		if a.Flags != x.flags || !same {
			t.Errorf("%s: flags %b cycle %d of %d decide %v, want %b %d %d %v",
				x.words, a.Flags, a.Cycle, a.CycleOffset, a.Decide,
				x.flags, x.cycle, x.opener, x.decide)
		}
	}
}

// TestLateEventsAmendOnly: what is older than a full window changes nothing, but a csat, outcome or
// void amends the last cycle if that opened before and is still the last.
func TestLateEventsAmendOnly(t *testing.T) {
	type want struct {
		cycles       int
		score        float64
		sold, voided bool
	}
	for _, x := range []struct {
		words string
		want  want
	}{
		{long, want{cycles: 1}},
		{long + "C101 A101 close101 escalate101", want{cycles: 1}},
		{long + "good101", want{cycles: 1, score: 5}},
		{long + "good101 bad101", want{cycles: 1, score: 1}},
		{long + "bad101 good100", want{cycles: 1, score: 1}}, // by time: the later rating stays
		{long + "sale101", want{cycles: 1, sold: true}},
		{long + "void101", want{cycles: 1, voided: true}},
		{long + "void101 void101", want{cycles: 1, voided: true}},
		{long + "good99 sale99 void99", want{cycles: 1}},                  // before the opening
		{long + "close118 C119 good101 void101 sale101", want{cycles: 2}}, // another is the last
		{"C0 close1 " + long + "good50", want{cycles: 2}},                 // its cycle is settled
		{long + "bad119 good101", want{cycles: 1, score: 1}},              // the window's is later
	} {
		s := newScript(t).play(x.words, nil)
		var got want
		for _, c := range s.cycles() {
			got = want{got.cycles + 1, c.CSATScore, c.Outcome == event.OutcomeSale, c.Voided}
			if got.sold && c.MessagesToOutcome != -1 {
				t.Errorf("%s: %d messages up to an outcome without a place", x.words, c.MessagesToOutcome)
			}
		}
		if got != x.want {
			t.Errorf("%s: %+v, want %+v", x.words, got, x.want)
		}
		if v := len(s.facts.facts(t).voids); (v == 1) != x.want.voided {
			t.Errorf("%s: %d voids", x.words, v)
		}
	}
}

func TestView(t *testing.T) {
	d := &Decided{Label: "deal", Variant: "A", Queue: "auto"}
	executed := &Decided{Label: "claim", Queue: "auto", Executed: true}
	forced := &Decided{Label: "claim", Escalate: true}
	const m = 60_000
	for _, x := range []struct {
		words string
		d     *Decided
		want  View
	}{
		{"C0", nil, View{Turn: 1, Messages: 1, CustomerMessages: 1, FirstInCycle: true}},
		{"C0 C2", d, View{Turn: 1, WaitingMS: 2 * m, PrevLabel: "deal", Repeats: 1,
			Messages: 2, CustomerMessages: 2}},
		{"C0 C2", executed, View{Turn: 1, WaitingMS: 2 * m, PrevLabel: "claim", Repeats: 1,
			Messages: 2, CustomerMessages: 2, Queue: "auto"}},
		{"C0 F1 C2", nil, View{Turn: 1, WaitingMS: 2 * m, BotFailed: true, Repeats: 1,
			Messages: 3, CustomerMessages: 2}},
		{"C0 B1 C2", nil, View{Turn: 2, Messages: 3, CustomerMessages: 2}},
		{"C0 F1 A2 C3", nil, View{Turn: 2, BotFailed: true, Messages: 4, CustomerMessages: 2}},
		{"C0 contact1 assign2 C3", nil, View{Turn: 1, WaitingMS: 3 * m, Repeats: 1,
			Messages: 2, CustomerMessages: 2, ContactGiven: true,
			Queue: "back", Team: "tier2", Agent: "ag2"}},
		{"C0 C1", forced, View{Turn: 1, WaitingMS: m, PrevLabel: "claim", Repeats: 1,
			Messages: 2, CustomerMessages: 2, Escalated: true}},
		{"C0 A1 close2 C3", d, View{Turn: 1, Messages: 1, CustomerMessages: 1, FirstInCycle: true}},
		// a late one sees what was known at its place, not what came after
		{"C0 A4 assign5 C2", d, View{Turn: 1, WaitingMS: 2 * m, PrevLabel: "deal", Repeats: 1,
			Messages: 2, CustomerMessages: 2}},
		{"C1 C0", d, View{Turn: 1, Messages: 1, CustomerMessages: 1, FirstInCycle: true}},
	} {
		x.want.Waiting = true
		if x.want.Queue == "" {
			x.want.Queue = "default"
		}
		if got := newScript(t).play(x.words, x.d).last.View; got != x.want {
			t.Errorf("%s:\n got %+v\nwant %+v", x.words, got, x.want)
		}
	}
}

// TestSettledStaysSettled: what has left the window is withdrawn by nothing.
func TestSettledStaysSettled(t *testing.T) {
	s := newScript(t).play(long, nil)
	before := len(s.facts.turns)
	s.play("close100 A100 C99 left100", nil)
	if len(s.facts.turns) != before || len(s.cycles()) != 1 || s.last.Flags != FlagLate {
		t.Errorf("late events changed %d turns to %d", before, len(s.facts.turns))
	}
}

// TestCorrections: only what was final counts, and a row in order corrects nothing.
func TestCorrections(t *testing.T) {
	for _, x := range []struct {
		words string
		want  string
	}{
		{"C0 A1 C2 A3 close4", ""},
		{"C0 left1 A2", ""},
		{"C0 A5 A2", "first_reply_any first_reply_human"},
		{"C0 A1 C2 A9 A5", "next_reply next_reply_human"},
	} {
		s := newScript(t)
		words := strings.Fields(x.words)
		s.play(strings.Join(words[:len(words)-1], " "), nil)
		s.n++
		ev := scriptKinds["A"]
		ev.ID, ev.Tenant, ev.Message.Public = []byte("late"), []byte("t"), true
		var minute int64
		last := words[len(words)-1]
		name := strings.TrimRight(last, "0123456789")
		ev.Type, ev.Actor = scriptKinds[name].Type, scriptKinds[name].Actor
		fmt.Sscan(last[len(name):], &minute)
		ev.TimeMS = scriptStartMS + minute*60_000
		in := Input{Key: Key{1}, Event: &ev, Offset: s.n, NowMS: math.MaxInt64}
		if err := s.table.Arrive(&in, &s.last); err != nil {
			t.Fatal(err)
		}
		s.table.Settle(nil)
		var got []string
		for _, c := range s.table.Facts().Corrections {
			got = append(got, c.KPI)
			if c.SrcOffset != s.n || c.AtMS != ev.TimeMS || c.Cause != ev.Type {
				t.Errorf("%s: %+v", x.words, c)
			}
		}
		if strings.Join(got, " ") != x.want {
			t.Errorf("%s: %v, want %s", x.words, got, x.want)
		}
	}
}

func TestTableRefuses(t *testing.T) {
	table := NewTable(Config{MaxConversations: 1})
	ev := scriptKinds["C"]
	ev.ID, ev.Message.Public = []byte("1"), true
	var out Arrival
	in := Input{Key: Key{1}, Event: &ev, NowMS: 1}
	if err := table.Arrive(&in, &out); err != nil {
		t.Fatal(err)
	}
	table.Settle(nil)
	in.Key = Key{2}
	if err := table.Arrive(&in, &out); !errors.Is(err, ErrFull) {
		t.Errorf("a second conversation: %v", err)
	}
	in.Key = Key{1}
	for _, offset := range []int64{-1, 1 << offsetBits} {
		in.Offset = offset
		if err := table.Arrive(&in, &out); err == nil {
			t.Errorf("offset %d is taken", offset)
		}
	}
}

// TestTombstone: a removed conversation begins anew, and the others stay reachable.
func TestTombstone(t *testing.T) {
	table := NewTable(Config{})
	values := map[Key][]byte{}
	m := newMix(3000)
	m.run(t, table, 1999, 0)
	table.Changelog(func(k Key, v []byte) { values[k] = bytes.Clone(v) })
	table.BeginTransaction()
	removed := 0
	for k := range values {
		if removed++; removed%2 == 0 {
			continue
		}
		if err := table.Restore(k, nil); err != nil {
			t.Fatal(err)
		}
		delete(values, k)
	}
	if table.Len() != len(values) {
		t.Errorf("%d left, want %d", table.Len(), len(values))
	}
	for k, v := range values {
		id := table.find(&k)
		if id == 0 {
			t.Fatalf("a neighbour is lost")
		}
		if !bytes.Equal(table.encode(table.slots.at(id)), v) {
			t.Errorf("a neighbour changed")
		}
	}
	if err := table.Restore(Key{9, 9, 9}, nil); err != nil {
		t.Errorf("tombstone of an unknown key: %v", err)
	}
}
