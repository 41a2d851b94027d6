//! Addresses that are banned only with `--force`: a ban would lock the caller out.

use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use nix::ifaddrs::getifaddrs;

use rules::field::AddressRange;
use serde::{Deserialize, Serialize};

use crate::bans::{
    error::BansError,
    prefix::{Prefix, prefixes_of},
};

/// The guarded addresses, each with its kind.
pub(crate) struct Guard {
    kept: BTreeMap<IpAddr, Protected>,
}

/// The kind of a guarded address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protected {
    /// An address of this machine.
    Own,
    /// The peer of the SSH session that the command runs in.
    SshPeer,
    /// A gateway of a route of this machine.
    Gateway,
}

/// The addresses that matter to the machine of a daemon: those of its network namespace, which need not be that of
/// a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MachineAddresses {
    /// Those of its interfaces.
    pub(crate) own: Vec<IpAddr>,
    /// The gateways of its routes.
    pub(crate) gateways: Vec<IpAddr>,
}

/// The addresses of the interfaces in the network namespace of this process.
///
/// # Errors
///
/// When the kernel does not list them.
pub(crate) fn own_addresses() -> Result<Vec<IpAddr>, BansError> {
    let own = getifaddrs().map_err(BansError::Addresses)?;
    let own = own.filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    });
    Ok(own.collect())
}

impl Guard {
    /// The guard for the caller of this process, and for a machine with these addresses.
    pub(crate) fn new(machine: MachineAddresses) -> Self {
        let loopback = [
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::LOCALHOST),
        ];
        let own = machine.own.into_iter().chain(loopback);
        let own = own.map(|address| (address, Protected::Own));
        let peers = ssh_peers().into_iter();
        let peers = peers.map(|address| (address, Protected::SshPeer));
        let gateways = machine.gateways.into_iter();
        let gateways = gateways.map(|address| (address, Protected::Gateway));
        Self {
            kept: gateways.chain(own).chain(peers).collect(),
        }
    }

    /// Why the addresses of a line should not be banned.
    pub(crate) fn objection_to(&self, range: AddressRange) -> Option<String> {
        if let Some(breadth) = range.breadth() {
            let verb = if breadth == "every address" {
                "is"
            } else {
                "covers"
            };
            return Some(format!("`{range}` {verb} {breadth}: `--force` bans it"));
        }
        let mut prefixes = prefixes_of(range).into_iter();
        prefixes.find_map(|prefix| self.objection(prefix))
    }

    /// Why a prefix should not be banned.
    fn objection(&self, prefix: Prefix) -> Option<String> {
        let (address, kept) = match prefix.single() {
            Some(address) => self.kept.get_key_value(&address)?,
            None => {
                let mut kept = self.kept.iter();
                kept.find(|&(address, _)| prefix.covers(*address))?
            }
        };
        let what = match kept {
            Protected::Own => "an address of this machine",
            Protected::Gateway => "a gateway of this machine",
            Protected::SshPeer => "where your SSH session comes from",
        };
        Some(if prefix == Prefix::of(*address) {
            format!("`{prefix}` is {what}: `--force` bans it")
        } else {
            format!("`{prefix}` covers `{address}`, {what}: `--force` bans it")
        })
    }
}

/// The peers of the SSH sessions that this process and its ancestors run in. The ancestors are
/// needed because `sudo` removes the session from the environment.
fn ssh_peers() -> Vec<IpAddr> {
    let mut peers = Vec::new();
    let mut process = std::process::id();
    while process > 1 {
        let environment = fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
        peers.extend(
            environment
                .split(|byte| *byte == 0)
                .filter_map(|variable| ssh_peer(str::from_utf8(variable).ok()?)),
        );
        let Some(parent) = parent(process) else {
            break;
        };
        process = parent;
    }
    peers
}

/// The peer in `SSH_CONNECTION=198.51.100.2 40000 192.0.2.1 22`.
fn ssh_peer(variable: &str) -> Option<IpAddr> {
    let connection = variable.strip_prefix("SSH_CONNECTION=")?;
    let address = connection.split(' ').next()?;
    // A link-local address comes with the name of the link.
    let address = address.split('%').next()?;
    let address: IpAddr = address.parse().ok()?;
    Some(address.to_canonical())
}

fn parent(process: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rules::field::address;

    #[test]
    fn the_peer_of_an_ssh_session_is_read() {
        let peer = |variable| ssh_peer(variable).map(|address| address.to_string());
        let v4 = "SSH_CONNECTION=198.51.100.2 40000 192.0.2.1 22";
        assert_eq!(peer(v4), Some("198.51.100.2".into()));
        let mapped = "SSH_CONNECTION=::ffff:198.51.100.2 40000 ::ffff:192.0.2.1 22";
        assert_eq!(peer(mapped), Some("198.51.100.2".into()));
        let link = "SSH_CONNECTION=fe80::1%eth0 40000 fe80::2%eth0 22";
        assert_eq!(peer(link), Some("fe80::1".into()));
        assert_eq!(peer("SSH_CONNECTION="), None);
        assert_eq!(peer("HOME=/"), None);
    }

    #[test]
    fn what_covers_a_kept_address_is_objected_to() {
        let guard = Guard {
            kept: [
                ("198.51.100.2", Protected::SshPeer),
                ("2001:db8::1", Protected::Own),
            ]
            .map(|(address, kept)| (address.parse().unwrap(), kept))
            .into(),
        };
        let objects = |text: &str| {
            let read = address::read(text.as_bytes()).unwrap();
            guard.objection_to(read.range).is_some()
        };
        for prefix in [
            "198.51.100.2",
            "198.51.100.0/24",
            "0.0.0.0/0",
            "::/0",
            "2001:db8::/64",
            "::ffff:198.51.100.2",
            "198.51.100.0 - 198.51.100.9",
            "198.51.100.0 255.255.255.0",
            "0.0.0.0/2",
            "0.0.0.0/3",
            "1.0.0.0-33.0.0.0",
            "2000::/3",
            "10.0.0.0/8",
            "9.0.0.0-11.0.0.0",
            "224.0.0.0/4",
            "fe00::/8",
        ] {
            assert!(objects(prefix), "{prefix}");
        }
        for prefix in [
            "198.51.100.3",
            "16.0.0.0/4",
            "10.1.0.0/16",
            "224.0.0.5",
            "198.51.101.0/24",
            "2001:db8::2",
        ] {
            assert!(!objects(prefix), "{prefix}");
        }
    }
}
