//! The options that follow the addresses of a packet.
//!
//! ```text
//! option    = flag { "," flag } | "null"                                  of TCP
//!           | type [ "/" code ]                                           of ICMP and ICMPv6
//!           | "membership-query"                                          of IGMP
//!           | "hop-by-hop" | "routing" | "destination" | "ah"             of IPv6, in order
//!           | "fragment" offset [ "+" ]                                   of IP
//!           | "ttl" number | "dscp" number | ... | "length" bytes         of IP
//!           | "pppoe" session                                             of IP
//!           | "ip_option" name { "," name }                               of IPv4
//!           | "payload" bytes
//!           | "vlan" [ tpid "/" ] id | "src_mac" mac | "dst_mac" mac
//!           | "truncate" bytes | "interface" name
//!           | "in_interface" name | "mark" number                         of packets out
//!           | "about" subject { option }                                  of ICMP errors, at the end
//! ```

use pnet_base::MacAddr;

use super::{
    subject::{Ip, Subject},
    words::{Fault, Word, Words},
};
use crate::{
    field::{
        self, Family, FieldName, Form, IP_OPTION, InterfacePattern, MAX_VLAN, Number,
        icmp_type_number, icmp_types, ip_option_bytes, mac,
    },
    model::Direction,
    packet::{Extension, Fragment, Packet, Tag, protocol},
    text::quoted,
};

/// The words that are valid for every packet.
const GENERAL: &[&str] = &[
    "vlan",
    "src_mac",
    "dst_mac",
    "payload",
    "truncate",
    "interface",
];

/// The words that are valid for IP packets, beside the fields that are numbers.
const IP: &[&str] = &["length", "fragment", "pppoe"];

/// The words that are valid for IPv4 packets.
const IPV4: &[&str] = &["ip_option"];

/// The words that are valid for IPv6 packets.
const IPV6: &[&str] = &["hop-by-hop", "routing", "destination", "ah"];

/// The words that are valid for a frame given as bytes.
const BYTES: &[&str] = &["truncate", "interface"];

/// The words that are valid for packets out.
const OUT: &[&str] = &["in_interface", "mark"];

/// The words that are not valid for a packet that an ICMP error quotes: it has no frame of its own.
const FRAME: &[&str] = &[
    "vlan",
    "src_mac",
    "dst_mac",
    "truncate",
    "interface",
    "pppoe",
    "in_interface",
    "mark",
];

/// The word before the packet that an ICMP error is about.
const ABOUT: &str = "about";

/// The word for a TCP packet without flags.
const NULL: &str = "null";

/// The word for a query of a multicast router.
const MEMBERSHIP_QUERY: &str = "membership-query";

/// The routing type for experiments (RFC 4727), which nodes skip if no segments are left.
const EXPERIMENT: u8 = 253;

/// The properties of a packet other than protocol and addresses.
#[derive(Debug, Default)]
pub(super) struct Options<'t> {
    /// VLAN tags, the outermost first.
    pub(super) tags: Vec<Tag>,
    /// The number of a PPPoE session.
    pub(super) session: Option<u16>,
    pub(super) src_mac: Option<MacAddr>,
    pub(super) dst_mac: Option<MacAddr>,
    /// The numeric fields of the IP header.
    numbers: Vec<(FieldName, u16)>,
    /// IPv4 options, as in the header.
    ip_options: Vec<u8>,
    /// IPv6 extension headers, fragment headers included.
    pub(super) extensions: Vec<Extension>,
    pub(super) fragment: Option<Fragment>,
    pub(super) tcp_flags: Option<u8>,
    /// ICMP type and code.
    pub(super) icmp: Option<(u8, u8)>,
    /// The word before the packet that an ICMP error is about, which follows.
    pub(super) about: Option<Word<'t>>,
    /// Whether an IGMP message is a membership query.
    pub(super) is_group_query: bool,
    pub(super) size: Option<Size<'t>>,
    pub(super) truncate: Option<usize>,
    pub(super) interface: Option<Word<'t>>,
    pub(super) in_interface: Option<Word<'t>>,
    pub(super) mark: Option<u32>,
}

