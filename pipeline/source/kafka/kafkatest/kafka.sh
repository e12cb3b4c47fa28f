#!/usr/bin/env bash
# Starts a real Apache Kafka for tests: one combined KRaft node on free loopback ports, its class
# path resolved by Maven (pom.xml beside this file). Needs Java 17 or later, and Maven the first
# time. Whoever only wants an address sets USHER_TEST_KAFKA and never calls this.
#
#   kafka.sh run -- COMMAND…   starts a broker, runs COMMAND with USHER_TEST_KAFKA set, stops it
#   kafka.sh start DIR         starts a broker that keeps its data, log and pid in DIR; prints host:port
#   kafka.sh stop DIR          stops the broker of DIR (SIGTERM, after 30 s SIGKILL); the data stays
#   kafka.sh classpath         prints the class path
#
# A second start on the same DIR goes on with the same data and the same port.
#
# USHER_TEST_KAFKA_PROXY=PORT,PROXY gives the broker a second listener on PORT whose clients are sent
# to PROXY: what stands there and forwards to PORT sees all their traffic, and may disturb it.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${USHER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/usher}/kafka
heap=${USHER_TEST_KAFKA_HEAP:-1g}
start_timeout_s=${USHER_TEST_KAFKA_START_S:-90}
# These brokers live for minutes: the quick compiler and the simple collector halve what a start costs.
quick=(-XX:TieredStopAtLevel=1 -XX:+UseSerialGC)
proxy=${USHER_TEST_KAFKA_PROXY:-}

fail() { echo "kafka.sh: $*" >&2; exit 1; }

# classpath prints one line. It is kept per content of pom.xml, and resolved again when a jar that
# it names has gone (the Maven repository was cleaned).
classpath() {
  local sum file jar
  sum=$(cksum <"$here/pom.xml" | tr ' ' -)
  file=$cache/classpath-$sum
  if [[ -s $file ]]; then
    local whole=1
    while IFS= read -r -d: jar; do [[ -f $jar ]] || whole=0; done < <(tr -d '\n' <"$file"; printf ':')
    if (( whole )); then cat "$file"; return; fi
  fi
  command -v mvn >/dev/null || fail "cannot resolve Apache Kafka: install Maven (mvn), or set USHER_TEST_KAFKA to a broker of yours"
  mkdir -p "$cache"
  echo "kafka.sh: resolving Apache Kafka with Maven (once)" >&2
  mvn -B -q -f "$here/pom.xml" dependency:build-classpath \
    -Dmdep.outputFile="$file.$$" >"$cache/maven.log" 2>&1 ||
    { tail -n 20 "$cache/maven.log" >&2; fail "cannot resolve Apache Kafka with Maven: see $cache/maven.log"; }
  mv "$file.$$" "$file"
  cat "$file"
}

# answers reports whether something listens on loopback port $1.
answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# free_port prints a port below the range that systems give to outgoing connections.
free_port() {
  local port
  for _ in {1..100}; do
    port=$((20000 + (RANDOM << 15 | RANDOM) % 12000))
    answers "$port" || { echo "$port"; return; }
  done
  fail "cannot find a free port between 20000 and 32000"
}

# alive reports whether the pid in file $1 is a running Kafka, and no other process that got its pid.
alive() {
  local pid
  pid=$(cat "$1" 2>/dev/null) && [[ -n $pid ]] && kill -0 "$pid" 2>/dev/null &&
    { [[ ! -r /proc/$pid/cmdline ]] || tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q 'kafka\.Kafka'; }
}

write_config() {
  local dir=$1 port=$2 controller=$3 through='' advertised=''
  if [[ -n $proxy ]]; then
    through=PROXIED://127.0.0.1:${proxy%,*},
    advertised=PROXIED://127.0.0.1:${proxy#*,},
  fi
  cat >"$dir/server.properties" <<CONFIG
process.roles=broker,controller
node.id=1
listeners=${through}PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
advertised.listeners=${advertised}PLAINTEXT://127.0.0.1:$port
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=127.0.0.1:$controller
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=$dir/log
num.partitions=4
auto.create.topics.enable=false
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
log.cleaner.dedupe.buffer.size=16777216
CONFIG
}

