#!/bin/sh
# Measures how soon breaches are told: on the embedded broker and engine, or on Apache Kafka.
#
#	bench/sla/run.sh embedded [N]
#	bench/sla/run.sh kafka [N]     starts a Kafka (Java 17, Maven once)
set -eu
kind=${1:-embedded} n=${2:-40}
cd "$(dirname "$0")/../.."
if [ "$kind" = kafka ] && [ -z "${USHER_TEST_KAFKA:-}" ]; then
	exec pipeline/source/kafka/kafkatest/kafka.sh run -- "$0" kafka "$n"
fi
dir=$(mktemp -d)
pids=
trap 'kill $pids 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$dir"' EXIT
go build -trimpath -o "$dir/usher" ./cmd/usher
go build -trimpath -o "$dir/sla" ./bench/sla
cat >"$dir/usher.yaml" <<YAML
sla:
  - {name: bench, when: {channel: [sla-bench]}, first_reply: 5s, clock: wall}
admin: {addr: "127.0.0.1:18713"}
topics: {create: true}
YAML
"$dir/usher" --config "$dir/usher.yaml" demo --data "$dir/data" --conversations 20 >"$dir/demo.log" 2>&1 &
pids=$!
until grep -q "Still running" "$dir/demo.log"; do
	kill -0 $pids || { cat "$dir/demo.log"; exit 1; }
	sleep 1
done
brokers=$(sed -n 's/^Still running: Kafka at \([^ ]*\) .*/\1/p' "$dir/demo.log")
clickhouse=$(sed -n 's/.*ClickHouse at http:\/\/\([0-9.:]*[0-9]\).*/\1/p' "$dir/demo.log")
if [ "$kind" = kafka ]; then
	brokers=$USHER_TEST_KAFKA
	export USHER_KAFKA_BROKERS="$brokers" USHER_CLICKHOUSE_ADDR="$clickhouse" USHER_ADMIN_ADDR=127.0.0.1:18714
	export USHER_PRIVACY_KEY="a key of the benchmark, long enough"
	"$dir/usher" --config "$dir/usher.yaml" topics --apply --replication 1 >"$dir/run.log" 2>&1
	"$dir/usher" --config "$dir/usher.yaml" run >>"$dir/run.log" 2>&1 &
	pids="$pids $!"
fi
"$dir/sla" -brokers "$brokers" -clickhouse "$clickhouse" -n "$n" || {
	for log in "$dir"/*.log; do tail -n 30 "$log"; done
	exit 1
}
