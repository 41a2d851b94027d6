//! A packet that shows something, as its fields.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use firewall_ebpf::headers::ethertype;

use super::{
    axis::{ABSENT, Axis, FIRST, LATER, Packets, WHOLE},
    frame::frame,
    region::Point,
};
use crate::{
    evaluator::{Fields, decode},
    hexadecimal,
    names::{icmp_type_name, protocol_name, tcp_flags},
    notation,
    ruleset::Family,
};

/// A packet that can exist, as what the rules can see of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// The name of the receiving interface.
    pub interface: String,
    /// The source MAC address.
    pub src_mac: Mac,
    /// The destination MAC address.
    pub dst_mac: Mac,
    /// The identifier in the outermost VLAN tag.
    pub vlan: Option<u16>,
    /// The EtherType behind all VLAN tags.
    pub ethertype: u16,
    /// What an IP packet has.
    pub ip: Option<Ip>,
}

/// The fields of an IP packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ip {
    /// The source address.
    pub src: IpAddr,
    /// The destination address, of the same family.
    pub dst: IpAddr,
    /// The upper-layer protocol.
    pub protocol: u8,
    /// The bytes of the packet, its header included.
    pub length: u16,
    /// The time to live or the hop limit.
    pub ttl: u8,
    /// The code point for differentiated services.
    pub dscp: u8,
    /// Whether it is a fragment, and which.
    pub fragment: Fragment,
    /// Source and destination port.
    pub ports: Option<(u16, u16)>,
    /// The byte of TCP flags.
    pub tcp_flags: Option<u8>,
    /// Type and code of the ICMP message.
    pub icmp: Option<(u8, u8)>,
}

impl Ip {
    const fn family(&self) -> Family {
        match self.src {
            IpAddr::V4(_) => Family::Ipv4,
            IpAddr::V6(_) => Family::Ipv6,
        }
    }
}

/// An ARP packet whose addresses do not matter.
const USUAL_ARP: &str = "arp 192.0.2.9 > 192.0.2.1";

/// The hops left of a packet that has come from no router.
pub(super) const USUAL_TTL: u8 = 64;

/// A MAC address as its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mac(pub u64);

impl Mac {
    /// The source when it does not matter.
    pub(super) const USUAL_SRC: Self = Self(0x0000_5e00_53fe);
    /// The destination when it does not matter.
    pub(super) const USUAL_DST: Self = Self(0x0000_5e00_53ff);
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [_, _, bytes @ ..] = self.0.to_be_bytes();
        f.write_str(&hexadecimal::mac(bytes))
    }
}

/// Which part of an IP packet a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fragment {
    /// All of it.
    Whole,
    /// The first fragment, with all headers.
    First,
    /// A later fragment, without upper-layer header.
    Later,
}

impl Witness {
    /// The packet of these values; `interface` is the name of its class.
    pub(super) fn new(packets: Packets, point: &Point, interface: &str) -> Self {
        let at = |axis: Axis| point[axis as usize];
        // The kinds bound each value by the type of its field.
        let half = |axis: Axis| at(axis) as u16;
        let byte = |axis: Axis| at(axis) as u8;
        let has = |axis: Axis| at(axis) != ABSENT;
        let address = |axis: Axis| -> IpAddr {
            match packets {
                Packets::Ipv4 => Ipv4Addr::from(at(axis) as u32).into(),
                Packets::Ipv6 | Packets::Other => Ipv6Addr::from(at(axis)).into(),
            }
        };
        let ip = packets.family().map(|_| Ip {
            src: address(Axis::Src),
            dst: address(Axis::Dst),
            protocol: byte(Axis::Proto),
            length: half(Axis::Length),
            ttl: byte(Axis::Ttl),
            dscp: byte(Axis::Dscp),
            fragment: match at(Axis::Fragment) {
                FIRST => Fragment::First,
                LATER => Fragment::Later,
                _ => Fragment::Whole,
            },
            ports: has(Axis::Sport).then(|| (half(Axis::Sport), half(Axis::Dport))),
            tcp_flags: has(Axis::TcpFlags).then(|| byte(Axis::TcpFlags)),
            icmp: has(Axis::Icmp).then(|| half(Axis::Icmp).to_be_bytes().into()),
        });
        Self {
            interface: interface.to_owned(),
            src_mac: Mac(at(Axis::SrcMac) as u64),
            dst_mac: Mac(at(Axis::DstMac) as u64),
            vlan: has(Axis::Vlan).then(|| half(Axis::Vlan)),
            ethertype: half(Axis::Ethertype),
            ip,
        }
    }

