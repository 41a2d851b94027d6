//! The entries that a walk ends with.

use crate::image::{NO_MATCH, NONE};

/// Returned by a walk that left its bounds.
pub(super) const BAD_IMAGE: u32 = 1 << 2 | NO_MATCH;

/// What an item says, as an entry.
#[inline(always)]
pub(super) fn entry(item: u64) -> u32 {
    if item == NONE {
        NO_MATCH
    } else {
        (item >> 16) as u32 & 0x00ff_ffff
    }
}
