//! The description of a packet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use pnet_base::MacAddr;
use pnet_packet::ethernet::EtherType;

use super::{
    damage::Damage,
    layout::Layout,
    link::{Link, Tag},
    network::{Arp, Extension, Fragment, Ipv4, Ipv6, Network},
    upper::Upper,
};
use crate::field::FieldName;

/// The description of a packet.
///
/// Each method takes the description and returns it changed, so that calls can be chained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    link: Link,
    network: Network,
    upper: Upper,
    payload: Vec<u8>,
    damage: Vec<Damage>,
}

impl Packet {
    /// Starts an IPv4 packet (RFC 791) without an L4 header so far.
    #[must_use]
    pub fn ipv4(src: Ipv4Addr, dst: Ipv4Addr) -> Self {
        Self::over(Network::Ipv4(Ipv4::new(src, dst)))
    }

    /// Starts an IPv6 packet (RFC 8200) without an L4 header so far.
    #[must_use]
    pub fn ipv6(src: Ipv6Addr, dst: Ipv6Addr) -> Self {
        Self::over(Network::Ipv6(Ipv6::new(src, dst)))
    }

    /// Starts a packet of the family that both addresses share, or `None` if their families differ.
    #[must_use]
    pub fn ip(src: IpAddr, dst: IpAddr) -> Option<Self> {
        match (src, dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => Some(Self::ipv4(src, dst)),
            (IpAddr::V6(src), IpAddr::V6(dst)) => Some(Self::ipv6(src, dst)),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => None,
        }
    }

    /// Starts an ARP request (RFC 826) from `src` for the hardware address of `dst`.
    #[must_use]
    pub fn arp(src: Ipv4Addr, dst: Ipv4Addr) -> Self {
        Self::over(Network::Arp(Arp { src, dst }))
    }

    /// Starts a frame of another EtherType that contains only a payload.
    #[must_use]
    pub fn ethertype(ethertype: u16) -> Self {
        Self::over(Network::Other(EtherType(ethertype)))
    }

    fn over(network: Network) -> Self {
        Self {
            link: Link::default(),
            network,
            upper: Upper::None,
            payload: Vec::new(),
            damage: Vec::new(),
        }
    }

    /// Sets the hardware addresses.
    #[must_use]
    pub fn macs(self, src: MacAddr, dst: MacAddr) -> Self {
        self.src_mac(src).dst_mac(dst)
    }

    /// Sets the source hardware address.
    #[must_use]
    pub fn src_mac(mut self, mac: MacAddr) -> Self {
        self.link.src = mac;
        self
    }

    /// Sets the destination hardware address.
    #[must_use]
    pub fn dst_mac(mut self, mac: MacAddr) -> Self {
        self.link.dst = mac;
        self
    }

    /// Adds an 802.1Q tag inside those added before.
    #[must_use]
    pub fn vlan(self, id: u16) -> Self {
        self.tag(Tag::customer(id))
    }

    /// Adds an 802.1ad tag inside those added before.
    #[must_use]
    pub fn service_vlan(self, id: u16) -> Self {
        self.tag(Tag::service(id))
    }

    /// Adds a tag inside those added before.
    #[must_use]
    pub fn tag(mut self, tag: Tag) -> Self {
        self.link.tags.push(tag);
        self
    }

    /// Puts an IP packet into a PPPoE session (RFC 2516), inside all tags. Without effect on other
    /// packets.
    #[must_use]
    pub const fn session(mut self, number: u16) -> Self {
        self.link.session = Some(number);
        self
    }

    /// Sets a field that is a number in the header of every IP packet. Without effect on other
    /// packets, and for other fields.
    #[must_use]
    pub fn number(mut self, field: FieldName, value: u16) -> Self {
        self.network.set_number(field, value);
        self
    }

    /// Sets the time to live (IPv4) or hop limit (IPv6).
    #[must_use]
    pub fn ttl(self, ttl: u8) -> Self {
        self.number(FieldName::Ttl, ttl.into())
    }

    /// Sets the differentiated services code point, 0 to 63.
    #[must_use]
    pub fn dscp(self, dscp: u8) -> Self {
        self.number(FieldName::Dscp, dscp.into())
    }

    /// Adds IPv4 options, padded with end-of-list octets to whole words; at most 40 octets are
    /// kept. Has no effect on other packets.
    #[must_use]
    pub fn options(mut self, options: &[u8]) -> Self {
        if let Network::Ipv4(ip) = &mut self.network {
            ip.add_options(options);
        }
        self
    }

    /// Adds an IPv6 extension header after those added before. Has no effect on other packets.
    #[must_use]
    pub fn extension(mut self, extension: Extension) -> Self {
        if let Network::Ipv6(ip) = &mut self.network {
            ip.extensions.push(extension);
        }
        self
    }

