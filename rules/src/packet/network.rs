//! IPv4, IPv6 with its extension headers, and ARP.

use std::net::{Ipv4Addr, Ipv6Addr};

use pnet_base::MacAddr;
use pnet_packet::{
    arp::{ArpHardwareTypes, ArpOperations, MutableArpPacket},
    ethernet::EtherType,
    ip::IpNextHeaderProtocol,
    ipv4::{self, Ipv4Flags, MutableIpv4Packet},
    ipv6::{MutableFragmentPacket, MutableIpv6Packet, MutableRoutingPacket},
};

use super::{layout::view, link, protocol};
use crate::field::FieldName;

const IPV4: usize = 20;
const IPV6: usize = 40;
const ARP: usize = 28;
/// The most octets that IPv4 options can take.
const MAX_OPTIONS: usize = 40;

/// The properties of a fragment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fragment {
    /// The identification of the datagram; IPv4 uses only its lower 16 bits.
    pub id: u32,
    /// The place in the datagram, in units of 8 octets.
    pub offset: u16,
    /// Whether more fragments follow.
    pub more: bool,
}

/// An IPv6 extension header. Octet strings are padded with zeros to the length of the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extension {
    /// Hop-by-hop options; zeros are Pad1 options.
    HopByHop(Vec<u8>),
    /// Destination options.
    Destination(Vec<u8>),
    /// A routing header.
    Routing {
        /// The routing type.
        kind: u8,
        /// The segments left; checksums are correct only for 0.
        segments_left: u8,
        /// The data after the fixed part.
        data: Vec<u8>,
    },
    /// A fragment header.
    Fragment(Fragment),
    /// An authentication header (RFC 4302) with the given integrity check value.
    Authentication(Vec<u8>),
}

impl Extension {
    /// The protocol number that announces the header.
    const fn number(&self) -> u8 {
        match self {
            Self::HopByHop(_) => protocol::HOP_BY_HOP,
            Self::Destination(_) => protocol::DESTINATION,
            Self::Routing { .. } => protocol::ROUTING,
            Self::Fragment(_) => protocol::FRAGMENT,
            Self::Authentication(_) => protocol::AUTHENTICATION,
        }
    }

    /// The header, announcing `next`.
    fn header(&self, next: u8) -> Vec<u8> {
        match self {
            Self::HopByHop(options) | Self::Destination(options) => {
                let mut bytes = vec![next, 0];
                bytes.extend_from_slice(options);
                finish(bytes)
            }
            Self::Routing {
                kind,
                segments_left,
                data,
            } => {
                let mut bytes = vec![0; 8];
                let mut routing = view(&mut bytes, MutableRoutingPacket::new);
                routing.set_next_header(IpNextHeaderProtocol(next));
                routing.set_routing_type(*kind);
                routing.set_segments_left(*segments_left);
                bytes.truncate(4);
                bytes.extend_from_slice(data);
                finish(bytes)
            }
            Self::Fragment(fragment) => {
                let mut bytes = vec![0; 8];
                let mut header = view(&mut bytes, MutableFragmentPacket::new);
                header.set_next_header(IpNextHeaderProtocol(next));
                header.set_fragment_offset_with_flags(
                    fragment.offset << 3 | u16::from(fragment.more),
                );
                header.set_id(fragment.id);
                bytes
            }
            Self::Authentication(value) => {
                // Security parameters index 1, sequence number 1; the length counts words of four
                // octets less two.
                let mut bytes = vec![next, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1];
                bytes.extend_from_slice(value);
                bytes.resize(bytes.len().next_multiple_of(8), 0);
                let words = u8::try_from(bytes.len() / 4 - 2).unwrap_or(u8::MAX);
                if let Some(length) = bytes.get_mut(1) {
                    *length = words;
                }
                bytes
            }
        }
    }
}

/// Pads an extension header to whole units of 8 octets and states their number less one.
fn finish(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    let units = u8::try_from(bytes.len() / 8 - 1).unwrap_or(u8::MAX);
    if let Some(length) = bytes.get_mut(1) {
        *length = units;
    }
    bytes
}

/// The network layer of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Network {
    Ipv4(Ipv4),
    Ipv6(Ipv6),
    Arp(Arp),
    Other(EtherType),
}

impl Network {
    pub(crate) const fn ethertype(&self) -> EtherType {
        match self {
            Self::Ipv4(_) => link::IPV4,
            Self::Ipv6(_) => link::IPV6,
            Self::Arp(_) => link::ARP,
            Self::Other(ethertype) => *ethertype,
        }
    }

    /// Whether the L4 header is in another fragment.
    pub(crate) fn is_later_fragment(&self) -> bool {
        match self {
            Self::Ipv4(ip) => ip.fragment.is_some_and(|fragment| fragment.offset != 0),
            Self::Ipv6(ip) => ip.extensions.iter().any(|extension| {
                matches!(extension, Extension::Fragment(fragment) if fragment.offset != 0)
            }),
            Self::Arp(_) | Self::Other(_) => false,
        }
    }

