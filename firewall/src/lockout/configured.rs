//! What this machine is configured for, from the files of its services: name servers, time servers,
//! DHCP and the membership in multicast groups.

use std::{
    collections::BTreeSet,
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
};

use rules::field::InterfacePattern;

/// The name servers that are not on this machine.
pub(super) fn name_servers() -> Vec<IpAddr> {
    // The list of systemd-resolved, which listens on this machine.
    let files = ["/run/systemd/resolve/resolv.conf", "/etc/resolv.conf"];
    let texts = files.iter().filter_map(|file| read(Path::new(file)));
    let mut servers: Vec<IpAddr> = texts
        .flat_map(|text| addresses_after(&text, &["nameserver"]))
        .collect();
    keep_foreign(&mut servers);
    servers
}

/// The time servers that are configured by their addresses, each with the port to which it answers:
/// `None` for one of those that Linux gives to its own connections.
pub(super) fn time_servers() -> Vec<(IpAddr, Option<u16>)> {
    const NTP: u16 = 123;
    let mut found = Vec::new();
    for (file, port) in [
        ("/etc/chrony/chrony.conf", None),
        ("/etc/chrony.conf", None),
        ("/etc/ntpsec/ntp.conf", Some(NTP)),
        ("/etc/ntp.conf", Some(NTP)),
    ] {
        let text = read(Path::new(file)).unwrap_or_default();
        let mut servers = addresses_after(&text, &["server", "peer", "pool"]);
        keep_foreign(&mut servers);
        found.extend(servers.into_iter().map(|server| (server, port)));
    }
    let text = read(Path::new("/etc/systemd/timesyncd.conf")).unwrap_or_default();
    let values = values(&text, "Time", "NTP").into_iter();
    let words = values.flat_map(str::split_ascii_whitespace);
    let mut servers = words.filter_map(|word| word.parse().ok()).collect();
    keep_foreign(&mut servers);
    found.extend(servers.into_iter().map(|server| (server, None)));
    found
}

/// What says which interfaces get their IPv4 addresses from DHCP: files of systemd-networkd, ifupdown
/// and NetworkManager, and clients that run.
#[derive(Debug, Default)]
pub(super) struct DhcpClients {
    networkd: Vec<String>,
    ifupdown: Vec<String>,
    manager: Vec<String>,
    /// The words of the command lines of clients.
    words: BTreeSet<String>,
}

impl DhcpClients {
    pub(super) fn read() -> Self {
        let texts = |folders: &[&str], extension: &str| -> Vec<String> {
            let files = folders.iter().flat_map(|folder| files(folder, extension));
            files.filter_map(|file| read(&file)).collect()
        };
        let mut ifupdown = texts(&["/etc/network/interfaces.d"], "");
        ifupdown.extend(read(Path::new("/etc/network/interfaces")));
        let manager = [
            "/etc/NetworkManager/system-connections",
            "/run/NetworkManager/system-connections",
        ];
        Self {
            networkd: texts(&["/etc/systemd/network", "/run/systemd/network"], "network"),
            ifupdown,
            manager: texts(&manager, "nmconnection"),
            words: words_of_clients(),
        }
    }

    /// Whether an interface is configured by DHCP.
    pub(super) fn serve(&self, name: &str) -> bool {
        self.networkd
            .iter()
            .any(|text| networkd_uses_dhcp(text, name))
            || self
                .ifupdown
                .iter()
                .any(|text| ifupdown_uses_dhcp(text, name))
            || self
                .manager
                .iter()
                .any(|text| manager_uses_dhcp(text, name))
            || self.words.contains(name)
    }
}

/// The names of the interfaces that are members of IPv4 multicast groups, but for that of all hosts.
pub(super) fn in_groups() -> BTreeSet<String> {
    read(Path::new("/proc/net/igmp")).map_or_else(BTreeSet::new, |text| in_groups_of(&text))
}

/// Each interface has a line with its name, and below it a line for each group, in the order of the
/// machine's bytes (`igmp_mc_seq_show`, `net/ipv4/igmp.c`).
fn in_groups_of(text: &str) -> BTreeSet<String> {
    let all_hosts = format!("{:08X}", u32::from_ne_bytes([224, 0, 0, 1]));
    let mut names = BTreeSet::new();
    let mut name = "";
    for line in text.lines().skip(1) {
        let mut words = line.split_ascii_whitespace();
        if !line.starts_with(char::is_whitespace) {
            name = words.nth(1).unwrap_or_default().trim_end_matches(':');
        } else if words.next().is_some_and(|group| group != all_hosts) {
            names.insert(name.to_owned());
        }
    }
    names
}

/// The addresses that follow one of the keys, a line each.
fn addresses_after(text: &str, keys: &[&str]) -> Vec<IpAddr> {
    let address = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let key = words.next()?;
        // The scope of a link-local address is the interface, which its route tells.
        let address = words.next()?.split('%').next()?;
        keys.contains(&key).then(|| address.parse().ok())?
    };
    text.lines().filter_map(address).collect()
}

fn keep_foreign(servers: &mut Vec<IpAddr>) {
    servers.retain(|server| !server.is_loopback() && !server.is_unspecified());
    servers.sort_unstable();
    servers.dedup();
}

