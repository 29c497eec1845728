#!/bin/sh
# Runs govulncheck. Where its database can't be reached it says so and goes on: a test run without a network passes.
set -eu
out=$(mktemp)
trap 'rm -f "$out"' EXIT
if go tool govulncheck ./... >"$out" 2>&1; then
	tail -n 1 "$out"
	exit 0
fi
if grep -qE 'fetching vulnerabilities|no such host|dial tcp|connection refused|timeout|Forbidden' "$out"; then
	echo "govulncheck: its database can't be reached; known vulnerabilities were not checked this time."
	exit 0
fi
cat "$out"
exit 1
