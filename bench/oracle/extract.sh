#!/bin/sh
# What the views of a data directory answer, a line a fact, as oracle.py compares it:
#
#	extract.sh USHER DATA DIRECTORY
#
# writes facts.jsonl, decisions.jsonl, daily.jsonl and months.jsonl into DIRECTORY, and says when the
# signed tables do not sum up to their _latest views.
set -eu
usher=$1 data=$2 out=$3
query() { "$usher" sql --data "$data" --format JSONCompactEachRow "$1"; }
whole="SETTINGS output_format_json_quote_64bit_integers = 0"

extra() { # what a KPI has beside the form
	case $1 in
	volume) echo "concat(toString(messages_customer), ',', toString(messages_agent), ',', toString(messages_bot))" ;;
	outcome_value) echo "concat(toString(kind), ',', toString(currency))" ;;
	service_level) echo "toString(within_ms)" ;;
	returning) echo "toString(num_30d)" ;;
	repeat_contact) echo "toString(num_24h)" ;;
	decision_bands) echo "toString(band)" ;;
	top3_hit) echo "concat(toString(band), ',', true_label)" ;;
	savings) echo "toString(currency)" ;;
	sla) echo "concat(toString(tenant), ',', toString(policy), ',', toString(metric), ',', toString(clock), ',', toString(target_ms))" ;;
	*) echo "''" ;;
	esac
}

# Not here: corrections, of which a recount knows nothing, because it corrects nothing.
values="volume first_reply_any first_reply_human first_reply_after_handoff next_reply next_reply_human
requester_wait time_to_first_close time_to_last_close cycle_time human_time handle_time
active_handle_time handoff_wait messages_to_close messages_to_outcome outcome_value triage_minutes savings
split_conversations first_reply_any_business first_reply_human_business first_reply_after_handoff_business
next_reply_business next_reply_human_business requester_wait_business handoff_wait_business"
rates="unanswered missed_messages missed dropped abandoned reopened one_touch escalation routed_to_team
escalation_all resolution_rate bot_share containment disclosure resolved_confirmed resolved_assumed
service_level conversion repeat_contact out_of_hours auto_precision top3_hit duplicates sla"
both="reassigned asked_human satisfaction returning decision_bands"

all=
add() { # add KPI NUMBERS VALUE
	all="$all${all:+ UNION ALL }SELECT '$1' AS kpi, toString(tenant) AS tenant, conversation_id,
toUnixTimestamp64Milli(counted_at) AS counted, toUnixTimestamp64Milli(started_at) AS started,
toString(day) AS day, final, $2, $3 AS value, $(extra "$1") AS extra FROM kpi_$1"
}
none="CAST(NULL AS Nullable(Float64))"
for k in $values; do
	add "$k" "CAST(NULL AS Nullable(Int64)) AS num, CAST(NULL AS Nullable(Int64)) AS den" "toFloat64(value)"
done
for k in $both; do add "$k" "num, den" "toFloat64(value)"; done
for k in $rates; do add "$k" "num, den" "$none"; done
# An agent's day has no conversation: the agent stands in its place.
all="$all UNION ALL SELECT 'occupancy', toString(tenant), toString(agent_id), 0, 0, toString(day), final,
num, den, $none, '' FROM kpi_occupancy"
query "SELECT * FROM ($all) $whole" >"$out/facts.jsonl"
query "SELECT tenant, conversation_id, trigger_event_id, id, toUInt8(escalate), toUInt8(acted),
ifNull(toString(route_queue), ''), ifNull(toString(route_role), ''), toString(band), score,
label, suggestions_id, ifNull(toString(model_name), ''), ifNull(toString(rule_id), '') FROM decisions $whole" >"$out/decisions.jsonl"
query "SELECT formatDateTime(started_at, '%Y-%m') AS month, count(), quantileExact(0.5)(value),
quantileExact(0.9)(value) FROM kpi_first_reply_human GROUP BY month ORDER BY month $whole" >"$out/months.jsonl"

all=
for k in $(query "SELECT replaceRegexpOne(name, '^kpi_(.*)_daily\$', '\\\\1') FROM system.tables
WHERE database = 'usher' AND match(name, '^kpi_.*_daily\$')" | tr -d '[]"'); do
	all="$all${all:+ UNION ALL }SELECT '$k' AS kpi, toString(tenant) AS tenant, toString(day) AS day,
final, sum(n) AS n, sum(num) AS nums, sum(den) AS dens, toFloat64(sum(sum)) AS total FROM kpi_${k}_daily
GROUP BY tenant, day, final"
done
query "SELECT * FROM ($all) $whole" >"$out/daily.jsonl"

for t in turns turns_human escalations sla_events; do
	wait=$([ "$t" = turns ] || [ "$t" = turns_human ] && echo wait_ms || echo 0)
	query "SELECT '$t', sum(sign), sum(sign * $wait), (SELECT count() FROM ${t}_latest) AS facts,
(SELECT sum($wait) FROM ${t}_latest) AS waited FROM $t HAVING sum(sign) != facts OR
sum(sign * $wait) != waited $whole"
done | sed 's/^/the signed sums are not those of the facts: /'