/// The requested size of a packet.
#[derive(Clone, Copy, Debug)]
pub(super) enum Size<'t> {
    /// The number of bytes after the last header.
    Payload(usize, Word<'t>),
    /// The length of the IP packet in bytes, header included.
    Length(usize, Word<'t>),
}

impl<'t> Options<'t> {
    /// Reads the options of a packet that goes this way; `None` of one that an ICMP error quotes.
    pub(super) fn read(
        words: &mut Words<'t>,
        subject: &Subject<'t>,
        direction: Option<Direction>,
    ) -> Result<Self, Fault> {
        let mut options = Self::default();
        let mut given = Vec::new();
        while let Some(word) = words.next() {
            if direction.is_none() && FRAME.contains(&word.text) {
                let message = format!(
                    "a packet that an error is about has no {}",
                    quoted(word.text)
                );
                return Err(word.fault(message).help("write it before `about`"));
            }
            if word.text == ABOUT && is_icmp(subject) {
                options.about = Some(word);
                break;
            }
            let is_of_out = OUT.contains(&word.text);
            if is_of_out && direction == Some(Direction::In) {
                let message = format!("only packets out have {}", quoted(word.text));
                return Err(word.fault(message).help("begin the packet with `out`"));
            }
            if !is_of_out && !known(subject).contains(&word.text) {
                options.upper(word, subject)?;
                continue;
            }
            let may_repeat = word.text == "vlan" || IPV6.contains(&word.text);
            if !may_repeat && given.contains(&word.text) {
                return Err(word.fault(format!("{} is given twice", quoted(word.text))));
            }
            given.push(word.text);
            options.one(word, words, subject)?;
        }
        Ok(options)
    }

    /// Reads one of the [`known`] words and its value.
    fn one(
        &mut self,
        word: Word<'t>,
        words: &mut Words<'t>,
        subject: &Subject<'t>,
    ) -> Result<(), Fault> {
        let mut value = |what: &str| words.expect(&format!("{what} behind `{}`", word.text));
        match word.text {
            "vlan" => self.tags.push(tag(value("a VLAN")?)?),
            "src_mac" => self.src_mac = Some(mac(value("an address")?)?),
            "dst_mac" => self.dst_mac = Some(mac(value("an address")?)?),
            "pppoe" => self.session = Some(value("a session")?.half("session")?),
            "ip_option" => self.ip_options = ip_options(value("an option")?)?,
            "payload" => self.size(Size::Payload, word, value("a number of bytes")?)?,
            "length" => self.size(Size::Length, word, value("a number of bytes")?)?,
            "truncate" => {
                let bytes = value("a number of bytes")?.number("a number of bytes", MOST)?;
                self.truncate = Some(bytes as usize);
            }
            "interface" => self.interface = Some(interface(value("a name")?)?),
            "in_interface" => self.in_interface = Some(interface(value("a name")?)?),
            "mark" => self.mark = Some(value("a number")?.mark()?),
            "fragment" => self.fragment(value("an offset in bytes")?, subject)?,
            "hop-by-hop" => self.extensions.push(Extension::HopByHop(PAD.to_vec())),
            "destination" => self.extensions.push(Extension::Destination(PAD.to_vec())),
            "ah" => self
                .extensions
                .push(Extension::Authentication(vec![0; CHECK_VALUE])),
            "routing" => self.extensions.push(Extension::Routing {
                kind: EXPERIMENT,
                segments_left: 0,
                data: Vec::new(),
            }),
            _ => {
                let mut numbers = numbers();
                let known = numbers.find(|(field, _)| field.as_str() == word.text);
                let (field, of) = known.ok_or_else(|| unknown(word, subject))?;
                self.numbers
                    .push((field, number(value(&an(of.what))?, of)?));
            }
        }
        Ok(())
    }

    fn size(
        &mut self,
        kind: fn(usize, Word<'t>) -> Size<'t>,
        word: Word<'t>,
        value: Word<'t>,
    ) -> Result<(), Fault> {
        if self.size.is_some() {
            let message = "`payload` and `length` both say how long the packet is";
            return Err(word.fault(message));
        }
        let bytes = value.number("a number of bytes", MOST)?;
        self.size = Some(kind(bytes as usize, value));
        Ok(())
    }

    fn fragment(&mut self, word: Word<'t>, subject: &Subject<'t>) -> Result<(), Fault> {
        let digits = Word {
            text: word.text.trim_end_matches('+'),
            ..word
        };
        let more = match word.text.len() - digits.text.len() {
            0 => false,
            1 => true,
            _ => return Err(word.is_no("offset of a fragment")),
        };
        let bytes = digits.number("the offset of a fragment", 8 * 0x1fff)?;
        if !bytes.is_multiple_of(8) {
            let down = bytes & !7;
            return Err(digits
                .fault("the offset of a fragment is a multiple of 8 bytes")
                .help(format!("write `{down}` or `{}`", down + 8)));
        }
        let fragment = Fragment {
            id: 1,
            // The number is bounded.
            offset: (bytes / 8) as u16,
            more,
        };
        match subject {
            Subject::Ip(ip) if ip.family() == Family::Ipv6 => {
                self.extensions.push(Extension::Fragment(fragment));
            }
            Subject::Ip(_) if !more && bytes == 0 => {
                return Err(word
                    .fault("an IPv4 packet from offset 0 to its end is no fragment")
                    .help("write `fragment 0+` for the first of several, or leave it out"));
            }
            Subject::Ip(_) | Subject::Arp { .. } | Subject::EtherType(_) | Subject::Bytes(_) => {}
        }
        self.fragment = Some(fragment);
        Ok(())
    }

    /// The packet with the numeric fields of its IP header; `ttl` is the default.
    pub(super) fn numbered(&self, packet: Packet, ttl: u8) -> Packet {
        let packet = packet.ttl(ttl).options(&self.ip_options);
        let numbers = self.numbers.iter();
        numbers.fold(packet, |packet, (field, value)| {
            packet.number(*field, *value)
        })
    }

    /// Reads TCP flags or an ICMP message.
    fn upper(&mut self, word: Word<'t>, subject: &Subject<'t>) -> Result<(), Fault> {
        match subject {
            Subject::Ip(ip) if ip.protocol == protocol::TCP => {
                self.tcp_flags = Some(self.tcp_flags.unwrap_or(0) | flags(word, subject)?);
            }
            Subject::Ip(ip) if is_icmp(subject) => {
                if self.icmp.is_some() {
                    return Err(unknown(word, subject));
                }
                self.icmp = Some(message(word, ip, subject)?);
            }
            Subject::Ip(ip) if is_igmp(ip) && word.text == MEMBERSHIP_QUERY => {
                self.is_group_query = true;
            }
            Subject::Ip(_) | Subject::Arp { .. } | Subject::EtherType(_) | Subject::Bytes(_) => {
                return Err(unknown(word, subject));
            }
        }
        Ok(())
    }
}

fn is_icmp(subject: &Subject<'_>) -> bool {
    match subject {
        Subject::Ip(ip) => matches!(ip.protocol, protocol::ICMP | protocol::ICMPV6),
        Subject::Arp { .. } | Subject::EtherType(_) | Subject::Bytes(_) => false,
    }
}

fn is_igmp(ip: &Ip<'_>) -> bool {
    ip.protocol == protocol::IGMP && ip.family() == Family::Ipv4
}

/// The maximum number of bytes of options in an IPv4 header.
const MAX_OPTIONS: usize = 40;

/// An upper bound on the bytes of any packet.
const MOST: u32 = 65_575;

/// A PadN option that fills a header of 8 bytes (RFC 8200, section 4.2).
const PAD: [u8; 6] = [1, 4, 0, 0, 0, 0];

/// The bytes of the integrity check value of HMAC-SHA-1-96 (RFC 2404).
const CHECK_VALUE: usize = 12;

/// The words that are valid for this packet, except flags and types.
fn known(subject: &Subject<'_>) -> Vec<&'static str> {
    match subject {
        Subject::Bytes(_) => BYTES.to_vec(),
        Subject::Arp { .. } | Subject::EtherType(_) => GENERAL.to_vec(),
        Subject::Ip(ip) => {
            let of_family = match ip.family() {
                Family::Ipv4 => IPV4,
                Family::Ipv6 => IPV6,
            };
            let numbers = numbers().map(|(field, _)| field.as_str());
            let general = GENERAL.iter().copied().chain(numbers);
            general.chain([IP, of_family].concat()).collect()
        }
    }
}

/// The fields that are a number in the header of every IP packet.
fn numbers() -> impl Iterator<Item = (FieldName, &'static Number)> {
    let fields = FieldName::ALL.iter();
    fields.filter_map(|field| match field.form() {
        Form::Number(number) => Some((*field, number)),
        Form::Interface
        | Form::InInterface
        | Form::Forwarded
        | Form::Mark
        | Form::Family
        | Form::Ethertype
        | Form::Vlan
        | Form::SrcMac
        | Form::DstMac
        | Form::Src
        | Form::Dst
        | Form::Proto
        | Form::Sport
        | Form::Dport
        | Form::TcpFlags
        | Form::Icmp
        | Form::Length(_)
        | Form::Options(_)
        | Form::Fragment
        | Form::State => None,
    })
}

fn unknown(word: Word<'_>, subject: &Subject<'_>) -> Fault {
    let mut words = known(subject);
    if let Subject::Ip(ip) = subject {
        match ip.protocol {
            protocol::TCP => words.extend(field::tcp_flags().chain([NULL])),
            protocol::ICMP | protocol::ICMPV6 => words.extend(icmp_types(ip.family())),
            _ if is_igmp(ip) => words.push(MEMBERSHIP_QUERY),
            _ => {}
        }
    }
    let message = format!("{} says nothing about this packet", quoted(word.text));
    let mut fault = word.fault(message).suggest(word.text, words.clone());
    fault
        .help
        .get_or_insert_with(|| format!("known here are `{}`", words.join("`, `")));
    fault
}

fn tag(word: Word<'_>) -> Result<Tag, Fault> {
    let (kind, id) = word.split('/');
    let kind = kind.map(|kind| kind.half("tag protocol identifier"));
    Ok(Tag {
        kind: kind.transpose()?.unwrap_or(Tag::customer(0).kind),
        // The number is bounded.
        id: id.number("a VLAN", MAX_VLAN.into())? as u16,
        priority: 0,
    })
}

/// The value of a field, by name or number.
fn number(word: Word<'_>, number: &Number) -> Result<u16, Fault> {
    let read = match number.named(word.text) {
        Some(value) => Ok(value.into()),
        None => word
            .number(&an(number.what), number.max.into())
            .map_err(|fault| fault.suggest(word.text, number.names())),
    };
    // The number is bounded.
    read.map(|value| value as u16)
}

/// A noun with its article.
fn an(noun: &str) -> String {
    let article = if noun.starts_with(['I', 'a', 'e', 'i', 'o']) {
        "an"
    } else {
        "a"
    };
    format!("{article} {noun}")
}

/// IPv4 options, each without data.
fn ip_options(word: Word<'_>) -> Result<Vec<u8>, Fault> {
    let mut options = Vec::new();
    let mut rest = Some(word);
    while let Some(words) = rest {
        let (first, others) = words.split(',');
        let name = first.unwrap_or(words);
        rest = first.map(|_| others);
        // The number is bounded.
        let option = number(name, &IP_OPTION)? as u8;
        if !options.contains(&option) {
            options.push(option);
        }
    }
    let bytes = ip_option_bytes(&options);
    if bytes.len() > MAX_OPTIONS {
        return Err(word.fault(format!(
            "these options have {} bytes, and a header has room for {MAX_OPTIONS}",
            bytes.len()
        )));
    }
    Ok(bytes)
}

fn mac(word: Word<'_>) -> Result<MacAddr, Fault> {
    match mac::parse(word.text) {
        Ok((first, last)) if first == last => {
            let [_, _, a, b, c, d, e, f] = first.to_be_bytes();
            Ok(MacAddr(a, b, c, d, e, f))
        }
        Ok(_) | Err(_) => Err(word
            .is_no("MAC address")
            .help("write six pairs of hexadecimal digits, such as `02:00:00:00:00:01`")),
    }
}

fn interface(word: Word<'_>) -> Result<Word<'_>, Fault> {
    match InterfacePattern::parse(word.text) {
        Some(pattern) if !pattern.is_glob() => Ok(word),
        Some(_) | None => Err(word
            .is_no("name of an interface")
            .help("a packet has one interface, named as `ip link` names it")),
    }
}

fn flags(word: Word<'_>, subject: &Subject<'_>) -> Result<u8, Fault> {
    if word.text == NULL {
        return Ok(0);
    }
    let mut flags = 0;
    let mut rest = Some(word);
    while let Some(words) = rest {
        let (first, behind) = words.split(',');
        let name = first.unwrap_or(words);
        rest = first.map(|_| behind);
        flags |= field::tcp_flag(name.text).ok_or_else(|| {
            let fault = unknown(name, subject);
            if name.text.starts_with('!') {
                fault.help("flags that are not named are clear")
            } else {
                fault
            }
        })?;
    }
    Ok(flags)
}

/// A type, by name or number, and optionally a code.
fn message(word: Word<'_>, ip: &Ip<'_>, subject: &Subject<'_>) -> Result<(u8, u8), Fault> {
    let (kind, code) = match word.split('/') {
        (Some(kind), code) => (kind, Some(code)),
        (None, kind) => (kind, None),
    };
    let number = match icmp_type_number(ip.family(), kind.text) {
        Some(number) => number,
        None if kind.text.starts_with(|c: char| c.is_ascii_digit()) => {
            kind.number("an ICMP type", 255)? as u8
        }
        None => return Err(unknown(kind, subject)),
    };
    let code = code.map(|code| code.number("an ICMP code", 255));
    Ok((number, code.transpose()?.unwrap_or(0) as u8))
}
