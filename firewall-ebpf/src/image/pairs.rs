//! Pairs: from the classes of both addresses to the rules that are left.
//!
//! The classes lead to four leaves, and the least item of the four decides:
//!
//! - the [`Record`](super::Record) of the source's class has the rules whose sources are few
//!   classes and whose destinations are many: one leaf, or one for each wide class of the
//!   destination;
//! - the record of the destination's class likewise;
//! - a table of wide source classes by wide destination classes has the rules that are wide on
//!   both sides;
//! - a perfect hash table of [`Pair`]s has those whose sources and destinations are few classes.

use core::mem::offset_of;

use super::leaves::Leaf;

/// The rules for one source class and one destination class.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pair {
    /// The source class.
    pub src: u32,
    /// The destination class.
    pub dst: u32,
    /// The leaf.
    pub leaf: Leaf,
}

impl Pair {
    /// The place of a pair that no classes have: no class has this number.
    pub const UNUSED: Self = Self {
        src: u32::MAX,
        dst: u32::MAX,
        leaf: Leaf::EMPTY,
    };

    /// The first word of the pair of two classes.
    #[must_use]
    #[inline(always)]
    pub const fn classes(src: u32, dst: u32) -> u64 {
        (dst as u64) << 32 | src as u64
    }

    /// The pair as it is in the image.
    #[must_use]
    pub const fn words(&self) -> [u64; 2] {
        [Self::classes(self.src, self.dst), self.leaf.bits()]
    }
}

const _: () = assert!(size_of::<Pair>() == 16);
// What the walker loads two words at a time.
const _: () =
    assert!(offset_of!(Pair, src).is_multiple_of(8) && offset_of!(Pair, leaf).is_multiple_of(8));
