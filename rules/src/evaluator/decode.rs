//! Decodes the bytes of a frame to its fields, layer by layer as the standards describe them.
//!
//! Each layer gets the bytes that belong to it and passes the rest to the next one; bytes after the
//! end that an IP header states (padding) are cut off there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use firewall_ebpf::abi::Reason;

use crate::field::{Family, FieldName};

/// The fields of a well-formed frame; `None` when the frame lacks the field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// The destination MAC address as its number.
    pub dst_mac: u64,
    /// The source MAC address as its number.
    pub src_mac: u64,
    /// The identifier in the outermost VLAN tag.
    pub vlan: Option<u16>,
    /// The EtherType after all VLAN tags; of IP in a PPPoE session, that of IP.
    pub ethertype: u16,
    /// The address family of an IP packet.
    pub family: Option<Family>,
    /// The length of an IP packet in bytes, header included, without padding.
    pub length: Option<u32>,
    /// The code point for differentiated services of an IP packet.
    pub dscp: Option<u8>,
    /// The source address in the IP header.
    pub src: Option<IpAddr>,
    /// The destination address in the IP header.
    pub dst: Option<IpAddr>,
    /// The number of the protocol that follows the IP header and all IPv6 extension headers.
    pub protocol: Option<u8>,
    /// The source port.
    pub sport: Option<u16>,
    /// The destination port.
    pub dport: Option<u16>,
    /// The TCP flags from CWR (128) to FIN (1).
    pub tcp_flags: Option<u8>,
    /// The IPv4 time to live or the IPv6 hop limit.
    pub hop_limit: Option<u8>,
    /// Whether an IP packet is a fragment; in IPv6, whether it has a fragment header.
    pub is_fragment: Option<bool>,
    /// Whether an IPv4 packet is an IGMP query of a multicast router to its own link.
    pub is_group_query: bool,
    /// The ICMP message of an IPv4 packet or the ICMPv6 message of an IPv6 packet, as
    /// `type << 8 | code`.
    pub icmp: Option<u16>,
    /// The numbers of the options of an IPv4 packet, ascending, each once.
    pub ip_options: Vec<u8>,
}

impl Fields {
    /// The value of a field that is a number of the IP header; `None` of every other field.
    #[must_use]
    pub fn number(&self, field: FieldName) -> Option<u32> {
        match field {
            FieldName::Length => self.length,
            FieldName::Ttl => self.hop_limit.map(u32::from),
            FieldName::Dscp => self.dscp.map(u32::from),
            FieldName::Interface
            | FieldName::InInterface
            | FieldName::Forwarded
            | FieldName::Mark
            | FieldName::Family
            | FieldName::Ethertype
            | FieldName::Vlan
            | FieldName::SrcMac
            | FieldName::DstMac
            | FieldName::Src
            | FieldName::Dst
            | FieldName::Proto
            | FieldName::Sport
            | FieldName::Dport
            | FieldName::TcpFlags
            | FieldName::IcmpType
            | FieldName::IpOption
            | FieldName::Fragment
            | FieldName::State => None,
        }
    }
}

const MOST_TAGS: usize = 4;
const MOST_EXTENSIONS: usize = 8;

/// The most that an IP header can state as its length. A longer packet, which only a kernel makes
/// and none sends over a wire, has 0 there and is all that is left of its frame.
const LONGEST_STATED: usize = 65_535;

/// Decodes a frame, from the Ethernet header on.
///
/// # Errors
///
/// The reason for which a frame that is not well-formed is dropped: [`Reason::Malformed`],
/// [`Reason::Truncated`], [`Reason::TooManyTags`] or [`Reason::TooManyHeaders`]. If there are
/// several, the one whose evidence comes first on the wire; an IPv4 or TCP header of minimum length
/// and the first 8 bytes of an IPv6 header count as one piece.
pub fn decode(frame: &[u8]) -> Result<Fields, Reason> {
    layers(frame).map(|layers| layers.fields)
}

/// A frame that was decoded, and what follows its IP header.
pub(super) struct Layers<'f> {
    /// Its fields.
    pub(super) fields: Fields,
    /// What follows the IP header and its extension headers; empty if it is not IP.
    pub(super) upper: &'f [u8],
    /// Whether an IPv6 packet has extension headers.
    pub(super) is_extended: bool,
    /// Of a fragment, its identification and whether it is a later one; of IPv6, if the fragment header is the first
    /// extension header.
    pub(super) fragment: Option<(u32, bool)>,
}

