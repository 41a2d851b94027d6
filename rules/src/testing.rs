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

/// Writes bytes as hexadecimal digits, to be read again by [`from_hex`].
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads hexadecimal digits with any white space between them; `None` for anything else.
#[must_use]
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let digits = digits?;
    let (pairs, []) = digits.as_chunks() else {
        return None;
    };
    Some(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_text_is_read_as_it_was_written() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(from_hex(&to_hex(&bytes)), Some(bytes));
        assert_eq!(from_hex(" 0 1\n02 "), Some(vec![1, 2]));
        assert_eq!(from_hex("0"), None);
        assert_eq!(from_hex("0g"), None);
    }

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
