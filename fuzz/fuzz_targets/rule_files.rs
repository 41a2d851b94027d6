//! Rule files: whatever they hold, they are read or refused, and what is read is compiled or
//! refused, without a panic; compiled, it decides as the evaluator does. In its one form, it is read
//! again and has the same form.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use rules::{
    diagnostics::{Source, render},
    evaluator::evaluate,
    language::canonical,
    load,
};
use rules_testing::{Engine, Random, probe};

/// Packets for each rule set.
const PACKETS: usize = 8;

fuzz_target!(|data: &[u8]| {
    let source = Arc::new(Source::new("rules.toml", data));
    let list = |name: &str| match name {
        "list" => Ok(Source::new(name, "192.0.2.0/24 # a prefix\n2001:db8::1\n")),
        _ => Err("no such file"),
    };
    let loaded = match load(&source, list) {
        Ok(loaded) => loaded,
        Err(diagnostics) => {
            assert!(!diagnostics.is_empty());
            for diagnostic in &diagnostics {
                assert!(!render(diagnostic).is_empty());
            }
            return;
        }
    };
    for warning in &loaded.warnings {
        assert!(!render(warning).is_empty());
    }
    let text = canonical::text(&loaded.ruleset, &loaded.tests);
    let form = Arc::new(Source::new("form.toml", text.as_str()));
    let again = load(&form, list);
    let again = again.unwrap_or_else(|errors| panic!("{}\n{text}", render(&errors[0])));
    assert_eq!(canonical::text(&again.ruleset, &again.tests), text);
    let ruleset = loaded.ruleset;
    let Ok(engine) = Engine::new(&ruleset, 1) else {
        return;
    };
    let mut random = Random::new(data.len() as u64);
    for _ in 0..PACKETS {
        let probe = probe(&mut random, &ruleset);
        let wanted = evaluate(&ruleset, &probe.frame, &engine.context(&probe));
        assert_eq!(engine.judge(&probe), Ok(wanted), "{}", probe.hex());
    }
});
