//! The reasons of bans, each with the number by which it is counted.

use std::collections::HashMap;

use firewall_ebpf::bans::REASONS;

use crate::bans::prefilter::{MAX_REASON, Prefilter};

/// The reasons by their texts. Number 0 is that of bans without one.
pub(crate) struct Reasons {
    numbers: HashMap<String, u32>,
    /// The number of bans of each reason, by its number.
    bans: Vec<u32>,
}

/// Why a text cannot be a reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReasonError {
    /// The text is too long.
    #[error("the reason `{0}` has more than {MAX_REASON} bytes")]
    TooLong(String),
    /// The text has control characters, which would break tables.
    #[error("the reason `{0}` has control characters")]
    Control(String),
    /// All numbers are in use.
    #[error(
        "there are bans for {} other reasons already, the maximum",
        REASONS - 1
    )]
    TooMany,
}

/// The number of a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Number {
    /// The reason already has this number.
    Known(u32),
    /// The reason gets this number, which a reason without bans may have had before.
    Fresh(u32),
}

impl Reasons {
    /// The reasons on a prefilter, without bans.
    pub(crate) fn read(prefilter: Prefilter<'_>) -> Self {
        let numbers = (1..REASONS).filter_map(|number| {
            let text = prefilter.reason(number);
            (!text.is_empty()).then_some((text, number))
        });
        Self {
            numbers: numbers.chain([(String::new(), 0)]).collect(),
            bans: vec![0; REASONS as usize],
        }
    }

    /// The number of the reason with this text. The caller must write the text of a fresh one to
    /// the prefilter.
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

    /// The number of the reason with this text, if it has one.
    pub(crate) fn known(&self, text: &str) -> Option<u32> {
        self.numbers.get(text).copied()
    }

    /// Adds a ban to a reason.
    pub(crate) fn add(&mut self, number: u64) {
        if let Some(bans) = self.bans.get_mut(number as usize) {
            *bans += 1;
        }
    }

    /// Removes a ban from a reason.
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
        let words: Vec<AtomicU64> = (0..MaxBans::of_map(1).prefilter_lines() * 8)
            .map(|_| AtomicU64::new(0))
            .collect();
        let prefilter = Prefilter::new(&words);
        prefilter.set_reason(7, "old");
        let mut reasons = Reasons::read(prefilter);
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
