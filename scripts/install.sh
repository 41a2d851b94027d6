#!/bin/sh
# install.sh PREFIX DESTDIR BINARY: installs the command, its unit, documentation, examples and the
# action for fail2ban.
# install.sh --remove PREFIX DESTDIR: removes them; rule files in /etc/firewall stay.
set -eu
cd "$(dirname "$0")/.."

remove=
if [ "$1" = --remove ]; then
    remove=yes
    shift
fi
prefix=$1 root=$2
units=$root$prefix/lib/systemd/system
doc=$root$prefix/share/doc/firewall
actions=$root/etc/fail2ban/action.d

if [ "$remove" ]; then
    rm -f "$root$prefix/sbin/firewall" "$units/firewall.service" "$actions/firewall.conf"
    rm -rf "$doc"
    rmdir "$root/etc/firewall" 2>/dev/null || :
    exit
fi

binary=$3
[ -x "$binary" ] || {
    echo "make install: there is no \`$binary\`" >&2
    echo "help: run \`make build\` first" >&2
    exit 1
}
install -D -m 755 "$binary" "$root$prefix/sbin/firewall"
install -d -m 755 "$units" "$doc/docs" "$root/etc/firewall"
sed "s|/usr/local/sbin/|$prefix/sbin/|" contrib/systemd/firewall.service >"$units/firewall.service"
chmod 644 "$units/firewall.service"
install -m 644 README.md CHANGELOG.md contrib/systemd/notify-reload.conf "$doc"
install -m 644 docs/*.md "$doc/docs"
(cd rules/samples && find . -type f) | while read -r sample; do
    install -D -m 644 "rules/samples/$sample" "$doc/examples/$sample"
done
install -D -m 644 contrib/fail2ban/action.d/firewall.conf "$actions/firewall.conf"
