//! The subject of a packet, which precedes all options: protocol and addresses, an EtherType, or
//! bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::words::{Fault, Word, Words};
use crate::{
    field::{self, Family, family_name},
    packet::protocol,
    text::{number, quoted},
};

/// The kind of a packet and its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subject<'t> {
    /// An IP packet.
    Ip(Ip<'t>),
    /// An ARP request.
    Arp { src: Ipv4Addr, dst: Ipv4Addr },
    /// A frame of this EtherType.
    EtherType(u16),
    /// A frame given as bytes.
    Bytes(Vec<u8>),
}

/// An IP packet; both addresses are of one family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ip<'t> {
    /// The protocol as written in the text.
    pub(super) name: Word<'t>,
    pub(super) protocol: u8,
    pub(super) src: Endpoint<'t>,
    pub(super) dst: Endpoint<'t>,
}

/// An address and an optional port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Endpoint<'t> {
    pub(super) word: Word<'t>,
    pub(super) address: IpAddr,
    pub(super) port: Option<u16>,
}

impl Ip<'_> {
    pub(super) fn family(&self) -> Family {
        match self.src.address {
            IpAddr::V4(_) => Family::Ipv4,
            IpAddr::V6(_) => Family::Ipv6,
        }
    }
}

impl<'t> Subject<'t> {
    pub(super) fn read(words: &mut Words<'t>) -> Result<Self, Fault> {
        let first = words.expect("a protocol, `arp`, `ethertype` or `hex`")?;
        match first.text {
            "arp" => arp(words),
            "ethertype" => {
                let word = words.expect("an EtherType")?;
                let number = field::ethertype_number(word.text).map_or_else(
                    || {
                        word.half("EtherType")
                            .map_err(|fault| fault.suggest(word.text, field::ethertypes()))
                    },
                    Ok,
                )?;
                Ok(Self::EtherType(number))
            }
            "hex" => bytes(words).map(Self::Bytes),
            _ => ip(first, words).map(Self::Ip),
        }
    }
}

fn arp<'t>(words: &mut Words<'t>) -> Result<Subject<'t>, Fault> {
    let (src, dst) = endpoints(words)?;
    let address = |end: &Endpoint<'_>| match (end.address, end.port) {
        (IpAddr::V4(address), None) => Ok(address),
        (IpAddr::V4(_), Some(_)) => Err(end.word.fault("an ARP packet has no ports")),
        (IpAddr::V6(_), _) => {
            let fault = end.word.fault("ARP is for IPv4 addresses");
            Err(fault.help("IPv6 asks by `icmpv6 ... neighbor-solicitation`"))
        }
    };
    Ok(Subject::Arp {
        src: address(&src)?,
        dst: address(&dst)?,
    })
}

/// The words of hexadecimal digits that follow, put together.
fn bytes(words: &mut Words<'_>) -> Result<Vec<u8>, Fault> {
    let mut digits = Vec::new();
    let mut last = words.expect("hexadecimal digits")?;
    loop {
        for c in last.text.chars() {
            let digit = c.to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            digits.push(digit.ok_or_else(|| last.is_no("run of hexadecimal digits"))?);
        }
        let is_hex = |word: &Word<'_>| word.text.bytes().all(|byte| byte.is_ascii_hexdigit());
        match words.peek().filter(is_hex) {
            Some(word) => last = word,
            None => break,
        }
        words.next();
    }
    let (pairs, rest) = digits.as_chunks();
    if !rest.is_empty() {
        return Err(last.fault("an odd number of hexadecimal digits"));
    }
    Ok(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

fn ip<'t>(name: Word<'t>, words: &mut Words<'t>) -> Result<Ip<'t>, Fault> {
    let protocol = field::protocol_number(name.text)
        .or_else(|| number::single(name.text).ok())
        .ok_or_else(|| {
            let known = field::protocols().chain(["arp", "ethertype", "hex"]);
            let mut fault = name.is_no("protocol").suggest(name.text, known);
            fault.help.get_or_insert_with(|| {
                "write `tcp 192.0.2.1:4444 > 192.0.2.2:22`, or a protocol by its number".to_owned()
            });
            fault
        })?;
    let (src, dst) = endpoints(words)?;
    let ip = Ip {
        name,
        protocol,
        src,
        dst,
    };
    check_family(&ip)?;
    Ok(ip)
}

fn check_family(ip: &Ip<'_>) -> Result<(), Fault> {
    let name = quoted(ip.name.text);
    let family = family_name(ip.family());
    let wrong = || ip.name.fault(format!("{name} is not carried by {family}"));
    match (ip.family(), ip.protocol) {
        (Family::Ipv4, protocol::ICMPV6) => Err(wrong().help("write `icmp`")),
        (Family::Ipv6, protocol::ICMP) => Err(wrong().help("write `icmpv6`")),
        (
            Family::Ipv6,
            protocol::HOP_BY_HOP
            | protocol::ROUTING
            | protocol::FRAGMENT
            | protocol::AUTHENTICATION
            | protocol::DESTINATION,
        ) => {
            let message = format!("{name} is an extension header of IPv6");
            Err(ip.name.fault(message).help(
                "begin with the protocol behind it and name the header behind the addresses, as \
                 in `udp [2001:db8::1]:53 > [2001:db8::2]:53 ah`; 59 is no protocol at all",
            ))
        }
        (Family::Ipv4 | Family::Ipv6, _) => Ok(()),
    }
}

/// Source, `>` and destination.
fn endpoints<'t>(words: &mut Words<'t>) -> Result<(Endpoint<'t>, Endpoint<'t>), Fault> {
    let src = endpoint(words.expect("the source address")?)?;
    let arrow = words.expect("`>` and the destination address")?;
    if arrow.text != ">" {
        return Err(arrow.fault("expected `>` between source and destination"));
    }
    let dst = endpoint(words.expect("the destination address")?)?;
    if src.address.is_ipv4() != dst.address.is_ipv4() {
        let message = "the addresses are of different families";
        return Err(dst.word.fault(message));
    }
    Ok((src, dst))
}

fn endpoint(word: Word<'_>) -> Result<Endpoint<'_>, Fault> {
    let (address, port) = match word.text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, "")) => (v6(address), None),
            Some((address, port)) => (v6(address), port.strip_prefix(':')),
            None => (None, None),
        },
        None => match (v6(word.text), word.text.split_once(':')) {
            (Some(address), _) => (Some(address), None),
            (None, Some((address, port))) => (v4(address), Some(port)),
            (None, None) => (v4(word.text), None),
        },
    };
    // What follows a bracket is a port or nothing.
    let is_whole = port.is_some() || !word.text.starts_with('[') || word.text.ends_with(']');
    let address = address.filter(|_| is_whole).ok_or_else(|| {
        word.is_no("address")
            .help("write `192.0.2.1`, `192.0.2.1:22`, `2001:db8::1` or `[2001:db8::1]:22`")
    })?;
    let port = port.map(|text| {
        let start = word.at().end - text.len();
        Word { start, text }.number("a port", u16::MAX.into())
    });
    Ok(Endpoint {
        word,
        address,
        // The number is bounded.
        port: port.transpose()?.map(|port| port as u16),
    })
}

fn v4(text: &str) -> Option<IpAddr> {
    text.parse::<Ipv4Addr>().ok().map(IpAddr::V4)
}

fn v6(text: &str) -> Option<IpAddr> {
    text.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
}
