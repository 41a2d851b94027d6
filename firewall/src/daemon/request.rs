//! Requests to the daemon.

use std::time::Duration;

use crate::{candidate::budget::Budget, lockout::caller::Caller, rule_file::input::RuleInput};

/// A request to bring a rule file into force.
#[derive(Clone, Debug)]
pub(crate) struct ApplyRequest {
    /// The rule file.
    pub(crate) input: RuleInput,
    /// Whether to wait for names of interfaces that are not there.
    pub(crate) wait: bool,
    /// The largest memory for an image map.
    pub(crate) budget: Budget,
    /// The time within which the rules must be confirmed, if they must.
    pub(crate) confirm: Option<Duration>,
    /// The requester.
    pub(crate) requester: Requester,
}

/// The requester of a change of rules, and whether a lockout is accepted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Requester {
    /// The SSH session of the requester.
    pub(crate) caller: Option<Caller>,
    /// Whether to accept a lockout.
    pub(crate) force: bool,
}
