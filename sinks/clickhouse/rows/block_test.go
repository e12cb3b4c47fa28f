package rows_test

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"usher/sinks/clickhouse/rows"
	"usher/sinks/clickhouse/schema"
)

// check encodes n random rows of T and holds what ch-go reads to what the structs held; then it
// merges three such blocks and holds that too, positions included.
func check[T any](t *testing.T, name string) {
	t.Helper()
	r := rand.New(rand.NewPCG(7, 7))
	b := rows.NewBlock[T](schema.Lookup(name))
	var m rows.Merge
	at := rows.Position{TopicID: schema.UUID{0: 1, 15: 9}, Partition: 3, LeaseUntil: 1_793_000_000_123}
	for round := range 3 {
		b.Reset()
		m.Reset()
		var all []map[string]any
		for i, n := range []int{40, 1, 25} {
			want := make([]map[string]any, n)
			b.Reset()
			for k := range want {
				var row T
				fill(reflect.ValueOf(&row).Elem(), r)
				want[k] = map[string]any{}
				wants(reflect.ValueOf(row), want[k])
				b.Append(&row)
			}
			block := b.EncodeNative(nil)
			if over := b.Bytes() - len(block); over < 0 || over > 10 {
				t.Fatalf("%s: Bytes says %d, the block has %d", name, b.Bytes(), len(block))
			}
			same(t, name, decode(t, block), want)
			offset := int64(100 * (i + 1))
			if err := m.Add(block, offset); err != nil {
				t.Fatal(err)
			}
			for sub := range want {
				want[sub]["_topic_id"] = plain(reflect.ValueOf(at.TopicID))
				want[sub]["_partition"] = "3"
				want[sub]["_offset"] = plain(reflect.ValueOf(offset))
				want[sub]["_sub"] = plain(reflect.ValueOf(sub))
				want[sub]["_lease_until"] = plain(reflect.ValueOf(at.LeaseUntil))
			}
			all = append(all, want...)
		}
		if m.Rows() != 66 {
			t.Fatalf("round %d: %d rows merged", round, m.Rows())
		}
		same(t, name, decode(t, m.Encode(nil, at)), all)
	}
}

func TestBlocksHoldWhatTheStructsHeld(t *testing.T) {
	check[schema.Event](t, schema.TableEvents)
	check[schema.Decision](t, schema.TableDecisions)
	check[schema.Turn](t, schema.TableTurns)
	check[schema.Turn](t, schema.TableTurnsHuman)
	check[schema.Conversation](t, schema.TableConversations)
	check[schema.Void](t, schema.TableVoids)
	check[schema.Escalation](t, schema.TableEscalations)
	check[schema.Correction](t, schema.TableCorrections)
	check[schema.LabelRow](t, schema.TableLabels)
	check[schema.DeadLetter](t, schema.TableDeadLetters)
	check[schema.DeliveryGap](t, schema.TableGaps)
	check[schema.OpsEntry](t, schema.TableJournal)
	check[schema.ManifestRow](t, schema.TableManifest)
}

func TestAppendingAndEncodingAllocatesNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	b := rows.NewBlock[schema.Event](schema.Lookup(schema.TableEvents))
	row := make([]schema.Event, 50)
	for i := range row {
		fill(reflect.ValueOf(&row[i]).Elem(), r)
	}
	var dst []byte
	var m rows.Merge
	var out []byte
	once := func() {
		b.Reset()
		m.Reset()
		for i := range row {
			b.Append(&row[i])
		}
		dst = b.EncodeNative(dst[:0])
		if err := m.Add(dst, 1); err != nil {
			t.Fatal(err)
		}
		if err := m.Add(dst, 2); err != nil {
			t.Fatal(err)
		}
		out = m.Encode(out[:0], rows.Position{})
	}
	once()
	// Encode asks for the five position columns once per insert of up to 100,000 rows.
	if n := testing.AllocsPerRun(20, once); n > 1 {
		t.Errorf("%v allocations for 50 rows", n)
	}
	appendOnly := func() {
		b.Reset()
		for i := range row {
			b.Append(&row[i])
		}
		dst = b.EncodeNative(dst[:0])
	}
	if n := testing.AllocsPerRun(20, appendOnly); n != 0 {
		t.Errorf("%v allocations to append and encode 50 rows", n)
	}
}

// lifelike is an event as most are: a few dimensions, no payload but a text's length.
func lifelike() *schema.Event {
	return &schema.Event{
		Dims: schema.Dims{
			Tenant: "salon7", ConversationID: "c-0123456789", Channel: "whatsapp", Lang: "ru",
			Region: "LV", Inbox: "main", CustomerKey: "0123456789abcdef0123456789abcdef",
		},
		Cycle:     schema.Cycle{CycleID: "0123456789abcdef0123456789abcdef-3-123456", Cycle: 1},
		ID:        "01J0000000000000000000",
		Type:      "message",
		ActorKind: "customer",
		TextLen:   95,
	}
}

// BenchmarkEvent is one row appended and encoded.
func BenchmarkEvent(b *testing.B) {
	block := rows.NewBlock[schema.Event](schema.Lookup(schema.TableEvents))
	row := lifelike()
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		if block.Rows() == 1000 {
			dst = block.EncodeNative(dst[:0])
			block.Reset()
		}
		block.Append(row)
	}
}

// BenchmarkMergeEvent is one row of a record joined to a range of 50,000 and encoded again.
func BenchmarkMergeEvent(b *testing.B) {
	block := rows.NewBlock[schema.Event](schema.Lookup(schema.TableEvents))
	for range 1000 {
		block.Append(lifelike())
	}
	native := block.EncodeNative(nil)
	var m rows.Merge
	var dst []byte
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i += 1000 {
		if err := m.Add(native, int64(i)); err != nil {
			b.Fatal(err)
		}
		if m.Rows() >= 50_000 {
			dst = m.Encode(dst[:0], rows.Position{})
			m.Reset()
		}
	}
}
