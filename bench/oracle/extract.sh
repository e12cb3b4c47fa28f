#!/bin/sh
# What the views of a data directory answer, a line a fact, as oracle.py compares it:
#
#	extract.sh USHER DATA FACTS DECISIONS
set -eu
usher=$1 data=$2 facts=$3 decisions=$4
query() { "$usher" sql --data "$data" --format JSONCompactEachRow "$1"; }

extra() { # what a KPI has beside the form
	case $1 in
	volume) echo "concat(toString(messages_customer), ',', toString(messages_agent), ',', toString(messages_bot))" ;;
	outcome_value) echo "concat(toString(kind), ',', toString(currency))" ;;
	service_level) echo "toString(within_ms)" ;;
	returning) echo "toString(num_30d)" ;;
	repeat_contact) echo "toString(num_24h)" ;;
	*) echo "''" ;;
	esac
}

values="volume first_reply_any first_reply_human first_reply_after_handoff next_reply next_reply_human
requester_wait time_to_first_close time_to_last_close cycle_time human_time handle_time
active_handle_time handoff_wait messages_to_close messages_to_outcome outcome_value"
rates="unanswered missed_messages missed dropped abandoned reopened one_touch escalation routed_to_team
escalation_all resolution_rate bot_share containment disclosure resolved_confirmed resolved_assumed
service_level conversion repeat_contact"
both="reassigned asked_human satisfaction returning"

all=
add() {
	all="$all${all:+ UNION ALL }SELECT '$1' AS kpi, toString(tenant) AS tenant, conversation_id,
toUnixTimestamp64Milli(counted_at) AS counted, toUnixTimestamp64Milli(started_at) AS started,
toString(day) AS day, final, $2, toFloat64(value) AS value, $(extra "$1") AS extra FROM kpi_$1"
}
for k in $values; do add "$k" "CAST(NULL AS Nullable(Int64)) AS num, CAST(NULL AS Nullable(Int64)) AS den"; done
for k in $both; do add "$k" "num, den"; done
for k in $rates; do
	add "$k" "num, den"
	all=$(printf '%s' "$all" | sed "s/toFloat64(value) AS value, \(.*\) FROM kpi_$k\$/CAST(NULL AS Nullable(Float64)) AS value, \1 FROM kpi_$k/")
done
query "SELECT * FROM ($all) SETTINGS output_format_json_quote_64bit_integers = 0" >"$facts"
query "SELECT tenant, conversation_id, trigger_event_id, toUInt8(escalate), toUInt8(acted),
ifNull(toString(route_queue), '') FROM decisions WHERE escalate OR acted" >"$decisions"
