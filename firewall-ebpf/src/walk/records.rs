//! Reads the records of address classes.

use core::mem::offset_of;

use crate::image::{Memory, Record, RecordFlags, Records};

/// The record of a class, by the [`Records`] at `records` in a section.
#[inline(always)]
pub(super) fn record<M: Memory + ?Sized>(
    image: &M,
    section: M::Head,
    records: usize,
    class: u32,
) -> Record {
    let offset = image.field(section, records + offset_of!(Records, offset));
    let last = image.field(section, records + offset_of!(Records, last));
    let index = if class < last { class } else { last };
    let at = offset.wrapping_add(index.wrapping_mul(size_of::<Record>() as u32));
    let (wide, row) = image.two_u32(at, offset_of!(Record, wide));
    let (leaves, flags) = image.two_u32(at, offset_of!(Record, leaves));
    Record {
        wide,
        row,
        leaves,
        flags: RecordFlags::from_bits(flags),
    }
}
