#!/bin/sh
# setup.sh PURPOSE...: installs the tools that the purposes need and that are missing.
#
#   build  the pinned Rust, the source of its core library, and bpf-linker
#   test   the commands that the tests call
#   bench  the firewalls that `firewall` is compared with, and perf
#   package       cargo-deb, and cargo-about for the licenses
#   package-test  debootstrap and lintian, for a clean Debian system
#   vm     QEMU, and the commands that connect its machines and create their disks
#   lint   clippy, rustfmt and cargo-deny
#   fuzz   a nightly Rust and cargo-fuzz
#   miri   a nightly Rust with Miri, and the source of the standard library, which it interprets
#
# It may be run any number of times. Outside the tree it changes only what rustup and apt-get install,
# and prints that first.
set -eu
cd "$(dirname "$0")/.."
. scripts/env.sh

BPF_LINKER=0.10.3
CARGO_DENY=0.20.2
CARGO_DEB=3.8.0
CARGO_ABOUT=0.9.3

say() {
    echo "setup: $*"
}

# fail WHAT HELP: WHAT is missing, HELP is what to do about it.
fail() {
    echo "setup: $1" >&2
    echo "help: $2" >&2
    exit 1
}

has() {
    command -v "$1" >/dev/null 2>&1
}

# Also where only root looks.
has_for_root() {
    PATH="$PATH:/usr/sbin:/sbin" has "$1"
}

# install_packages COMMAND PACKAGE...: installs Debian packages for the sake of a command.
install_packages() {
    missing=$1
    shift
    has apt-get || fail "the command \`$missing\` is missing" "install it; Debian has it in \`$1\`"
    [ "$(id -u)" = 0 ] ||
        fail "the command \`$missing\` is missing" "run \`sudo apt-get install $*\`"
    say "installing $* with apt-get"
    log=$(mktemp)
    # The lists of packages may be old, or not there yet.
    if apt_install "$@" >"$log" 2>&1 ||
        { apt-get update >>"$log" 2>&1 && apt_install "$@" >>"$log" 2>&1; }; then
        rm -f "$log"
        return
    fi
    tail -n 5 "$log" >&2
    rm -f "$log"
    return 1
}

apt_install() {
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
}

c_compiler() {
    has cc || fail "the C compiler \`cc\` is missing" "run \`apt-get install gcc libc6-dev\` as root"
    echo 'int main(void) { return 0; }' | cc -x c -o /dev/null - 2>/dev/null ||
        fail "the C compiler cannot link a program" "run \`apt-get install gcc libc6-dev\` as root"
}

# The pinned version under its own name, or else under another, or else installed.
rust() {
    if has rustup; then
        is_installed "$toolchain" && return
        for name in $(as_builder rustup toolchain list | sed 's/ .*//'); do
            if [ "$(rust_version "$name")" = "$version" ]; then
                say "using Rust $version, which rustup has as $name"
                use_toolchain "$name"
                return
            fi
        done
        say "installing Rust $version with rustup"
        as_builder rustup toolchain install "$version" --profile minimal --no-self-update ||
            fail "Rust $version could not be installed" "run \`rustup toolchain install $version\`"
        use_toolchain "$version"
    elif ! has cargo; then
        fail "Rust is missing: there is no \`rustup\`" \
            "run \`apt-get install rustup\` as root, or see https://rustup.rs"
    elif [ "$(rust_version any)" != "$version" ]; then
        fail "Rust $version is needed, this is $(rustc --version)" \
            "install rustup: run \`apt-get install rustup\` as root, or see https://rustup.rs"
    fi
}

# Whether rustup has the toolchain; asking a missing one for its version could install it.
is_installed() {
    as_builder rustup toolchain list | grep -q "^$1\(-\| \|\$\)" &&
        [ "$(rust_version "$1")" = "$version" ]
}

# rust_version TOOLCHAIN
rust_version() {
    as_builder env RUSTUP_TOOLCHAIN="$1" rustc --version 2>/dev/null | cut -d' ' -f2
}

use_toolchain() {
    toolchain=$1
    export RUSTUP_TOOLCHAIN="$1"
    echo "$1" | as_builder tee .tools/toolchain >/dev/null
}

