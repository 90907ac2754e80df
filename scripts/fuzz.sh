#!/bin/sh
# Runs every fuzzer of the repository in turn, each for FUZZTIME (60s), and stops at the first that finds something: go leaves the
# input below testdata/fuzz of its package, where every later test run tries it again.
#
#   scripts/fuzz.sh [time [name]]
set -eu
cd "$(dirname "$0")/.."
each=${1:-60s}
only=${2:-}

grep -rEno '^func Fuzz[A-Za-z0-9_]+' --include='*_test.go' internal test | sed -E 's/:[0-9]+:func / /' | sort | while read -r file name; do
	case $name in *"$only"*) ;; *) continue ;; esac
	printf '== %s %s for %s\n' "$(dirname "$file")" "$name" "$each"
	out=$(mktemp)
	if ! nice -n 19 go test "./$(dirname "$file")" -run '^$' -fuzz "^$name\$" -fuzztime "$each" -fuzzminimizetime 5s -timeout 24h >"$out" 2>&1; then
		tail -40 "$out"
		# At the end of its time go sometimes takes the deadline itself for a failure: no input was written then.
		grep -q 'context deadline exceeded' "$out" && ! grep -q 'Failing input written' "$out" || exit 1
	fi
	tail -3 "$out"
	rm -f "$out"
done
