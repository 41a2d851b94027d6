#!/bin/sh
# soak.sh PACKETS [SEED]: runs that many random packets through the evaluator, the walker in user
# space and the kernel, and compares the results, with one process per core, starting at that seed.
# Each process prints its progress and its next seed; a later run continues at the smallest of these.
# The output of a process that fails names the seed.
set -eu
cd "$(dirname "$0")/.."
. scripts/env.sh
without_paths

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
# An interrupt stops all processes.
trap 'kill $processes 2>/dev/null; exit 130' INT TERM
status=0
for process in $processes; do
    wait "$process" || status=$?
done
exit "$status"
