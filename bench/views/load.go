package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// How many rows of each table a conversation has, and how many conversations one insert fills.
const (
	turnsPer     = 4
	promisesPer  = 2
	decisionsPer = 1
	eventsPer    = 2
	batchCycles  = 420_000
	// Of a hundred: facts that were corrected, cycles that a later revision replaced unmerged. Of a
	// thousand: cycles that were voided.
	corrected, revised, voided = 1, 5, 5
)

// column is what fills one column of a table.
type column struct{ name, expr string }

// filling fills one table: its columns are expressions over the rows of each cycle.
type filling struct {
	table   string
	per     int    // rows a cycle, as k = 0…per−1
	where   string // of (cycle, k)
	columns []column
}

// load fills the tables with so many cycles over the months before end, straight from
// numbers: the same number gives the same rows, apart from the end. Cycles are made once, in a
// table of their own, because every other table repeats them.
func load(ctx context.Context, conn driver.Conn, o *options, end time.Time, out io.Writer) error {
	begun := time.Now()
	n := o.conversations
	span := end.Sub(end.AddDate(0, -o.months, 0)).Milliseconds()
	for from := 0; from < n; from += batchCycles {
		to := min(from+batchCycles, n)
		made := "CREATE OR REPLACE TABLE made_cycles ENGINE = Memory AS\n" +
			cycles(from, to, n, end.UnixMilli()-span, span)
		if err := conn.Exec(ctx, made); err != nil {
			return fmt.Errorf("cannot make cycles: %w", err)
		}
		for _, f := range fillings() {
			if !o.wants(f.table) {
				continue
			}
			if err := conn.Exec(ctx, f.sql()); err != nil {
				return fmt.Errorf("cannot fill %s: %w", f.table, err)
			}
		}
		fmt.Fprintf(out, "%d conversations after %.0f s\n", to, time.Since(begun).Seconds())
	}
	for _, q := range once(end.UnixMilli()-span, span) {
		if err := conn.Exec(ctx, q); err != nil {
			return fmt.Errorf("cannot fill: %w", err)
		}
	}
	return conn.Exec(ctx, "DROP TABLE made_cycles")
}

func (f *filling) sql() string {
	var names, exprs []string
	for _, c := range f.columns {
		names, exprs = append(names, "`"+c.name+"`"), append(exprs, c.expr)
	}
	where := ""
	if f.where != "" {
		where = "\nWHERE " + f.where
	}
	return fmt.Sprintf("INSERT INTO %s (%s)\nSELECT %s\nFROM (SELECT *, arrayJoin(range(%d)) AS k FROM "+
		"made_cycles)%s\nSETTINGS max_partitions_per_insert_block = 0, insert_deduplicate = 0, "+
		"async_insert = 0, max_insert_threads = 2, max_block_size = 65536, min_insert_block_size_rows = %d, "+
		"min_insert_block_size_bytes = 0", f.table, strings.Join(names, ", "), strings.Join(exprs, ", "),
		f.per, where, batchCycles*f.per)
}

// u is a draw from [0, 1) of cycle i, the same for the same salt.
func u(salt int) string { return fmt.Sprintf("(cityHash64(i, %d) %% 1000003 / 1000003)", salt) }

// uk is u of row k of the cycle.
func uk(salt int) string { return fmt.Sprintf("(cityHash64(i, k, %d) %% 1000003 / 1000003)", salt) }

// normal is nearly a draw from the standard normal distribution: a sum of four even ones.
func normal(draw func(int) string, salt int) string {
	return fmt.Sprintf("((%s + %s + %s + %s - 2) * 1.732)", draw(salt), draw(salt+1), draw(salt+2),
		draw(salt+3))
}

