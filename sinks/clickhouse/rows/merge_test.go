package rows_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"usher/sinks/clickhouse/rows"
	"usher/sinks/clickhouse/schema"
)

func smallBlock() []byte {
	b := rows.NewBlock[schema.Event](schema.Lookup(schema.TableEvents))
	e := lifelike()
	e.Attrs = []schema.Pair{{Key: "k", Value: "v"}}
	e.Flags = []string{"late", "duplicate"}
	b.Append(e)
	b.Append(lifelike())
	return b.EncodeNative(nil)
}

func TestMergeRefusesWhatIsNoBlock(t *testing.T) {
	good := smallBlock()
	for cut := range good {
		var m rows.Merge
		if err := m.Add(good[:cut], 1); !errors.Is(err, rows.ErrBlock) {
			t.Fatalf("a block cut to %d of %d bytes: %v", cut, len(good), err)
		}
	}
	var m rows.Merge
	if err := m.Add(append(good[:len(good):len(good)], 0), 1); !errors.Is(err, rows.ErrBlock) {
		t.Errorf("a byte after the block: %v", err)
	}
	m = rows.Merge{}
	if err := m.Add(good, 1); err != nil {
		t.Fatal(err)
	}
	other := rows.NewBlock[schema.Void](schema.Lookup(schema.TableVoids))
	other.Append(&schema.Void{})
	if err := m.Add(other.EncodeNative(nil), 2); !errors.Is(err, rows.ErrBlock) {
		t.Errorf("a block of another table: %v", err)
	}
}

func FuzzMerge(f *testing.F) {
	f.Add(smallBlock())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, block []byte) {
		var m rows.Merge
		if err := m.Add(block, 1); err != nil {
			return
		}
		if n, err := rows.RowsOf(block); err != nil || n != m.Rows() {
			t.Fatalf("rows.RowsOf says %d, %v; Add took %d", n, err, m.Rows())
		}
		m.Encode(nil, rows.Position{})
	})
}

func TestHeaderRoundTrip(t *testing.T) {
	want := rows.Header{
		Table: "turns", Version: 7, Day: 20_776, SrcTopicID: schema.UUID{1, 2, 15: 3},
		SrcPartition: 5, SrcFrom: -1, SrcTo: 1 << 40,
	}
	headers := want.Append([]kgo.RecordHeader{{Key: "traceparent", Value: []byte("x")}})
	got, err := rows.ParseHeader(headers)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for i := range headers[1:] {
		short := append(append([]kgo.RecordHeader{}, headers[:i+1]...), headers[i+2:]...)
		if _, err := rows.ParseHeader(short); err == nil {
			t.Errorf("header %s may be missing", headers[i+1].Key)
		}
		if i == 0 {
			continue // a table may have any name; the sink looks it up
		}
		bad := append([]kgo.RecordHeader{}, headers...)
		bad[i+1].Value = []byte("x y")
		if _, err := rows.ParseHeader(bad); err == nil {
			t.Errorf("header %s may be nonsense", bad[i+1].Key)
		}
	}
}