# The source of core, from which it is built for BPF; or else a compiler that has it built.
core_for_bpf() {
    sysroot=$(as_builder rustc --print sysroot)
    if [ -e "$sysroot/lib/rustlib/src/rust/library/core/Cargo.toml" ]; then
        rm -f .tools/ebpf-rustc
        return
    fi
    if [ -r .tools/ebpf-rustc ] && [ -x "$(cat .tools/ebpf-rustc)" ]; then
        return
    fi
    say "installing the component rust-src of Rust $version with rustup"
    if has rustup && as_builder rustup component add rust-src --toolchain "$toolchain"; then
        return
    fi
    say "rustup refused; trying Debian's compiler, which has the library built for BPF"
    if install_packages rustc rustc-web libstd-rust-web-dev-bpf; then
        echo /usr/bin/rustc | as_builder tee .tools/ebpf-rustc >/dev/null
        return
    fi
    fail "the component \`rust-src\` of Rust $version is missing" \
        "run \`rustup component add rust-src --toolchain $toolchain\`"
}

# cargo_tool NAME VERSION TIME [ARGUMENT...]: builds a command of that version, unless it is there.
cargo_tool() {
    name=$1 version=$2 time=$3
    shift 3
    found=$(as_builder ".tools/bin/$name" --version 2>/dev/null || :)
    [ "$found" = "$name $version" ] && return
    say "building $name $version into .tools ($time)"
    as_builder cargo install "$name" --version "$version" "$@" --locked --root .tools --quiet ||
        fail "$name $version could not be built" \
            "run \`cargo install $name --version $version${1:+ $*} --locked --root .tools\`"
}

packager() {
    cargo_tool cargo-deb "$CARGO_DEB" "one or two minutes"
    cargo_tool cargo-about "$CARGO_ABOUT" "two to four minutes" --features cli
    # For the dependencies of the package.
    tool dpkg-shlibdeps dpkg-dev
    tool gzip gzip
}

clean_system() {
    tool debootstrap debootstrap
    tool lintian lintian
    tool unshare util-linux
    tool nsenter util-linux
}

# component NAME COMMAND
component() {
    as_builder "$2" --version >/dev/null 2>&1 && return
    say "installing the component $1 of Rust $version with rustup"
    as_builder rustup component add "$1" --toolchain "$toolchain" ||
        fail "the component \`$1\` of Rust $version is missing" \
            "run \`rustup component add $1 --toolchain $toolchain\`"
}

# Only the tests that need root call these, so without root nobody misses them.
test_commands() {
    if [ "$(id -u)" != 0 ]; then
        return
    fi
    # It is there without working where it is a script that looks for that of another kernel.
    bpftool version >/dev/null 2>&1 || install_packages bpftool bpftool ||
        install_packages bpftool linux-tools-common "linux-tools-$(uname -r)" ||
        fail "the command \`bpftool\` is missing" "run \`apt-get install bpftool\` as root"
    while read -r command package <&3; do
        case $command in
        '#'*) ;;
        *) tool "$command" "$package" ;;
        esac
    done 3<scripts/test-tools
    fail2ban
    # It is only run in namespaces of a test, and not made process 1 of this machine.
    [ -x /lib/systemd/systemd ] || install_packages systemd systemd ||
        fail "systemd is missing" "run \`apt-get install systemd\` as root"
}

# tool COMMAND PACKAGE: installs the package unless the command is there.
tool() {
    has_for_root "$1" || install_packages "$1" "$2" ||
        fail "the command \`$1\` is missing" "run \`apt-get install $2\` as root"
    has_for_root "$1" ||
        fail "the command \`$1\` is missing, though \`$2\` is installed" "reinstall \`$2\`"
}

