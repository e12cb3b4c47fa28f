package pipeline

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/twmb/franz-go/pkg/kgo"
)

// gapText decodes gap rows with ch-go: "from-to cause", one a line.
func gapText(t *testing.T, b *blocks) string {
	t.Helper()
	var results proto.Results
	var blk proto.Block
	body := b.gaps.EncodeNative(nil)
	if err := blk.DecodeRawBlock(proto.NewReader(bytes.NewReader(body)), 0, results.Auto()); err != nil {
		t.Fatal(err)
	}
	columns := map[string]proto.ColResult{}
	for _, c := range results {
		columns[c.Name] = c.Data
	}
	var out []string
	for i := range blk.Rows {
		out = append(out, fmt.Sprintf("%d-%d %s", columns["from_offset"].(*proto.ColInt64).Row(i),
			columns["to_offset"].(*proto.ColInt64).Row(i), columns["cause"].(*proto.ColStr).Row(i)))
	}
	return strings.Join(out, ", ")
}

// TestGapsHaveTheirCause: what lies between what was processed and what comes next.
func TestGapsHaveTheirCause(t *testing.T) {
	control := kgo.NewRecordAttrs(kgo.RecordAttrsOpts{Control: true})
	check := func(want string, next, logStart int64, compacted bool, rec *kgo.Record) {
		t.Helper()
		part := &partition{source: Source{Compacted: compacted}, next: next, logStart: logStart}
		b := newBlocks(part)
		b.gap(part, rec, 1)
		if b.gaps.Rows() == 0 {
			if want != "" {
				t.Errorf("no gap, want %s", want)
			}
			return
		}
		if got := gapText(t, b); got != want {
			t.Errorf("gaps %q, want %q", got, want)
		}
	}
	at := func(offset int64) *kgo.Record { return &kgo.Record{Offset: offset} }
	check("", 7, 0, false, at(7))
	check("", -1, 0, false, at(0))
	check("7-8 control", 7, 0, false, &kgo.Record{Offset: 7, Attrs: control})
	check("5-9 aborted, 9-10 control", 5, 0, false, &kgo.Record{Offset: 9, Attrs: control})
	check("5-9 compacted", 5, 0, true, at(9))
	// A router that comes late to a topic, and one whose offset retention has passed by.
	check("0-20 expired", -1, 20, false, at(20))
	check("0-20 expired, 20-22 aborted", -1, 20, false, at(22))
	check("0-3 aborted", -1, 0, false, at(3))
	check("5-20 expired", 5, 20, false, at(20))
	check("5-20 expired, 20-25 compacted", 5, 20, true, at(25))
	// The log may have moved on beyond a record that was fetched before.
	check("5-9 expired", 5, 50, false, at(9))
	check("", 9, 50, false, at(9))
}
