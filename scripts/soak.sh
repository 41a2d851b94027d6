#!/bin/sh
# soak.sh PACKETS [SEED]: evaluator, user space and kernel on that many random packets, with one
# process for each core, from that seed on. Each says how far it is and its next seed; the least of
# these is where a later run goes on. The output of a process that fails names the seed.
set -eu
cd "$(dirname "$0")/.."
. scripts/env.sh

packets=$1
seed=${2:-0}
cores=$(nproc)
test=differential::evaluator_user_space_and_kernel_agree_on_random_rule_sets
as_builder cargo test --locked --release -p firewall --test in_kernel --no-run
echo "soak: $packets packets on $cores cores from seed $seed"
processes=
core=0
while [ "$core" -lt "$cores" ]; do
    FIREWALL_PACKETS=$(((packets + cores - 1) / cores)) FIREWALL_SEED=$((seed + core)) \
        FIREWALL_STRIDE=$cores \
        cargo test --quiet --locked --release -p firewall --test in_kernel -- --ignored --exact \
        --nocapture "$test" &
    processes="$processes $!"
    core=$((core + 1))
done
# Interrupted, it leaves none behind.
trap 'kill $processes 2>/dev/null; exit 130' INT TERM
status=0
for process in $processes; do
    wait "$process" || status=$?
done
exit "$status"