# launch starts one node and waits until it says so; 1 when it ended first (a port was taken).
launch() {
  local dir=$1 port=$2 pid waited=0
  : >"$dir/kafka.log"
  # A session of its own: Ctrl-C reaches whoever runs the tests, and they stop the broker in order.
  $(command -v setsid) java "${quick[@]}" "-Xmx$heap" -cp "$(classpath)" \
    -Dorg.slf4j.simpleLogger.showDateTime=true \
    -Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS \
    kafka.Kafka "$dir/server.properties" >"$dir/kafka.log" 2>&1 </dev/null &
  pid=$!
  echo "$pid" >"$dir/pid"
  until grep -q 'Kafka Server started' "$dir/kafka.log" && answers "$port"; do
    kill -0 "$pid" 2>/dev/null || return 1
    (( waited++ < start_timeout_s * 5 )) ||
      { kill -9 "$pid"; tail -n 20 "$dir/kafka.log" >&2; fail "Apache Kafka did not answer within $start_timeout_s s: see $dir/kafka.log"; }
    sleep 0.2
  done
}

start() {
  local dir=$1 port try
  command -v java >/dev/null || fail "cannot start Apache Kafka: install Java 17 or later"
  mkdir -p "$dir"
  dir=$(cd "$dir" && pwd)
  ! alive "$dir/pid" || fail "cannot start in $dir: its broker runs already, stop it first"
  classpath >/dev/null
  for try in 1 2 3; do
    if [[ ! -s $dir/server.properties ]]; then
      port=$(free_port)
      write_config "$dir" "$port" "$(free_port)"
    fi
    port=$(sed -n 's|^advertised.listeners=.*:||p' "$dir/server.properties")
    # Once: a JVM more takes longer to start than the broker takes to recover.
    [[ -s $dir/log/meta.properties ]] ||
    java "${quick[@]}" -cp "$(classpath)" kafka.tools.StorageTool format --config "$dir/server.properties" \
      --cluster-id usherTestBedAAAAAAAAAA --standalone --ignore-formatted >"$dir/format.log" 2>&1 ||
      { cat "$dir/format.log" >&2; fail "cannot format the storage of $dir"; }
    if launch "$dir" "$port"; then
      touch "$dir/used"
      echo "127.0.0.1:$port"
      return
    fi
    # New ports only for a store that was never used: clients of an older one know its address.
    [[ ! -e $dir/used ]] && grep -q 'Address already in use' "$dir/kafka.log" || break
    rm -rf "$dir/server.properties" "$dir/log"
  done
  tail -n 20 "$dir/kafka.log" >&2
  fail "cannot start Apache Kafka: see $dir/kafka.log"
}

stop() {
  local dir=$1 pid waited=0
  alive "$dir/pid" || { rm -f "$dir/pid"; return 0; }
  pid=$(cat "$dir/pid")
  kill -TERM "$pid"
  while alive "$dir/pid"; do
    if (( waited++ == 300 )); then kill -9 "$pid"; fi
    sleep 0.1
  done
  rm -f "$dir/pid"
}

run() {
  local dir address status=0
  dir=$(mktemp -d "${TMPDIR:-/tmp}/usher-kafka.XXXXXX")
  # shellcheck disable=SC2064  # the directory is wanted as it is now
  trap "stop '$dir'; rm -rf '$dir'" EXIT
  trap 'exit 130' INT TERM
  address=$(start "$dir")
  USHER_TEST_KAFKA=$address "$@" || status=$?
  return "$status"
}

case ${1:-} in
  run) shift; [[ ${1:-} == -- ]] && shift; (( $# )) || fail "run needs a command"; run "$@" ;;
  start) [[ -n ${2:-} ]] || fail "start needs a directory"; start "$2" ;;
  stop) [[ -n ${2:-} ]] || fail "stop needs a directory"; stop "$2" ;;
  classpath) classpath ;;
  *) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit 2 ;;
esac
