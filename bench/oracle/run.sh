#!/bin/sh
# Holds usher's KPI views to a recount of the raw events that shares no code with usher:
#
#	bench/oracle/run.sh                 generated conversations and four public sets
#	bench/oracle/run.sh generated sgd   some of them
#	CONVERSATIONS=100000 bench/oracle/run.sh generated
#	bench/run.sh oracle bench/oracle/run.sh   and keep the result
#
# Needs go, python3 and the engine's library (make libchdb). The sets come from ../shared/data, or
# USHER_SHARED; one that is not there is left out. USHER names another binary. Exit code 3: differences.
set -eu
cd "$(dirname "$0")/../.."
here=bench/oracle
shared=${USHER_SHARED:-../shared}
sets=${*:-generated thunderbird irc sgd crosswoz}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export PYTHONDONTWRITEBYTECODE=1
usher=${USHER:-$tmp/usher}
[ -n "${USHER:-}" ] || go build -o "$usher" ./cmd/usher

public() { # public NAME FILE ARGUMENT...
	name=$1 file=$shared/data/conversations/$2
	shift 2
	[ -e "$file" ] || { echo "$name: no $file, left out"; return 1; }
	python3 $here/datasets.py "$file" "$@" >"$tmp/events.jsonl"
}

status=0
for set in $sets; do
	config=$tmp/usher.json months=
	printf '{"privacy": {"conversation_ids": "keep"}}\n' >"$config" # so that facts can be told apart
	case $set in
	generated)
		config=$here/generated.json
		# Until 3 November 2025: in these two weeks the clocks of Europe and New York go back.
		go run ./bench/oracle/traffic -conversations "${CONVERSATIONS:-20000}" -seed "${SEED:-1}" \
			-end 1762128000000 -disorder "${DISORDER:-5}" >"$tmp/events.jsonl"
		;;
	thunderbird)
		public "$set" thunderbird-aaq/events-2023-01..2025-06.jsonl.gz || continue
		months="--months $tmp/months.jsonl"
		;;
	irc) public "$set" irc-ubuntu/train.jsonl.gz --shuffle 1 || continue ;;
	sgd) public "$set" sgd/dev.jsonl.gz --times 1 --shuffle 2 || continue ;;
	crosswoz) public "$set" crosswoz/val.jsonl.gz --times 2 --shuffle 3 || continue ;;
	*)
		echo "cannot recount $set: generated, thunderbird, irc, sgd and crosswoz are known" >&2
		exit 2
		;;
	esac
	rm -rf "$tmp/data"
	"$usher" --config "$config" demo --data "$tmp/data" --input "$tmp/events.jsonl" \
		--exit --json >"$tmp/demo.json" 2>"$tmp/demo.log" || { tail -5 "$tmp/demo.log" >&2; exit 1; }
	$here/extract.sh "$usher" "$tmp/data" "$tmp" >"$tmp/signed"
	[ ! -s "$tmp/signed" ] || { cat "$tmp/signed"; status=3; }
	# shellcheck disable=SC2086 # months is two words or none
	python3 $here/oracle.py "$tmp/events.jsonl" "$tmp/facts.jsonl" --name "$set" --config "$config" \
		--decisions "$tmp/decisions.jsonl" --daily "$tmp/daily.jsonl" $months || status=$?
	if [ "$set" = thunderbird ]; then
		"$usher" sql --data "$tmp/data" "SELECT sum(num) AS unanswered, sum(den) AS of FROM kpi_unanswered"
	fi
done
exit "$status"
