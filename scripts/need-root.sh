#!/bin/sh
# need-root.sh TARGET REASON: unless the caller is root, fails with the command to run instead.
set -eu
if [ "$(id -u)" != 0 ]; then
    echo "make $1: $2" >&2
    echo "help: run \`sudo make $1\`" >&2
    exit 1
fi