    /// The packet that the evaluator reads in a frame; `None` for one that it cannot read.
    fn of_frame(frame: &[u8], interface: &str) -> Option<Self> {
        let fields = decode(frame).ok()?;
        let has_upper = fields.sport.is_some() || fields.icmp.is_some();
        let ip = fields.src.zip(fields.dst).map(|(src, dst)| Ip {
            src,
            dst,
            protocol: fields.protocol.unwrap_or_default(),
            length: u16::try_from(fields.length.unwrap_or_default()).unwrap_or(u16::MAX),
            ttl: fields.hop_limit.unwrap_or_default(),
            dscp: fields.dscp.unwrap_or_default(),
            fragment: match (fields.is_fragment, has_upper) {
                (Some(true), true) => Fragment::First,
                (Some(true), false) => Fragment::Later,
                (Some(false) | None, _) => Fragment::Whole,
            },
            ports: fields.sport.zip(fields.dport),
            tcp_flags: fields.tcp_flags,
            icmp: fields.icmp.map(|message| message.to_be_bytes().into()),
        });
        Some(Self {
            interface: interface.to_owned(),
            src_mac: Mac(fields.src_mac),
            dst_mac: Mac(fields.dst_mac),
            vlan: fields.vlan,
            ethertype: fields.ethertype,
            ip,
        })
    }

    /// The fields as the evaluator takes them.
    #[must_use]
    pub fn fields(&self) -> Fields {
        let of_frame = Fields {
            dst_mac: self.dst_mac.0,
            src_mac: self.src_mac.0,
            vlan: self.vlan,
            ethertype: self.ethertype,
            ..Fields::default()
        };
        let Some(ip) = &self.ip else {
            return of_frame;
        };
        Fields {
            length: Some(ip.length.into()),
            dscp: Some(ip.dscp),
            family: Some(ip.family()),
            src: Some(ip.src),
            dst: Some(ip.dst),
            protocol: Some(ip.protocol),
            sport: ip.ports.map(|(sport, _)| sport),
            dport: ip.ports.map(|(_, dport)| dport),
            tcp_flags: ip.tcp_flags,
            hop_limit: Some(ip.ttl),
            is_fragment: Some(ip.fragment != Fragment::Whole),
            icmp: ip.icmp.map(|(kind, code)| u16::from_be_bytes([kind, code])),
            ..of_frame
        }
    }
}

/// The values of a packet on the axes, on an interface of this class; `None` for a packet that is
/// not of these [`Packets`].
pub(super) fn point(fields: &Fields, interface: usize, packets: Packets) -> Option<Point> {
    if fields.family != packets.family() {
        return None;
    }
    let address = |address: Option<IpAddr>| match address {
        Some(IpAddr::V4(address)) => u32::from(address).into(),
        Some(IpAddr::V6(address)) => u128::from(address),
        None => 0,
    };
    let has_upper = fields.sport.is_some() || fields.icmp.is_some();
    Some(Axis::ALL.map(|axis| {
        match axis {
            Axis::Interface => interface as u128,
            Axis::Ethertype => fields.ethertype.into(),
            Axis::Vlan => fields.vlan.map_or(ABSENT, u128::from),
            Axis::SrcMac => fields.src_mac.into(),
            Axis::DstMac => fields.dst_mac.into(),
            Axis::Length => fields
                .length
                .map_or(ABSENT, |length| length.min(0xffff).into()),
            Axis::Dscp => fields.dscp.map_or(ABSENT, u128::from),
            Axis::Src => address(fields.src),
            Axis::Dst => address(fields.dst),
            Axis::Proto => fields.protocol.map_or(ABSENT, u128::from),
            Axis::Sport => fields.sport.map_or(ABSENT, u128::from),
            Axis::Dport => fields.dport.map_or(ABSENT, u128::from),
            Axis::TcpFlags => fields.tcp_flags.map_or(ABSENT, u128::from),
            Axis::Icmp => fields.icmp.map_or(ABSENT, u128::from),
            Axis::Ttl => fields.hop_limit.map_or(ABSENT, u128::from),
            // Rules cannot tell which fragment it is but by what headers it has.
            Axis::Fragment => match (fields.is_fragment, has_upper) {
                (None, _) => ABSENT,
                (Some(false), _) => WHOLE,
                (Some(true), true) => FIRST,
                (Some(true), false) => LATER,
            },
        }
    }))
}

