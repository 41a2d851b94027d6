//! Bans: sources whose packets are dropped before any rule is asked.
//!
//! This module owns how they lie in memory and how a packet's source is looked up. It knows nothing
//! of how they come and go.
//!
//! The bans themselves are a hash map from [`Key`] to [`Ban`], which is slow to ask. Before it
//! stands an array of [`Line`]s, the *prefilter*: its head says which prefix lengths are in use, and a
//! Bloom filter tells most sources that are not banned by one load. User space writes the filter
//! before the map, so that what is banned always passes it.
//!
//! ```text
//! line 0                     the head: the words `HEAD_*`
//! line 1 .. 1 + REASONS      the text of each reason, padded with zeros
//! then                       room for two filters: one in force, one in which the next is built
//! ```

/// The 64-bit words of a line.
pub const LINE_WORDS: u32 = 8;

/// What the prefilter consists of, a cache line each. Words are in the byte order of the machine.
pub type Line = [u64; LINE_WORDS as usize];

/// The words of the head with the prefix lengths that bans have, a word for each [`Part`]: three of
/// IPv6, then those of IPv4, which has no use for the first.
pub const HEAD_LENGTHS: u32 = 0;

/// The word of the head that says where the filter in force lies: its first line in the lower 32
/// bits, and the number of its lines, a power of two, less one in the upper.
pub const HEAD_FILTER: u32 = 5;

/// The word of the head that goes into every hash.
pub const HEAD_SEED: u32 = 6;

/// The word of the head with the number of bans in the map, which the program does not read.
pub const HEAD_COUNT: u32 = 7;

/// The number of reasons that are told apart. The first is that of bans without one.
pub const REASONS: u32 = 256;

/// The first line of the reasons' texts.
pub const REASON_LINES: u32 = 1;

/// The first line with room for filters.
pub const FILTER_LINES: u32 = REASON_LINES + REASONS;

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// Which half of an address the end of a prefix lies in. Bit `b` of a part's word stands for the
/// length that leaves the lower `b` bits of the half open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The lower half: IPv6 prefixes of 65 to 128 bits.
    Low = 0,
    /// The upper half: IPv6 prefixes of 1 to 64 bits, IPv4 prefixes of 1 to 32.
    High = 1,
    /// Neither: the prefix of no bits, at bit 0.
    None = 2,
}

/// The key of the hash map: a prefix.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The most significant 64 bits of the address. An IPv4 address fills the top 32 bits.
    pub high: u64,
    /// The least significant 64 bits of an IPv6 address, 0 for IPv4.
    pub low: u64,
    /// The family and the length: the word of the head and its bit, `word << 8 | bit`.
    pub kind: u64,
}

const _: () = assert!(size_of::<Key>() == 24 && align_of::<Key>() == 8);

/// The value of the hash map: a ban.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ban {
    /// When it ends, in nanoseconds of the clock that runs since the machine was started, also
    /// while it sleeps (`CLOCK_BOOTTIME`); [`FOREVER`] when it does not.
    pub ends: u64,
    /// When it began, by the same clock.
    pub began: u64,
    /// Under which number its packets are counted, below [`REASONS`].
    pub reason: u64,
}

const _: () = assert!(size_of::<Ban>() == 24 && align_of::<Ban>() == 8);

/// The end of a ban that has none.
pub const FOREVER: u64 = u64::MAX;

impl Key {
    /// The key of a prefix of `length` bits, at most 32 or 128; bits behind it are cleared.
    #[must_use]
    pub fn new(family: Family, high: u64, low: u64, length: u8) -> Self {
        let length = u32::from(length);
        let (part, bit) = match length {
            0 => (Part::None, 0),
            1..=64 => (Part::High, 64 - length),
            _ => (Part::Low, 128_u32.saturating_sub(length)),
        };
        Self::of(family, part, u64::from(bit), high, low)
    }

