//! Random rule sets and random frames for the tests of every crate, the same for the same seed.
//!
//! This module knows what a rule set and a frame look like. It does not know what the right
//! verdict is; that is for [`crate::evaluator`].

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_rule_sets_and_frames() {
        let all = |seed| {
            let mut random = Random::new(seed);
            Shape::ALL.map(|shape| {
                let ruleset = ruleset(&mut random, shape);
                let probes: Vec<Probe> = (0..20).map(|_| probe(&mut random, &ruleset)).collect();
                (ruleset, probes)
            })
        };
        assert_eq!(all(7), all(7));
        assert_ne!(all(7), all(8));
    }
}
