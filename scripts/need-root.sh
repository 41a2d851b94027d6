#!/bin/sh
# need-root.sh TARGET REASON: fails, and says what to do, unless the caller is root.
set -eu
if [ "$(id -u)" != 0 ]; then
    echo "make $1: $2" >&2
    echo "help: run \`sudo make $1\`" >&2
    exit 1
fi
