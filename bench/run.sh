#!/bin/sh
# Runs a command and keeps its output with all that is needed to judge it later:
#
#	bench/run.sh NAME COMMAND [ARGUMENT…]
#
# writes bench/results/DATE-NAME.txt (and shows it). NAME is a few words joined by dashes.
set -eu

if [ $# -lt 2 ]; then
	echo "usage: bench/run.sh NAME COMMAND [ARGUMENT...]" >&2
	exit 2
fi
case $1 in
*[!a-z0-9-]*)
	echo "cannot use the name $1: only a-z, 0-9 and - make a file name" >&2
	exit 2
	;;
esac
name=$1
shift
cd "$(dirname "$0")/.."

commit=$(git rev-parse --short=12 HEAD)
if ! git diff --quiet HEAD --; then
	commit="$commit with changes that are not committed"
fi
fact() { # fact FILE KEY: the first value of "KEY : value"
	sed -n "s/^$2[[:space:]]*:[[:space:]]*//p" "$1" 2>/dev/null | head -n 1
}
out=bench/results/$(date -u +%Y-%m-%d)-$name.txt
status=$(mktemp)
trap 'rm -f "$status"' EXIT
{
	echo "date:    $(date -u +%Y-%m-%dT%H:%M:%SZ)"
	echo "commit:  $commit"
	echo "command: $*"
	echo "go:      $(go env GOVERSION) $(go env GOOS)/$(go env GOARCH)"
	echo "kernel:  $(uname -sr)"
	echo "cpu:     $(fact /proc/cpuinfo 'model name'), $(getconf _NPROCESSORS_ONLN) cores"
	echo "memory:  $(fact /proc/meminfo MemTotal)"
	echo "load:    $(cut -d ' ' -f 1-3 /proc/loadavg 2>/dev/null || echo unknown) before the run"
	echo
	# The shell's own times hold the user and system seconds of what it waited for.
	set +e
	"$@" 2>&1
	echo $? >"$status"
	set -e
	echo
	echo "exit:    $(cat "$status")"
	echo "cpu time of the shell, then of its children (user, system):"
	times
} | tee "$out"
exit "$(cat "$status")"
