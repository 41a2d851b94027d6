//! Code points for differentiated services: their bound, names and numbers.

use firewall_ebpf::field::Field;

use super::number::Number;

/// The largest code point for differentiated services.
pub const MAX_DSCP: u8 = (1 << 6) - 1;

/// Code points for differentiated services (RFC 2474, 2597, 3246, 5865, 8622).
const DSCPS: &[(&str, u8)] = &[
    ("cs0", 0),
    ("be", 0),
    ("le", 1),
    ("cs1", 8),
    ("af11", 10),
    ("af12", 12),
    ("af13", 14),
    ("cs2", 16),
    ("af21", 18),
    ("af22", 20),
    ("af23", 22),
    ("cs3", 24),
    ("af31", 26),
    ("af32", 28),
    ("af33", 30),
    ("cs4", 32),
    ("af41", 34),
    ("af42", 36),
    ("af43", 38),
    ("cs5", 40),
    ("va", 44),
    ("voice-admit", 44),
    ("ef", 46),
    ("cs6", 48),
    ("cs7", 56),
];

/// The code point for differentiated services.
pub const DSCP: Number = Number {
    what: "code point",
    max: MAX_DSCP as u16,
    largest: "the largest code point is 63",
    names: DSCPS,
    usual: 0,
    key: Field::Traffic,
};
