//! The decisions of the daemon as functions of facts, with neither I/O nor a clock.

use std::time::Duration;

use crate::generation::{
    confirmation::Condition,
    deadline::Deadline,
    succession::{CommitTerms, Succession},
};

/// The terms of a generation that comes back for good after a rollback.
pub(super) const BACK: CommitTerms = CommitTerms {
    succession: Succession::Abandons,
    condition: None,
};

/// The first action of a daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    /// Bring the rule file into force.
    Apply,
    /// Keep the loaded generation, which waits for its confirmation.
    Resume(CommitTerms),
    /// Roll back: the time to confirm the loaded generation is over.
    Return(CommitTerms),
    /// The time to confirm is over, and there is no previous generation.
    Unload,
}

/// Decides the first action: `confirm_by` is the deadline of the loaded generation, if it must be
/// confirmed, and `has_passed` is whether that is over.
pub(super) fn opening(
    confirm_by: Option<Deadline>,
    has_passed: bool,
    has_previous: bool,
) -> Opening {
    match confirm_by {
        None => Opening::Apply,
        Some(deadline) if !has_passed => Opening::Resume(CommitTerms {
            succession: Succession::Renews,
            condition: Some(Condition::Until(deadline)),
        }),
        Some(_) if has_previous => Opening::Return(BACK),
        Some(_) => Opening::Unload,
    }
}

/// The fate of the generation in force when a rule file follows it: `is_requested` unless the rules
/// in force are only compiled again, `is_same` when both classify and count every packet alike, `can_come_back` unless the
/// generation in force is of another version.
pub(super) fn succession(
    is_requested: bool,
    is_same: bool,
    can_come_back: bool,
    condition: Option<Condition>,
) -> Succession {
    if !can_come_back {
        return Succession::Abandons;
    }
    // Without a change the previous generation stays the same.
    if !is_requested || is_same && condition.is_none() {
        Succession::Renews
    } else {
        Succession::Follows
    }
}

/// The terms of a rollback by command: rules that wait for their confirmation are discarded, others
/// become the previous generation.
pub(super) fn rollback(is_waiting: bool) -> CommitTerms {
    if is_waiting {
        BACK
    } else {
        CommitTerms {
            succession: Succession::Follows,
            condition: None,
        }
    }
}

/// The action when the time to confirm is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expiry {
    /// Bring the previous generation back.
    Return,
    /// Unload everything, since there is none.
    Unload,
}

/// Decides the action when the time to confirm is over.
pub(super) fn expiry(has_previous: bool) -> Expiry {
    if has_previous {
        Expiry::Return
    } else {
        Expiry::Unload
    }
}

/// The delay after consecutive failures: one second after the first, doubled by each further one,
/// at most a minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct BackOff {
    failures: u32,
}

impl BackOff {
    const LONGEST: Duration = Duration::from_secs(60);

    /// Records a failure and returns the delay.
    pub(super) fn fail(&mut self) -> Duration {
        let seconds = 1u64.checked_shl(self.failures).unwrap_or(u64::MAX);
        self.failures = self.failures.saturating_add(1);
        Duration::from_secs(seconds).min(Self::LONGEST)
    }

    /// Records a success, which resets the delay.
    pub(super) fn succeed(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deadline() -> Deadline {
        Deadline::after(Duration::from_secs(60))
    }

    #[test]
    fn a_daemon_applies_its_file_unless_what_is_loaded_waits() {
        let deadline = deadline();
        assert_eq!(opening(None, false, true), Opening::Apply);
        assert_eq!(
            opening(Some(deadline), false, true),
            Opening::Resume(CommitTerms {
                succession: Succession::Renews,
                condition: Some(Condition::Until(deadline)),
            })
        );
        assert_eq!(opening(Some(deadline), true, true), Opening::Return(BACK));
        assert_eq!(opening(Some(deadline), true, false), Opening::Unload);
    }

    #[test]
    fn only_a_requested_change_becomes_the_way_back() {
        let within = Some(Condition::Within(Duration::from_secs(1)));
        for (is_requested, is_same, condition, expected) in [
            (true, false, None, Succession::Follows),
            (true, true, None, Succession::Renews),
            // Rules that must be confirmed can always be given up.
            (true, true, within, Succession::Follows),
            (false, false, None, Succession::Renews),
            (false, false, within, Succession::Renews),
        ] {
            assert_eq!(succession(is_requested, is_same, true, condition), expected);
            // What another version loaded is no way back.
            assert_eq!(
                succession(is_requested, is_same, false, condition),
                Succession::Abandons
            );
        }
    }

    #[test]
    fn rests_double_up_to_a_minute_and_begin_again() {
        let mut back_off = BackOff::default();
        let rests: Vec<u64> = (0..8).map(|_| back_off.fail().as_secs()).collect();
        assert_eq!(rests, [1, 2, 4, 8, 16, 32, 60, 60]);
        for _ in 0..100 {
            assert_eq!(back_off.fail(), BackOff::LONGEST);
        }
        back_off.succeed();
        assert_eq!(back_off.fail(), Duration::from_secs(1));
    }

    #[test]
    fn rules_that_wait_are_given_up_by_a_rollback() {
        assert_eq!(rollback(true).succession, Succession::Abandons);
        assert_eq!(rollback(false).succession, Succession::Follows);
        assert_eq!(expiry(true), Expiry::Return);
        assert_eq!(expiry(false), Expiry::Unload);
    }
}
