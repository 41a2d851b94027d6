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
    /// The number of the PPPoE session that the packet is in.
    pub(crate) session: Option<u16>,
}

impl Default for Link {
    /// Unicast addresses for documentation (RFC 7042 section 2.1.2).
    fn default() -> Self {
        Self {
            src: MacAddr(0x00, 0x00, 0x5e, 0x00, 0x53, 0xfe),
            dst: MacAddr(0x00, 0x00, 0x5e, 0x00, 0x53, 0xff),
            tags: Vec::new(),
            session: None,
        }
    }
}

impl Link {
    /// The Ethernet header, the tags and that of a session, announcing `ethertype` and `len` octets
    /// behind them.
    pub(crate) fn header(&self, ethertype: EtherType, len: usize) -> Vec<u8> {
        let carried = self
            .session
            .and_then(|session| session_header(session, ethertype, len));
        let ethertype = if carried.is_some() {
            EtherTypes::PppoeSession
        } else {
            ethertype
        };
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
        bytes.extend(carried.unwrap_or_default());
        bytes
    }
}

/// The headers of PPPoE (RFC 2516, section 4) and PPP in front of `len` octets of IP, or `None` for
/// what is not IP.
fn session_header(session: u16, ethertype: EtherType, len: usize) -> Option<Vec<u8>> {
    let protocol: u16 = match ethertype {
        IPV4 => 0x0021,
        IPV6 => 0x0057,
        _ => return None,
    };
    let len = u16::try_from(len + 2).unwrap_or(u16::MAX);
    let numbers = [session, len, protocol].map(u16::to_be_bytes).concat();
    Some([&[0x11, 0], &numbers[..]].concat())
}

/// The EtherTypes of the network layers that can be built.
pub(crate) const IPV4: EtherType = EtherTypes::Ipv4;
pub(crate) const IPV6: EtherType = EtherTypes::Ipv6;
pub(crate) const ARP: EtherType = EtherTypes::Arp;