impl From<Fields> for Layers<'_> {
    fn from(fields: Fields) -> Self {
        Self {
            fields,
            upper: &[],
            is_extended: false,
            fragment: None,
        }
    }
}

/// Decodes a frame, like [`decode`].
pub(super) fn layers(frame: &[u8]) -> Result<Layers<'_>, Reason> {
    let (addresses, mut rest) = take(frame, 12)?;
    let mut ethertype;
    let mut vlan = None;
    (ethertype, rest) = take_u16(rest)?;
    let mut tags = 0;
    while matches!(ethertype, 0x8100 | 0x88a8 | 0x9100) {
        tags += 1;
        if tags > MOST_TAGS {
            return Err(Reason::TooManyTags);
        }
        let (tag_control, behind) = take_u16(rest)?;
        // Above the identifier are a priority and the drop eligible indicator (IEEE 802.1Q).
        vlan = vlan.or(Some(tag_control % 4096));
        (ethertype, rest) = take_u16(behind)?;
    }
    let fields = Fields {
        dst_mac: mac_at(addresses, 0)?,
        src_mac: mac_at(addresses, 6)?,
        vlan,
        ethertype,
        ..Fields::default()
    };
    network(rest, fields)
}

/// What the EtherType says that follows.
fn network(bytes: &[u8], fields: Fields) -> Result<Layers<'_>, Reason> {
    match fields.ethertype {
        0x0800 => ipv4(bytes, fields),
        0x86dd => ipv6(bytes, fields),
        0x8864 => match in_session(bytes) {
            Some((ethertype, packet)) => network(
                packet,
                Fields {
                    ethertype,
                    ..fields
                },
            ),
            None => Ok(fields.into()),
        },
        _ => Ok(fields.into()),
    }
}

/// The IP packet in a PPPoE session (RFC 2516, section 4) and its EtherType, without what is behind
/// the length of the session frame. PPP protocols are in IANA's "PPP Numbers"; those of one byte are
/// odd, as is the second byte of all others (RFC 1661, section 2).
fn in_session(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (header, ppp) = bytes.split_at_checked(6)?;
    let length = usize::from(u16_at(header, 4).ok()?);
    let short = u8_at(ppp, 0).ok()?;
    let (protocol, size) = if short % 2 == 1 {
        (u16::from(short), 1)
    } else {
        (u16_at(ppp, 0).ok()?, 2)
    };
    let ethertype = match protocol {
        0x21 => 0x0800,
        0x57 => 0x86dd,
        _ => return None,
    };
    let ppp = ppp.get(..length).unwrap_or(ppp);
    Some((ethertype, ppp.get(size..).unwrap_or_default()))
}

/// RFC 791, section 3.1.
fn ipv4(bytes: &[u8], fields: Fields) -> Result<Layers<'_>, Reason> {
    let (shortest_header, _) = take(bytes, 20)?;
    let version_and_length = u8_at(shortest_header, 0)?;
    let header_length = usize::from(version_and_length & 0x0f) * 4;
    if version_and_length >> 4 != 4 || header_length < 20 {
        return Err(Reason::Malformed);
    }
    let total_length = match u16_at(shortest_header, 2)? {
        0 if bytes.len() > LONGEST_STATED => bytes.len(),
        stated => stated.into(),
    };
    if total_length < header_length {
        return Err(Reason::Malformed);
    }
    let (packet, _padding) = take(bytes, total_length)?;
    let (header, payload) = take(packet, header_length)?;
    let (_, options) = take(header, 20)?;
    let fragment_offset = u16_at(header, 6)? & 0x1fff;
    let protocol = u8_at(header, 9)?;
    let fields = Fields {
        family: Some(Family::Ipv4),
        length: u32::try_from(packet.len()).ok(),
        // RFC 2474, section 3: the upper 6 bits of the second byte.
        dscp: Some(u8_at(header, 1)? / 4),
        src: Some(Ipv4Addr::from(array_at(header, 12)?).into()),
        dst: Some(Ipv4Addr::from(array_at(header, 16)?).into()),
        protocol: Some(protocol),
        hop_limit: Some(u8_at(header, 8)?),
        // More fragments (0x2000) or an offset.
        is_fragment: Some(u16_at(header, 6)? & 0x3fff != 0),
        ip_options: ip_options(options),
        ..fields
    };
    let is_fragment = fields.is_fragment == Some(true);
    let id = u16_at(header, 4)?;
    let fields = if fragment_offset == 0 {
        upper(payload, fields, Family::Ipv4, protocol)
    } else {
        later_fragment(fields, fragment_offset, protocol)
    };
    Ok(Layers {
        upper: payload,
        fragment: is_fragment.then_some((id.into(), fragment_offset != 0)),
        ..fields?.into()
    })
}

