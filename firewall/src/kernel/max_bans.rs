//! How many bans the maps have room for.

use firewall_ebpf::bans::{FILTER_LINES, LINE_WORDS};

/// How many bans there can be at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MaxBans(u32);

impl MaxBans {
    /// Without a word about it.
    pub(crate) const DEFAULT: Self = Self(1_000_000);

    /// The most that can be asked for.
    const LARGEST: u32 = 16_000_000;

    /// Reads a number.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(number) if (1..=Self::LARGEST).contains(&number) => Ok(Self(number)),
            Ok(_) | Err(_) => Err(format!(
                "expected a number of bans, from 1 to {}",
                Self::LARGEST
            )),
        }
    }

    /// What a map that exists has room for.
    pub(crate) fn of_map(bans: u32) -> Self {
        Self(bans)
    }

    /// The number.
    pub(crate) fn bans(self) -> u32 {
        self.0
    }

    /// The lines of a prefilter with room for two filters of so many bans.
    pub(crate) fn prefilter_lines(self) -> u32 {
        FILTER_LINES + 2 * filter_lines(self.0)
    }
}

/// The most bans that a line of a filter is for: each word has four, with four of its bits each.
pub(crate) const BANS_PER_LINE: u32 = 4 * LINE_WORDS;

/// The lines of the smallest filter.
pub(crate) const FEWEST_LINES: u32 = 8;

/// The lines of a filter for so many bans, a power of two.
pub(crate) fn filter_lines(bans: u32) -> u32 {
    bans.div_ceil(BANS_PER_LINE)
        .next_power_of_two()
        .max(FEWEST_LINES)
}
