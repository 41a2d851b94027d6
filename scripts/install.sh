#!/bin/sh
# install.sh PREFIX DESTDIR BINARY: installs the command, its unit, documentation, examples and the
# action for fail2ban.
# install.sh --remove PREFIX DESTDIR: removes them; rule files in /etc/firewall stay.
set -eu
cd "$(dirname "$0")/.."
LC_ALL=C
export LC_ALL

remove=
if [ "$1" = --remove ]; then
    remove=yes
    shift
fi
prefix=$1 root=$2
# What systemd and sed would read as something else than a part of the name.
case $prefix in
/*) ;;
*)
    echo "make install: PREFIX must be an absolute path, not \`$prefix\`" >&2
    exit 2
    ;;
esac
case $prefix in
*[!A-Za-z0-9\ /._+@~,:=-]*)
    echo "make install: PREFIX has a character that does not fit a systemd unit: \`$prefix\`" >&2
    echo "help: use letters, digits, spaces and any of \`/._+@~,:=-\`" >&2
    exit 2
    ;;
esac
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
# Quoted if there is a space, which else ends the name (systemd.syntax(7)).
case $prefix in
*' '*) command="\"$prefix/sbin/firewall\"" ;;
*) command=$prefix/sbin/firewall ;;
esac
sed "s|/usr/local/sbin/firewall|$command|" contrib/systemd/firewall.service >"$units/firewall.service"
chmod 644 "$units/firewall.service"
install -m 644 README.md CHANGELOG.md contrib/systemd/notify-reload.conf "$doc"
install -m 644 docs/*.md "$doc/docs"
(cd rules/samples && find . -type f) | while read -r sample; do
    install -D -m 644 "rules/samples/$sample" "$doc/examples/$sample"
done
install -D -m 644 contrib/fail2ban/action.d/firewall.conf "$actions/firewall.conf"
