//! Entries: what a rule does, and the slot of its counter.

/// [`Entry::what`]: pass the packet.
pub const PASS: u32 = 0;
/// [`Entry::what`]: drop the packet.
pub const DROP: u32 = 1;
/// [`Entry::what`]: count the packet and continue with the next rule.
pub const COUNT: u32 = 2;
/// [`Entry::what`]: no rule matches.
pub const NO_MATCH: u32 = 3;

/// The first counter slot that no rule can have.
pub const SLOT_LIMIT: u32 = 1 << 21;

/// The counter slot of a rule, and whether the rule logs.
///
/// | bits | |
/// | --- | --- |
/// | 0-20 | the slot, below [`SLOT_LIMIT`] |
/// | 21 | whether the rule logs |
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleSlot(u32);

impl RuleSlot {
    const LOGS: u32 = SLOT_LIMIT;

    /// The slot of this number.
    #[must_use]
    #[inline(always)]
    pub const fn new(number: u32, logs: bool) -> Self {
        Self(number | if logs { Self::LOGS } else { 0 })
    }

    /// The slot in a word.
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

    /// The number of the slot.
    #[must_use]
    #[inline(always)]
    pub const fn number(self) -> u32 {
        self.0 & !Self::LOGS
    }

    /// Whether the rule logs.
    #[must_use]
    #[inline(always)]
    pub const fn logs(self) -> bool {
        self.0 & Self::LOGS != 0
    }
}

/// What a rule does with a packet, and the slot of its counter.
///
/// | bits | |
/// | --- | --- |
/// | 0-1 | what: [`PASS`], [`DROP`], [`COUNT`], or [`NO_MATCH`] at the end of a list |
/// | 2-23 | the [`RuleSlot`] |
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Entry(u32);

impl Entry {
    /// The end of a list: no rule matches.
    pub const NO_MATCH: Self = Self(NO_MATCH);

    /// The result of a walk that left its bounds.
    pub const BAD_IMAGE: Self = Self(1 << 2 | NO_MATCH);

    /// The entry of a rule that does `what`.
    #[must_use]
    #[inline(always)]
    pub const fn new(slot: RuleSlot, what: u32) -> Self {
        Self(slot.bits() << 2 | what)
    }

    /// The entry in a word.
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

    /// What the rule does.
    #[must_use]
    #[inline(always)]
    pub const fn what(self) -> u32 {
        self.0 & 3
    }

    /// The counter slot of the rule.
    #[must_use]
    #[inline(always)]
    pub const fn slot(self) -> RuleSlot {
        RuleSlot::from_bits(self.0 >> 2)
    }
}
