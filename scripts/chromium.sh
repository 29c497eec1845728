#!/bin/sh
# Prints the Chromium that the browser tests use. Where there is none it installs Debian's package if it may, else it
# says what to install and fails: a missing browser is no reason to skip a test.
set -eu
for name in "${LOOKALONG_BROWSER:-chromium}" chromium chromium-browser google-chrome google-chrome-stable; do
	if command -v "$name" >/dev/null 2>&1; then
		command -v "$name"
		exit 0
	fi
done
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
	echo "Installing Debian's package chromium for the browser tests…" >&2
	{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; } >&2
	command -v chromium
	exit 0
fi
echo "The browser tests need Chromium and found none. Install Debian's package chromium (or Google Chrome), or name one in LOOKALONG_BROWSER." >&2
exit 1
