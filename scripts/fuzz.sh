#!/bin/sh
# fuzz.sh SECONDS: runs each fuzz target for that long. New inputs are kept in fuzz/corpus, crashes in
# fuzz/artifacts, with the command that runs one again.
set -eu
cd "$(dirname "$0")/.."
. scripts/env.sh
RUSTUP_TOOLCHAIN=nightly
seconds=$1
status=0
for target in $(as_builder cargo fuzz list); do
    echo "fuzz: $target for $seconds seconds"
    # Long enough for a rule file of several rules, or a frame of several headers.
    corpus=fuzz/corpus/$target
    as_builder mkdir -p "$corpus"
    set -- "$corpus"
    if [ -d "fuzz/seeds/$target" ]; then
        set -- "$corpus" "fuzz/seeds/$target"
    fi
    as_builder cargo fuzz run "$target" "$@" -- -max_total_time="$seconds" -max_len=4096 -print_final_stats=1 ||
        status=$?
done
exit "$status"