/// In the notation for packets. What the notation would make otherwise is said; a packet that it
/// cannot describe is shown as the bytes of a frame.
impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = match &self.ip {
            None if self.ethertype == ethertype::ARP => USUAL_ARP.to_owned(),
            None => format!("ethertype 0x{:04x}", self.ethertype),
            Some(ip) => ip.to_string(),
        };
        if let Some(vlan) = self.vlan {
            text += &format!(" vlan {vlan}");
        }
        text += &self.unusual(&read(&text).unwrap_or_default());
        if read(&text) != Some(self.fields()) {
            text = format!("hex {}", hexadecimal::digits(&frame(self)));
        }
        write!(f, "{text} interface {}", self.interface)
    }
}

/// A frame of `length` bytes that begins with `start` and arrived on `interface`, in the notation
/// for packets; what the notation cannot describe, and what the parser cannot read, as bytes.
///
/// Bytes that are not there are taken to be 0.
#[must_use]
pub fn in_words(start: &[u8], length: usize, interface: &str) -> String {
    let mut frame = start.to_vec();
    frame.resize(length.max(start.len()), 0);
    let words = Witness::of_frame(&frame, interface).map(|witness| {
        let words = witness.to_string();
        match (arp_ends(&frame), words.strip_prefix(USUAL_ARP)) {
            (Some((sender, target)), Some(rest)) if witness.ethertype == ethertype::ARP => {
                format!("arp {sender} > {target}{rest}")
            }
            _ => words,
        }
    });
    words.unwrap_or_else(|| format!("hex {} interface {interface}", hexadecimal::digits(start)))
}

/// The protocol addresses of sender and target in an ARP packet behind VLAN tags (RFC 826).
fn arp_ends(frame: &[u8]) -> Option<(Ipv4Addr, Ipv4Addr)> {
    let mut rest = frame.get(12..)?;
    while let [0x81 | 0x88 | 0x91, 0x00 | 0xa8, _, _, behind @ ..] = rest {
        rest = behind;
    }
    let address = |at: usize| rest.get(at..)?.first_chunk::<4>().copied();
    Some((address(16)?.into(), address(26)?.into()))
}

/// What the notation makes of a text.
fn read(text: &str) -> Option<Fields> {
    decode(&notation::read(text).ok()?.frame).ok()
}

impl Witness {
    /// The words for what is another than the notation has `made` of the packet without them.
    fn unusual(&self, made: &Fields) -> String {
        let wanted = self.fields();
        let mut words = String::new();
        if made.src_mac != wanted.src_mac {
            words += &format!(" src_mac {}", self.src_mac);
        }
        if made.dst_mac != wanted.dst_mac {
            words += &format!(" dst_mac {}", self.dst_mac);
        }
        if let Some(ip) = &self.ip {
            if made.hop_limit != wanted.hop_limit {
                words += &format!(" ttl {}", ip.ttl);
            }
            if made.length != wanted.length {
                words += &format!(" length {}", ip.length);
            }
        }
        words
    }
}

impl fmt::Display for Ip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match protocol_name(self.protocol) {
            Some(name) => f.write_str(name)?,
            None => write!(f, "{}", self.protocol)?,
        }
        match self.ports {
            Some((sport, dport)) => {
                let end = |address: IpAddr, port: u16| SocketAddr::from((address, port));
                write!(f, " {} > {}", end(self.src, sport), end(self.dst, dport))?;
            }
            None => write!(f, " {} > {}", self.src, self.dst)?,
        }
        if let Some(flags) = self.tcp_flags {
            write!(f, " {}", flag_names(flags))?;
        }
        if let Some((kind, code)) = self.icmp {
            match icmp_type_name(self.family(), kind) {
                Some(name) => write!(f, " {name}")?,
                None => write!(f, " {kind}")?,
            }
            if code != 0 {
                write!(f, "/{code}")?;
            }
        }
        match self.fragment {
            Fragment::Whole => {}
            Fragment::First => f.write_str(" fragment 0+")?,
            Fragment::Later => f.write_str(" fragment 1480")?,
        }
        if self.dscp != 0 {
            write!(f, " dscp {}", self.dscp)?;
        }
        Ok(())
    }
}

/// The names of the flags that are set; `null` for none.
fn flag_names(flags: u8) -> String {
    let set = (0..)
        .zip(tcp_flags())
        .filter(|(bit, _)| flags & 1 << bit != 0);
    let names: Vec<&str> = set.map(|(_, name)| name).collect();
    if names.is_empty() {
        "null".to_owned()
    } else {
        names.join(",")
    }
}
