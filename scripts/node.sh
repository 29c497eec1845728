#!/bin/sh
# Installs the page's Node packages as package-lock.json names them, if they are not installed already.
set -eu
cd "$(dirname "$0")/../web"
if ! command -v node >/dev/null 2>&1; then
	echo "Checking and changing the pages needs Node 20 or later and found none. Install it from nodejs.org or your system's packages." >&2
	exit 1
fi
major=$(node -p 'process.versions.node.split(".")[0]')
if [ "$major" -lt 20 ]; then
	echo "Checking and changing the pages needs Node 20 or later; this is $(node --version)." >&2
	exit 1
fi
if ! cmp -s package-lock.json node_modules/.installed-lock.json; then
	npm ci --no-audit --no-fund
	cp package-lock.json node_modules/.installed-lock.json
fi
