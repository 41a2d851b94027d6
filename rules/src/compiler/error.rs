//! Reasons why a rule set cannot be compiled.

use super::{kind::SectionKind, stage::Stage};

/// Reasons why a rule set cannot be compiled.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum CompileError {
    /// The tables would be larger than allowed.
    #[error(
        "the rules need an image of at least {needed} bytes, more than the {allowed} allowed, for \
         the {stage}{}",
        if names.is_empty() { String::new() } else { format!("; the most is for {names}") }
    )]
    TooLarge {
        /// The size in bytes that the image had reached when the compiler gave up.
        needed: usize,
        /// The maximum size allowed, in bytes.
        allowed: usize,
        /// What was being written.
        stage: Stage,
        /// The names of the rules that need the largest part of it.
        names: String,
    },
    /// A packet could need more steps than the program makes.
    #[error(
        "{rules} rules for {packets} packets, {counting} of them with the action `count`, can need \
         {needed} steps for one packet, more than the {allowed} allowed; among them {names}"
    )]
    TooMuchWork {
        /// The packets that the rules are compiled for.
        packets: SectionKind,
        /// The number of rules that need the steps.
        rules: usize,
        /// The number of `count` rules among them.
        counting: usize,
        /// The names of some of them.
        names: String,
        /// The steps needed in the worst case.
        needed: usize,
        /// The maximum number of steps allowed.
        allowed: usize,
    },
    /// There are more rules than an image has numbers for.
    #[error("{rules} rules are more than the {allowed} that an image can number")]
    TooManyRules {
        /// The number of rules.
        rules: usize,
        /// The maximum number of rules allowed.
        allowed: usize,
    },
    /// The narrow fields differ in too many combinations.
    #[error(
        "the rules for {packets} packets tell {needed} combinations of {fields} apart, more than \
         the {allowed} allowed; the most are for {names}"
    )]
    TooManyCombinations {
        /// The packets that the rules are compiled for.
        packets: SectionKind,
        /// The fields that are combined.
        fields: String,
        /// The number of combinations needed.
        needed: usize,
        /// The maximum number of combinations allowed.
        allowed: usize,
        /// The names of the rules that are in the most of them.
        names: String,
    },
}
