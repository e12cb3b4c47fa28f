package views

// customersNext adds to each cycle of a known customer the next one that converted, and the next
// one at all, in whatever conversation.
const customersNext = `(
    SELECT *,
        minIf(toNullable(outcome_at), ` + converts + `) OVER later AS next_outcome_at,
        argMinIf(toNullable(outcome_day), outcome_at, ` + converts + `) OVER later AS next_outcome_day
    FROM (
        SELECT * REPLACE (if(` + converts + `, outcome_at, NULL) AS outcome_at)
        FROM conversations_latest
        WHERE voided = '' AND customer_key != ''
    )
    WHERE outcome_at IS NOT NULL
    WINDOW later AS (
        PARTITION BY tenant, customer_key ORDER BY outcome_at, cycle_id
        ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING
    )
)`

func returning() KPI {
	const (
		window = "assumeNotNull(outcome_at) + INTERVAL 90 DAY"
		back   = "ifNull(next_outcome_at <= " + window + ", 0)"
		gapMS  = "dateDiff('millisecond', assumeNotNull(outcome_at), assumeNotNull(next_outcome_at))"
		over   = "now64(3, 'UTC') > " + window
	)
	return KPI{
		Name: "returning", Version: 1, Form: Rate, source: source{from: customersNext}, num: back,
		counted: "assumeNotNull(multiIf(" + back + ", next_outcome_at, " + over + ", " + window +
			", opened_at))",
		day: "assumeNotNull(multiIf(" + back + ", next_outcome_day, " + over +
			", addDays(assumeNotNull(outcome_day), 90), opened_day))",
		started: "opened_at", final: back + " OR " + over,
		value: "if(" + back + ", " + gapMS + " / 86400000, NULL)", float: true,
		extra: []string{
			"CAST(ifNull(next_outcome_at <= assumeNotNull(outcome_at) + INTERVAL 30 DAY, 0) AS " +
				"Nullable(Int64)) AS num_30d",
		},
		Definition: "Cycles with a booking, sale or lead whose customer has another within 90 days; " +
			"value is the days between, num_30d counts 30 days.",
		Formula: "num / den", Numerator: "cycles whose customer came back with another outcome",
		Denominator: "cycles with a booking, sale or lead and a known customer", Unit: "share",
		Source:    "usher",
		EdgeCases: "provisional for 90 days; a cycle without customer_key is left out",
		Example:   "bookings on 1 March and 10 April: 1 / 1, value 40, num_30d 0; the second is open",
		Notes:     "Needs outcome: without it no cycle has one.",
	}
}

// contactsNext adds to each cycle of a known customer when the customer's next cycle opened, in
// whatever conversation and channel.
const contactsNext = `(
    SELECT *,
        leadInFrame(toNullable(opened_at)) OVER w AS next_opened_at,
        leadInFrame(toNullable(opened_day)) OVER w AS next_opened_day,
        leadInFrame(toNullable(channel)) OVER w AS next_channel
    FROM conversations_latest
    WHERE voided = '' AND customer_key != '' AND first_customer_at IS NOT NULL
    WINDOW w AS (
        PARTITION BY tenant, customer_key ORDER BY opened_at, cycle_id
        ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
    )
)`

// repeatContact is reopened across conversations: by customer instead of by conversation id.
func repeatContact() KPI {
	const within24h = "ifNull(next_opened_at <= closed_at + INTERVAL 24 HOUR, 0)"
	k := reopened()
	k.Name, k.source = "repeat_contact", source{from: contactsNext}
	k.extra = []string{
		"CAST(" + within24h + " AS Nullable(Int64)) AS num_24h",
		"ifNull(CAST(next_channel AS Nullable(String)), '') AS next_channel",
	}
	k.Definition = "Closed cycles whose customer came back within 7 days, in any conversation and " +
		"channel; num_24h counts 24 hours."
	k.Numerator = "cycles whose customer wrote again within 7 days"
	k.Denominator = "closed cycles of a known customer"
	k.Source = "usher; FCR by customer"
	k.EdgeCases = "a cycle that opened before the other closed counts as a repeat; a cycle without " +
		"customer_key is left out; provisional for 7 days"
	k.Example = "web chat closed Monday, WhatsApp on Tuesday noon: 1 / 1"
	return k
}

func customerKPIs() []KPI { return []KPI{returning(), repeatContact()} }

// journeys are conversations joined by link and merge, at most three steps from the conversation
// that they lead to; each may lie in another partition. One conversation alone is a journey too.
const journeys = `WITH
    links AS (
        SELECT tenant, conversation_id, argMax(to_conversation, (time, id)) AS target
        FROM events
        WHERE type IN ('link', 'merge') AND to_conversation NOT IN ('', conversation_id)
            AND NOT has(flags, 'duplicate')
        GROUP BY tenant, conversation_id
    ),
    roots AS (
        SELECT a.tenant AS tenant, a.conversation_id AS conversation_id,
            coalesce(nullIf(c.target, ''), nullIf(b.target, ''), a.target) AS root
        FROM links AS a
        LEFT JOIN links AS b ON b.tenant = a.tenant AND b.conversation_id = a.target
        LEFT JOIN links AS c ON c.tenant = b.tenant AND c.conversation_id = b.target
    ),
    member AS (
        SELECT *, if(root != '', root, conversation_id) AS journey_id
        FROM (SELECT * FROM conversations_latest WHERE voided IN ('', 'merge')) AS c
        LEFT JOIN roots AS r USING (tenant, conversation_id)
    )
SELECT tenant, journey_id AS journey,
    argMax(customer_key, (customer_key != '', opened_at)) AS customer_key,
    min(opened_at) AS opened_at,
    argMin(opened_day, opened_at) AS day,
    uniqExact(conversation_id) AS conversations,
    arrayDistinct(arrayMap(x -> x.2, arraySort(groupArray((opened_at, conversation_id))))) AS conversation_ids,
    arrayDistinct(arrayMap(x -> x.2, arraySort(groupArray((opened_at, toString(channel)))))) AS channels,
    count() AS cycles,
    min(first_customer_at) AS asked_at,
    min(first_reply_human_at) AS answered_at,
    if(answered_at IS NULL OR asked_at IS NULL, NULL, greatest(toInt64(0), dateDiff('millisecond',
        assumeNotNull(asked_at), assumeNotNull(answered_at)))) AS first_reply_human_ms,
    sumOrNull(requester_wait_ms) AS requester_wait_ms,
    countIf(closed_at IS NULL) AS still_open,
    max(closed_at) AS last_closed_at,
    argMax(outcome, (outcome_at IS NOT NULL, outcome_at)) AS outcome
FROM member
GROUP BY tenant, journey_id
SETTINGS prefer_column_name_to_alias = 1, join_use_nulls = 0`
