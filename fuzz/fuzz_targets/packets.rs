//! Packet parser and image walker against the decoder and the evaluator.
//!
//! The first byte chooses one of some rule sets, with its upper bit the packet goes out, the second
//! byte chooses the interface, which is also where a forwarded packet arrived, the rest is the frame.
//! With the upper bit of the second the frame is one that only kernels make, which is longer than any
//! input: what it lacks is 0.

#![no_main]

use std::sync::LazyLock;

use firewall_ebpf::parse::parse;
use libfuzzer_sys::fuzz_target;
use rules::{
    Context,
    evaluator::{decode, evaluate},
    model::Ruleset,
};
use rules_testing::{Engine, INTERFACES, Probe, Random, Shape, ruleset};

/// A rule set of each shape that is quickly made, and its image.
static RULE_SETS: LazyLock<Vec<(Ruleset, Engine)>> = LazyLock::new(|| {
    let shapes = [
        Shape::Few,
        Shape::Hundreds,
        Shape::Nested,
        Shape::Negatives,
        Shape::Interfaces,
        Shape::Wildcards,
        Shape::Upper,
        Shape::Details,
    ];
    shapes
        .into_iter()
        .zip(1..)
        .filter_map(|(shape, seed)| {
            let ruleset = ruleset(&mut Random::new(seed), shape);
            let engine = Engine::new(&ruleset, seed).ok()?;
            Some((ruleset, engine))
        })
        .collect()
});

/// The bytes of a frame with an IP packet that is longer than its header can state.
const LONG: usize = 66_000;

// The rule sets are made before the time of a run begins: that takes minutes on a slow machine.
fuzz_target!(init: { LazyLock::force(&RULE_SETS); }, |data: &[u8]| {
    let [choice, interface, frame @ ..] = data else {
        return;
    };
    let mut frame = frame.to_vec();
    if interface & 0x80 != 0 {
        frame.resize(LONG, 0);
    }
    let (interface, frame) = (interface & 0x7f, frame.as_slice());
    let of_parser = parse(frame).map(|_| ());
    let of_decoder = decode(frame).map(|_| ());
    assert_eq!(of_parser, of_decoder);
    let (ruleset, engine) = &RULE_SETS[usize::from(*choice) % RULE_SETS.len()];
    let interface = INTERFACES[usize::from(interface) % INTERFACES.len()].0;
    let context = if choice & 0x80 == 0 {
        Context::arriving(interface)
    } else {
        Context {
            in_interface: (interface > 2).then_some(interface),
            mark: frame.len() as u32,
            ..Context::sent(interface)
        }
    };
    let probe = Probe {
        frame: frame.to_vec(),
        context,
    };
    let wanted = evaluate(ruleset, frame, &engine.context(&probe));
    assert_eq!(engine.judge(&probe), Ok(wanted));
});
