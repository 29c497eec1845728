#!/bin/sh
# Prints the Firefox that the browser tests use; they also need Xvfb, a screen to capture. What is missing is installed
# from Debian's packages if that may be, else it says what to install and fails: no reason to skip a test.
set -eu
find_firefox() {
	for name in "${LOOKALONG_FIREFOX:-firefox}" firefox firefox-esr; do
		if command -v "$name" >/dev/null 2>&1; then
			command -v "$name"
			return
		fi
	done
}
missing() { [ -z "$(find_firefox)" ] || ! command -v Xvfb >/dev/null 2>&1; }
if missing && command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
	echo "Installing Debian's packages firefox-esr and xvfb for the browser tests…" >&2
	{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends firefox-esr xvfb; } >&2
fi
if missing; then
	echo "The browser tests need Firefox 130 or later and Xvfb, and did not find both. Install Debian's packages firefox-esr and xvfb, or name a Firefox in LOOKALONG_FIREFOX." >&2
	exit 1
fi
find_firefox
