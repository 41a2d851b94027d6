//! The captures that other projects test their decoders with, where there are some: evaluator,
//! user space and kernel agree on every frame.

use std::fs;

use benches::rulesets::published;
use rules::{captures::frames, evaluator::evaluate};
use rules_testing::{Engine, Probe, Random, Shape, ruleset};

use crate::{kernel::Kernel, test_run::Action};

/// Rule sets that look at different fields.
const SHAPES: [Shape; 4] = [Shape::Few, Shape::Upper, Shape::Details, Shape::Wildcards];

#[test]
#[ignore = "needs root"]
fn evaluator_user_space_and_kernel_agree_on_captures() {
    let files = published::files("pcaps", &[".pcap", ".pcapng"]);
    if files.is_empty() {
        let folder = published::folder();
        println!("skipped: there are no captures in `{}`", folder.display());
        return;
    }
    let captures: Vec<_> = files
        .iter()
        .map(|path| (published::name(path), ethernet(&fs::read(path).unwrap())))
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
                        interface: 2,
                    };
                    let wanted = evaluate(&ruleset, frame, engine.interface(&probe));
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
    assert!(judged > 0);
}

/// The Ethernet frames in a capture, as far as it can be read.
fn ethernet(bytes: &[u8]) -> Vec<Vec<u8>> {
    let all = frames(bytes).into_iter().flatten();
    all.flatten().map(|frame| frame.bytes).collect()
}
