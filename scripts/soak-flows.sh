#!/bin/sh
# soak-flows.sh ROUNDS: runs the tests of flows that take `FIREWALL_ROUNDS`, one after the other. With 50 rounds that
# is 10 million forged packets, 5 million questions to a name server, 1,000 reloads, and two CPUs that write the same lines
# for four minutes.
set -eu
cd "$(dirname "$0")/.."
. scripts/env.sh
without_paths

as_builder cargo test --locked --release -p firewall --test in_kernel --no-run
FIREWALL_ROUNDS=$1 exec cargo test --locked --release -p firewall --test in_kernel -- \
    --ignored --nocapture --test-threads 1 flows::spoofed flows::races flows::day
