#!/bin/sh
# package.sh BINARY: builds target/package/firewall_VERSION_ARCHITECTURE.deb of the command, and prints its path
# as the last line.
set -eu
cd "$(dirname "$0")/.."
. scripts/env.sh
LC_ALL=C
export LC_ALL

binary=$1
out=target/package
stage=$out/stage
doc=$stage/usr/share/doc/firewall
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
# The same source makes the same package.
if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
    SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || date +%s)
fi
export SOURCE_DATE_EPOCH

# licenses PACKAGE ARGUMENT...: the licenses of its dependencies, from the copies of their source that cargo has.
licenses() {
    folder=$1
    shift
    as_builder cargo about -L error generate --locked --offline --fail --config contrib/debian/about.toml \
        --manifest-path "$folder/Cargo.toml" "$@" contrib/debian/about.hbs
}

# linked PACKAGE ARGUMENT...: the crates that are linked into it, by `NAME vVERSION`; not those of this workspace.
linked() {
    as_builder cargo tree --locked --offline --edges normal --prefix none --format '{p}' --package "$@" |
        sed '/(\//d; s/ (.*//' | sort -u
}

as_builder mkdir -p "$out"
# `cargo about` reads those of other systems, too, before it leaves them out.
as_builder cargo fetch --quiet --locked
rm -rf "$stage"
as_builder scripts/install.sh /usr "$(pwd)/$stage" "$binary"
cat >"$stage/etc/firewall/README" <<'END'
The service brings rules.toml of this folder into force:

    cp /usr/share/doc/firewall/examples/home.toml /etc/firewall/rules.toml   # then edit it: first its interfaces
    firewall check /etc/firewall/rules.toml
    systemctl enable --now firewall

/usr/share/doc/firewall/docs/service.md has more.
END
gzip -9n <CHANGELOG.md >"$doc/changelog.gz"
rm "$doc/CHANGELOG.md"
{
    echo "Licenses of the libraries that are linked into the command and into the programs that it loads into the kernel."
    echo "The standard library of Rust (https://github.com/rust-lang/rust) is under the MIT License or the Apache License 2.0."
    echo
    licenses firewall
    licenses firewall-ebpf --features program
} >"$out/third-party-licenses"
{
    linked firewall
    linked firewall-ebpf --features program
} | while read -r crate number; do
    grep -q "^$crate ${number#v}\( \|\$\)" "$out/third-party-licenses" || {
        echo "package: the license of $crate $number is missing" >&2
        exit 1
    }
done
gzip -9n <"$out/third-party-licenses" >"$doc/third-party-licenses.gz"
cat >"$out/changelog" <<END
firewall ($version-1) unstable; urgency=medium

  * /usr/share/doc/firewall/changelog.gz has the changes.

 -- The firewall authors <firewall@packages.invalid>  $(date -u -R -d "@$SOURCE_DATE_EPOCH")
END
as_builder cargo deb --quiet --locked --offline --no-build --no-strip -p firewall --output "$(pwd)/$out/" >/dev/null
echo "$out/firewall_$version-1_$(dpkg --print-architecture).deb"
