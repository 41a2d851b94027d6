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

const _: () = assert!(size_of::<Step>() == 16 && offset_of!(Step, lookup) == 0);
