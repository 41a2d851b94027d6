//! The head of an image.

use core::mem::offset_of;

use crate::abi::{Direction, Reason};

/// The first word of every image: "FWI" and the layout's version.
pub const MAGIC: u32 = u32::from_le_bytes([b'F', b'W', b'I', 11]);

/// Whether the first word is that of an image, of this layout or another one.
#[must_use]
pub const fn is_magic(word: u32) -> bool {
    let [a, b, c, _] = word.to_le_bytes();
    matches!(&[a, b, c], b"FWI")
}

/// The head of an image. It is the same in all layouts with the same [`STATE_VERSION`](crate::abi::STATE_VERSION), so that
/// user space can read the metadata of each.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// [`MAGIC`].
    pub magic: u32,
    /// The bytes of the image in use.
    pub length: u32,
    /// The reasons for which packets in are dropped.
    pub drops: Drops,
    /// The offset of the metadata.
    pub metadata: u32,
    /// The length of the metadata in bytes.
    pub metadata_length: u32,
    /// The reasons for which packets out are dropped.
    pub drops_out: Drops,
    /// What the programs have to know of flows.
    pub tracking: Tracking,
    /// 0.
    pub reserved: u32,
    /// 0, which no verifier knows: what is XORed with it becomes opaque.
    pub zero: u64,
}

impl Header {
    /// The offset of the reasons for which packets of a direction are dropped.
    #[must_use]
    #[inline(always)]
    pub const fn drops_at(direction: Direction) -> u32 {
        match direction {
            Direction::In => offset_of!(Self, drops) as u32,
            Direction::Out => offset_of!(Self, drops_out) as u32,
        }
    }

    /// The header as it is in the image.
    #[must_use]
    pub const fn words(&self) -> [u32; 10] {
        [
            self.magic,
            self.length,
            self.drops.bits(),
            self.metadata,
            self.metadata_length,
            self.drops_out.bits(),
            self.tracking.bits(),
            self.reserved,
            self.zero as u32,
            (self.zero >> 32) as u32,
        ]
    }
}

/// What the programs have to know of flows.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tracking(u32);

impl Tracking {
    /// Nothing: no rule asks for states, and an image has the sections of [`State::New`](crate::state::State::New) only.
    pub const NOTHING: Self = Self(0);
    /// Replies to packets out.
    pub const REPLIES: Self = Self(1);
    /// Also the flows that packets in begin: those that pass as `new` are added.
    pub const INCOMING: Self = Self(3);
    /// Also the states of packets out.
    pub const OUTGOING_STATES: Self = Self(7);

    /// That in a word.
    #[must_use]
    #[inline(always)]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The word.
    #[must_use]
    #[inline(always)]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether all of another is in this.
    #[must_use]
    #[inline(always)]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Its offset in an image.
    pub const AT: u32 = offset_of!(Header, tracking) as u32;
}

/// The reasons for which packets are dropped: bit `r` stands for the [`Reason`] with this number.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops(u32);

impl Drops {
    /// Those in a word.
    #[must_use]
    #[inline(always)]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The word.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// These and one more.
    #[must_use]
    pub const fn with(self, reason: Reason) -> Self {
        Self(self.0 | 1 << reason.number())
    }

    /// Whether packets are dropped for this reason.
    #[must_use]
    #[inline(always)]
    pub const fn has(self, reason: Reason) -> bool {
        self.0 & (1 << reason.number()) != 0
    }
}

const _: () = assert!(size_of::<Header>() == 40);
const _: () = assert!(offset_of!(Header, zero).is_multiple_of(8));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lie_where_they_are_read() {
        let header = Header {
            magic: 1,
            length: 2,
            drops: Drops::from_bits(3),
            metadata: 4,
            metadata_length: 5,
            drops_out: Drops::from_bits(6),
            tracking: Tracking::from_bits(7),
            reserved: 8,
            zero: 10 << 32 | 9,
        };
        let words = header.words();
        let at = |offset: usize| words[offset / 4];
        let found = [
            at(offset_of!(Header, magic)),
            at(offset_of!(Header, length)),
            at(offset_of!(Header, drops)),
            at(offset_of!(Header, metadata)),
            at(offset_of!(Header, metadata_length)),
            at(offset_of!(Header, drops_out)),
            at(offset_of!(Header, tracking)),
            at(offset_of!(Header, reserved)),
            at(offset_of!(Header, zero)),
            at(offset_of!(Header, zero) + 4),
        ];
        assert_eq!(found, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    }

    #[test]
    fn reasons_do_not_share_a_bit() {
        for one in Reason::ALL {
            for other in Reason::ALL {
                assert_eq!(Drops::default().with(one).has(other), one == other);
            }
        }
    }
}