    /// The family of the prefix.
    #[must_use]
    pub const fn family(&self) -> Family {
        if self.word() < family_word(Family::V4) + Part::High as u32 {
            Family::V6
        } else {
            Family::V4
        }
    }

    /// The number of bits of the prefix.
    #[must_use]
    pub const fn length(&self) -> u8 {
        let bit = self.bit() as u8;
        match self.word() - family_word(self.family()) {
            0 => 128 - bit,
            1 => 64 - bit,
            _ => 0,
        }
    }

    /// The word of the head that has the length.
    #[must_use]
    pub const fn word(&self) -> u32 {
        (self.kind >> 8) as u32
    }

    /// The bit of that word.
    #[must_use]
    pub const fn bit(&self) -> u32 {
        (self.kind & 63) as u32
    }

    /// The hash that [`Place`] takes.
    #[must_use]
    #[inline(always)]
    pub const fn hash(&self, seed: u64) -> u64 {
        // Odd constants without structure: the fractions of the square roots of 2, 3 and 5.
        let mut hash = (self.high ^ seed).wrapping_mul(0x6a09_e667_f3bc_c909);
        hash = (hash ^ hash >> 32 ^ self.low).wrapping_mul(0xbb67_ae85_84ca_a73b);
        hash = (hash ^ hash >> 29 ^ self.kind).wrapping_mul(0x3c6e_f372_fe94_f82b);
        hash ^ hash >> 32
    }

    #[inline(always)]
    fn of(family: Family, part: Part, bit: u64, high: u64, low: u64) -> Self {
        let open = !0_u64 << (bit & 63);
        let (high, low) = match part {
            Part::Low => (high, low & open),
            Part::High => (high & open, 0),
            Part::None => (0, 0),
        };
        Self {
            high,
            low,
            kind: u64::from(family_word(family) + part as u32) << 8 | bit,
        }
    }
}

/// The word of the head for [`Part::Low`] of a family; that of IPv4, which is never used, is shared
/// with [`Part::None`] of IPv6.
const fn family_word(family: Family) -> u32 {
    match family {
        Family::V6 => HEAD_LENGTHS,
        Family::V4 => HEAD_LENGTHS + 2,
    }
}

/// Where a key is in a filter: a word, and bits of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line of the prefilter.
    pub line: u32,
    /// The word of the line.
    pub word: u32,
    /// The bits, of which all are set for what the filter has.
    pub bits: u64,
}

impl Place {
    /// The place of a hash in the filter that `filter` says, as [`HEAD_FILTER`] does.
    #[must_use]
    #[inline(always)]
    pub const fn new(filter: u64, hash: u64) -> Self {
        let lines = (filter >> 32) as u32;
        let bits = 1 << (hash >> 3 & 63)
            | 1 << (hash >> 9 & 63)
            | 1 << (hash >> 15 & 63)
            | 1 << (hash >> 21 & 63);
        Self {
            line: (filter as u32).wrapping_add((hash >> 32) as u32 & lines),
            word: (hash & 7) as u32,
            bits,
        }
    }
}

/// Where bans are kept.
pub trait Table {
    /// A line of the prefilter.
    type Line: Copy;

    /// The line of this number; `None` beyond the prefilter.
    fn line(&self, number: u32) -> Option<Self::Line>;

    /// A word of a line, below [`LINE_WORDS`].
    fn word(&self, line: Self::Line, word: u32) -> u64;

    /// The ban of a prefix.
    fn ban(&self, key: &Key) -> Option<Ban>;

    /// What the clock says that [`Ban::ends`] is of.
    fn now(&self) -> u64;
}

/// Whether there can be any ban.
#[inline(always)]
pub fn any<T: Table>(table: &T) -> bool {
    let Some(head) = table.line(0) else {
        return false;
    };
    let lengths = (HEAD_LENGTHS..HEAD_FILTER).map(|word| table.word(head, word));
    lengths.fold(0, |all, lengths| all | lengths) != 0
}

