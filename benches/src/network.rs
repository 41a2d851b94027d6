//! Test networks: two namespaces joined by veth pairs made for the purpose.
//!
//! Nothing of it exists outside the two namespaces, which are held by descriptors and have no
//! names: they are gone with the value, and with the process however it ends. The links are
//! silent: the kernel sends nothing on them of its own accord, so that packets can be counted
//! exactly.

mod link;
mod namespace;

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use pnet::{datalink::NetworkInterface, util::MacAddr};

use crate::packet::Packet;
pub use namespace::Namespace;

/// How long the kernel may take to bring a new veth pair up.
const CARRIER_TIMEOUT: Duration = Duration::from_secs(30);

/// The most links of one network: each takes 16 of the 256 addresses of its IPv4 prefix.
pub const MAX_LINKS: usize = 16;

/// Two namespaces and the links between them.
#[derive(Debug)]
pub struct Network {
    /// The namespace of the host that a firewall guards.
    pub host: Namespace,
    /// The namespace of the peer that sends to the host.
    pub peer: Namespace,
    links: Vec<Link>,
}

/// A veth pair.
#[derive(Clone, Debug)]
pub struct Link {
    /// The end in the host's namespace, where a firewall attaches.
    pub host: End,
    /// The end in the peer's namespace.
    pub peer: End,
}

/// One end of a [`Link`].
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

impl Network {
    /// Makes a network of one link.
    ///
    /// # Errors
    ///
    /// As for [`Self::with_links`].
    pub fn new() -> Result<Self> {
        Self::with_links(1)
    }

    /// Makes a network of `count` links, at most [`MAX_LINKS`].
    ///
    /// # Errors
    ///
    /// If the kernel refuses a namespace or a veth pair, for lack of privilege most of the time.
    pub fn with_links(count: usize) -> Result<Self> {
        ensure!(
            (1..=MAX_LINKS).contains(&count),
            "a test network has 1 to {MAX_LINKS} links, not `{count}`"
        );
        let mut network = Self {
            host: Namespace::new()?,
            peer: Namespace::new()?,
            links: Vec::new(),
        };
        for number in (0..).take(count) {
            let mut link = Link::plan(number);
            link::create(&network.host, &network.peer, &mut link)
                .with_context(|| format!("cannot make the veth pair `{}`", link.host.interface))?;
            network.links.push(link);
        }
        network.wait_for_carrier()?;
        Ok(network)
    }

    /// The first link.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "a network has at least one link")]
    pub fn link(&self) -> &Link {
        &self.links[0]
    }

    /// All links.
    #[must_use]
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// Deletes a link, both ends of it.
    ///
    /// # Errors
    ///
    /// If it is gone already.
    pub fn delete(&self, link: &Link) -> Result<()> {
        link::delete(&self.host, &link.host)
    }

    /// Makes a link that was deleted once more: with the same names and addresses, and other
    /// numbers.
    ///
    /// # Errors
    ///
    /// If it is there, or there is none of this number.
    pub fn make_again(&mut self, number: usize) -> Result<()> {
        let link = self.links.get_mut(number);
        let link = link.with_context(|| format!("there is no link {number}"))?;
        link::create(&self.host, &self.peer, link)?;
        self.wait_for_carrier()
    }

    /// The id of the XDP program on an end in the host's namespace, if there is one.
    ///
    /// # Errors
    ///
    /// If the kernel does not know the interface.
    pub fn xdp_program(&self, end: &End) -> Result<Option<u32>> {
        link::xdp_program(&self.host, end)
    }

    /// Waits until frames can pass: a frame sent before both ends are up is lost.
    fn wait_for_carrier(&self) -> Result<()> {
        for link in &self.links {
            wait_for_carrier(&self.host, &link.host)?;
            wait_for_carrier(&self.peer, &link.peer)?;
        }
        Ok(())
    }
}

fn wait_for_carrier(namespace: &Namespace, end: &End) -> Result<()> {
    let begin = Instant::now();
    while !link::is_running(namespace, end)? {
        ensure!(
            begin.elapsed() < CARRIER_TIMEOUT,
            "the interface `{}` did not come up within {CARRIER_TIMEOUT:?}",
            end.interface
        );
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

impl Drop for Network {
    /// Deletes the links at once; the namespaces would take them along a moment later.
    fn drop(&mut self) {
        for link in &self.links {
            // A link that is gone already is no fault, and nobody is left to be told of another.
            let _ = link::delete(&self.host, &link.host);
        }
    }
}

impl Link {
    /// The names and addresses of link `number`, from the ranges for documentation (RFC 5737,
    /// RFC 3849, RFC 7042).
    fn plan(number: u8) -> Self {
        let end = |interface: &str, place: u8| End {
            interface: format!("{interface}{number}"),
            index: 0,
            mac: MacAddr(0x00, 0x00, 0x5e, 0x00, 0x53, number * 2 + place),
            ipv4: Ipv4Addr::new(192, 0, 2, number * 16 + place),
            ipv6: Ipv6Addr::new(
                0x2001,
                0xdb8,
                0,
                u16::from(number),
                0,
                0,
                0,
                u16::from(place),
            ),
        };
        Self {
            host: end("fw-host", 1),
            peer: end("fw-peer", 2),
        }
    }

    /// Starts an IPv4 packet from the peer's address to the host's.
    #[must_use]
    pub fn ipv4(&self) -> Packet {
        self.ipv4_from(self.peer.ipv4)
    }

    /// Starts an IPv4 packet from another source, through the peer, to the host's address.
    #[must_use]
    pub fn ipv4_from(&self, src: Ipv4Addr) -> Packet {
        self.to_host(Packet::ipv4(src, self.host.ipv4))
    }

    /// Starts an IPv6 packet from the peer's address to the host's.
    #[must_use]
    pub fn ipv6(&self) -> Packet {
        self.ipv6_from(self.peer.ipv6)
    }

    /// Starts an IPv6 packet from another source, through the peer, to the host's address.
    #[must_use]
    pub fn ipv6_from(&self, src: Ipv6Addr) -> Packet {
        self.to_host(Packet::ipv6(src, self.host.ipv6))
    }

    /// Gives a packet the hardware addresses of the way from the peer to the host.
    #[must_use]
    pub fn to_host(&self, packet: Packet) -> Packet {
        packet.macs(self.peer.mac, self.host.mac)
    }
}

impl End {
    /// Puts up an interface that exists, as silent as those of a [`Network`], with the addresses of
    /// this end, and fills in its index.
    ///
    /// # Errors
    ///
    /// If the interface does not exist or does not come up.
    pub fn put_up(&mut self, namespace: &Namespace, other: &Self, mtu: u32) -> Result<()> {
        link::adopt(namespace, self, other, mtu)?;
        wait_for_carrier(namespace, self)
    }

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
