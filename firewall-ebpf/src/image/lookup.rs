//! Lookups: from the value of a narrow field to its class.
//!
//! The lookup of [`Field::Protocol`](crate::field::Field::Protocol) is a `u16`, the class, for each
//! key up to [`NO_PROTOCOL`](crate::field::NO_PROTOCOL). That of ports and ICMP messages is a `u16`
//! for each high byte of the value, and one more for packets that lack the field, the number of a
//! page of 256 classes (`u16`) for the low byte; the pages follow, at [`FIELD_PAGES`]. VLANs,
//! EtherTypes and lengths have the same. The lookups of the hops left and of
//! [`Field::Traffic`](crate::field::Field::Traffic) are a `u16` for each value. Those of the
//! interface and of MAC addresses are tries.

/// The digits, or values of a small field, of a page.
pub const PAGE: u32 = 256;

/// The number of the page of packets that lack a port or message, among the page numbers.
pub const NO_PAGE: u32 = 256;
/// The offset of the pages of a port or message from the start of its lookup.
pub const FIELD_PAGES: u32 = 2 * (NO_PAGE + 1) + 6;

const _: () = assert!(FIELD_PAGES.is_multiple_of(8));
