//! Reads lookups: from the value of a narrow field to its class.

use crate::image::{FIELD_PAGES, Memory, NO_PAGE, PAGE};

/// The class of a value that has an entry of its own.
#[inline(always)]
pub(super) fn direct<M: Memory + ?Sized>(image: &M, lookup: u32, value: u32) -> u32 {
    u32::from(image.u16(lookup.wrapping_add(value * 2)))
}

/// The class of a value of 16 bits, or with `absent` = 1 that of packets without it.
#[inline(always)]
pub(super) fn paged<M: Memory + ?Sized>(image: &M, lookup: u32, value: u16, absent: u32) -> u32 {
    let value = u32::from(value);
    let high = (value >> 8) | (absent * NO_PAGE);
    let page = u32::from(image.u16(lookup.wrapping_add(high * 2)));
    let index = page.wrapping_mul(PAGE).wrapping_add(value & (PAGE - 1));
    let pages = lookup.wrapping_add(FIELD_PAGES);
    u32::from(image.u16(pages.wrapping_add(index.wrapping_mul(2))))
}
