//! The reasons that bans have, each of which has a number and is counted by it.

use std::collections::HashMap;

use firewall_ebpf::bans::REASONS;

use crate::bans::prefilter::{MAX_REASON, Prefilter};

/// The reasons by their texts. Number 0 is that of bans without one.
pub(crate) struct Reasons {
    numbers: HashMap<String, u32>,
    /// How many bans have each.
    bans: Vec<u32>,
}

/// Why a text cannot be a reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReasonError {
    /// It is too long.
    #[error("the reason `{0}` has more than {MAX_REASON} bytes")]
    TooLong(String),
    /// It would spoil a table.
    #[error("the reason `{0}` has control characters")]
    Control(String),
    /// There are too many.
    #[error(
        "there are bans for {} other reasons already, and no more can be told apart",
        REASONS - 1
    )]
    TooMany,
}

/// The number of a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Number {
    /// It has one.
    Known(u32),
    /// It is given one, which another reason may have had before, without bans now.
    Fresh(u32),
}

impl Reasons {
    /// The reasons that a board has, without bans.
    pub(crate) fn read(board: Prefilter<'_>) -> Self {
        let numbers = (1..REASONS).filter_map(|number| {
            let text = board.reason(number);
            (!text.is_empty()).then_some((text, number))
        });
        Self {
            numbers: numbers.chain([(String::new(), 0)]).collect(),
            bans: vec![0; REASONS as usize],
        }
    }

    /// The number of the reason with this text. A fresh one is to be given the text on the board.
    pub(crate) fn number(&mut self, text: &str) -> Result<Number, ReasonError> {
        if let Some(number) = self.numbers.get(text) {
            return Ok(Number::Known(*number));
        }
        if text.len() > MAX_REASON {
            return Err(ReasonError::TooLong(text.to_owned()));
        }
        if text.contains(char::is_control) {
            return Err(ReasonError::Control(text.to_owned()));
        }
        let unused = if self.numbers.len() < REASONS as usize {
            let taken: std::collections::HashSet<u32> = self.numbers.values().copied().collect();
            (1..REASONS).find(|number| !taken.contains(number))
        } else {
            (1..REASONS).find(|number| self.bans_of(*number) == 0)
        };
        let number = unused.ok_or(ReasonError::TooMany)?;
        self.numbers.retain(|_, other| *other != number);
        self.numbers.insert(text.to_owned(), number);
        Ok(Number::Fresh(number))
    }

    /// Counts one ban more for a reason.
    pub(crate) fn add(&mut self, number: u64) {
        if let Some(bans) = self.bans.get_mut(number as usize) {
            *bans += 1;
        }
    }

    /// Counts one ban less for a reason.
    pub(crate) fn take(&mut self, number: u64) {
        if let Some(bans) = self.bans.get_mut(number as usize) {
            *bans = bans.saturating_sub(1);
        }
    }

    fn bans_of(&self, number: u32) -> u32 {
        self.bans.get(number as usize).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;
    use crate::kernel::max_bans::MaxBans;

    #[test]
    fn numbers_are_given_again_once_no_ban_has_them() {
        let words: Vec<AtomicU64> = (0..MaxBans::of_map(1).board_lines() * 8)
            .map(|_| AtomicU64::new(0))
            .collect();
        let board = Prefilter::new(&words);
        board.set_reason(7, "old");
        let mut reasons = Reasons::read(board);
        assert_eq!(reasons.number(""), Ok(Number::Known(0)));
        assert_eq!(reasons.number("old"), Ok(Number::Known(7)));
        for number in (1..REASONS).filter(|number| *number != 7) {
            assert_eq!(
                reasons.number(&format!("r{number}")),
                Ok(Number::Fresh(number))
            );
            reasons.add(number.into());
        }
        assert_eq!(reasons.number("new"), Ok(Number::Fresh(7)));
        reasons.add(7);
        assert_eq!(reasons.number("more"), Err(ReasonError::TooMany));
        reasons.take(200);
        assert_eq!(reasons.number("more"), Ok(Number::Fresh(200)));
        assert_eq!(reasons.number("more"), Ok(Number::Known(200)));
        assert_eq!(reasons.number("r200"), Ok(Number::Fresh(200)));
        for bad in ["a\nb".to_owned(), "x".repeat(65)] {
            assert!(reasons.number(&bad).is_err());
        }
    }
}
