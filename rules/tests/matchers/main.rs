//! Every match field with every operator, for every kind of packet: the evaluator and the compiled
//! image, walked as the XDP program walks it, give the results in the tables.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails where something is not as it should be"
)]

use std::sync::Arc;

use rules::{compiler::compile, diagnostics::Source, evaluator::evaluate, load, model::Ruleset};
use rules_testing::{
    Engine, Setting,
    matchers::{Form, Matcher, missing, table},
};

#[test]
fn every_field_has_packets_for_every_operator_that_it_takes() {
    assert_eq!(missing(&table()), Vec::<String>::new());
}

#[test]
fn every_packet_is_judged_and_counted_as_the_tables_say() {
    let mut packets = 0;
    for matcher in table() {
        for form in Form::ALL {
            packets += check(&matcher, *form);
        }
    }
    println!("{packets} packets");
    assert!(packets > 50_000);
}

/// Fails unless both do; returns the number of packets.
fn check(matcher: &Matcher, form: Form) -> usize {
    let text = matcher.text(form);
    let ruleset = read(&text);
    let setting = Setting::plain(&ruleset);
    let engine = Engine::of(compile(&ruleset, &setting.target()).unwrap(), &setting);
    for packet in &matcher.packets {
        let (kind, aspect, probe) = (packet.kind, packet.aspect, &packet.probe);
        let expected = packet.expected(form);
        let evaluated = evaluate(&ruleset, &probe.frame, &engine.context(probe));
        let what = || format!("{kind:?}, {aspect:?}: {}\n{text}", probe.hex());
        assert_eq!(evaluated, expected, "the evaluator: {}", what());
        assert_eq!(engine.judge(probe), Ok(expected), "the image: {}", what());
    }
    matcher.packets.len()
}

fn read(text: &str) -> Ruleset {
    let source = Arc::new(Source::new("rules.toml", text));
    let loaded = load(&source, |_| Err::<Source, _>("no such file"))
        .unwrap_or_else(|errors| panic!("{text}: {errors:?}"));
    assert!(loaded.warnings.is_empty(), "{text}: {:?}", loaded.warnings);
    loaded.ruleset
}
