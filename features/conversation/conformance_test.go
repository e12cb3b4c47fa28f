package conversation

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"usher/pipeline/event"
)

// board holds what ClickHouse would after one example: standing turns, newest cycles, flags.
type board struct {
	turns, human []Turn
	escs         []Escalation
	cycles       []Cycle // neither gone nor voided
	rows         []Cycle // voided ones too: conversations_latest
	flags        map[Flags]int
	events       int
	sent         map[event.Type]bool
}

// share is one row of a rate view, value one of a value view.
type share struct{ num, den bool }

func (b *board) sentAny(types ...event.Type) bool {
	return slices.ContainsFunc(types, func(k event.Type) bool { return b.sent[k] })
}

func (b *board) standing(c int64) *Cycle {
	for i := range b.cycles {
		if b.cycles[i].CycleOffset == c {
			return &b.cycles[i]
		}
	}
	return nil
}

// next is the cycle after c in its conversation, taken-out ones left aside.
func (b *board) next(c *Cycle) *Cycle {
	for i := range b.cycles {
		if b.cycles[i].ConversationID == c.ConversationID && b.cycles[i].Cycle > c.Cycle {
			return &b.cycles[i]
		}
	}
	return nil
}

func (b *board) reopened(c *Cycle, withinMS int64) bool {
	n := b.next(c)
	return n != nil && n.OpenedAtMS-c.ClosedAtMS <= withinMS
}

const dayMS = 86_400_000

func fromBot(b *board, c *Cycle) share {
	return share{c.EscalatedByBot, c.BotCycle && b.moved()}
}

// rateViews are KPIS section 0 over cycles: which have a row, and which count.
var rateViews = map[string]func(b *board, c *Cycle) share{
	"unanswered": func(_ *board, c *Cycle) share {
		return share{c.HumanReplies+c.BotReplies == 0, c.FirstCustomerAtMS != 0}
	},
	"missed": func(_ *board, c *Cycle) share {
		return share{c.Missed, c.Judged && c.FirstCustomerAtMS != 0}
	},
	"dropped": func(_ *board, c *Cycle) share {
		return share{c.Dropped, c.Judged && c.FirstCustomerAtMS != 0}
	},
	"abandoned": func(b *board, c *Cycle) share {
		return share{c.Abandoned && c.AbandonedAtMS-c.OpenedAtMS > 10_000,
			c.Offered && b.sentAny(event.TypeSessionEnd)}
	},
	"reopened": func(b *board, c *Cycle) share {
		return share{b.reopened(c, 7*dayMS), c.ClosedAtMS != 0}
	},
	"one_touch": func(b *board, c *Cycle) share {
		return share{c.HumanRuns == 1 && !b.reopened(c, 7*dayMS),
			c.ClosedAtMS != 0 && c.HumanReplies > 0}
	},
	"escalation":     fromBot,
	"routed_to_team": fromBot,
	"resolution_rate": func(b *board, c *Cycle) share {
		return share{!c.EscalatedByBot, c.BotCycle && b.moved()}
	},
	"escalation_all": func(b *board, c *Cycle) share {
		return share{c.EscalatedAny || c.TransferredUp, b.moved()}
	},
	"containment": func(b *board, c *Cycle) share {
		return share{c.HumanReplies == 0 && !c.EscalatedAny && !b.reopened(c, dayMS),
			c.BotReplies > 0}
	},
	"satisfaction": func(_ *board, c *Cycle) share {
		return share{c.CSATScore/c.CSATScale >= 0.8, c.CSATAtMS != 0}
	},
	"conversion": func(b *board, c *Cycle) share {
		k := c.Outcome
		return share{k == event.OutcomeBooking || k == event.OutcomeSale || k == event.OutcomeLead,
			c.FirstCustomerAtMS != 0 && b.sentAny(event.TypeOutcome)}
	},
	"disclosure": func(_ *board, c *Cycle) share { return share{c.AIDisclosed, c.BotReplies > 0} },
	"reassigned": func(b *board, c *Cycle) share {
		return share{c.Reassigned > 0, c.HumanReplies > 0 && b.sentAny(event.TypeAssign)}
	},
}