// cycles is the query of cycles from..to−1 of n: a row each, with what all tables say of it.
func cycles(from, to, n int, startMS, spanMS int64) string {
	return fmt.Sprintf(`SELECT *,
    ['web', 'whatsapp', 'instagram', 'email', 'telegram', 'phone'][1 + (t + toUInt8(4 * pow(%[5]s, 2))) %% 6] AS channel,
    ['en', 'ru', 'pl', 'lv', 'zh'][1 + (t + (%[6]s > 0.8)) %% 5] AS lang,
    ['eu', 'us', 'apac', ''][1 + t %% 4] AS region,
    concat('inbox-', channel) AS inbox,
    'kafka' AS source,
    ['deal', 'request', 'claim'][1 + toUInt8(3 * pow(%[7]s, 1.5))] AS label,
    if(label = 'deal', 'sales', 'support') AS team,
    concat('q-', label) AS queue,
    concat('agent-', toString(t), '-', label, '-', toString(cityHash64(i, 8) %% 6)) AS agent_id,
    if(%[8]s < 0.9, 'A', 'B') AS variant,
    lower(hex(sipHash64(intDiv(i, 3) + cityHash64(i, 9) %% 50))) AS customer_key,
    concat('c-', lower(hex(sipHash64(i - again * (1 + cityHash64(i, 10) %% 5000))))) AS conversation_id,
    concat('6f1cbf6e-5d5c-4a8f-9d42-0a1b2c3d4e5f-', toString(i %% 4), '-', toString(i * 14)) AS cycle_id,
    toUInt32(1 + again) AS cycle,
    if(channel = 'email', 3600, 1) * toInt64(1000 * exp(%[9]s)) AS human_ms,
    toInt64(1000 + 4000 * %[10]s) AS bot_ms,
    has_bot AND %[11]s < 0.35 AS hands_off,
    if(has_bot, hands_off OR %[12]s < 0.3, %[12]s < 0.93) AS has_human,
    if(has_bot AND has_human, greatest(bot_ms, human_ms), human_ms) AS to_human_ms,
    if(has_bot, bot_ms, to_human_ms) AS to_any_ms,
    opened_ms + if(has_human, to_human_ms, bot_ms) + toInt64(1000 * exp(6.5 + 1.6 * %[13]s)) AS closed_ms,
    %[14]s < 0.97 AND closed_ms < %[4]d AS is_closed,
    has_bot OR has_human AS is_answered,
    toDateTime64(opened_ms / 1000, 3, 'UTC') AS opened,
    toDate(opened) AS opened_on
FROM (
    SELECT number AS i,
        %[1]d + intDiv(number * %[2]d, %[3]d) + toInt64(cityHash64(i, 1) %% 60000) AS opened_ms,
        toUInt8(20 * pow(%[15]s, 2)) AS t, concat('tenant-', toString(t)) AS tenant,
        %[16]s < 0.6 AS has_bot,
        %[17]s < 0.08 AS again
    FROM numbers(%[18]d, %[19]d)
)`, startMS, spanMS, n, startMS+spanMS, u(5), u(6), u(7), u(18),
		"5.2 + 1.2 * "+normal(u, 20), u(11), u(12), u(13), normal(u, 24), u(14), u(15), u(16), u(17),
		from, to-from)
}

// instant is milliseconds as a column of instants takes them.
func instant(ms string) string { return "toDateTime64((" + ms + ") / 1000, 3, 'UTC')" }

func date(ms string) string { return "toDate(" + instant(ms) + ")" }

// when is v where it holds, else NULL.
func when(holds, v string) string { return "if(" + holds + ", " + v + ", NULL)" }

func same(names ...string) (out []column) {
	for _, n := range names {
		out = append(out, column{n, n})
	}
	return out
}

// common are the columns that every row has of its cycle; at is when it came.
func common(at string) []column {
	return append(same("tenant", "conversation_id", "channel", "lang", "region", "inbox", "source",
		"customer_key", "team", "queue", "agent_id", "label", "variant", "cycle_id", "cycle"),
		column{"_src_topic_id", "toUUID('6f1cbf6e-5d5c-4a8f-9d42-0a1b2c3d4e5f')"},
		column{"_src_partition", "i % 4"}, column{"_src_offset", "i * 14 + k"},
		column{"_day", date(at)},
		column{"_topic_id", "toUUID('7f1cbf6e-5d5c-4a8f-9d42-0a1b2c3d4e5f')"},
		column{"_partition", "i % 2"}, column{"_offset", "intDiv(i, 50)"}, column{"_sub", "i % 50 * 8 + k"},
		column{"_lease_until", "toDateTime64('2100-01-01 00:00:00', 3, 'UTC')"})
}

// atAndDay are the two columns of an instant that may never come.
func atAndDay(prefix, holds, ms string) []column {
	return []column{
		{prefix + "_at", when(holds, instant(ms))}, {prefix + "_day", when(holds, date(ms))},
	}
}
