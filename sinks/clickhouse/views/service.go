package views

import (
	"fmt"
	"strings"
)

// serviceWithinMS are the Y of service_level, a row per cycle and Y: service_level.within of the
// configuration, by default 3 and 15 minutes.
const serviceWithinMS = "(SELECT if(count() = 0, [180000, 900000], " +
	"arrayMap(y -> toInt64(y), argMax(values, (valid_from, updated_at)))) " +
	"FROM kpi_settings WHERE name = 'service_level_within_ms')"

// Of service_level: the wait that it holds to Y, and whether that wait ended within Y.
const (
	botAlone = "(bot_replies > 0 AND human_replies = 0 AND escalations = 0 AND handoffs = 0 AND " +
		"NOT escalated_any)"
	servedMS   = "if(" + botAlone + ", first_reply_any_ms, first_reply_human_ms)"
	inTime     = "ifNull(" + servedMS + " <= within_ms, 0)"
	waitedFrom = "assumeNotNull(first_customer_at)"
	dueAt      = waitedFrom + " + toIntervalMillisecond(within_ms)"
	dueOver    = "(closed_at IS NOT NULL OR now64(3, 'UTC') > " + dueAt + " OR " + servedMS +
		" IS NOT NULL)"
)

const shortAbandoned = "(abandoned AND dateDiff('millisecond', opened_at, " +
	"assumeNotNull(coalesce(abandoned_at, judged_at, opened_at))) <= " + shortAbandonMS + ")"

func serviceLevel() KPI {
	return KPI{
		Name: "service_level", Version: 2, Form: Rate, source: source{`(
    SELECT *, arrayJoin(` + serviceWithinMS + `) AS within_ms
    FROM conversations_latest
)`, "voided = ''"},
		where: "offered AND first_customer_at IS NOT NULL AND NOT flowed_out AND NOT " +
			shortAbandoned,
		num: inTime,
		counted: "assumeNotNull(multiIf(" + inTime + ", if(" + botAlone + ", first_reply_any_at, " +
			"first_reply_human_at), " + dueOver + ", " + dueAt + ", first_customer_at))",
		day: "assumeNotNull(if(" + inTime + ", if(" + botAlone + ", first_reply_any_day, " +
			"first_reply_human_day), first_customer_day))",
		started: waitedFrom,
		final: "closed_at IS NOT NULL OR first_reply_human_at IS NOT NULL OR (NOT " + inTime +
			" AND now64(3, 'UTC') > " + dueAt + ")",
		extra: []string{"within_ms"},
		Definition: "Cycles offered, less short abandons and flow-out, whose first human reply (first " +
			"reply where a bot answered and nothing escalated) came within Y: a row per Y, in within_ms.",
		Formula: "num / den where within_ms = Y", Numerator: "cycles answered within Y",
		Denominator: "cycles offered less short abandons and flow-out", Unit: "share",
		Source: "Genesys, Amazon Connect",
		EdgeCases: "an unanswered or later answered cycle counts against it at started_at + Y; a cycle " +
			"without a customer message has nobody waiting and no row; group by within_ms, never sum " +
			"over it; Y and short_abandon are service_level of the configuration, unless set 3 min and " +
			"15 min, 10 s",
		Example: "question 12:00, agent 12:08: 0 / 1 for 3 min, 1 / 1 for 15 min",
		Notes: "A row that counts against it lies in the day its wait began: the tenant's day of " +
			"started_at + Y is not stored.",
	}
}

const (
	// offline are the values of agent_status.status, an open set, that mean nobody is there.
	offline  = "('offline', 'away', 'logged_out', 'invisible')"
	msPerDay = "86400000"
)

// regimes are, per tenant, the spans (from, until, offset in ms) in which its clocks keep their
// distance from UTC. A tenant without a zone of its own has that of `default`, else UTC.
const regimes = `(
    SELECT s.*, if(empty(own.regimes), base.regimes, own.regimes) AS regimes
    FROM %s AS s
    LEFT JOIN (` + zonedTenants + `) AS own ON own.name = s.tenant
    CROSS JOIN (
        SELECT if(count() = 0, [(toInt64(0), toInt64(4102444800000), toInt64(0))], any(t.regimes)) AS regimes
        FROM (` + zonedTenants + `) AS t
        WHERE t.name = 'default'
    ) AS base
)`

