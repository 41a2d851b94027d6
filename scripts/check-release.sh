#!/bin/sh
# check-release.sh BINARY: what every release is: stripped, small, with the XDP programs and their
# BTF, and without paths of the machine that built it.
set -eu
cd "$(dirname "$0")/.."
. scripts/env.sh
binary=$1
max=16000000

fail() {
    echo "check-release: $1" >&2
    echo "help: $2" >&2
    exit 1
}

size=$(wc -c <"$binary")
[ "$size" -le "$max" ] || fail "\`$binary\` has $size bytes, more than $max" \
    'see what has grown with `cargo bloat` or `nm --size-sort`, built with CARGO_PROFILE_RELEASE_STRIP=none'
sections=$(readelf --section-headers --wide "$binary")
case $sections in
*.symtab* | *.debug_info*) fail "\`$binary\` has symbols or debug information" \
    'see `strip` in `[profile.release]` of Cargo.toml' ;;
esac
LC_ALL=C grep -aqF .BTF.ext "$binary" ||
    fail "\`$binary\` holds no XDP program with BTF" 'see ebpf-build'

# The tree may be in a folder with a name as short as /src: only with what is in it does it count.
{
    for home in "${CARGO_HOME:-}" "${HOME:-/root}/.cargo" "${RUSTUP_HOME:-}" "${HOME:-/root}/.rustup"; do
        [ -z "$home" ] || echo "$home/"
    done
    for entry in *; do
        echo "$(pwd -P)/$entry/"
    done
} >"$binary.paths"
found=$(LC_ALL=C grep -aoF -f "$binary.paths" "$binary" | sort | uniq -c || :)
rm "$binary.paths"
[ -z "$found" ] || fail "\`$binary\` names folders of this machine:
$found" 'build it with `make build`; if it was, see `without_paths` in scripts/env.sh'
echo "check-release: $binary has $size bytes and names no folder of this machine"