/// Finds the ban that an address is under at this moment: that of the longest prefix which has
/// one that has not ended. An address is given like that of a [`Key`].
#[inline(always)]
pub fn find<T: Table>(table: &T, family: Family, high: u64, low: u64) -> Option<(Key, Ban)> {
    let head = table.line(0)?;
    let lengths = |part: Part| table.word(head, family_word(family) + part as u32);
    let lows = match family {
        Family::V4 => 0,
        Family::V6 => lengths(Part::Low),
    };
    let highs = lengths(Part::High);
    let none = lengths(Part::None);
    if lows | highs | none == 0 {
        return None;
    }
    let filter = table.word(head, HEAD_FILTER);
    let seed = table.word(head, HEAD_SEED);
    for (part, lengths) in [(Part::Low, lows), (Part::High, highs), (Part::None, none)] {
        // IPv4 prefixes leave the lower 32 bits of the upper half open, and more.
        let most = match (family, part) {
            (Family::V4, Part::Low) => 0,
            (Family::V4, Part::High) => 32,
            (Family::V6, Part::Low | Part::High) => 64,
            (Family::V4 | Family::V6, Part::None) => 1,
        };
        let mut left = lengths;
        for _ in 0..most {
            if left == 0 {
                break;
            }
            let key = Key::of(family, part, lowest(left), high, low);
            left &= left.wrapping_sub(1);
            let place = Place::new(filter, key.hash(seed));
            let line = table.line(place.line)?;
            if table.word(line, place.word) & place.bits != place.bits {
                continue;
            }
            if let Some(ban) = table.ban(&key)
                && ban.ends > table.now()
            {
                return Some((key, ban));
            }
        }
    }
    None
}

/// The index of the lowest bit that is set in `word`, which is not 0: the number of those below it.
#[inline(always)]
const fn lowest(word: u64) -> u64 {
    // BPF has no instruction for it; ones are counted in pairs, fours and bytes at a time.
    let below = !word & word.wrapping_sub(1);
    let pairs = below - (below >> 1 & 0x5555_5555_5555_5555);
    let fours = (pairs & 0x3333_3333_3333_3333) + (pairs >> 2 & 0x3333_3333_3333_3333);
    let bytes = (fours + (fours >> 4)) & 0x0f0f_0f0f_0f0f_0f0f;
    bytes.wrapping_mul(0x0101_0101_0101_0101) >> 56
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_bit_of_every_word_is_found() {
        for bit in 0..64 {
            for above in 0..64 {
                let word = 1_u64 << bit | (!0_u64 << bit) & (1 << above);
                assert_eq!(lowest(word), u64::from(word.trailing_zeros()));
            }
        }
    }

    #[test]
    fn a_key_keeps_its_family_and_its_length_and_no_other_bits() {
        for (family, most) in [(Family::V4, 32), (Family::V6, 128)] {
            for length in 0..=most {
                let key = Key::new(
                    family,
                    !0 << (32 * u64::from(family == Family::V4)),
                    !0,
                    length,
                );
                assert_eq!((key.family(), key.length()), (family, length));
                let ones = key.high.count_ones() + key.low.count_ones();
                assert_eq!(ones, u32::from(length));
            }
        }
    }

    #[test]
    fn no_two_lengths_share_a_bit_of_the_head() {
        let mut seen = [0_u64; LINE_WORDS as usize];
        for (family, most) in [(Family::V4, 32), (Family::V6, 128)] {
            for length in 0..=most {
                let key = Key::new(family, 0, 0, length);
                let word = &mut seen[key.word() as usize];
                assert_eq!(*word & 1 << key.bit(), 0, "{key:?}");
                *word |= 1 << key.bit();
            }
        }
        for word in [HEAD_FILTER, HEAD_SEED, HEAD_COUNT] {
            assert_eq!(seen[word as usize], 0);
        }
    }
}
