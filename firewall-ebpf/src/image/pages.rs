//! Pages: what a table has for each value of 16 bits, of which equal stretches are stored once.
//!
//! There is a `u16` for each high byte, the number of the page that has an element for each low
//! byte.

/// The elements of a page.
pub const PAGE: u32 = 256;

/// The offset of the number of the page of `value`, in the numbers at `numbers`.
#[must_use]
#[inline(always)]
pub const fn page_number_at(numbers: u32, value: u32) -> u32 {
    numbers.wrapping_add((value >> 8) * 2)
}

/// The index of the element of `value` among those of all pages, when its page is number `page`.
#[must_use]
#[inline(always)]
pub const fn page_index(page: u32, value: u32) -> u32 {
    page.wrapping_mul(PAGE).wrapping_add(value & (PAGE - 1))
}
