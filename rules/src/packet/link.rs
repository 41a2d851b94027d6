//! The Ethernet header and VLAN tags.

use pnet_base::MacAddr;
use pnet_packet::{
    ethernet::{EtherType, EtherTypes, MutableEthernetPacket},
    vlan::{ClassOfService, MutableVlanPacket},
};

use super::layout::view;

/// The length of an Ethernet header.
const ETHERNET: usize = 14;
/// The length of a VLAN tag.
const VLAN: usize = 4;

/// A VLAN tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// The tag protocol identifier: the EtherType that announces the tag.
    pub kind: u16,
    /// The VLAN identifier, 0 to 4095.
    pub id: u16,
    /// The priority code point, 0 to 7.
    pub priority: u8,
}

impl Tag {
    /// A tag of IEEE 802.1Q.
    #[must_use]
    pub const fn customer(id: u16) -> Self {
        Self {
            kind: 0x8100,
            id,
            priority: 0,
        }
    }

    /// A tag of IEEE 802.1ad.
    #[must_use]
    pub const fn service(id: u16) -> Self {
        Self {
            kind: 0x88a8,
            id,
            priority: 0,
        }
    }
}

/// The link layer of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) src: MacAddr,
    pub(crate) dst: MacAddr,
    /// VLAN tags, the outermost first.
    pub(crate) tags: Vec<Tag>,
}

impl Default for Link {
    /// Unicast addresses for documentation (RFC 7042 section 2.1.2).
    fn default() -> Self {
        Self {
            src: MacAddr(0x00, 0x00, 0x5e, 0x00, 0x53, 0xfe),
            dst: MacAddr(0x00, 0x00, 0x5e, 0x00, 0x53, 0xff),
            tags: Vec::new(),
        }
    }
}

impl Link {
    /// The Ethernet header and the tags, announcing `ethertype` after them.
    pub(crate) fn header(&self, ethertype: EtherType) -> Vec<u8> {
        let mut bytes = vec![0; ETHERNET];
        let outermost = self
            .tags
            .first()
            .map_or(ethertype, |tag| EtherType(tag.kind));
        let mut ethernet = view(&mut bytes, MutableEthernetPacket::new);
        ethernet.set_source(self.src);
        ethernet.set_destination(self.dst);
        ethernet.set_ethertype(outermost);
        for (index, tag) in self.tags.iter().enumerate() {
            let inner = self.tags.get(index + 1);
            let mut header = [0; VLAN];
            let mut vlan = view(&mut header, MutableVlanPacket::new);
            vlan.set_priority_code_point(ClassOfService(tag.priority));
            vlan.set_vlan_identifier(tag.id);
            vlan.set_ethertype(inner.map_or(ethertype, |tag| EtherType(tag.kind)));
            bytes.extend(header);
        }
        bytes
    }
}

/// The EtherTypes of the network layers that can be built.
pub(crate) const IPV4: EtherType = EtherTypes::Ipv4;
pub(crate) const IPV6: EtherType = EtherTypes::Ipv6;
pub(crate) const ARP: EtherType = EtherTypes::Arp;