    /// Sets a number that the header of every IP packet has.
    pub(crate) fn set_number(&mut self, field: FieldName, value: u16) {
        let byte = u8::try_from(value).unwrap_or(u8::MAX);
        match (self, field) {
            (Self::Ipv4(ip), FieldName::Ttl) => ip.ttl = byte,
            (Self::Ipv6(ip), FieldName::Ttl) => ip.hop_limit = byte,
            (Self::Ipv4(ip), FieldName::Dscp) => ip.dscp = byte,
            (Self::Ipv6(ip), FieldName::Dscp) => ip.dscp = byte,
            (Self::Ipv4(_) | Self::Ipv6(_) | Self::Arp(_) | Self::Other(_), _) => {}
        }
    }

    /// The header or headers before `len` octets of protocol `upper`.
    pub(crate) fn header(&self, upper: u8, len: usize, mac: MacAddr) -> Vec<u8> {
        match self {
            Self::Ipv4(ip) => ip.header(upper, len),
            Self::Ipv6(ip) => ip.header(upper, len),
            Self::Arp(arp) => arp.header(mac),
            Self::Other(_) => Vec::new(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ipv4 {
    pub(crate) src: Ipv4Addr,
    pub(crate) dst: Ipv4Addr,
    pub(crate) ttl: u8,
    pub(crate) dscp: u8,
    pub(crate) fragment: Option<Fragment>,
    /// IPv4 options, a multiple of four octets.
    options: Vec<u8>,
}

impl Ipv4 {
    pub(crate) const fn new(src: Ipv4Addr, dst: Ipv4Addr) -> Self {
        Self {
            src,
            dst,
            ttl: 64,
            dscp: 0,
            fragment: None,
            options: Vec::new(),
        }
    }

    pub(crate) fn add_options(&mut self, options: &[u8]) {
        self.options.extend_from_slice(options);
        self.options.truncate(MAX_OPTIONS);
        self.options
            .resize(self.options.len().next_multiple_of(4), 0);
    }

    fn header(&self, upper: u8, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; IPV4];
        bytes.extend_from_slice(&self.options);
        let header_len = bytes.len();
        let mut ip = view(&mut bytes, MutableIpv4Packet::new);
        ip.set_version(4);
        ip.set_header_length(u8::try_from(header_len / 4).unwrap_or(u8::MAX));
        ip.set_dscp(self.dscp);
        ip.set_total_length(u16::try_from(header_len + len).unwrap_or(u16::MAX));
        ip.set_ttl(self.ttl);
        ip.set_next_level_protocol(IpNextHeaderProtocol(upper));
        ip.set_source(self.src);
        ip.set_destination(self.dst);
        if let Some(fragment) = self.fragment {
            let [_, _, high, low] = fragment.id.to_be_bytes();
            ip.set_identification(u16::from_be_bytes([high, low]));
            ip.set_flags(if fragment.more {
                Ipv4Flags::MoreFragments
            } else {
                0
            });
            ip.set_fragment_offset(fragment.offset);
        }
        let checksum = ipv4::checksum(&ip.to_immutable());
        ip.set_checksum(checksum);
        bytes
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ipv6 {
    pub(crate) src: Ipv6Addr,
    pub(crate) dst: Ipv6Addr,
    pub(crate) hop_limit: u8,
    pub(crate) dscp: u8,
    pub(crate) extensions: Vec<Extension>,
}

impl Ipv6 {
    pub(crate) const fn new(src: Ipv6Addr, dst: Ipv6Addr) -> Self {
        Self {
            src,
            dst,
            // Neighbor discovery is valid only with this hop limit (RFC 4861 section 7.1).
            hop_limit: 255,
            dscp: 0,
            extensions: Vec::new(),
        }
    }

    fn header(&self, upper: u8, len: usize) -> Vec<u8> {
        // Each header names the one after it, so they are written from the last to the first.
        let mut next = upper;
        let mut headers = Vec::new();
        for extension in self.extensions.iter().rev() {
            headers.push(extension.header(next));
            next = extension.number();
        }
        headers.reverse();
        let extensions: Vec<u8> = headers.concat();

        let mut bytes = vec![0; IPV6];
        let mut ip = view(&mut bytes, MutableIpv6Packet::new);
        ip.set_version(6);
        ip.set_traffic_class(self.dscp << 2);
        ip.set_payload_length(u16::try_from(extensions.len() + len).unwrap_or(u16::MAX));
        ip.set_next_header(IpNextHeaderProtocol(next));
        ip.set_hop_limit(self.hop_limit);
        ip.set_source(self.src);
        ip.set_destination(self.dst);
        bytes.extend(extensions);
        bytes
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arp {
    pub(crate) src: Ipv4Addr,
    pub(crate) dst: Ipv4Addr,
}

impl Arp {
    fn header(&self, mac: MacAddr) -> Vec<u8> {
        let mut bytes = vec![0; ARP];
        let mut arp = view(&mut bytes, MutableArpPacket::new);
        arp.set_hardware_type(ArpHardwareTypes::Ethernet);
        arp.set_protocol_type(link::IPV4);
        arp.set_hw_addr_len(6);
        arp.set_proto_addr_len(4);
        arp.set_operation(ArpOperations::Request);
        arp.set_sender_hw_addr(mac);
        arp.set_sender_proto_addr(self.src);
        arp.set_target_hw_addr(MacAddr::zero());
        arp.set_target_proto_addr(self.dst);
        bytes
    }
}
