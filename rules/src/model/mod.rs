//! The rule set as the compiler and the evaluator see it: names resolved, every match a canonical
//! set of values, nothing invalid representable.
//!
//! This module owns the meaning of a rule. It knows neither the TOML it came from, but for the
//! place of each rule, nor the image it becomes.

mod log_limit;
mod place;
mod ruleset;
mod settings;
mod verdict;

pub use self::{
    log_limit::{LogLimit, Per},
    place::Place,
    ruleset::{DisabledRule, Matches, Rule, RuleId, Ruleset},
    settings::{Mode, Parser, Settings},
    verdict::{RuleAction, Verdict},
};
