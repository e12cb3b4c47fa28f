#!/bin/sh
# Brings what the browser tests need onto this machine: Chromium by apt, if none is there and this is
# root, and the accessibility checker axe-core by npm, into usher's cache. Prints the checker's path.
# Running it again changes nothing.
set -eu

version=4.14.1
say() { printf '%s\n' "$*" >&2; }

found=
for name in chromium-headless-shell chromium chromium-browser google-chrome; do
	if command -v "$name" >/dev/null 2>&1; then found=$name; fi
done
if [ -z "$found" ] && [ -z "${USHER_CHROMIUM:-}" ]; then
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
		say "cannot install Chromium: not root, or no apt-get; install it, or set USHER_CHROMIUM"
		exit 1
	fi
	export DEBIAN_FRONTEND=noninteractive
	apt-get -qq update >&2
	apt-get -qq install -y --no-install-recommends chromium-headless-shell fonts-dejavu-core >&2 ||
		apt-get -qq install -y --no-install-recommends chromium fonts-dejavu-core >&2
fi

cache=${USHER_CACHE:-${XDG_CACHE_HOME:-${HOME:?set HOME or USHER_CACHE}/.cache}/usher}
script=$cache/axe-core/$version/axe.min.js
if [ ! -f "$script" ]; then
	mkdir -p "$cache/axe-core"
	work=$(mktemp -d "$cache/axe-core/fetch.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	(cd "$work" && npm pack --silent "axe-core@$version" >/dev/null && tar -xzf axe-core-*.tgz)
	mkdir -p "$cache/axe-core/$version"
	mv "$work/package/axe.min.js" "$script"
fi
printf '%s\n' "$script"
