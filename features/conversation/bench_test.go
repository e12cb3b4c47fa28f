package conversation

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"unsafe"

	"usher/pipeline/event"
)

// TestSizes keeps the table of sizes in doc.go true.
func TestSizes(t *testing.T) {
	for _, x := range []struct {
		name      string
		got, want uintptr
	}{
		{"entry", unsafe.Sizeof(entry{}), 32},
		{"slot", unsafe.Sizeof(slot{}), 88},
		{"state", unsafe.Sizeof(state{}), 1208},
		{"tuple", unsafe.Sizeof(tuple{}), 24},
	} {
		if x.got != x.want {
			t.Errorf("%s has %d bytes, the table in doc.go says %d", x.name, x.got, x.want)
		}
	}
}

// mix is a lifelike stream: conversations with a customer, a bot and an agent in turn, each event
// at its time, all conversations interleaved.
type mix struct {
	conversations int
	ids           [][]byte
	keys          []Key
	customers     [][]byte
	step          []uint8
	r             *rand.Rand
	ev            event.Event
	in            Input
	id            [8]byte
	n             int64
}

func newMix(conversations int) *mix {
	m := &mix{conversations: conversations, r: rand.New(rand.NewPCG(1, 2))}
	m.step = make([]uint8, conversations)
	for i := range conversations {
		m.ids = append(m.ids, fmt.Appendf(nil, "conversation-%07d", i))
		m.customers = append(m.customers, fmt.Appendf(nil, "k%016x", m.r.Uint64()))
		var k Key
		binary.LittleEndian.PutUint64(k[:], m.r.Uint64())
		binary.LittleEndian.PutUint64(k[8:], m.r.Uint64())
		m.keys = append(m.keys, k)
	}
	return m
}

var (
	mixAgents  = [][]byte{[]byte("agent-1"), []byte("agent-2"), []byte("agent-3")}
	mixTenant  = []byte("salon7")
	mixChannel = []byte("whatsapp")
	mixLang    = []byte("lv")
	mixReason  = []byte("policy")
)

// next is the next event of a random conversation, behind by so many ms.
func (m *mix) next(behind int64) *Input {
	c := m.r.IntN(m.conversations)
	m.n++
	binary.LittleEndian.PutUint64(m.id[:], uint64(m.n))
	m.ev = event.Event{Type: event.TypeMessage, ID: m.id[:], ConversationID: m.ids[c],
		Tenant: mixTenant, Channel: mixChannel, Lang: mixLang,
		TimeMS: 1_790_000_000_000 + m.n*10 - behind, Message: event.Message{Public: true}}
	switch s := m.step[c] % 8; s {
	case 0, 3, 5:
		m.ev.Actor.Kind = event.ActorCustomer
	case 1:
		m.ev.Type, m.ev.Actor.Kind = event.TypeBotAnswer, event.ActorBot
	case 2:
		m.ev.Type, m.ev.Actor.Kind, m.ev.Reason = event.TypeEscalate, event.ActorBot, mixReason
	case 7:
		m.ev.Type, m.ev.Actor.Kind = event.TypeClose, event.ActorAgent
	default:
		m.ev.Actor = event.Actor{Kind: event.ActorAgent, ID: mixAgents[c%3]}
	}
	m.step[c]++
	m.in = Input{Key: m.keys[c], Event: &m.ev, ConversationID: m.ids[c],
		CustomerKey: m.customers[c], Offset: m.n, NowMS: 1 << 41}
	return &m.in
}

var benchDecision = Decided{Label: "request", Variant: "A", Queue: "front"}

func (m *mix) run(b testing.TB, t *Table, events int, behind int64) {
	for i := range events {
		arriveOne(b, t, m.next(behind))
		if i%2000 == 1999 {
			t.BeginTransaction()
		}
	}
}

func arriveOne(b testing.TB, t *Table, in *Input) {
	var out Arrival
	if err := t.Arrive(in, &out); err != nil {
		b.Fatal(err)
	}
	if out.Decide {
		t.Settle(&benchDecision)
	} else {
		t.Settle(nil)
	}
}

// runTouched is run with the keys of the next 32 events known before.
func (m *mix) runTouched(b testing.TB, t *Table, events int) {
	var inputs [32]Input
	var evs [32]event.Event
	var ids [32][8]byte
	var keys [32]Key
	for done := 0; done < events; done += 32 {
		for i := range inputs {
			inputs[i] = *m.next(0)
			evs[i], ids[i] = m.ev, m.id
			evs[i].ID, inputs[i].Event, keys[i] = ids[i][:], &evs[i], inputs[i].Key
		}
		t.Touch(keys[:])
		for i := range inputs {
			arriveOne(b, t, &inputs[i])
		}
		if done%2048 == 0 {
			t.BeginTransaction()
		}
	}
}

// BenchmarkArrive is one event through Arrive and Settle: in order, or displaced by some events of
// its conversation, or in order with the next 32 conversations touched first.
func BenchmarkArrive20k(b *testing.B) { benchmarkArrive(b, 20_000) }
func BenchmarkArrive1M(b *testing.B)  { benchmarkArrive(b, 1_000_000) }

func benchmarkArrive(b *testing.B, n int) {
	m, t := newMix(n), NewTable(Config{})
	m.run(b, t, n*4, 0)
	for _, late := range []bool{false, true} {
		name, behind := "in-order", int64(0)
		if late {
			name, behind = "late", int64(n)*10*2 // two of its events earlier, on average
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			m.run(b, t, b.N, behind)
			b.ReportMetric(float64(t.Bytes())/float64(t.Len()), "B/conversation")
		})
	}
	b.Run("touched", func(b *testing.B) {
		b.ReportAllocs()
		m.runTouched(b, t, b.N)
	})
	b.Run("generator-alone", func(b *testing.B) {
		for range b.N {
			m.next(0)
		}
	})
}

// TestSteadyStateAllocatesNothing: once the conversations and names are known.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	m, table := newMix(500), NewTable(Config{})
	m.run(t, table, 20_000, 0)
	if n := testing.AllocsPerRun(20, func() { m.run(t, table, 2000, 0) }); n > 0 {
		t.Errorf("%v allocations in 2000 events in order", n)
	}
	if n := testing.AllocsPerRun(20, func() { m.run(t, table, 2000, 500*10*2) }); n > 0 {
		t.Errorf("%v allocations in 2000 late events", n)
	}
	takes := func() {
		m.run(t, table, 1999, 0)
		table.Facts()
		table.Changelog(func(Key, []byte) {})
		table.BeginTransaction()
	}
	takes()
	if n := testing.AllocsPerRun(20, takes); n > 0 {
		t.Errorf("%v allocations in a transaction of 1999 events", n)
	}
}