func (b *board) moved() bool {
	return b.sentAny(event.TypeEscalate, event.TypeAssign, event.TypeTransfer)
}

// valueViews have a row per cycle where the duration is known (−1 = not).
var valueViews = map[string]func(c *Cycle) int64{
	"first_reply_any":           func(c *Cycle) int64 { return c.FirstReplyAnyMS },
	"first_reply_human":         func(c *Cycle) int64 { return c.FirstReplyHumanMS },
	"first_reply_after_handoff": func(c *Cycle) int64 { return c.FirstReplyAfterHandoffMS },
	"cycle_time":                func(c *Cycle) int64 { return since(c.OpenedAtMS, c.ClosedAtMS) },
	"messages_to_close":         func(c *Cycle) int64 { return c.MessagesToClose },
	"volume":                    func(*Cycle) int64 { return 1 },
	"handle_time": func(c *Cycle) int64 {
		if c.ClosedAtMS == 0 {
			return -1
		}
		return c.HandleMS
	},
	"requester_wait": func(c *Cycle) int64 {
		if c.EndedWaits == 0 {
			return -1
		}
		return c.RequesterWaitMS
	},
}

func (b *board) values(name string) (out []any, ok bool) {
	out = []any{}
	switch name {
	case "next_reply", "next_reply_human":
		from := map[string][]Turn{"next_reply": b.turns, "next_reply_human": b.human}[name]
		for _, x := range from {
			if !x.IsFirst && (x.EndedBy == EndedByAgent || x.EndedBy == EndedByBot) {
				out = append(out, x.WaitMS)
			}
		}
		return out, true
	case "handoff_wait":
		for _, x := range b.escs {
			if x.HumanReplyAtMS != 0 {
				out = append(out, x.HumanReplyAtMS-x.AtMS)
			}
		}
		return out, true
	case "time_to_first_close", "time_to_last_close":
		return b.closes(name == "time_to_first_close"), true
	}
	f, ok := valueViews[name]
	for i := range b.cycles {
		if ok && f(&b.cycles[i]) >= 0 {
			out = append(out, f(&b.cycles[i]))
		}
	}
	return out, ok
}

func (b *board) closes(first bool) []any {
	opened, closed := map[string]int64{}, map[string]int64{}
	for _, c := range b.cycles {
		if c.Cycle == 1 {
			opened[c.ConversationID] = c.OpenedAtMS
		}
		at := closed[c.ConversationID]
		if c.ClosedAtMS != 0 && (at == 0 || (c.ClosedAtMS < at) == first) {
			closed[c.ConversationID] = c.ClosedAtMS
		}
	}
	out := []any{}
	for id, at := range closed {
		out = append(out, at-opened[id])
	}
	return out
}

func (b *board) rates(name string) (n, d int, ok bool) {
	if name == "missed_messages" {
		for _, x := range b.turns {
			if b.standing(x.CycleOffset) == nil {
				continue
			}
			d++
			if x.EndedBy == EndedByClose || x.EndedBy == EndedByNone {
				n++
			}
		}
		return n, d, true
	}
	f, ok := rateViews[name]
	for i := range b.cycles {
		if !ok {
			break
		}
		if r := f(b, &b.cycles[i]); r.den {
			d++
			if r.num {
				n++
			}
		}
	}
	return n, d, ok
}

var (
	sqlRate   = query(`sum\(num\) AS n, sum\(den\) AS d FROM kpi_(\w+)`, ``)
	sqlRatio  = query(`sum\(num\) / nullIf\(sum\(den\), 0\) AS r FROM kpi_(\w+)`, ``)
	sqlValues = query(`value FROM kpi_(\w+)`, ` AND value IS NOT NULL`)
	sqlSum    = query(`sum\(value\) AS s FROM kpi_(\w+)`, ``)
	sqlFlag   = query(`countIf\(has\(flags, '(\w+)'\)\) AS n(, count\(\) AS c)? FROM events`, ``)
	sqlTurns  = query(`toString\(ended_by\) AS e(, wait_ms)? FROM turns_latest`,
		` AND ended_by IN \((.*)\)`)
	sqlOther = regexp.MustCompile(
		`FROM (events|decisions|conversations|turns|kpi_outcome_value) WHERE|countIf\(conv`)
)

