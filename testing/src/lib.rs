//! Random rule sets and random frames for the tests of every crate, the same for the same seed.
//!
//! This module knows what a rule set and a frame look like. It does not know what the right
//! verdict is; that is for [`rules::evaluator`].

#![forbid(unsafe_code)]

mod damage;
mod engine;
mod frames;
pub mod matchers;
mod probes;
mod random;
mod rulesets;
mod shapes;
mod shrink;

pub use self::{
    damage::damage,
    engine::{Engine, Setting},
    frames::{Extension, Layer3, Recipe, Upper, recipe},
    probes::{Probe, probe},
    random::Random,
    rulesets::{INTERFACES, ruleset},
    shapes::Shape,
    shrink::shrink,
};