# Debian's package is unpacked and not installed, which would start its service on this machine.
fail2ban() {
    PATH="$PATH:/usr/bin" has python3 || install_packages python3 python3 ||
        fail "the command \`python3\` is missing" "run \`apt-get install python3\` as root"
    has fail2ban-server || [ -x .tools/fail2ban/usr/bin/fail2ban-server ] && return
    has apt-get || fail "fail2ban is missing" "install it; Debian has it in \`fail2ban\`"
    say "unpacking Debian's fail2ban into .tools"
    folder=$(mktemp -d)
    chmod 755 "$folder"
    (cd "$folder" && { apt-get -qq download fail2ban ||
        { apt-get -qq update && apt-get -qq download fail2ban; }; }) >"$folder/log" 2>&1 &&
        dpkg-deb -x "$folder"/fail2ban_*.deb "$folder/fail2ban" &&
        rm -rf .tools/fail2ban && mv "$folder/fail2ban" .tools/fail2ban || {
        tail -n 5 "$folder/log" >&2
        rm -rf "$folder"
        fail "fail2ban could not be had" "run \`apt-get download fail2ban\` to see why"
    }
    rm -rf "$folder"
}

# What is not there is not compared with, so that a machine without it can be measured all the same.
other_firewalls() {
    has apt-get && [ "$(id -u)" = 0 ] || return 0
    for pair in nft:nftables iptables-legacy:iptables ipset:ipset xdp-filter:xdp-tools; do
        has_for_root "${pair%:*}" || install_packages "${pair%:*}" "${pair#*:}" ||
            say "there is no ${pair%:*}; the measurements leave it out"
    done
}

profiler() {
    has perf && return
    has apt-get && [ "$(id -u)" = 0 ] && install_packages perf linux-perf ||
        say "there is no perf; \`bench profile\` needs it"
}

virtual_machines() {
    has qemu-system-x86_64 || install_packages qemu-system-x86_64 qemu-system-x86 ||
        fail "the command \`qemu-system-x86_64\` is missing" \
            "run \`apt-get install qemu-system-x86\` as root"
    has ip || PATH="$PATH:/usr/sbin:/sbin" has ip || install_packages ip iproute2 ||
        fail "the command \`ip\` is missing" "run \`apt-get install iproute2\` as root"
    [ -x /sbin/mke2fs ] || install_packages mke2fs e2fsprogs ||
        fail "the command \`mke2fs\` is missing" "run \`apt-get install e2fsprogs\` as root"
    tool tc iproute2
    tool wg wireguard-tools
    tool bpftool bpftool
    tool setpriv util-linux
    tool strip binutils
}

# Any nightly Rust.
nightly() {
    as_builder rustup toolchain list | grep -q '^nightly' || {
        say "installing a nightly Rust with rustup"
        as_builder rustup toolchain install nightly --profile minimal --no-self-update ||
            fail "a nightly Rust could not be installed" "run \`rustup toolchain install nightly\`"
    }
}

miri() {
    as_builder rustup run nightly cargo miri --version >/dev/null 2>&1 &&
        [ -d "$(as_builder rustup run nightly rustc --print sysroot)/lib/rustlib/src/rust/library" ] &&
        return
    say "installing the components miri and rust-src of the nightly Rust with rustup"
    as_builder rustup component add miri rust-src --toolchain nightly ||
        fail "Miri could not be installed" \
            "run \`rustup component add miri rust-src --toolchain nightly\`"
}

cargo_fuzz() {
    has cargo-fuzz && return
    say "building cargo-fuzz into .tools (one or two minutes)"
    as_builder cargo install cargo-fuzz --locked --root .tools --quiet ||
        fail "cargo-fuzz could not be built" "run \`cargo install cargo-fuzz --locked --root .tools\`"
}

as_builder mkdir -p .tools
for purpose in "$@"; do
    case $purpose in
    build)
        c_compiler
        rust
        core_for_bpf
        cargo_tool bpf-linker "$BPF_LINKER" "one or two minutes"
        ;;
    test)
        test_commands
        ;;
    bench)
        other_firewalls
        profiler
        ;;
    package)
        packager
        ;;
    package-test)
        clean_system
        ;;
    vm)
        virtual_machines
        ;;
    lint)
        component clippy cargo-clippy
        component rustfmt rustfmt
        cargo_tool cargo-deny "$CARGO_DENY" "two to four minutes"
        ;;
    fuzz)
        nightly
        cargo_fuzz
        ;;
    miri)
        nightly
        miri
        ;;
    *)
        fail "there is no purpose \`$purpose\`" "name some of: build test bench package package-test vm lint fuzz miri"
        ;;
    esac
done
say "all that is needed to $(echo "$*" | sed 's/ /, /g') is there"
