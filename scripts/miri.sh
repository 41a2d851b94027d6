#!/bin/sh
# miri.sh: runs the parser on named, truncated and damaged frames and the walker on images of every
# structure under Miri, and stops at undefined behavior. Rule sets are compiled before, outside Miri.
set -eu
cd "$(dirname "$0")/.."
. scripts/env.sh

walks=${CARGO_TARGET_DIR:-$PWD/target}/walks
as_builder env FIREWALL_WALKS="$walks" cargo test --locked --quiet -p rules --test differential -- \
    --exact interpreted::walks_to_interpret_go_through_every_structure
RUSTUP_TOOLCHAIN=nightly
# The walks are read from a file, and time is measured; Miri's isolation forbids both.
interpret() {
    as_builder env FIREWALL_WALKS="$walks" MIRIFLAGS=-Zmiri-disable-isolation \
        cargo miri test --locked -p rules --test "$1" -- --nocapture "$2"
}
interpret headers agree
interpret headers every_fixture_is_read
interpret differential interpreted::