// query matches a query of a tenant's, whose name is a group of its own.
func query(what, and string) *regexp.Regexp {
	return regexp.MustCompile(`^SELECT ` + what + ` WHERE tenant = '([^']+)'` + and + `$`)
}

var flagNames = map[string]Flags{
	"late": FlagLate, "duplicate": FlagDuplicate, "clock_skew": FlagClockSkew,
}

// answer evaluates one of the examples' queries; ok is false for those that need more than facts.
func answer(boards map[string]*board, sql string) (rows [][]any, ok bool) {
	if m := sqlRate.FindStringSubmatch(sql); m != nil {
		n, d, ok := boards[m[2]].rates(m[1])
		return [][]any{{n, d}}, ok
	}
	if m := sqlRatio.FindStringSubmatch(sql); m != nil {
		n, d, ok := boards[m[2]].rates(m[1])
		if d == 0 {
			return [][]any{{nil}}, ok
		}
		return [][]any{{float64(n) / float64(d)}}, ok
	}
	if m := sqlValues.FindStringSubmatch(sql); m != nil {
		vs, ok := boards[m[2]].values(m[1])
		for _, v := range vs {
			rows = append(rows, []any{v})
		}
		return rows, ok
	}
	if m := sqlSum.FindStringSubmatch(sql); m != nil {
		vs, ok := boards[m[2]].values(m[1])
		sum := int64(0)
		for _, v := range vs {
			sum += v.(int64)
		}
		return [][]any{{sum}}, ok
	}
	if m := sqlFlag.FindStringSubmatch(sql); m != nil {
		row := []any{boards[m[3]].flags[flagNames[m[1]]]}
		if m[2] != "" {
			row = append(row, boards[m[3]].events)
		}
		return [][]any{row}, true
	}
	if m := sqlTurns.FindStringSubmatch(sql); m != nil {
		for _, x := range boards[m[2]].turns {
			row := []any{x.EndedBy.String()}
			if m[1] != "" {
				row = append(row, x.WaitMS)
			}
			if strings.Contains(m[3], "'"+x.EndedBy.String()+"'") {
				rows = append(rows, row)
			}
		}
		return rows, true
	}
	return answerOne(boards["{t}"], sql)
}

// answerOne knows the queries that only one example asks.
func answerOne(b *board, sql string) (rows [][]any, ok bool) {
	const of = " WHERE tenant = '{t}'"
	switch strings.TrimSuffix(strings.TrimPrefix(sql, "SELECT "), of) {
	case "uniqExact(cycle_id) AS n FROM conversations_latest":
		return [][]any{{len(b.rows)}}, true
	case "count() AS n FROM events":
		return [][]any{{b.events}}, true
	case "toString(reason) AS r, count() AS n FROM escalations_latest" + of + " GROUP BY r":
		n := map[string]int{}
		for _, x := range b.escs {
			n[x.Reason]++
		}
		for r, n := range n {
			rows = append(rows, []any{r, n})
		}
		return rows, true
	case "toUnixTimestamp(started_at) AS s FROM kpi_satisfaction":
		for _, c := range b.cycles {
			if c.CSATAtMS != 0 {
				rows = append(rows, []any{c.OpenedAtMS / 1000})
			}
		}
		return rows, true
	case "value FROM kpi_reassigned" + of + " AND num = 1":
		for _, c := range b.cycles {
			if c.Reassigned > 0 {
				rows = append(rows, []any{c.Reassigned})
			}
		}
		return rows, true
	case "toString(agent_id) AS a, value FROM kpi_first_reply_human" + of +
		" AND value IS NOT NULL":
		for _, c := range b.cycles {
			if c.FirstReplyHumanMS >= 0 {
				rows = append(rows, []any{c.FirstReplyHumanAgent, c.FirstReplyHumanMS})
			}
		}
		return rows, true
	}
	switch {
	case strings.HasPrefix(sql, "SELECT uniqExact(k.cycle_id) AS n FROM kpi_satisfaction"):
		last := slices.MaxFunc(b.rows, func(x, y Cycle) int {
			return int(x.OpenedAtMS - y.OpenedAtMS)
		})
		if last.CSATAtMS != 0 {
			return [][]any{{1}}, true
		}
		return [][]any{{0}}, true
	case strings.HasPrefix(sql, "SELECT channel, lang, region, sum(num) AS n, sum(den) AS d"):
		for i := range b.cycles {
			c := &b.cycles[i]
			n := 0
			if r := rateViews["unanswered"](b, c); r.num {
				n = 1
			}
			rows = append(rows, []any{c.Channel, c.Lang, c.Region, n, 1})
		}
		return rows, true
	}
	return nil, false
}