fn networkd_uses_dhcp(text: &str, name: &str) -> bool {
    let is_for_it = values(text, "Match", "Name").iter().any(|names| {
        let mut names = names.split_ascii_whitespace();
        names.any(|glob| InterfacePattern::parse(glob).is_some_and(|glob| glob.matches(name)))
    });
    let dhcp = values(text, "Network", "DHCP");
    // Each value replaces those before it.
    is_for_it && matches!(dhcp.last(), Some(&("yes" | "true" | "ipv4" | "both")))
}

fn manager_uses_dhcp(text: &str, name: &str) -> bool {
    values(text, "connection", "interface-name").contains(&name)
        && values(text, "ipv4", "method").contains(&"auto")
}

/// `iface NAME inet dhcp` (interfaces(5)).
fn ifupdown_uses_dhcp(text: &str, name: &str) -> bool {
    text.lines().any(|line| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        words == ["iface", name, "inet", "dhcp"]
    })
}

/// The words of the command lines of DHCP clients, of which one may name an interface.
fn words_of_clients() -> BTreeSet<String> {
    const CLIENTS: [&str; 3] = ["dhclient", "dhcpcd", "udhcpc"];
    let processes = procfs::process::all_processes().into_iter().flatten();
    let clients = processes.filter_map(Result::ok).filter(|process| {
        let stat = process.stat();
        stat.is_ok_and(|stat| CLIENTS.contains(&stat.comm.as_str()))
    });
    clients
        .filter_map(|client| client.cmdline().ok())
        .flatten()
        .collect()
}

/// The values of a key in a section of a file with `[Section]` and `Key=Value`, in order.
fn values<'t>(text: &'t str, section: &str, key: &str) -> Vec<&'t str> {
    let mut is_in_section = false;
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[') {
            is_in_section = name.trim_end_matches(']') == section;
        } else if let (true, Some((name, value))) = (is_in_section, line.split_once('='))
            && name.trim() == key
        {
            found.push(value.trim());
        }
    }
    found
}

/// The files of a folder with this extension; all for an empty one.
fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut paths: Vec<PathBuf> = paths
        .filter(|path| {
            extension.is_empty() || path.extension().is_some_and(|found| found == extension)
        })
        .collect();
    paths.sort();
    paths
}

/// The text of a file; `None` for one that is absent, unreadable or no text.
fn read(path: &Path) -> Option<String> {
    /// More than any such file has.
    const MOST: u64 = 1 << 20;
    let is_short = fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() <= MOST);
    is_short.then(|| fs::read_to_string(path).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_found_after_their_keys() {
        let text = "# nameserver 192.0.2.1\nnameserver 192.0.2.53\nnameserver fe80::53%eth0\n\
                    search example.org\n nameserver 2001:db8::53\nnameserver\n";
        let found = addresses_after(text, &["nameserver"]);
        let expected: [IpAddr; 3] =
            ["192.0.2.53", "fe80::53", "2001:db8::53"].map(|text| text.parse().unwrap());
        assert_eq!(found, expected);
        let mut servers = vec![IpAddr::from([127, 0, 0, 53]), IpAddr::from([192, 0, 2, 1])];
        keep_foreign(&mut servers);
        assert_eq!(servers, [IpAddr::from([192, 0, 2, 1])]);
    }

    #[test]
    fn what_configures_an_interface_by_dhcp_is_found() {
        let networkd = "[Match]\nName=en* eth0\n[Network]\nDHCP=no\nDHCP=ipv4\n";
        assert!(networkd_uses_dhcp(networkd, "eth0"));
        assert!(networkd_uses_dhcp(networkd, "enp1s0"));
        assert!(!networkd_uses_dhcp(networkd, "wlan0"));
        let ipv6_only = networkd.replace("=ipv4", "=ipv6");
        assert!(!networkd_uses_dhcp(&ipv6_only, "eth0"));
        let ifupdown = "auto eth0\n  iface eth0 inet dhcp\niface eth1 inet static\n";
        assert!(ifupdown_uses_dhcp(ifupdown, "eth0"));
        assert!(!ifupdown_uses_dhcp(ifupdown, "eth1"));
        let manager = "[connection]\ninterface-name=eth0\n[ipv4]\nmethod=auto\n";
        assert!(manager_uses_dhcp(manager, "eth0"));
        assert!(!manager_uses_dhcp(manager, "eth1"));
        assert!(!manager_uses_dhcp(
            &manager.replace("auto", "manual"),
            "eth0"
        ));
    }

    #[test]
    fn an_interface_in_a_group_of_its_own_is_found() {
        let groups = |group: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(group));
        let [all, mdns] = [[224, 0, 0, 1], [224, 0, 0, 251]].map(groups);
        let text = format!(
            "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n\
             1\tlo        :     1      V3\n\t\t\t\t{all}     1 0:00000000\t\t0\n\
             2\teth0      :     2      V3\n\t\t\t\t{mdns}     1 0:00000000\t\t0\n\
             \t\t\t\t{all}     1 0:00000000\t\t0\n"
        );
        assert_eq!(in_groups_of(&text), BTreeSet::from(["eth0".to_owned()]));
    }
}
