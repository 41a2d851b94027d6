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

# licenses MANIFEST: the licenses of its dependencies, from the copies of their source that cargo has.
licenses() {
    as_builder cargo about -L error generate --locked --offline --fail \
        --config contrib/debian/about.toml --manifest-path "$1" contrib/debian/about.hbs
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
    echo
    licenses firewall/Cargo.toml
    licenses firewall-ebpf/Cargo.toml
} >"$out/third-party-licenses"
gzip -9n <"$out/third-party-licenses" >"$doc/third-party-licenses.gz"
cat >"$out/changelog" <<END
firewall ($version-1) unstable; urgency=medium

  * /usr/share/doc/firewall/changelog.gz has the changes.

 -- The firewall authors <firewall@packages.invalid>  $(date -u -R -d "@$SOURCE_DATE_EPOCH")
END
as_builder cargo deb --quiet --locked --offline --no-build --no-strip -p firewall --output "$(pwd)/$out/" >/dev/null
echo "$out/firewall_$version-1_$(dpkg --print-architecture).deb"
