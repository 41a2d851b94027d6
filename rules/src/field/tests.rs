//! Tests of the names of all fields.

use crate::field::{
    dscp::DSCP,
    ethertype::{ethertype_name, ethertype_number},
    family::Family,
    icmp::{icmp_type_name, icmp_type_number},
    protocol::{protocol_name, protocol_number},
    tcp_flags::tcp_flag,
};

#[test]
fn names_and_numbers_agree() {
    for number in 0..=u8::MAX {
        if let Some(name) = protocol_name(number) {
            assert_eq!(protocol_number(name), Some(number));
        }
        for family in [Family::Ipv4, Family::Ipv6] {
            if let Some(name) = icmp_type_name(family, number) {
                assert_eq!(icmp_type_number(family, name), Some(number));
            }
        }
    }
    for number in 0..=u16::MAX {
        if let Some(name) = ethertype_name(number) {
            assert_eq!(ethertype_number(name), Some(number));
        }
    }
    // RFC 2597: class and drop precedence.
    for (name, class, precedence) in [("af11", 1, 1), ("af23", 2, 3), ("af42", 4, 2)] {
        assert_eq!(DSCP.named(name), Some(class << 3 | precedence << 1));
    }
    for (class, name) in (0..8).zip(["cs0", "cs1", "cs2", "cs3", "cs4", "cs5", "cs6", "cs7"]) {
        assert_eq!(DSCP.named(name), Some(class << 3));
    }
    assert_eq!(DSCP.named("ef"), Some(0b10_1110));
    assert_eq!(tcp_flag("fin"), Some(1));
    assert_eq!(tcp_flag("cwr"), Some(128));
    assert_eq!(tcp_flag("ns"), None);
}
