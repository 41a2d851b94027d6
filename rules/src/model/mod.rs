//! The rule set that the compiler and the evaluator take: names are resolved, every match is a
//! canonical set of values, and nothing invalid can be represented.
//!
//! This module owns the meaning of a rule. It knows neither the TOML from which it came, except for
//! the place of each rule, nor the image that it becomes.

mod flows;
mod log_limit;
mod place;
mod ruleset;
mod settings;
mod verdict;

pub use firewall_ebpf::abi::Direction;

pub use self::{
    flows::{Flows, Timeouts},
    log_limit::{LogLimit, Per},
    place::Place,
    ruleset::{DisabledRule, Matches, Rule, RuleId, Ruleset},
    settings::{Mode, Parser, ReasonLogs, Settings},
    verdict::{RuleAction, Verdict},
};
