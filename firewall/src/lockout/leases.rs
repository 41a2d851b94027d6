//! The DHCP servers of leases, from the files of DHCP clients.

use std::{fs, net::Ipv4Addr, path::PathBuf};

/// The server that leased the IPv4 address of an interface, if systemd-networkd or dhclient has
/// recorded it.
pub(super) fn server(index: u32, name: &str) -> Option<Ipv4Addr> {
    let networkd = PathBuf::from(format!("/run/systemd/netif/leases/{index}"));
    let dhclient = ["/var/lib/dhcp", "/var/lib/dhclient"]
        .into_iter()
        .flat_map(|folder| {
            [format!("dhclient.{name}.leases"), "dhclient.leases".into()]
                .map(|file| PathBuf::from(folder).join(file))
        });
    let read = |path: PathBuf| fs::read_to_string(path).ok();
    let of_networkd = read(networkd).and_then(|text| networkd_server(&text));
    of_networkd.or_else(|| {
        dhclient
            .filter_map(read)
            .find_map(|text| dhclient_server(&text, name))
    })
}

fn networkd_server(text: &str) -> Option<Ipv4Addr> {
    text.lines()
        .find_map(|line| line.strip_prefix("SERVER_ADDRESS=")?.parse().ok())
}

/// The server of the last lease for the interface: leases are added at the end.
fn dhclient_server(text: &str, name: &str) -> Option<Ipv4Addr> {
    let interface = format!("interface \"{name}\";");
    let leases = text.split("lease {").skip(1);
    let last = leases.filter(|lease| lease.contains(&interface)).last()?;
    last.lines().find_map(|line| {
        let address = line.trim().strip_prefix("option dhcp-server-identifier ")?;
        address.trim_end_matches(';').parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_found_in_the_notes_of_clients() {
        let networkd = "# This is private data.\nADDRESS=192.0.2.7\nSERVER_ADDRESS=192.0.2.3\n";
        assert_eq!(networkd_server(networkd), Some([192, 0, 2, 3].into()));
        let lease = |interface: &str, server: &str| {
            format!(
                "lease {{\n  interface \"{interface}\";\n  fixed-address 192.0.2.7;\n  \
                 option dhcp-server-identifier {server};\n}}\n"
            )
        };
        let text =
            lease("eth0", "192.0.2.3") + &lease("eth0", "192.0.2.4") + &lease("wan", "0.0.0.1");
        assert_eq!(dhclient_server(&text, "eth0"), Some([192, 0, 2, 4].into()));
        assert_eq!(dhclient_server(&text, "eth1"), None);
        assert_eq!(networkd_server(""), None);
    }
}
