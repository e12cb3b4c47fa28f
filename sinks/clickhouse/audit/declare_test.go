package audit_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher/sinks/clickhouse/audit"
	"usher/sinks/clickhouse/deliver"
	"usher/sinks/clickhouse/enginetest"
	"usher/sinks/clickhouse/schema"
)

// TestWhatSomebodyRemovedCanBeDeclared: a table's TTL, an erasure and an operator take rows away. The
// audit finds them, a declaration settles exactly those, and whatever goes missing later is found.
func TestWhatSomebodyRemovedCanBeDeclared(t *testing.T) {
	conn := enginetest.Open(t)
	for i := range int64(3) {
		put(t, conn, i*10)
	}
	missing := func() []audit.Declared {
		t.Helper()
		runs, err := audit.Missing(t.Context(), conn, scope(3))
		if err != nil {
			t.Fatal(err)
		}
		return runs
	}
	expect(t, conn, "whole", 0, 0)
	if runs := missing(); len(runs) != 0 {
		t.Errorf("nothing is missing, yet it lists %v", runs)
	}
	for _, step := range []struct {
		cause  string
		remove []string
		lost   uint64
		runs   []audit.Declared
	}{
		// The newest events of partition 1.
		{schema.GapErased, []string{"ALTER TABLE events DELETE WHERE _src_partition = 1 AND _src_offset >= 117"},
			3, []audit.Declared{
				input(1, 117, 120),
				// Events lie in the first record of the range 20-29.
				{Scope: audit.ScopeRows, Topic: "usher.rows.v1", From: 20, To: 29},
			}},
		// A TTL that ran out, on a table without input offsets of its own: the second range.
		{schema.GapTTL, []string{
			"ALTER TABLE turns MODIFY TTL if(_offset = 11, toDateTime('2000-01-01'), toDateTime('2100-01-01'))",
			"OPTIMIZE TABLE turns FINAL",
		}, 70, []audit.Declared{{Scope: audit.ScopeRows, Topic: "usher.rows.v1", From: 10, To: 19}}},
		{schema.GapOperator, []string{"ALTER TABLE voids DELETE WHERE _offset = 4"},
			20, []audit.Declared{{Scope: audit.ScopeRows, Topic: "usher.rows.v1", From: 0, To: 9}}},
	} {
		for _, sql := range step.remove {
			enginetest.Exec(t, conn, sql+" SETTINGS mutations_sync = 1")
		}
		expect(t, conn, step.cause+" before", step.lost, 0)
		runs := missing()
		if diff := cmp.Diff(step.runs, runs); diff != "" {
			t.Errorf("%s: missing (-want +got):\n%s", step.cause, diff)
		}
		if err := audit.Declare(t.Context(), conn, step.cause, runs, time.Now()); err != nil {
			t.Fatal(err)
		}
		r := expect(t, conn, step.cause+" declared", 0, 0)
		alike(t, conn, r)
		if runs := missing(); len(runs) != 0 {
			t.Errorf("%s: all is declared, yet it lists %v", step.cause, runs)
		}
	}
	// Beside what was declared, everything is held to its place as before.
	enginetest.Exec(t, conn, "ALTER TABLE events DELETE WHERE _src_partition = 0 AND _src_offset = 50 "+
		"SETTINGS mutations_sync = 1")
	expect(t, conn, "one more", 1, 0)
	enginetest.Exec(t, conn, double("voids", "_offset = 14", 1))
	expect(t, conn, "one more, one doubled", 1, 1)
}

func input(partition int32, from, to int64) audit.Declared {
	return audit.Declared{
		Scope: audit.ScopeInput, Topic: "chat.events.v1", Partition: partition, From: from, To: to,
	}
}

// TestARepairLeavesDeclaredRowsAlone: what was erased on purpose must not come back.
func TestARepairLeavesDeclaredRowsAlone(t *testing.T) {
	conn := enginetest.Open(t)
	put(t, conn, 0)
	enginetest.Exec(t, conn, "ALTER TABLE events DELETE WHERE 1 SETTINGS mutations_sync = 1")
	s := scope(1)
	runs, err := audit.Missing(t.Context(), conn, s)
	if err != nil {
		t.Fatal(err)
	}
	if err := audit.Declare(t.Context(), conn, schema.GapErased, runs, time.Now()); err != nil {
		t.Fatal(err)
	}
	done, err := audit.Repair(t.Context(), conn, unread{}, audit.Scope{Rows: s.Rows}, audit.RepairOptions{})
	if err != nil || len(done.Rows) != 0 {
		t.Errorf("the repair put back %v: %v", done, err)
	}
}

// unread is a rows topic whose first range must not be read.
type unread struct{}

func (unread) Bounds(context.Context, int32) (id schema.UUID, start int64, err error) { return }

func (unread) Read(_ context.Context, _ int32, from, _ int64, _ func(deliver.Record) error) error {
	if from < 9 {
		return errors.New("the range that was declared is read")
	}
	return nil
}

// TestOnlyRemovalsCanBeDeclared: the other causes are facts that the router alone knows.
func TestOnlyRemovalsCanBeDeclared(t *testing.T) {
	for _, cause := range []string{schema.GapControl, schema.GapAborted, schema.GapExpired, "vacation"} {
		if err := audit.Declare(t.Context(), nil, cause, []audit.Declared{{}}, time.Now()); err == nil {
			t.Errorf("%s can be declared", cause)
		}
	}
}
