//! Witnesses written in the notation for packets.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use firewall_ebpf::parse::ethertype;

use super::{
    frame::frame,
    witness::{Witness, WitnessFragment, WitnessIp},
};
use crate::{
    context::Context,
    evaluator::{Fields, decode},
    field::{FieldName, Form, flags_in_words, icmp_type_name, ip_option_name, protocol_name},
    notation,
    text::hexadecimal,
};

/// An ARP packet whose addresses do not matter.
const USUAL_ARP: &str = "arp 192.0.2.9 > 192.0.2.1";

/// In the notation for packets. Only what differs from the defaults of the notation is written; a
/// packet that the notation cannot describe is shown as the bytes of a frame.
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
        f.write_str(&notation::with_context(&text, &self.named()))
    }
}

/// A frame of `length` bytes that begins with `start`, in the notation for packets; frames that the notation cannot describe or the parser cannot read are shown as
/// bytes.
///
/// Missing bytes are taken to be 0.
#[must_use]
pub fn in_words(start: &[u8], length: usize, context: &Context<&str>) -> String {
    let mut frame = start.to_vec();
    frame.resize(length.max(start.len()), 0);
    let words = Witness::of_frame(&frame, context.map(str::to_owned)).map(|witness| {
        let words = witness.to_string();
        match (arp_ends(&frame), words.split_once(USUAL_ARP)) {
            (Some((sender, target)), Some((before, rest)))
                if witness.ethertype == ethertype::ARP =>
            {
                format!("{before}arp {sender} > {target}{rest}")
            }
            _ => words,
        }
    });
    words.unwrap_or_else(|| {
        let bytes = format!("hex {}", hexadecimal::digits(start));
        notation::with_context(&bytes, &context.map(Some))
    })
}

/// The protocol addresses of sender and target in an ARP packet after VLAN tags (RFC 826).
fn arp_ends(frame: &[u8]) -> Option<(Ipv4Addr, Ipv4Addr)> {
    let mut rest = frame.get(12..)?;
    while let [0x81 | 0x88 | 0x91, 0x00 | 0xa8, _, _, behind @ ..] = rest {
        rest = behind;
    }
    let address = |at: usize| rest.get(at..)?.first_chunk::<4>().copied();
    Some((address(16)?.into(), address(26)?.into()))
}

/// The fields of the packet that a text in the notation describes.
fn read(text: &str) -> Option<Fields> {
    decode(&notation::read(text).ok()?.frame).ok()
}

impl Witness {
    /// The words for the properties in which the packet differs from `made`, which the notation
    /// yields without them.
    fn unusual(&self, made: &Fields) -> String {
        let wanted = self.fields();
        let mut words = String::new();
        if made.src_mac != wanted.src_mac {
            words += &format!(" src_mac {}", self.src_mac);
        }
        if made.dst_mac != wanted.dst_mac {
            words += &format!(" dst_mac {}", self.dst_mac);
        }
        for field in FieldName::ALL {
            if let (Form::Number(_), Some(number)) = (field.form(), wanted.number(*field))
                && made.number(*field) != Some(number)
            {
                words += &format!(" {} {number}", field.as_str());
            }
        }
        if let Some(ip) = &self.ip
            && made.length != wanted.length
        {
            words += &format!(" length {}", ip.length);
        }
        words
    }
}

impl fmt::Display for WitnessIp {
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
            write!(f, " {}", flags_in_words(flags))?;
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
        if self.is_group_query {
            f.write_str(" membership-query")?;
        }
        if !self.options.is_empty() {
            let options = self.options.iter();
            let options: Vec<String> = options.map(|option| ip_option_name(*option)).collect();
            write!(f, " ip_option {}", options.join(","))?;
        }
        match self.fragment {
            WitnessFragment::Whole => {}
            WitnessFragment::First => f.write_str(" fragment 0+")?,
            WitnessFragment::Later => f.write_str(" fragment 1480")?,
        }
        Ok(())
    }
}
