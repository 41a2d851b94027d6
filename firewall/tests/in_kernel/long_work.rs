//! Work that takes seconds: it is told, others are answered meanwhile, and what does not fit the
//! budget is refused.

use std::{thread, time::Instant};

use benches::rulesets::{
    Family, Verdict,
    generate::{FilterKind, rule_set},
    write::firewall::{self, Settings},
};

use crate::{
    machine::{BINARY, Machine, patience},
    reload::{drop_port, large_rule},
};

#[test]
#[ignore = "needs root"]
fn status_answers_while_a_reload_compiles() {
    let machine = Machine::new();
    let daemon = machine.apply(&machine.write_rules("pass", &drop_port("one", 1)));
    let set = rule_set(FilterKind::Fw, Family::V4, 30_000, Verdict::Drop, 1);
    let settings = Settings {
        interface: machine.interface(),
        mode: "native",
    };
    machine.write_file(&firewall::rules(&set, settings));
    let begun = Instant::now();
    let mut answered = 0;
    thread::scope(|scope| {
        let reload = scope.spawn(|| machine.run(["reload"]));
        // From before it is asked until it is done: the stages are in between, however long each takes.
        while !reload.is_finished() {
            let asked = Instant::now();
            let status = machine.status();
            assert!(asked.elapsed() < patience() / 15, "{:?}", asked.elapsed());
            assert_eq!(status["daemon"]["pid"], daemon.child.id());
            answered += usize::from(status["generation"] == 1);
        }
        let said = reload.join().unwrap();
        assert!(said.status.success(), "{said:?}");
    });
    println!("{answered} answers, {:.1?} in all", begun.elapsed());
    assert!(answered >= 3, "{answered}");
    assert_eq!(machine.status()["generation"], 2);
}

#[test]
#[ignore = "needs root"]
fn what_needs_more_than_the_budget_is_refused_and_the_daemon_keeps_its_budget() {
    let machine = Machine::new();
    let small = machine.write_rules("pass", &drop_port("one", 1));
    let apply = |arguments: &[&str]| {
        let mut command = machine.command(BINARY);
        command.arg("apply").arg(&small).args(arguments);
        machine.finish(command)
    };
    let _daemon = machine.apply(&small);
    assert!(apply(&["--max-memory", "100K"]).status.success());
    machine.write_rules("pass", &large_rule(40_000));
    let said = machine.run(["reload"]);
    assert_eq!(said.status.code(), Some(3), "{said:?}");
    assert!(
        said.stderr.contains(
            "more than the 65536 allowed, for the source addresses of IPv4 packets; the most is \
             for `large` (40000 address ranges)\nhelp: `--max-memory` allows more"
        ),
        "{said:?}"
    );
    assert_eq!(machine.status()["generation"], 2);
    // A refused file does not change the budget either.
    assert!(!apply(&["--max-memory", "128KiB"]).status.success());
    assert!(!machine.run(["reload"]).status.success());
    assert!(apply(&["--max-memory", "4M"]).status.success());
    assert!(machine.run(["reload"]).status.success());
    assert_eq!(machine.status()["generation"], 3);
}

#[test]
#[ignore = "needs root"]
fn each_stage_has_its_time_in_the_status_and_in_the_log() {
    let machine = Machine::new();
    let _daemon = machine.apply(&machine.write_rules("pass", &drop_port("one", 1)));
    let times = &machine.status()["daemon"]["times"];
    for stage in ["read_ms", "parse_ms", "compile_ms", "load_ms", "switch_ms"] {
        assert!(times[stage].as_f64().unwrap() > 0.0, "{times}");
    }
    let text = machine.run(["status"]).stdout;
    assert!(text.contains(" instructions verified"), "{text}");
    let line = text
        .lines()
        .find(|line| line.starts_with("times "))
        .unwrap();
    for stage in ["read ", "parsed ", "compiled ", "loaded ", "switched "] {
        assert!(line.contains(stage), "{line}");
        assert!(machine.log().contains(stage), "{}", machine.log());
    }
}