const zonedTenants = `SELECT t.name AS name, z.regimes AS regimes
        FROM (
            SELECT name, argMax(zone, (valid_from, updated_at)) AS zone FROM tenants GROUP BY name
        ) AS t
        INNER JOIN (
            SELECT zone, groupArray((toUnixTimestamp64Milli(from_at), toUnixTimestamp64Milli(until_at),
                offset_ms)) AS regimes
            FROM zone_offsets
            WHERE (zone, updated_at) IN (SELECT zone, max(updated_at) FROM zone_offsets GROUP BY zone)
            GROUP BY zone
        ) AS z ON z.zone = t.zone`

// held are the spans that each agent had a conversation assigned with status open. It follows the
// events as handle_ms does: only by them can the time be cut at midnight. Per conversation the fold
// keeps (agent, status, since when both hold, spans, ordinal of the cycle), and cycles that were voided
// fall out by their ordinal; a move is (instant, what, to whom). The order is
// the contract's: by seq where every event has one, else by time and rank.
const held = `SELECT tenant, span.1 AS agent, span.2 AS at, span.3 AS until
    FROM (
        SELECT tenant, conversation_id, _src_topic_id, _src_partition,
            arrayFold((acc, e) -> (
                multiIf(e.2 = 'move' AND acc.2 != 'closed', e.3, ` + opening + `, '', acc.1) AS who,
                multiIf(e.2 = 'close', 'closed',
                    e.2 = 'customer' AND acc.2 IN ('closed', 'pending', 'snoozed'), 'open',
                    e.2 = 'open' AND acc.2 = 'closed', 'open',
                    e.2 = 'status' AND (acc.2 != 'closed' OR e.3 = 'open'), e.3, acc.2) AS status,
                if(who = '' OR status != 'open', 0, if(who = acc.1 AND acc.3 != 0, acc.3, e.1)),
                if(acc.3 != 0 AND (who != acc.1 OR status != 'open'),
                    arrayPushBack(acc.4, (acc.1, acc.3, toNullable(e.1), acc.5)), acc.4),
                acc.5 + toUInt64(` + opening + `)
            ), arrayMap(e -> (e.1, e.2, e.3), arraySort(
                e -> (if(countIf(seq IS NULL) = 0, e.4, 0), e.1, e.5, e.2, e.3),
                groupArray((toUnixTimestamp64Milli(time), what, to, ifNull(seq, 0), place)))),
            ('', 'closed', toInt64(0),
                CAST([] AS Array(Tuple(String, Int64, Nullable(Int64), UInt64))), toUInt64(0))
            ) AS last,
            if(last.3 = 0, last.4, arrayPushBack(last.4, (last.1, last.3, NULL, last.5))) AS spans
        FROM (
            SELECT tenant, conversation_id, _src_topic_id, _src_partition, time, seq,
                multiIf(type IN ('open', 'reopen'), 0, type = 'message', 1, type = 'escalate', 4,
                    type IN ('assign', 'transfer'), 5, type = 'status' AND status != 'closed', 2,
                    type IN ('merge', 'void'), 9, 8) AS place,
                multiIf(type IN ('close', 'resolve', 'merge', 'void') OR
                        type = 'status' AND status = 'closed', 'close',
                    type IN ('open', 'reopen'), 'open', type = 'message', 'customer',
                    type = 'status', 'status', 'move') AS what,
                CAST(if(type = 'status', status, to_agent) AS String) AS to
            FROM events
            WHERE conversation_id != '' AND NOT has(flags, 'duplicate') AND NOT has(flags, 'late')
                AND (type IN ('status', 'close', 'resolve', 'merge', 'void', 'open', 'reopen')
                    OR type IN ('assign', 'transfer', 'escalate') AND
                        (to_agent != '' OR to_team != '' OR to_queue != '' OR to_role != ''
                            OR escalate_queue != '')
                    OR type = 'message' AND actor_kind = 'customer' AND ifNull(public, 1)
                        AND NOT automated)
        )
        GROUP BY tenant, conversation_id, _src_topic_id, _src_partition
    )
    ARRAY JOIN spans AS span
    WHERE (tenant, conversation_id, _src_topic_id, _src_partition, span.4) NOT IN (
        SELECT tenant, conversation_id, _src_topic_id, _src_partition, cycle
        FROM conversations_latest
        WHERE voided != ''
    )`

// opening says that an event of the fold opens a cycle.
const opening = "(acc.2 = 'closed' AND (e.2 IN ('customer', 'open') OR e.2 = 'status' AND e.3 = 'open'))"

