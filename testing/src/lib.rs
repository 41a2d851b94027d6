//! Random rule sets and random frames for the tests of all crates, reproducible from a seed.
//!
//! This crate knows the structure of rule sets and frames. It must not know the correct verdict,
//! which comes from [`rules::evaluator`].

#![forbid(unsafe_code)]

mod damage;
mod engine;
pub mod flows;
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
    frames::{Extension, Layer3, Recipe, Session, Upper, recipe},
    probes::{Probe, probe},
    random::Random,
    rulesets::{INTERFACES, ask_for_states, ruleset},
    shapes::Shape,
    shrink::shrink,
};
