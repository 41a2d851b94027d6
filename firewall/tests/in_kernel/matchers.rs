//! Every match field with every operator, for every kind of packet: the program in the kernel
//! decides and counts as the tables say.

use std::sync::Arc;

use firewall_ebpf::abi::{Direction, FIRST_RULE_SLOT, Reason};
use rules::{compiler::compile, diagnostics::Source, field::State, load};
use rules_testing::{
    Setting,
    matchers::{Aspect, Form, Kind, Matcher, Packet, table},
};

use crate::{kernel::Kernel, machine::Count, test_run::Action};

#[test]
#[ignore = "needs root"]
fn every_field_with_every_operator_decides_and_counts_in_the_kernel() {
    let packets = Kernel::with(|mut kernel| {
        let mut packets = 0;
        let of_in = |matcher: &Matcher| matcher.direction() == Direction::In;
        for matcher in table().into_iter().filter(of_in) {
            for form in Form::ALL {
                packets += check(&mut kernel, &matcher, *form);
            }
        }
        packets
    });
    println!("{packets} packets");
    assert!(packets > 40_000);
}

/// Fails unless it does so; how many packets there were.
fn check(kernel: &mut Kernel, matcher: &Matcher, form: Form) -> usize {
    let text = matcher.text(form);
    let source = Arc::new(Source::new("rules.toml", &*text));
    let ruleset = load(&source, |_| Err::<Source, _>("no such file"))
        .unwrap()
        .ruleset;
    let setting = Setting::plain(&ruleset);
    assert!(kernel.put(compile(&ruleset, &setting.target()).unwrap().bytes()));
    let slots = [
        (FIRST_RULE_SLOT, Aspect::Match),
        (
            Reason::Truncated.slot(Direction::In, true),
            Aspect::Truncated,
        ),
    ];
    let mut all = matcher.packets.clone();
    // None of them is of a known flow.
    all.retain(|packet| packet.probe.context.state == State::New);
    if !matcher.rule.contains("interface") {
        all.iter_mut()
            .for_each(|packet| kernel.place(&mut packet.probe));
    }
    let mut packets = 0;
    for kind in Kind::ALL {
        for (slot, _) in slots {
            kernel.counted(slot);
        }
        let run = |packet: &&Packet| {
            let action = kernel.run(&packet.probe)?;
            let expected = Action::from(packet.expected(form).verdict);
            let what = || format!("{packet:?}: {}\n{text}", packet.probe.hex());
            assert_eq!(action, expected, "{}", what());
            Some(())
        };
        let of_kind = all.iter().filter(|packet| packet.kind == *kind);
        let judged: Vec<_> = of_kind.filter(|packet| run(packet).is_some()).collect();
        packets += judged.len();
        for (slot, aspect) in slots {
            let its = judged.iter().filter(|packet| packet.aspect == aspect);
            let expected = its.fold(Count::default(), |count, packet| {
                (count.0 + 1, count.1 + packet.probe.frame.len() as u64)
            });
            assert_eq!(
                kernel.counted(slot),
                expected,
                "{kind:?}, {aspect:?}\n{text}"
            );
        }
    }
    packets
}
