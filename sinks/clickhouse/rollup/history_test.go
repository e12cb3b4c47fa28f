package rollup_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"usher/sinks/clickhouse/enginetest"
	"usher/sinks/clickhouse/schema"
)

// history writes facts and corrects them at random: waits and promises by sign, cycles by revision,
// voids and their withdrawal.
type history struct {
	r       *rand.Rand
	conn    driver.Conn
	waits   map[int]schema.Turn
	voided  map[int]schema.Void
	changes int
	offset  int64

	turns    []schema.Turn
	cycles   []schema.Conversation
	voids    []schema.Void
	promises []schema.SLAEvent
}

const (
	waitsOf  = 1500 // identities of waits, ten to a cycle
	cyclesOf = waitsOf / 10
	spanDays = 70 // over three months of opening
	arrivals = 6  // days on which rows arrive
)

var first = time.Date(2026, 3, 20, 0, 0, 0, 0, time.UTC)

func newHistory(conn driver.Conn, seed uint64) *history {
	return &history{
		r: rand.New(rand.NewPCG(seed, 7)), conn: conn,
		waits: map[int]schema.Turn{}, voided: map[int]schema.Void{},
	}
}

func instant(day int, ms int64) schema.Instant {
	return schema.Instant(first.AddDate(0, 0, day).UnixMilli() + ms)
}

func dayOf(at schema.Instant) schema.Day { return schema.Day(at / 86_400_000) }

func (h *history) dims(cycle int) (schema.Dims, schema.Cycle) {
	return schema.Dims{
		Tenant: "t", ConversationID: fmt.Sprint("c", cycle), Channel: []string{"web", "mail"}[cycle%2],
	}, schema.Cycle{CycleID: fmt.Sprintf("c%d-1", cycle), Cycle: 1}
}

// change draws one change.
func (h *history) change() {
	h.changes++
	switch cycle := h.r.IntN(cyclesOf); h.r.IntN(20) {
	case 0:
		h.void(cycle)
	case 1, 2, 3, 4, 5:
		h.cycle(cycle)
	default:
		h.wait(h.r.IntN(waitsOf))
	}
}

func (h *history) void(cycle int) {
	v, ok := h.voided[cycle]
	if ok {
		v.Sign = -v.Sign
	} else {
		v.Sign, v.Reason = 1, "test"
		v.Dims, v.Cycle = h.dims(cycle)
	}
	v.Revision = uint32(h.changes)
	h.voided[cycle] = v
	h.voids = append(h.voids, v)
}

// cycle writes a new revision of a cycle; its opening never changes.
func (h *history) cycle(cycle int) {
	opened := instant(cycle*spanDays/cyclesOf, int64(cycle)*1000)
	month := time.UnixMilli(int64(opened)).UTC()
	wait := int64(h.r.ExpFloat64() * 300_000)
	replied := opened + schema.Instant(wait)
	c := schema.Conversation{
		OpenedMonth: dayOf(schema.Instant(time.Date(month.Year(), month.Month(), 1, 0, 0, 0, 0,
			time.UTC).UnixMilli())),
		OpenedAt: opened, OpenedDay: dayOf(opened), FirstCustomerAt: schema.Some(opened),
		FirstCustomerDay: schema.Some(dayOf(opened)), MessagesCustomer: 1, Revision: uint32(h.changes),
		Gone: h.r.IntN(15) == 0,
	}
	c.Dims, c.Cycle = h.dims(cycle)
	c.AgentID = fmt.Sprint("a", h.r.IntN(3))
	if h.r.IntN(10) == 0 {
		c.Voided = "spam"
	}
	if h.r.IntN(3) > 0 {
		c.HumanReplies, c.FirstReplyHumanMS = 1, schema.Some(wait)
		c.FirstReplyHumanAt, c.FirstReplyHumanDay = schema.Some(replied), schema.Some(dayOf(replied))
		c.FirstReplyAnyMS, c.FirstReplyAnyAt = c.FirstReplyHumanMS, c.FirstReplyHumanAt
		c.FirstReplyAnyDay = c.FirstReplyHumanDay
	}
	if h.r.IntN(2) == 0 {
		closed := replied + schema.Instant(h.r.IntN(20*86_400_000))
		c.ClosedAt, c.ClosedDay, c.Final = schema.Some(closed), schema.Some(dayOf(closed)), true
		c.Judged, c.JudgedAt, c.JudgedDay = true, c.ClosedAt, c.ClosedDay
		c.Missed = c.HumanReplies == 0
	}
	h.cycles = append(h.cycles, c)
}

// wait takes a wait back, where there is one, and mostly writes another with the same identity; a
// promise goes with it.
func (h *history) wait(since int) {
	arrived := dayOf(instant(h.r.IntN(arrivals), 0)) // whatever day it is when the correction comes
	if old, ok := h.waits[since]; ok {
		old.Sign, old.Revision, old.Source.Day = -1, uint32(h.changes), arrived
		h.put(old)
		delete(h.waits, since)
		if h.r.IntN(4) == 0 {
			return
		}
	}
	began := instant(since*spanDays/waitsOf, int64(since)*1000)
	ended := began + schema.Instant(1+h.r.IntN(86_400_000))
	w := schema.Turn{
		Source: schema.Source{Day: arrived}, WaitingSince: began, EndedAt: ended, EndedDay: dayOf(ended),
		EndedBy: []string{"agent", "bot", "close"}[h.r.IntN(3)], WaitMS: int64(h.r.ExpFloat64() * 300_000),
		IsFirst: h.r.IntN(4) == 0, SinceOffset: int64(since), Final: h.r.IntN(5) > 0,
		Revision: uint32(h.changes), Sign: 1,
	}
	w.Dims, w.Cycle = h.dims(since / 10)
	w.AgentID = fmt.Sprint("a", h.r.IntN(3))
	h.waits[since] = w
	h.put(w)
}

func (h *history) put(w schema.Turn) {
	h.turns = append(h.turns, w)
	h.promises = append(h.promises, schema.SLAEvent{
		Source: w.Source, Dims: w.Dims, Cycle: w.Cycle, Metric: "next_reply", Policy: "p", Clock: "wall",
		Status: map[bool]string{true: "met", false: "breached"}[w.WaitMS < 300_000], At: w.EndedAt,
		AtDay: w.EndedDay, SinceOffset: w.SinceOffset, Revision: w.Revision, Sign: w.Sign,
	})
}

// store inserts what was drawn.
func (h *history) store(t *testing.T) {
	t.Helper()
	h.offset++
	insert(t, h, schema.TableTurns, &h.turns)
	insert(t, h, schema.TableConversations, &h.cycles)
	insert(t, h, schema.TableSLA, &h.promises)
	insert(t, h, schema.TableVoids, &h.voids)
}

func insert[T any](t *testing.T, h *history, table string, rows *[]T) {
	t.Helper()
	if len(*rows) > 0 {
		enginetest.Put(t, h.conn, table, h.offset, *rows...)
	}
	*rows = (*rows)[:0]
}
