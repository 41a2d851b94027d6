//! The verdicts over frames that rules cannot judge, by `[parser]`.

use firewall_ebpf::abi::Reason;

use crate::{
    machine::{Count, Machine},
    test_run::{Action, Program},
};

const MACS: [u8; 12] = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];

/// A frame of each class. The last two are LLDP and what spanning trees send, an IEEE 802.3 frame.
fn frames() -> Vec<(Reason, Vec<u8>)> {
    let ipv6 = [&[0x86, 0xdd, 0x60, 0, 0, 0, 0, 72, 60, 64][..], &[0; 32]];
    // Destination options, nine times, of which each announces another.
    let options = [60, 0, 1, 4, 0, 0, 0, 0].repeat(9);
    let cases = [
        (Reason::Malformed, [&[8, 0][..], &[0; 20]].concat()),
        (Reason::Truncated, [&[8, 0][..], &[0x45; 8]].concat()),
        (Reason::TooManyHeaders, [ipv6.concat(), options].concat()),
        (Reason::TooManyTags, [0x81, 0, 0, 1].repeat(5)),
        (Reason::UnknownEthertype, vec![0x88, 0xcc, 2, 7]),
        (Reason::UnknownEthertype, vec![0, 0x26, 0x42, 0x42, 3]),
    ];
    cases
        .map(|(reason, rest)| (reason, [&MACS[..], &rest].concat()))
        .into()
}

#[test]
#[ignore = "needs root"]
fn each_class_of_frames_has_its_verdict_and_its_counter() {
    let frames = frames();
    for (own, others) in [("pass", "drop"), ("drop", "pass")] {
        for (class, _) in &frames[..5] {
            let keys = frames[..5].iter().map(|(reason, _)| {
                let verdict = if reason == class { own } else { others };
                format!("{} = \"{verdict}\"\n", reason.name())
            });
            check(&frames, &keys.collect::<String>(), |reason| {
                let verdict = if reason == *class { own } else { others };
                if verdict == "pass" {
                    Action::Pass
                } else {
                    Action::Drop
                }
            });
        }
    }
}

fn check(frames: &[(Reason, Vec<u8>)], keys: &str, wanted: impl Fn(Reason) -> Action) {
    let machine = Machine::new();
    let _daemon = machine.apply(&machine.write_rules("pass", &format!("[parser]\n{keys}")));
    let program = Program::of(&machine);
    let mut expected: std::collections::BTreeMap<&str, Count> = std::collections::BTreeMap::new();
    for (reason, frame) in frames {
        assert_eq!(
            program.run(frame).unwrap(),
            wanted(*reason),
            "{reason:?}\n{keys}"
        );
        let count = expected.entry(reason.name()).or_default();
        *count = (count.0 + 1, count.1 + frame.len() as u64);
    }
    machine.await_counters(&expected.into_iter().collect::<Vec<_>>());
}
