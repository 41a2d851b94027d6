#!/bin/sh
# fuzz.sh SECONDS: runs each fuzz target for that long. What it learns is kept in fuzz/corpus, what
# it finds in fuzz/artifacts, with the command that runs it again.
set -eu
cd "$(dirname "$0")/.."
. scripts/env.sh
RUSTUP_TOOLCHAIN=nightly
status=0
for target in $(as_builder cargo fuzz list); do
    echo "fuzz: $target for $1 seconds"
    # The longest input is a rule file of some length, or a frame of some headers.
    as_builder cargo fuzz run "$target" -- -max_total_time="$1" -max_len=4096 -print_final_stats=1 ||
        status=$?
done
exit "$status"
