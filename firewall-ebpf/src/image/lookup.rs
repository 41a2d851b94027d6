//! Lookups: from the value of a narrow field to its class.
//!
//! The lookup of [`Field::Protocol`](crate::field::Field::Protocol) is a `u16`, the class, for each
//! key up to [`NO_PROTOCOL`](crate::field::NO_PROTOCOL). Those of the hops left and of
//! [`Field::Traffic`](crate::field::Field::Traffic) are a `u16` for each value. That of ports and
//! ICMP messages has [pages](super::pages) of classes (`u16`), with one page more for packets that
//! lack the field, whose number follows the others; the pages begin at [`FIELD_PAGES`]. VLANs,
//! EtherTypes and lengths have the same. Those of interfaces, of the mark and of MAC addresses are
//! tries. That of [`Field::Options`](crate::field::Field::Options) is a byte for each option, the bit
//! of its group, and after these a `u16` for each set of groups.

use super::pages::{PAGE, page_index};

/// The high byte that stands for packets that lack a port or message.
const ABSENT: u32 = PAGE;

/// The offset of the pages of a port or message from the start of its lookup.
pub const FIELD_PAGES: u32 = 2 * (ABSENT + 1) + 6;

/// The offset of the class of `value`, which has one of its own, in the lookup at `lookup`.
#[must_use]
#[inline(always)]
pub const fn direct_class_at(lookup: u32, value: u32) -> u32 {
    lookup.wrapping_add(value * 2)
}

/// The offset of the number of the page of `value` in the lookup at `lookup`; of packets that lack
/// the field, if `absent` is 1 and not 0, without a branch.
#[must_use]
#[inline(always)]
pub const fn field_page_at(lookup: u32, value: u32, absent: u32) -> u32 {
    let high = (value >> 8) | (absent * ABSENT);
    lookup.wrapping_add(high * 2)
}

/// The offset of the class of `value` in the lookup at `lookup`, when its page is number `page`.
#[must_use]
#[inline(always)]
pub const fn paged_class_at(lookup: u32, page: u32, value: u32) -> u32 {
    lookup
        .wrapping_add(FIELD_PAGES)
        .wrapping_add(page_index(page, value).wrapping_mul(2))
}

/// The number of IPv4 options, each with a byte for its group at the start of their lookup.
const IP_OPTIONS: u32 = 256;

/// The offset of the bit of the group of an IPv4 option in the lookup at `lookup`.
#[must_use]
#[inline(always)]
pub const fn option_group_at(lookup: u32, option: u8) -> u32 {
    lookup.wrapping_add(option as u32)
}

/// The offset of the class of a set of groups of IPv4 options, a bit for each, in the lookup at
/// `lookup`.
#[must_use]
#[inline(always)]
pub const fn option_class_at(lookup: u32, groups: u32) -> u32 {
    direct_class_at(lookup.wrapping_add(IP_OPTIONS), groups)
}

const _: () = assert!(FIELD_PAGES.is_multiple_of(8) && IP_OPTIONS.is_multiple_of(8));
