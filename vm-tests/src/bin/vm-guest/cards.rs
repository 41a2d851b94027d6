//! The network cards of the machine, and those at their other ends.

use std::{fs, net::Ipv4Addr};

use anyhow::{Context as _, Result};
use benches::network::{End, Link, Namespace};
use nix::net::if_::if_nameindex;
use vm_tests::wire::{CARDS, Card};

/// The MTU of most networks, and a larger one.
pub(crate) const MTU: u32 = 1_500;
pub(crate) const JUMBO_MTU: u32 = 9_000;

/// The two ends of a wire, seen from one of them.
pub(crate) enum Side {
    /// From the machine that filters.
    Guarded,
    /// From the machine that sends.
    Peer,
}

/// A card and its link.
pub(crate) struct Wired {
    pub(crate) card: &'static Card,
    pub(crate) link: Link,
}

impl Wired {
    /// Configures and enables the card with this index.
    pub(crate) fn put_up(index: usize, side: &Side, mtu: u32) -> Result<Self> {
        let card = CARDS.get(index);
        let card = card.with_context(|| format!("there is no card {index}"))?;
        let end = |mac: [u8; 6], place: u8| End {
            interface: String::new(),
            index: 0,
            mac: mac.into(),
            ipv4: Ipv4Addr::new(203, 0, 113, place),
            ipv6: [0x2001, 0xdb8, 1, 0, 0, 0, 0, place.into()].into(),
        };
        // Each card is in a prefix of its own.
        let place = u8::try_from(index)? * 16 + 1;
        let mut link = Link {
            host: end(card.guarded_mac, place),
            peer: end(card.peer_mac, place + 1),
        };
        let own = Namespace::own()?;
        let (near, far) = match side {
            Side::Guarded => (&mut link.host, &link.peer),
            Side::Peer => (&mut link.peer, &link.host),
        };
        near.interface = name(&near.mac.to_string())?;
        near.put_up(&own, far, mtu)?;
        Ok(Self { card, link })
    }
}

/// The name of the interface with this hardware address.
fn name(mac: &str) -> Result<String> {
    for interface in &if_nameindex()? {
        let name = interface.name().to_string_lossy();
        let address = fs::read_to_string(format!("/sys/class/net/{name}/address"));
        if address.is_ok_and(|address| address.trim() == mac) {
            return Ok(name.into_owned());
        }
    }
    anyhow::bail!("no interface has the address {mac}")
}