/// RFC 791, section 3.1: each option has its number, and all but the first two numbers have their
/// length next to it. The list ends with option 0, or before an option that is not whole.
fn ip_options(list: &[u8]) -> Vec<u8> {
    let mut options = Vec::new();
    let mut rest = list;
    while let Some((number, after)) = rest.split_first() {
        let length = match number {
            0 | 1 => 1,
            _ => usize::from(after.first().copied().unwrap_or(0)),
        };
        if *number > 1 && length < 2 || length > rest.len() {
            break;
        }
        options.push(*number);
        rest = if *number == 0 {
            &[]
        } else {
            rest.get(length..).unwrap_or_default()
        };
    }
    options.sort_unstable();
    options.dedup();
    options
}

/// RFC 8200, sections 3 and 4.
fn ipv6(bytes: &[u8], fields: Fields) -> Result<Layers<'_>, Reason> {
    let (before_addresses, _) = take(bytes, 8)?;
    if u8_at(before_addresses, 0)? >> 4 != 6 {
        return Err(Reason::Malformed);
    }
    let (header, behind) = take(bytes, 40)?;
    let payload_length = usize::from(u16_at(header, 4)?);
    let mut protocol = u8_at(header, 6)?;
    let payload_length = match (payload_length, protocol) {
        (0, 0) => jumbo_payload_length(behind)?,
        (0, _) if behind.len() > LONGEST_STATED => behind.len(),
        (stated, _) => stated,
    };
    let (mut payload, _padding) = take(behind, payload_length)?;
    let whole_payload = payload.len();
    let mut fragment_offset = 0;
    let mut is_fragment = false;
    let mut fragment = None;
    let mut extensions = 0;
    while fragment_offset == 0 && matches!(protocol, 0 | 43 | 44 | 51 | 60) {
        extensions += 1;
        if extensions > MOST_EXTENSIONS {
            return Err(Reason::TooManyHeaders);
        }
        let length = match protocol {
            44 => 8,
            // RFC 4302, section 2.2: in words of 4 bytes, minus 2.
            51 => (usize::from(u8_at(payload, 1)?) + 2) * 4,
            _ => (usize::from(u8_at(payload, 1)?) + 1) * 8,
        };
        let (extension, behind) = take(payload, length)?;
        if protocol == 44 {
            is_fragment = true;
            fragment_offset = u16_at(extension, 2)? >> 3;
            if extensions == 1 {
                let id = u32::from_be_bytes(array_at(extension, 4)?);
                fragment = Some((id, fragment_offset != 0));
            }
        }
        protocol = u8_at(extension, 0)?;
        payload = behind;
    }
    let fields = Fields {
        family: Some(Family::Ipv6),
        length: u32::try_from(header.len() + whole_payload).ok(),
        // The traffic class lies between the version and the flow label; RFC 2474, section 3.
        dscp: Some((u16_at(header, 0)? << 4).to_be_bytes()[0] / 4),
        src: Some(Ipv6Addr::from(array_at(header, 8)?).into()),
        dst: Some(Ipv6Addr::from(array_at(header, 24)?).into()),
        protocol: Some(protocol),
        hop_limit: Some(u8_at(header, 7)?),
        is_fragment: Some(is_fragment),
        ..fields
    };
    let fields = if fragment_offset == 0 {
        upper(payload, fields, Family::Ipv6, protocol)
    } else {
        later_fragment(fields, fragment_offset, protocol)
    };
    Ok(Layers {
        upper: payload,
        is_extended: extensions > 0,
        fragment,
        ..fields?.into()
    })
}

