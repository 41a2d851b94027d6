//! Items: rules, in order of precedence.

use super::entry::Entry;

/// The maximum number of signatures of a section.
pub const MAX_SIGNATURES: usize = 1 << 16;

/// The first place in the order of precedence that no item can have.
pub const ORDER_LIMIT: u32 = (1 << 23) - 1;

/// One rule. Rules that agree in all narrow fields share a *signature*.
///
/// | bits | |
/// | --- | --- |
/// | 0-15 | the signature |
/// | 16-39 | the [`Entry`] |
/// | 40-62 | the rule's place in the order of precedence |
///
/// so that of two items the smaller one decides.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Item(u64);

impl Item {
    /// No item: larger than all of them, and not negative as a signed number.
    pub const NONE: Self = Self(u64::MAX >> 1);

    /// The item of a rule.
    #[must_use]
    pub const fn new(order: u32, entry: Entry, signature: u32) -> Self {
        Self((order as u64) << 40 | (entry.bits() as u64) << 16 | signature as u64)
    }

    /// The item in a word.
    #[must_use]
    #[inline(always)]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The word.
    #[must_use]
    #[inline(always)]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// What the rule does; of no item, that no rule matches.
    #[must_use]
    #[inline(always)]
    pub const fn entry(self) -> Entry {
        if self.0 == Self::NONE.0 {
            Entry::NO_MATCH
        } else {
            Entry::from_bits((self.0 >> 16) as u32 & 0x00ff_ffff)
        }
    }

    /// The signature.
    #[must_use]
    #[inline(always)]
    pub const fn signature(self) -> Signature {
        Signature(self.0 as u32 & 0xffff)
    }

    /// The item when `fits` is 1, and none when it is 0, without a branch.
    #[must_use]
    #[inline(always)]
    pub const fn if_fits(self, fits: u64) -> Self {
        // All ones below the sign when it does not fit.
        Self((self.0 | fits.wrapping_sub(1)) & Self::NONE.0)
    }

    /// The item that decides of two, without a branch.
    #[must_use]
    #[inline(always)]
    pub const fn first(self, other: Self) -> Self {
        let difference = self.0.wrapping_sub(other.0);
        Self(
            other
                .0
                .wrapping_add(difference & ((difference as i64 >> 63) as u64)),
        )
    }
}

/// The number of a signature, a bit in the signatures of each L4 class. No class has number 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Signature(u32);

impl Signature {
    /// The number, below [`MAX_SIGNATURES`].
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The 64-bit word that has the bit.
    #[must_use]
    #[inline(always)]
    pub const fn word(self) -> u32 {
        self.0 >> 6
    }

    /// The number of the bit in its word.
    #[must_use]
    #[inline(always)]
    pub const fn bit(self) -> u32 {
        self.0 & 63
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{COUNT, DROP, NO_MATCH, PASS, RuleSlot, SLOT_LIMIT};

    #[test]
    fn an_item_keeps_what_it_is_made_of() {
        for slot in [0, 1, SLOT_LIMIT - 1] {
            for logs in [false, true] {
                for what in [PASS, DROP, COUNT] {
                    for (order, number) in [(0, 0), (1, 63), (ORDER_LIMIT - 1, 65_535)] {
                        let entry = Entry::new(RuleSlot::new(slot, logs), what);
                        let item = Item::new(order, entry, number);
                        assert_eq!(item.entry(), entry);
                        assert_eq!(item.entry().what(), what);
                        assert_eq!(item.entry().slot().number(), slot);
                        assert_eq!(item.entry().slot().logs(), logs);
                        let signature = item.signature();
                        assert_eq!(signature.word() * 64 + signature.bit(), number);
                        assert!(item < Item::NONE);
                        assert_eq!(item.if_fits(1), item);
                        assert_eq!(item.if_fits(0), Item::NONE);
                    }
                }
            }
        }
        assert_eq!(Item::NONE.entry().what(), NO_MATCH);
    }

    #[test]
    fn the_rule_that_comes_first_decides() {
        let item = |order: u32, slot: u32| {
            Item::new(order, Entry::new(RuleSlot::new(slot, true), COUNT), 9)
        };
        let all = [item(0, 5), item(1, 4), item(ORDER_LIMIT - 1, 0), Item::NONE];
        for (place, one) in all.into_iter().enumerate() {
            for (other_place, other) in all.into_iter().enumerate() {
                assert_eq!(one.first(other), all[place.min(other_place)]);
            }
        }
    }
}
