#!/bin/sh
# Measures the classifier; results go to bench/results, as bench/README.md says.
#
#	bench/classifier/run.sh MEASUREMENT...
#
#	sets     usher on every public set: accuracy, macro F1, ECE, auto, speed, size
#	across   trained on one client's deal/request/claim, measured on the others'
#	scope    gates against clinc150's out-of-scope messages
#	speed    a message of 54 characters from text to probabilities, 77 and 3 labels
#	peers    beside scikit-learn, fastText and Vowpal Wabbit, on the very same rows; SETS names them
#	         (default: banking77 clinc150)
#
# peers installs from PyPI into a virtual environment in a temporary directory; one that cannot be
# installed is reported as not measured. USHER_SHARED is the directory beside the repository that
# holds data/.
set -eu
cd "$(dirname "$0")/../.."
data=${USHER_SHARED:-../shared}/data # relative: a result names no directory of a machine
sets=${SETS:-"banking77 clinc150"}

if [ "${1:-}" = run-peers ]; then # called below, inside bench/run.sh
	dir=$(mktemp -d)
	trap 'rm -rf "$dir"' EXIT
	go run ./bench/classifier -data "$data" -set "$(echo "$sets" | tr ' ' ',')" -export "$dir"
	python3 -m venv "$dir/venv"
	for package in scikit-learn vowpalwabbit fasttext-wheel; do
		"$dir/venv/bin/pip" install -q --disable-pip-version-check "$package" ||
			echo "cannot install $package: it is not measured"
	done
	"$dir/venv/bin/pip" freeze | tr '\n' ' '
	echo
	# shellcheck disable=SC2086 # several sets are several arguments
	"$dir/venv/bin/python" bench/classifier/peers.py "$dir" $sets
	exit
fi
if [ $# -eq 0 ]; then
	sed -n '2,/^set/s/^# \{0,1\}//p' "$0"
	exit 2
fi
for what in "$@"; do
	case $what in
	sets) bench/run.sh classifier-sets go run ./bench/classifier -data "$data" -set all ;;
	across) bench/run.sh classifier-across go run ./bench/classifier -data "$data" -across ;;
	scope) bench/run.sh classifier-scope go run ./bench/classifier -data "$data" -scope ;;
	speed) bench/run.sh classifier-speed go test ./bench/classifier -run '^$' -bench Message -benchtime 0.5s ;;
	peers) SETS=$sets bench/run.sh classifier-peers bench/classifier/run.sh run-peers ;;
	*)
		echo "there is no measurement $what; call $0 without arguments for a list" >&2
		exit 2
		;;
	esac
done