type example struct {
	Name   string
	Events []jsonEvent
	Orders [][]int
	Expect []struct {
		SQL  string
		Rows [][]any
	}
}

// TestWorkedExamples plays the contract's examples in every order and checks what facts can answer.
func TestWorkedExamples(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(sharedDir(t, "conformance"), "examples.json"))
	if err != nil {
		t.Fatal(err)
	}
	var examples []example
	if err := json.Unmarshal(raw, &examples); err != nil {
		t.Fatal(err)
	}
	checked, left := 0, 0
	for _, x := range examples {
		for _, order := range x.Orders {
			boards := playExample(t, &x, order)
			for _, want := range x.Expect {
				if want.SQL == "" {
					continue // usher analyze's
				}
				got, ok := answer(boards, want.SQL)
				if !ok {
					left++
					if !sqlOther.MatchString(want.SQL) {
						t.Errorf("%s: nobody answers %s", x.Name, want.SQL)
					}
					continue
				}
				checked++
				if g, w := rowSet(got), rowSet(want.Rows); !slices.Equal(g, w) {
					t.Errorf("%s %v:\n%s\n got %v\nwant %v", x.Name, order, want.SQL, g, w)
				}
			}
		}
	}
	if checked < 400 {
		t.Errorf("only %d answers checked", checked)
	}
	t.Logf("%d answers checked, %d need tables of others", checked, left)
}

func rowSet(rows [][]any) []string {
	var out []string
	for _, r := range rows {
		var cells []string
		for _, v := range r {
			if f, ok := v.(float64); ok && f == float64(int64(f)) {
				v = int64(f)
			}
			cells = append(cells, fmt.Sprint(v))
		}
		out = append(out, strings.Join(cells, " "))
	}
	slices.Sort(out)
	return out
}

func playExample(t *testing.T, x *example, order []int) map[string]*board {
	t.Helper()
	table := NewTable(Config{})
	boards := map[string]*board{}
	ledgers := map[string]*ledger{}
	for offset, i := range order {
		ev := x.Events[i].event(t)
		tenant := string(ev.Tenant)
		if boards[tenant] == nil {
			boards[tenant] = &board{flags: map[Flags]int{}, sent: map[event.Type]bool{}}
			ledgers[tenant] = newLedger()
		}
		b := boards[tenant]
		in := Input{Key: keyOf(tenant, string(ev.ConversationID)), Event: &ev,
			ConversationID: ev.ConversationID, Offset: int64(offset), NowMS: 1 << 41}
		var out Arrival
		if err := table.Arrive(&in, &out); err != nil {
			t.Fatal(err)
		}
		for _, f := range flagNames {
			if out.Flags&f != 0 {
				b.flags[f]++
			}
		}
		b.events++
		b.sent[ev.Type] = true
		table.Settle(nil)
		ledgers[tenant].add(t, table.Facts())
		table.BeginTransaction()
	}
	for tenant, l := range ledgers {
		f := l.facts(t)
		b := boards[tenant]
		b.turns, b.human, b.escs, b.rows = f.turns, f.human, f.escs, f.cycles
		for _, c := range f.cycles {
			if !c.Voided {
				b.cycles = append(b.cycles, c)
			}
		}
	}
	return boards
}
