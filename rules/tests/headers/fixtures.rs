//! Frames with a known meaning, written by hand from the standards.

mod details;
mod ethernet;
mod ipv4;
mod ipv6;
mod pppoe;

use std::net::{Ipv4Addr, Ipv6Addr};

use firewall_ebpf::abi::Reason;
use rules::{evaluator::Fields, field::Family, text::hexadecimal};

/// A frame and its expected fields.
#[derive(Clone)]
pub(crate) struct Fixture {
    /// The special property of the frame.
    pub(crate) description: &'static str,
    /// The frame, from the Ethernet header on.
    pub(crate) frame: Vec<u8>,
    /// Its fields, or the reason why it is dropped. Rarely used fields are given only in
    /// [`details`].
    pub(crate) expected: Result<Fields, Reason>,
}

const MACS: &str = "020000000002 020000000001";
const TAG: &str = "8100 2064";

/// 192.0.2.1 to 198.51.100.2.
const V4: &str = "c0000201 c6336402";
/// 2001:db8::1 to 2001:db8::2.
const V6: &str = "20010db8000000000000000000000001 20010db8000000000000000000000002";

/// Port 4242 to port 22, SYN.
const TCP: &str = "10920016 00000001 00000000 5002 ffff 00000000";
/// Port 4242 to port 53.
const UDP: &str = "10920035 00080000";
/// Port 4242 to port 2905; as long as a DCCP header.
const SCTP: &str = "10920b59 00000000 00000000";
const ECHO: &str = "08000000 00010001";
const ECHO6: &str = "80000000 00010001";

/// An IPv6 options header of 8 bytes that precedes the header with this number.
macro_rules! options {
    ($next:literal) => {
        concat!($next, "00 010400000000")
    };
}
use options;

/// Every fixture.
pub(crate) fn table() -> Vec<Fixture> {
    [
        ethernet::fixtures(),
        ipv4::fixtures(),
        ipv4::fragments(),
        ipv6::fixtures(),
        ipv6::extensions(),
        ipv6::fragments(),
        pppoe::fixtures(),
    ]
    .concat()
}

/// Fixtures for which every field is given, including rarely used ones.
pub(crate) fn details() -> Vec<Fixture> {
    details::fixtures()
}

/// A frame from the EtherType on.
fn frame(description: &'static str, parts: &[&str], expected: Result<Fields, Reason>) -> Fixture {
    raw(description, &[&[MACS], parts].concat(), expected)
}

#[expect(clippy::expect_used, reason = "how a test fails")]
fn raw(description: &'static str, parts: &[&str], expected: Result<Fields, Reason>) -> Fixture {
    Fixture {
        description,
        frame: hexadecimal::bytes(&parts.concat()).expect("the table is hexadecimal"),
        expected,
    }
}

fn other(ethertype: u16) -> Fields {
    Fields {
        ethertype,
        ..Fields::default()
    }
}

fn v4(protocol: u8) -> Fields {
    Fields {
        family: Some(Family::Ipv4),
        src: Some(Ipv4Addr::new(192, 0, 2, 1).into()),
        dst: Some(Ipv4Addr::new(198, 51, 100, 2).into()),
        hop_limit: Some(64),
        is_fragment: Some(false),
        protocol: Some(protocol),
        ..other(0x0800)
    }
}

fn v6(protocol: u8) -> Fields {
    Fields {
        family: Some(Family::Ipv6),
        src: Some(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into()),
        dst: Some(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2).into()),
        hop_limit: Some(64),
        is_fragment: Some(false),
        protocol: Some(protocol),
        ..other(0x86dd)
    }
}

fn ports(fields: Fields, dport: u16) -> Fields {
    Fields {
        sport: Some(4242),
        dport: Some(dport),
        ..fields
    }
}

fn icmp(fields: Fields, message: u16) -> Fields {
    Fields {
        icmp: Some(message),
        ..fields
    }
}

/// The fields of a packet that is a fragment.
fn fragment(fields: Fields) -> Fields {
    Fields {
        is_fragment: Some(true),
        ..fields
    }
}

fn udp4() -> Result<Fields, Reason> {
    Ok(ports(v4(17), 53))
}

fn syn6() -> Result<Fields, Reason> {
    Ok(Fields {
        tcp_flags: Some(2),
        ..ports(v6(6), 22)
    })
}
