//! Reads lookups: from the value of a narrow field to its class.

use crate::image::{Memory, direct_class_at, field_page_at, paged_class_at};

/// The class of a value that has an entry of its own.
#[inline(always)]
pub(super) fn direct<M: Memory + ?Sized>(image: &M, lookup: u32, value: u32) -> u32 {
    u32::from(image.u16(direct_class_at(lookup, value)))
}

/// The class of a value of 16 bits, or with `absent` = 1 that of packets without it.
#[inline(always)]
pub(super) fn paged<M: Memory + ?Sized>(image: &M, lookup: u32, value: u16, absent: u32) -> u32 {
    let value = u32::from(value);
    let page = u32::from(image.u16(field_page_at(lookup, value, absent)));
    u32::from(image.u16(paged_class_at(lookup, page, value)))
}
