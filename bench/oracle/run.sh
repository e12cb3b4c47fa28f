#!/bin/sh
# Holds usher's KPI views to a recount of the raw events that shares no code with usher:
#
#	bench/oracle/run.sh                 generated conversations and four public sets
#	bench/oracle/run.sh generated sgd   some of them
#	CONVERSATIONS=100000 bench/oracle/run.sh generated
#	bench/run.sh oracle bench/oracle/run.sh   and keep the result
#
# Needs go, python3 and the engine's library (make libchdb). The sets come from ../shared/data, or
# USHER_SHARED; one that is not there is left out. Exit code 3: differences.
set -eu
cd "$(dirname "$0")/../.."
shared=${USHER_SHARED:-../shared}
sets=${*:-generated thunderbird irc sgd crosswoz}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
go build -o "$tmp/usher" ./cmd/usher
printf 'privacy: {conversation_ids: keep}\n' >"$tmp/usher.yaml" # so that facts can be told apart

public() { # public NAME FILE ARGUMENT...
	name=$1 file=$shared/data/conversations/$2
	shift 2
	[ -e "$file" ] || { echo "$name: no $file, left out"; return 1; }
	python3 bench/oracle/datasets.py "$file" "$@" >"$tmp/events.jsonl"
}

status=0
for set in $sets; do
	case $set in
	generated)
		go run ./bench/oracle/traffic -conversations "${CONVERSATIONS:-20000}" -seed "${SEED:-1}" \
			-disorder "${DISORDER:-5}" >"$tmp/events.jsonl"
		;;
	thunderbird) public "$set" thunderbird-aaq/events-2023-01..2025-06.jsonl.gz || continue ;;
	irc) public "$set" irc-ubuntu/train.jsonl.gz --shuffle 1 || continue ;;
	sgd) public "$set" sgd/dev.jsonl.gz --times 1 --shuffle 2 || continue ;;
	crosswoz) public "$set" crosswoz/val.jsonl.gz --times 2 --shuffle 3 || continue ;;
	*)
		echo "cannot recount $set: generated, thunderbird, irc, sgd and crosswoz are known" >&2
		exit 2
		;;
	esac
	rm -rf "$tmp/data"
	"$tmp/usher" --config "$tmp/usher.yaml" demo --data "$tmp/data" --input "$tmp/events.jsonl" \
		--exit --json >"$tmp/demo.json" 2>"$tmp/demo.log" || { tail -5 "$tmp/demo.log" >&2; exit 1; }
	bench/oracle/extract.sh "$tmp/usher" "$tmp/data" "$tmp/facts.jsonl" "$tmp/decisions.jsonl"
	python3 bench/oracle/oracle.py "$tmp/events.jsonl" "$tmp/facts.jsonl" --name "$set" \
		--decisions "$tmp/decisions.jsonl" || status=$?
	if [ "$set" = thunderbird ]; then
		"$tmp/usher" sql --data "$tmp/data" --format TSVWithNames "SELECT toStartOfMonth(started_at) AS month,
			count() AS n, quantileExact(0.5)(value) AS p50_ms, quantileExact(0.9)(value) AS p90_ms
			FROM kpi_first_reply_human GROUP BY month ORDER BY month"
		"$tmp/usher" sql --data "$tmp/data" "SELECT sum(num) AS unanswered, sum(den) AS of FROM kpi_unanswered"
	fi
done
exit "$status"