// present is, per agent_status, how long it held.
const present = `SELECT tenant, actor_id AS agent, agent_status AS status,
        toUnixTimestamp64Milli(time) AS at,
        toUnixTimestamp64Milli(leadInFrame(toNullable(time)) OVER w) AS until
    FROM events
    WHERE type = 'agent_status' AND NOT has(flags, 'duplicate')
    WINDOW w AS (PARTITION BY tenant, actor_id ORDER BY time, id
        ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)`

// perDay cuts spans at the tenant's midnights; what runs on lasts until now. Within one regime a
// local clock runs evenly, so there the days are cut in local time.
func perDay(spans, pick string) string {
	return `SELECT tenant, agent, intDiv(a, ` + msPerDay + `) + i AS day_number,
        least(b, (day_number + 1) * ` + msPerDay + `) - greatest(a, day_number * ` + msPerDay + `) AS ms
    FROM (
        SELECT tenant, agent, greatest(at, r.1) + r.3 AS a, least(ends, r.2) + r.3 AS b
        FROM ` + fmt.Sprintf(regimes, `(
            SELECT *, ifNull(until, toUnixTimestamp64Milli(now64(3, 'UTC'))) AS ends FROM (`+spans+`)
            WHERE `+pick+` AND ends > at
        )`) + `
        ARRAY JOIN arrayFilter(x -> x.1 < ends AND x.2 > at, regimes) AS r
    )
    ARRAY JOIN range(toUInt64(intDiv(b - 1, ` + msPerDay + `) - intDiv(a, ` + msPerDay + `) + 1)) AS i`
}

// midnight is when a day begins on a tenant's clock: the first instant that shows its date.
func midnight(day string) string {
	return "fromUnixTimestamp64Milli(arrayMin(x -> greatest(x.1, (" + day + ") * " + msPerDay + " - x.3), " +
		"arrayFilter(x -> x.2 + x.3 > (" + day + ") * " + msPerDay + ", regimes)), 'UTC')"
}

// occupancy goes by the events themselves: an agent's day crosses conversations.
func occupancy() KPI {
	empty := ""
	for _, d := range dimensions {
		switch d {
		case "tenant":
		case "agent_id":
			empty += "agent AS agent_id, "
		default:
			empty += "'' AS " + d + ", "
		}
	}
	from := `(
    SELECT tenant, ` + empty + `
        toDate(day_number) AS on_day, online_ms, handling_ms,
        ` + midnight("day_number") + ` AS day_start, ` + midnight("day_number + 1") + ` AS day_end
    FROM ` + fmt.Sprintf(regimes, `(
        SELECT tenant, agent, day_number, sum(online) AS online_ms, sum(handling) AS handling_ms
    FROM (
        SELECT tenant, agent, day_number, ms AS online, 0 AS handling
        FROM (`+perDay(present, "status NOT IN "+offline)+`)
        UNION ALL
        SELECT tenant, agent, day_number, 0, ms
        FROM (`+perDay(held, "1")+`)
    )
    GROUP BY tenant, agent, day_number
    HAVING online_ms > 0
    )`) + `
)`
	return KPI{
		Name: "occupancy", Version: 2, Form: Rate, source: source{from: from},
		needs: []string{"agent_status"}, num: "handling_ms", den: "online_ms",
		counted: "day_end", day: "on_day", started: "day_start",
		final: "now64(3, 'UTC') >= day_end",
		Definition: "Per agent and day of the tenant's zone: time with a conversation assigned and " +
			"open, each conversation counted for itself and clipped to the day, of the time online.",
		Formula: "sum(num) / sum(den)", Numerator: "ms handling, clipped to the day",
		Denominator: "ms online, clipped to the day", Unit: "share",
		Source: "Amazon Connect, Genesys; Rocket.Chat #33080",
		EdgeCases: "num may exceed den: two conversations at once count twice, and what stays assigned " +
			"while the agent is offline counts on; hold, pending and snoozed do not count; what runs on " +
			"lasts until now; a day without time online has no row; a day is 23 or 25 h where clocks change",
		Example: "online 10:00 to 18:00, 2 h assigned: 7200000 / 28800000",
		Notes: "Days are those of the tenant's present zone. Offline is " + strings.Trim(strings.ReplaceAll(offline, "'", ""), "()") +
			"; every other status is online. One row an agent and day, so there are no ids.",
	}
}

func serviceKPIs() []KPI { return []KPI{serviceLevel(), occupancy()} }
