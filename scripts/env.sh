# shellcheck shell=sh
# Sourced by the other scripts, from the top of the tree: sets `version` and `toolchain` and, under
# sudo, finds the Rust of the user who called it.

version=$(sed -n 's/^channel *= *"\(.*\)"/\1/p' rust-toolchain.toml)

# Under sudo the tree is built by, and belongs to, the user who called it.
builder=
if [ "$(id -u)" = 0 ] && [ "${SUDO_USER:-root}" != root ]; then
    builder=$SUDO_USER
    builder_home=$(getent passwd "$builder" | cut -d: -f6)
    export CARGO_HOME="${CARGO_HOME:-$builder_home/.cargo}"
    export RUSTUP_HOME="${RUSTUP_HOME:-$builder_home/.rustup}"
fi
PATH="$PWD/.tools/bin:${CARGO_HOME:-${HOME:-/root}/.cargo}/bin:$PATH"
export PATH

# The name that rustup uses for the pinned version: the version itself, unless setup.sh found it under
# another name.
toolchain=$version
if [ -r .tools/toolchain ]; then
    toolchain=$(cat .tools/toolchain)
fi
export RUSTUP_TOOLCHAIN="$toolchain"
# setup.sh decides what is installed, not the first command that needs it.
export RUSTUP_AUTO_INSTALL=0

# Runs a command as the user to whom the tree belongs.
as_builder() {
    if [ -n "$builder" ]; then
        sudo -u "$builder" env HOME="$builder_home" PATH="$PATH" CARGO_HOME="$CARGO_HOME" \
            RUSTUP_HOME="$RUSTUP_HOME" RUSTUP_TOOLCHAIN="$RUSTUP_TOOLCHAIN" \
            RUSTUP_AUTO_INSTALL="$RUSTUP_AUTO_INSTALL" \
            ${CARGO_ENCODED_RUSTFLAGS:+CARGO_ENCODED_RUSTFLAGS="$CARGO_ENCODED_RUSTFLAGS"} "$@"
    else
        "$@"
    fi
}

# Makes what is built from here on name none of the folders of this machine. For release builds
# alone: builds with and without it take turns in replacing each other's files.
without_paths() {
    cargo_home=${CARGO_HOME:-${HOME:-/root}/.cargo}
    sysroot=$(as_builder rustc --print sysroot)
    separator=$(printf '\037')
    CARGO_ENCODED_RUSTFLAGS=
    for flag in ${RUSTFLAGS:-} "--remap-path-prefix=$(pwd -P)=/firewall" \
        "--remap-path-prefix=$cargo_home/registry/src=/cargo" \
        "--remap-path-prefix=$sysroot/lib/rustlib/src/rust=/rust" \
        "--remap-path-prefix=$(realpath "$sysroot")/lib/rustlib/src/rust=/rust"; do
        CARGO_ENCODED_RUSTFLAGS=${CARGO_ENCODED_RUSTFLAGS:+$CARGO_ENCODED_RUSTFLAGS$separator}$flag
    done
    export CARGO_ENCODED_RUSTFLAGS
}
