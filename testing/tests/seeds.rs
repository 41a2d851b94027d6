//! Random rule sets and frames are reproducible from their seeds.

use rules_testing::{Probe, Random, Shape, probe, ruleset};

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
