//! Why a rule set has no image.

use super::{kind::PacketKind, stage::Stage};

/// Why a rule set has no image.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum CompileError {
    /// The tables would be larger than allowed.
    #[error(
        "the rules need an image of at least {needed} bytes, more than the {allowed} allowed, for \
         the {stage}{}",
        if names.is_empty() { String::new() } else { format!("; the most is for {names}") }
    )]
    TooLarge {
        /// The bytes that the image had reached when the compiler gave up.
        needed: usize,
        /// The bytes allowed.
        allowed: usize,
        /// What was being written.
        stage: Stage,
        /// The names of the rules that need the most of it.
        names: String,
    },
    /// A packet could need more steps than the program takes.
    #[error(
        "{rules} rules for {packets} packets, {counting} of them with the action `count`, can need \
         {needed} steps for one packet, more than the {allowed} allowed; among them {names}"
    )]
    TooMuchWork {
        /// Which packets the rules are for.
        packets: PacketKind,
        /// The rules that need the steps.
        rules: usize,
        /// Those that count and go on.
        counting: usize,
        /// The names of some of them.
        names: String,
        /// The steps needed in the worst case.
        needed: usize,
        /// The most steps allowed.
        allowed: usize,
    },
    /// There are more rules than an image has numbers for.
    #[error("{rules} rules are more than the {allowed} that an image can number")]
    TooManyRules {
        /// The rules there are.
        rules: usize,
        /// The most rules allowed.
        allowed: usize,
    },
    /// The small fields differ in too many combinations.
    #[error(
        "the rules for {packets} packets tell {needed} combinations of {fields} apart, more than \
         the {allowed} allowed; the most are for {names}"
    )]
    TooManyCombinations {
        /// Which packets the rules are for.
        packets: PacketKind,
        /// The fields that are combined.
        fields: String,
        /// The combinations there are.
        needed: usize,
        /// The most combinations allowed.
        allowed: usize,
        /// The names of the rules that are in the most of them.
        names: String,
    },
}