    /// Makes this packet a fragment.
    ///
    /// IPv4 has header fields for it; IPv6 gets a fragment header after the extension headers added
    /// so far. At an offset other than 0, the packet has its payload without the L4 header. L4
    /// lengths and checksums are those of the fragment alone; for the fragments of a whole
    /// datagram, use [`Self::fragments`].
    #[must_use]
    pub fn fragment(mut self, fragment: Fragment) -> Self {
        match &mut self.network {
            Network::Ipv4(ip) => ip.fragment = Some(fragment),
            Network::Ipv6(ip) => ip.extensions.push(Extension::Fragment(fragment)),
            Network::Arp(_) | Network::Other(_) => {}
        }
        self
    }

    /// Makes it TCP (RFC 9293) with the given flags byte, see [`tcp_flags`](super::tcp_flags).
    #[must_use]
    pub fn tcp(mut self, src: u16, dst: u16, flags: u8) -> Self {
        self.upper = Upper::Tcp { src, dst, flags };
        self
    }

    /// Makes it UDP (RFC 768).
    #[must_use]
    pub fn udp(mut self, src: u16, dst: u16) -> Self {
        self.upper = Upper::Udp { src, dst };
        self
    }

    /// Makes it UDP-Lite (RFC 3828), the checksum covering the whole packet.
    #[must_use]
    pub fn udp_lite(mut self, src: u16, dst: u16) -> Self {
        self.upper = Upper::UdpLite { src, dst };
        self
    }

    /// Makes it SCTP with a DATA chunk (RFC 9260).
    #[must_use]
    pub fn sctp(mut self, src: u16, dst: u16) -> Self {
        self.upper = Upper::Sctp { src, dst };
        self
    }

    /// Makes it a DCCP data packet (RFC 4340).
    #[must_use]
    pub fn dccp(mut self, src: u16, dst: u16) -> Self {
        self.upper = Upper::Dccp { src, dst };
        self
    }

    /// Makes it an ICMP message (RFC 792) of the given type and code.
    #[must_use]
    pub fn icmp(mut self, kind: u8, code: u8) -> Self {
        self.upper = Upper::Icmp { kind, code };
        self
    }

    /// Makes it an ICMPv6 message (RFC 4443) of the given type and code.
    #[must_use]
    pub fn icmpv6(mut self, kind: u8, code: u8) -> Self {
        self.upper = Upper::Icmpv6 { kind, code };
        self
    }

    /// Makes it a packet of any protocol number, whose header is the start of the payload.
    #[must_use]
    pub fn protocol(mut self, number: u8) -> Self {
        self.upper = Upper::Other(number);
        self
    }

    /// Appends to the payload.
    #[must_use]
    pub fn payload(mut self, bytes: &[u8]) -> Self {
        self.payload.extend_from_slice(bytes);
        self
    }

    /// Damages the finished frame; several damages are applied in the order given.
    #[must_use]
    pub fn damage(mut self, damage: Damage) -> Self {
        self.damage.push(damage);
        self
    }

    /// Writes the frame, from the Ethernet header to the end of the payload, without the frame
    /// check sequence.
    #[must_use]
    pub fn build(&self) -> Vec<u8> {
        let mut layout = self.lay_out(&self.network, &self.segment());
        for damage in &self.damage {
            damage.apply(&mut layout);
        }
        layout.bytes
    }

    /// Writes the frames of the fragments of this packet, each with at most `size` bytes of the
    /// datagram, rounded down to a multiple of 8 and at least 8.
    ///
    /// Reassembled, they are the packet with correct lengths and checksums. A packet that is not IP
    /// is not split. Damage is applied to each fragment.
    #[must_use]
    pub fn fragments(&self, id: u32, size: usize) -> Vec<Vec<u8>> {
        let segment = self.segment();
        let step = (size & !7).max(8);
        let count = segment.len().div_ceil(step).max(1);
        if !matches!(self.network, Network::Ipv4(_) | Network::Ipv6(_)) {
            return vec![self.build()];
        }
        segment
            .chunks(step)
            .enumerate()
            .map(|(index, piece)| {
                let fragment = Fragment {
                    id,
                    offset: u16::try_from(index * step / 8).unwrap_or(u16::MAX),
                    more: index + 1 < count,
                };
                let whole = self.clone().fragment(fragment);
                let mut layout = self.lay_out(&whole.network, piece);
                for damage in &self.damage {
                    damage.apply(&mut layout);
                }
                layout.bytes
            })
            .collect()
    }

    /// The L4 header and the payload, or the payload alone in a later fragment.
    fn segment(&self) -> Vec<u8> {
        if self.network.is_later_fragment() {
            return self.payload.clone();
        }
        self.upper.segment(&self.network, &self.payload)
    }

    /// Writes `segment` after the headers of the link and of `network`.
    fn lay_out(&self, network: &Network, segment: &[u8]) -> Layout {
        let header = network.header(self.upper.number(), segment.len(), self.link.src);
        let len = header.len() + segment.len();
        let mut bytes = self.link.header(network.ethertype(), len);
        let start = bytes.len();
        bytes.extend(header);
        let upper = bytes.len();
        bytes.extend_from_slice(segment);
        Layout {
            bytes,
            network: start,
            upper,
        }
    }
}
