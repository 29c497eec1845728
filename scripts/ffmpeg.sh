#!/bin/sh
# Sees to it that ffmpeg and ffprobe are there, with which the tests of recordings open the files. Where they are not it
# installs Debian's package if it may, else it says what to install and fails.
set -eu
if command -v ffmpeg >/dev/null 2>&1 && command -v ffprobe >/dev/null 2>&1; then
	exit 0
fi
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
	echo "Installing Debian's package ffmpeg for the tests of recordings…" >&2
	{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends ffmpeg; } >&2
	exit 0
fi
echo "The tests of recordings need ffmpeg and ffprobe and found none. Install Debian's package ffmpeg." >&2
exit 1