/// RFC 2675, sections 2 and 3: a hop-by-hop option of type 194 has the length in 4 bytes, which is
/// only useful above 65,535. It is expected where senders put it, before all other options.
/// Linux leaves it out of the packets of BIG TCP in some versions.
fn jumbo_payload_length(hop_by_hop: &[u8]) -> Result<usize, Reason> {
    let (options, _) = take(hop_by_hop, 8)?;
    let length = array_at(options, 4).map(u32::from_be_bytes)?;
    match (u8_at(options, 2)?, u8_at(options, 3)?) {
        (194, 4) if length > 65_535 => usize::try_from(length).map_err(|_| Reason::Truncated),
        (_, _) if hop_by_hop.len() > LONGEST_STATED => Ok(hop_by_hop.len()),
        (_, _) => Err(Reason::Malformed),
    }
}

/// A fragment that is not the first has no L4 header.
fn later_fragment(fields: Fields, offset: u16, protocol: u8) -> Result<Fields, Reason> {
    match (offset, protocol) {
        // 8 bytes into TCP are its flags, which this fragment would overwrite (RFC 3128).
        (1, 6) => Err(Reason::Malformed),
        (_, _) => Ok(fields),
    }
}

/// The L4 header of an unfragmented packet or a first fragment.
fn upper(payload: &[u8], fields: Fields, family: Family, protocol: u8) -> Result<Fields, Reason> {
    match (protocol, family) {
        (1, Family::Ipv4) | (58, Family::Ipv6) => {
            let (header, _) = take(payload, 4)?;
            Ok(Fields {
                icmp: Some(u16_at(header, 0)?),
                ..fields
            })
        }
        (2, Family::Ipv4) => Ok(Fields {
            is_group_query: is_group_query(payload, &fields),
            ..fields
        }),
        (6, _) => {
            let (header, _) = take(payload, 20)?;
            let words = usize::from(u8_at(header, 12)? >> 4);
            if words < 5 {
                return Err(Reason::Malformed);
            }
            let (_with_options, _data) = take(payload, words * 4)?;
            Ok(Fields {
                tcp_flags: Some(u8_at(header, 13)?),
                ..with_ports(header, fields)?
            })
        }
        // UDP (RFC 768) and UDP-Lite (RFC 3828).
        (17 | 136, _) => with_ports(take(payload, 8)?.0, fields),
        // DCCP (RFC 4340, section 5.1) and SCTP (RFC 9260, section 3.1).
        (33 | 132, _) => with_ports(take(payload, 12)?.0, fields),
        (_, _) => Ok(fields),
    }
}

/// RFC 3376, sections 4 and 4.1: a membership query, of at least 8 bytes, whole, to a group and with
/// the time to live 1.
fn is_group_query(message: &[u8], fields: &Fields) -> bool {
    let is_query = message.len() >= 8 && message.first() == Some(&0x11);
    is_query
        && fields.is_fragment == Some(false)
        && fields.hop_limit == Some(1)
        && fields.dst.is_some_and(|dst| dst.is_multicast())
}

fn with_ports(header: &[u8], fields: Fields) -> Result<Fields, Reason> {
    Ok(Fields {
        sport: Some(u16_at(header, 0)?),
        dport: Some(u16_at(header, 2)?),
        ..fields
    })
}

fn take(bytes: &[u8], count: usize) -> Result<(&[u8], &[u8]), Reason> {
    bytes.split_at_checked(count).ok_or(Reason::Truncated)
}

fn take_u16(bytes: &[u8]) -> Result<(u16, &[u8]), Reason> {
    let (_, rest) = take(bytes, 2)?;
    Ok((u16_at(bytes, 0)?, rest))
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], Reason> {
    let found = bytes.get(at..).and_then(|rest| rest.first_chunk());
    found.copied().ok_or(Reason::Truncated)
}

fn mac_at(bytes: &[u8], at: usize) -> Result<u64, Reason> {
    let address: [u8; 6] = array_at(bytes, at)?;
    let digits = address.into_iter().map(u64::from);
    Ok(digits.fold(0, |number, byte| number * 256 + byte))
}

fn u8_at(bytes: &[u8], at: usize) -> Result<u8, Reason> {
    bytes.get(at).copied().ok_or(Reason::Truncated)
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, Reason> {
    array_at(bytes, at).map(u16::from_be_bytes)
}
