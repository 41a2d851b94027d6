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
    pub const fn words(&self) -> [u32; 8] {
        [
            self.magic,
            self.length,
            self.drops.bits(),
            self.metadata,
            self.metadata_length,
            self.drops_out.bits(),
            self.zero as u32,
            (self.zero >> 32) as u32,
        ]
    }
}

/// The reasons for which packets are dropped, and those for which they are logged.
///
/// | bits | |
/// | --- | --- |
/// | 0-15 | bit `r`: packets are dropped for the [`Reason`] with number `r` |
/// | 16-31 | bit `16 + r`: packets that are counted under it are logged |
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

    /// These, and packets that are counted under a reason are logged.
    #[must_use]
    pub const fn with_log(self, reason: Reason) -> Self {
        Self(self.0 | 1 << (reason.number() + Self::LOGS))
    }

    /// Whether packets that are counted under this reason are logged.
    #[must_use]
    #[inline(always)]
    pub const fn logs(self, reason: Reason) -> bool {
        self.0 >> Self::LOGS & 1 << reason.number() != 0
    }

    const LOGS: u32 = 16;

    /// Whether packets are dropped for this reason.
    #[must_use]
    #[inline(always)]
    pub const fn has(self, reason: Reason) -> bool {
        self.0 & (1 << reason.number()) != 0
    }
}

const _: () = assert!(Reason::ALL.len() <= 16);
const _: () = assert!(size_of::<Header>() == 32);
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
            zero: 8 << 32 | 7,
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
            at(offset_of!(Header, zero)),
            at(offset_of!(Header, zero) + 4),
        ];
        assert_eq!(found, [1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn reasons_do_not_share_a_bit() {
        for one in Reason::ALL {
            for other in Reason::ALL {
                let dropped = Drops::default().with(one);
                assert_eq!(
                    (dropped.has(other), dropped.logs(other)),
                    (one == other, false)
                );
                let logged = Drops::default().with_log(one);
                assert_eq!(
                    (logged.has(other), logged.logs(other)),
                    (false, one == other)
                );
            }
        }
    }
}
