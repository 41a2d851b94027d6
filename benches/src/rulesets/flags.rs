//! Conditions on TCP flags.

/// Bits of the TCP flags byte that must have certain values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlagMatch {
    value: u8,
    mask: u8,
}

impl FlagMatch {
    /// Any flags.
    pub const ANY: Self = Self { value: 0, mask: 0 };

    /// The flags whose bits in `mask` are as in `value` (FIN = 1, ..., CWR = 128).
    #[must_use]
    pub const fn new(value: u8, mask: u8) -> Self {
        Self {
            value: value & mask,
            mask,
        }
    }

    /// The bits that must be set.
    #[must_use]
    pub const fn set(self) -> u8 {
        self.value
    }

    /// The bits that must be clear.
    #[must_use]
    pub const fn clear(self) -> u8 {
        self.mask & !self.value
    }

    /// The bits that are compared.
    #[must_use]
    pub const fn mask(self) -> u8 {
        self.mask
    }

    /// Whether no bit is compared.
    #[must_use]
    pub const fn is_any(self) -> bool {
        self.mask == 0
    }

    /// Whether these flags match.
    #[must_use]
    pub const fn contains(self, flags: u8) -> bool {
        flags & self.mask == self.value
    }
}
