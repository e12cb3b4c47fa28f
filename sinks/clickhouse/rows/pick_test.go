package rows_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"usher/sinks/clickhouse/rows"
	"usher/sinks/clickhouse/schema"
)

// picked holds Pick to Encode: a block of the wanted rows only, encoded whole.
func picked[T any](t *testing.T, name string) {
	t.Helper()
	r := rand.New(rand.NewPCG(5, 6))
	table := schema.Lookup(name)
	for try := range 20 {
		var all rows.Merge
		var few rows.Merge
		wanted := map[string]bool{}
		for offset := range int64(3) {
			whole, part := rows.NewBlock[T](table), rows.NewBlock[T](table)
			for sub := range 5 {
				row := new(T)
				fill(reflect.ValueOf(row).Elem(), r)
				whole.Append(row)
				// A prefix of the record, so that Encode numbers the rows alike.
				if sub < try%6 {
					part.Append(row)
					wanted[fmt.Sprint(offset, sub)] = true
				}
			}
			if err := all.Add(whole.EncodeNative(nil), offset); err != nil {
				t.Fatal(err)
			}
			if err := few.Add(part.EncodeNative(nil), offset); err != nil {
				t.Fatal(err)
			}
		}
		at := rows.Position{Partition: 3, LeaseUntil: 77}
		got, n := all.Pick(nil, at, func(offset int64, sub int) bool {
			return wanted[fmt.Sprint(offset, sub)]
		})
		if n != few.Rows() || !bytes.Equal(got, few.Encode(nil, at)) {
			t.Fatalf("%s: %d rows picked, %d wanted, or other bytes", name, n, few.Rows())
		}
	}
}

func TestPickIsABlockOfTheWantedRows(t *testing.T) {
	picked[schema.Event](t, schema.TableEvents)
	picked[schema.Decision](t, schema.TableDecisions)
	picked[schema.Turn](t, schema.TableTurns)
	picked[schema.Conversation](t, schema.TableConversations)
	picked[schema.DeadLetter](t, schema.TableDeadLetters)
	picked[schema.ManifestRow](t, schema.TableManifest)
}

func TestTextsAreTheCellsOfAColumn(t *testing.T) {
	b := rows.NewBlock[schema.DeadLetter](schema.Lookup(schema.TableDeadLetters))
	want := words()
	for _, w := range want {
		b.Append(&schema.DeadLetter{Reason: w})
	}
	var m rows.Merge
	if err := m.Add(b.EncodeNative(nil), 1); err != nil {
		t.Fatal(err)
	}
	got := m.Texts("reason")
	if len(got) != len(want) || m.Texts("bytes") != nil || m.Texts("none") != nil {
		t.Fatalf("%d texts, want %d", len(got), len(want))
	}
	for i := range want {
		if string(got[i]) != want[i] {
			t.Errorf("cell %d is %q, want %q", i, got[i], want[i])
		}
	}
}
