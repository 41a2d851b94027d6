#!/bin/sh
# Runs the tests of the workspace; as root, also those marked `#[ignore = "needs root"]`. The exit
# status is that of cargo.
set -eu
cd "$(dirname "$0")/.."
. scripts/env.sh

if [ "$(id -u)" = 0 ]; then
    # Built by the user to whom the tree belongs, run by root.
    as_builder cargo test --locked --workspace --no-run
    exec cargo test --locked --workspace --no-fail-fast -- --include-ignored
fi
status=0
cargo test --locked --workspace --no-fail-fast || status=$?
echo "make test: the tests that need root were left out; \`sudo make test\` runs them too" >&2
exit $status
