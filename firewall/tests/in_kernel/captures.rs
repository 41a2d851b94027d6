//! Captures, a generated one and those that other projects test their decoders with, where there are
//! some: evaluator, user space and kernel agree on every frame.

use std::fs;

use benches::rulesets::{published, write::capture::capture};
use rules::{Context, captures::frames, evaluator::evaluate};
use rules_testing::{Engine, Probe, Random, Shape, probe, ruleset};

use crate::{kernel::Kernel, test_run::Action};

/// Rule sets that look at different fields.
const SHAPES: [Shape; 4] = [Shape::Few, Shape::Upper, Shape::Details, Shape::Wildcards];

/// How many frames the generated capture has.
const FRAMES: usize = 4000;

#[test]
#[ignore = "needs root"]
fn evaluator_user_space_and_kernel_agree_on_captures() {
    let files = published::files("pcaps", &[".pcap", ".pcapng"]);
    let published = files
        .iter()
        .map(|path| (published::name(path), fs::read(path).unwrap()));
    let captures: Vec<_> = published
        .chain([("generated", capture(&generated()))])
        .map(|(name, bytes)| (name, ethernet(&bytes)))
        .collect();
    let mut judged = 0;
    Kernel::with(|mut kernel| {
        for shape in SHAPES {
            let ruleset = ruleset(&mut Random::new(1), shape);
            let engine = Engine::new(&ruleset, 1).unwrap();
            assert!(kernel.put(engine.image().bytes()));
            for (name, frames) in &captures {
                for frame in frames {
                    let probe = Probe {
                        frame: frame.clone(),
                        context: Context::arriving(2),
                    };
                    let wanted = evaluate(&ruleset, frame, &engine.context(&probe));
                    let what = || format!("{name}: {}", probe.hex());
                    assert_eq!(engine.judge(&probe).as_ref(), Ok(&wanted), "{}", what());
                    if let Some(action) = kernel.run(&probe) {
                        assert_eq!(action, Action::from(wanted.verdict), "{}", what());
                        judged += 1;
                    }
                }
            }
        }
    });
    println!(
        "{} captures, {judged} frames judged in the kernel",
        captures.len()
    );
    assert!(judged > FRAMES);
}

/// Frames that the rule sets look at.
fn generated() -> Vec<Vec<u8>> {
    let mut random = Random::new(2);
    let shapes = SHAPES.map(|shape| ruleset(&mut random, shape));
    let frames = shapes.iter().cycle().take(FRAMES);
    frames
        .map(|ruleset| probe(&mut random, ruleset).frame)
        .collect()
}

/// The Ethernet frames in a capture, as far as it can be read.
fn ethernet(bytes: &[u8]) -> Vec<Vec<u8>> {
    let all = frames(bytes).into_iter().flatten();
    all.flatten().map(|frame| frame.bytes).collect()
}
