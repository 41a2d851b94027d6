//! An end of a link.

use std::net::{Ipv4Addr, Ipv6Addr};

use pnet::{datalink::NetworkInterface, util::MacAddr};

/// One end of a [`Link`](super::Link).
#[derive(Clone, Debug)]
pub struct End {
    /// The name of the interface.
    pub interface: String,
    /// Its index in its namespace.
    pub index: u32,
    /// Its hardware address.
    pub mac: MacAddr,
    /// Its IPv4 address, in a prefix of 28 bits.
    pub ipv4: Ipv4Addr,
    /// Its IPv6 address, in a prefix of 64 bits.
    pub ipv6: Ipv6Addr,
}

impl End {
    /// The interface as pnet describes it.
    pub(crate) fn datalink(&self) -> NetworkInterface {
        NetworkInterface {
            name: self.interface.clone(),
            description: String::new(),
            index: self.index,
            mac: Some(self.mac),
            ips: Vec::new(),
            flags: 0,
        }
    }
}
