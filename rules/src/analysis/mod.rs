//! Analysis of rule sets without packets: which packets two rule sets treat differently, and which
//! rules no packet reaches.
//!
//! Answers are exact: packets are distinguished by the values of their fields, never tried one by
//! one, and a set of a million addresses is one set. Packets are divided by direction, by family and by *kind* of
//! L4 header, so that within a kind every combination of values can exist. Work is bounded by a
//! [`Budget`]; questions that it does not suffice for are reported.
//!
//! This module knows [`crate::model::Ruleset`], the evaluator, which checks each packet that is
//! shown, and the notation in which it is shown. It must not know images.

mod axis;
mod budget;
mod comparison;
mod counting;
mod cube;
mod describe;
mod diff;
mod frame;
mod interfaces;
mod overlaps;
mod region;
mod report;
mod search;
mod section;
mod shadow;
mod states;
mod twins;
mod values;
mod witness;
mod written;

pub use self::{
    axis::{NetworkProtocol, Packets},
    budget::Budget,
    describe::FieldValues,
    diff::diff,
    report::{Area, Change, Compare, Contradiction, CountChange, Diff, Undecided},
    section::Decider,
    shadow::{Reach, Unreached, unreached},
    witness::{Witness, WitnessFragment, WitnessIp, possible_states},
    written::in_words,
};
