//! The steps that fuse the classes of the narrow fields into one L4 class, a field at a time.

use core::mem::offset_of;

/// One field's part in the L4 class.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// The lookup of the field; for the interface a reference to its trie.
    pub lookup: u32,
    /// The number of classes of the field.
    pub classes: u32,
    /// The offset of a `u16` for each `fused * classes + class`: the fused class so far. 0 for the
    /// first step in use, whose classes are the fused classes.
    pub table: u32,
    /// Brings the length to a multiple of 8.
    pub padding: u32,
}

impl Step {
    /// The step as it is in the image.
    #[must_use]
    pub const fn words(&self) -> [u32; 4] {
        [self.lookup, self.classes, self.table, self.padding]
    }
}

/// The offset of the fused class in the reduction table at `table`, of a field with this many
/// classes.
#[must_use]
#[inline(always)]
pub const fn fused_class_at(table: u32, classes: u32, fused: u32, class: u32) -> u32 {
    let cell = fused.wrapping_mul(classes).wrapping_add(class);
    table.wrapping_add(cell.wrapping_mul(2))
}

const _: () = assert!(size_of::<Step>() == 16 && offset_of!(Step, lookup) == 0);
