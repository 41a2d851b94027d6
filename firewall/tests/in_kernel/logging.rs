//! The log as a program reads it, as people do, and as the journal does.

use std::{
    collections::BTreeSet, fs, io::Read as _, os::unix::fs::MetadataExt as _, path::Path,
    process::Stdio,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

use crate::{
    machine::{BINARY, Daemon, Machine, json as parse, wait_until},
    reload::{drop_port, udp},
};

/// The events that `docs/logs.md` has.
fn documented() -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/logs.md");
    let text = fs::read_to_string(path).unwrap();
    let rows = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    rows.map(|(name, _)| name.to_owned()).collect()
}

/// The events of a log of which every line is one.
fn events(log: &str) -> Vec<Value> {
    let documented = documented();
    let events: Vec<Value> = log.lines().map(parse).collect();
    for event in &events {
        for key in ["time", "level", "message"] {
            assert!(event[key].is_string(), "{key} in {event}");
        }
        let name = event["event"].as_str().unwrap();
        assert!(documented.contains(name), "{event}");
    }
    events
}

/// The only event of this name.
fn one<'e>(events: &'e [Value], name: &str) -> &'e Value {
    let mut found = events.iter().filter(|event| event["event"] == name);
    let event = found.next().unwrap_or_else(|| panic!("no {name}"));
    assert!(found.next().is_none(), "several of {name}");
    event
}

/// Those of its fields that `expected` has must be the same.
fn assert_has(event: &Value, expected: &Value) {
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&event[key], value, "{key} of {event}");
    }
}

fn start<'m>(machine: &'m Machine, words: &[&str]) -> Daemon<'m> {
    let mut command = machine.command(BINARY);
    command.args(words);
    let daemon = machine.spawn(command);
    machine.await_daemon(&daemon);
    daemon
}

/// What is logged from now on until there is an event of this name.
fn await_event(machine: &Machine, from: usize, name: &str) -> Vec<Value> {
    let name = format!("\"event\":\"{name}\"");
    wait_until("the event is logged", || {
        let log = machine.log();
        // The last line may not be complete.
        log[from..].contains(&name) && log.ends_with('\n')
    });
    events(&machine.log()[from..])
}

const LISTED: &str = "[sets]\nlisted = { file = \"listed.txt\" }\n\
    [[rule]]\nname = \"listed\"\naction = \"drop\"\nsrc = \"@listed\"\n";

#[test]
#[ignore = "needs root"]
fn each_line_is_an_object_whose_fields_are_what_happened() {
    let machine = Machine::new();
    let list = |text: &str| fs::write(machine.folder.path().join("listed.txt"), text).unwrap();
    list("198.51.100.1\n198.51.100.2\n");
    let file = machine.write_rules("pass", &format!("{LISTED}{}", drop_port("dns", 53)));
    let path = file.to_str().unwrap();
    let mut daemon = start(&machine, &["apply", "--log-format", "json", path]);

    let began = await_event(&machine, 0, "in_force");
    let attached = one(&began, "attached");
    assert_has(
        attached,
        &json!({
            "level": "info",
            "message": "attached to `fw-host0` in native mode",
            "interface": "fw-host0",
            "mode": "native",
        }),
    );
    let in_force = one(&began, "in_force");
    let status = machine.status();
    assert_has(
        in_force,
        &json!({
            "generation": 1,
            "again": null,
            "file": path,
            "rules": 2,
            "rules_added": null,
            "image_bytes": status["rules"]["image_bytes"],
            "incremental": false,
            "cause": "start",
            "uid": null,
        }),
    );
    let total = in_force["total_ms"].as_f64().unwrap();
    let stages = ["read_ms", "parse_ms", "compile_ms", "load_ms", "switch_ms"]
        .map(|stage| in_force[stage].as_f64().unwrap());
    assert!(stages.iter().sum::<f64>() <= total, "{in_force}");

    // Two addresses, and a network of 256, in place of one.
    list("198.51.100.2\n198.51.100.7\n198.51.100.9\n203.0.113.0/24\n");
    machine.write_rules(
        "pass",
        &format!("{LISTED}{}{}", drop_port("ntp", 123), drop_port("web", 80)),
    );
    let before = machine.log().len();
    daemon.signal(Signal::SIGHUP);
    let reloaded = await_event(&machine, before, "in_force");
    assert_eq!(reloaded.len(), 1);
    assert_has(
        &reloaded[0],
        &json!({
            "generation": 2,
            "rules": 3,
            "rules_added": ["ntp", "web"],
            "rules_added_left_out": 0,
            "rules_removed": ["dns"],
            "rules_removed_left_out": 0,
            "rules_changed": ["listed"],
            "rules_changed_left_out": 0,
            "addresses_added": 258,
            "addresses_removed": 1,
            "order_changed": false,
            "settings_changed": false,
            "cause": "signal",
        }),
    );
    let message = reloaded[0]["message"].as_str().unwrap();
    assert!(
        message.contains("; changed `listed` (258 addresses more, 1 fewer) ("),
        "{message}"
    );

    // A list alone, at the request of root.
    list("198.51.100.2\n198.51.100.7\n203.0.113.0/24\n");
    let before = machine.log().len();
    assert!(machine.run(["reload"]).status.success());
    let reloaded = await_event(&machine, before, "in_force");
    assert_has(
        &reloaded[0],
        &json!({
            "generation": 3,
            "rules_added": [],
            "rules_changed": ["listed"],
            "addresses_added": 0,
            "addresses_removed": 1,
            "incremental": true,
            "cause": "socket",
            "uid": 0,
        }),
    );

    machine.write_rules(
        "pas",
        "[[rule]]\nname = \"a\"\naction = \"drop\"\nsrc = \"1.2.3\"\n",
    );
    let before = machine.log().len();
    daemon.signal(Signal::SIGHUP);
    let failed = await_event(&machine, before, "reload_failed");
    let places: Vec<_> = failed[..2]
        .iter()
        .map(|event| {
            assert_has(
                event,
                &json!({"event": "diagnostic", "level": "error", "severity": "error", "file": path}),
            );
            ["line", "column", "code"].map(|key| event[key].clone())
        })
        .collect();
    assert_eq!(
        json!(places),
        json!([[3, 10, "invalid-value"], [7, 7, "invalid-value"]])
    );
    assert_eq!(failed.len(), 3);
    assert_has(
        &failed[2],
        &json!({
            "level": "error",
            "error": format!("`{path}` has 2 errors"),
            "message": format!("`{path}` has 2 errors; generation 3 stays in force"),
            "file": path,
            "generation": 3,
            "diagnostics": 2,
            "cause": "signal",
        }),
    );

    let before = machine.log().len();
    daemon.signal(Signal::SIGTERM);
    assert!(daemon.wait().success());
    let ended = events(&machine.log()[before..]);
    assert_has(
        one(&ended, "unloaded"),
        &json!({"interfaces": ["fw-host0"], "cause": "signal", "message": "unloaded: detached from `fw-host0`"}),
    );
}

#[test]
#[ignore = "needs root"]
fn a_packet_of_a_rule_that_logs_is_an_event() {
    let machine = Machine::new();
    let rule = drop_port("noisy", 7) + "log = { rate = \"1/hour\", burst = 2, journal = true }\n";
    let file = machine.write_rules("pass", &rule);
    let words = ["--log-format", "json", "apply", file.to_str().unwrap()];
    let _daemon = start(&machine, &words);
    let before = machine.log().len();
    let length = machine.send(&udp(&machine, 7), 5);
    machine.await_counters(&[("noisy", (5, 5 * length))]);
    wait_until("the packets are logged", || {
        machine.log()[before..].matches('\n').count() >= 2
    });
    let told = events(&machine.log()[before..]);
    assert_eq!(told.len(), 2, "{told:?}");
    for packet in &told {
        assert_has(
            packet,
            &json!({
                "event": "packet",
                "level": "info",
                "rule": "noisy",
                "direction": "in",
                "action": "drop",
                "interface": "fw-host0",
                "length": length,
            }),
        );
        let words = packet["packet"].as_str().unwrap();
        assert!(words.starts_with("udp "), "{packet}");
        let said = machine.run(["explain", file.to_str().unwrap(), words]);
        assert!(said.stdout.contains("drop by the rule `noisy`"), "{said:?}");
    }
}

#[test]
#[ignore = "needs root"]
fn what_comes_back_is_told_with_its_number_and_why() {
    let machine = Machine::new();
    let file = machine.write_rules("pass", &drop_port("one", 1));
    let path = file.to_str().unwrap();
    let words = ["--log-format", "json", "apply", path];
    let _daemon = start(&machine, &words);
    machine.write_rules("pass", &drop_port("two", 2));
    let said = machine.run(["apply", "--confirm", "1s", path]);
    assert!(said.status.success(), "{said:?}");
    let before = machine.log().len();
    let came_back = await_event(&machine, before, "in_force");
    let logged = events(&machine.log());
    assert_has(
        one(&logged, "waits_for_confirmation"),
        &json!({"level": "warn", "generation": 2, "previous": 1, "seconds": 1}),
    );
    assert_has(one(&logged, "not_confirmed"), &json!({"generation": 2}));
    let in_force = one(&came_back, "in_force");
    assert_has(
        in_force,
        &json!({
            "generation": 3,
            "again": 1,
            "rules_added": ["one"],
            "rules_removed": ["two"],
            "read_ms": 0.0,
            "cause": "timeout",
        }),
    );

    let before = machine.log().len();
    let said = machine.run(["rollback"]);
    assert!(!said.status.success(), "{said:?}");
    let failed = await_event(&machine, before, "rollback_failed");
    assert_has(
        &failed[0],
        &json!({
            "error": "no generation before generation 3 is kept",
            "generation": 3,
            "cause": "socket",
            "uid": 0,
        }),
    );

    machine.run(["apply", "--confirm", "60s", path]);
    let before = machine.log().len();
    assert!(machine.run(["confirm"]).status.success());
    let confirmed = await_event(&machine, before, "confirmed");
    assert_has(&confirmed[0], &json!({"generation": 4, "uid": 0}));
    let before = machine.log().len();
    assert!(machine.run(["unload"]).status.success());
    let unloaded = await_event(&machine, before, "unloaded");
    assert_has(
        one(&unloaded, "unloaded"),
        &json!({"cause": "socket", "uid": 0}),
    );
}

#[test]
#[ignore = "needs root"]
fn what_commands_say_is_an_object_too_and_the_option_wins() {
    let machine = Machine::new();
    let run = |words: &[&str]| {
        let mut command = machine.command(BINARY);
        command
            .args(words)
            .env("FIREWALL_LOG_FORMAT", "json")
            .env("FIREWALL_LOG", "error");
        machine.finish(command)
    };
    let bad = machine.write_file("[firewall]\npolicy = \"pas\"\n");
    let path = bad.to_str().unwrap();
    // The first rules are the concern of whoever starts the daemon.
    let said = run(&["apply", path]);
    assert_eq!(said.status.code(), Some(3));
    let failed = events(&said.stderr);
    let names: Vec<_> = failed.iter().map(|event| &event["event"]).collect();
    assert_eq!(json!(names), json!(["diagnostic", "diagnostic", "failed"]));
    assert_has(
        &failed[2],
        &json!({"level": "error", "error": format!("`{path}` has 2 errors")}),
    );
    let said = run(&["reload"]);
    let failed = events(&said.stderr);
    assert_has(
        one(&failed, "failed"),
        &json!({"help": "`firewall apply FILE` starts one; what is loaded stays in force"}),
    );
    let said = run(&["unload"]);
    assert_has(
        one(&events(&said.stderr), "done"),
        &json!({"level": "info", "message": "nothing was loaded"}),
    );
    let said = run(&["unload", "--log-format", "text"]);
    assert_eq!(said.stderr, "nothing was loaded\n");
    let said = run(&["unload", "--log-level", "debgu"]);
    assert_eq!(said.status.code(), Some(2));
    assert!(said.stderr.contains("expected error, warn"), "{said:?}");

    // Of the program, as the level asks for.
    let rules = machine.write_rules("pass", "");
    let words = ["apply", "--log-format", "json", "--log-level", "debug"];
    let _daemon = start(&machine, &[&words[..], &[rules.to_str().unwrap()]].concat());
    let packet = machine.network.link().ipv4().udp(1, 2);
    machine.send(&packet.damage(benches::packet::Damage::Version(5)), 1);
    let told = await_event(&machine, 0, "program_message");
    let target = &one(&told, "program_message")["target"];
    assert!(
        target.as_str().unwrap().starts_with("firewall_xdp"),
        "{target}"
    );
}

#[test]
#[ignore = "needs root"]
fn the_journal_has_the_level_of_each_line_and_nobody_else() {
    let machine = Machine::new();
    let rules = machine.write_rules("pass", &drop_port("one", 1));
    let log = machine.folder.path().join("log");
    fs::write(&log, "").unwrap();
    let status = fs::metadata(&log).unwrap();
    let connected = format!("{}:{}", status.dev(), status.ino());
    let elsewhere = format!("{}:{}", status.dev(), status.ino() + 1);
    for (stream, has_priority) in [(connected, true), (elsewhere, false)] {
        let before = machine.log().len();
        let mut command = machine.command(BINARY);
        command
            .args(["apply", rules.to_str().unwrap()])
            .env("JOURNAL_STREAM", &stream);
        let mut daemon = machine.spawn(command);
        machine.await_daemon(&daemon);
        machine.write_rules("pas", "");
        daemon.signal(Signal::SIGHUP);
        wait_until("the reload has failed", || {
            machine.log()[before..].contains("generation 1 stays in force\n")
        });
        machine.write_rules("pass", &drop_port("one", 1));
        daemon.signal(Signal::SIGTERM);
        assert!(daemon.wait().success());
        let log = machine.log().split_off(before);
        for (level, words, priority) in [
            (" INFO ", "attached to `fw-host0` in native mode\n", "<6>"),
            (" INFO ", "generation 1 in force: 1 rule, image ", "<6>"),
            ("ERROR ", "generation 1 stays in force\n", "<3>"),
            (" INFO ", "unloaded: detached from `fw-host0`\n", "<6>"),
        ] {
            let mut lines = log.split_inclusive('\n');
            let line = lines.find(|line| line.contains(words));
            let line = line.unwrap_or_else(|| panic!("no {words} in {log}"));
            let rest = line.strip_prefix(priority);
            assert_eq!(rest.is_some(), has_priority, "{line}");
            // As without a journal: the time, the level, the message.
            let (time, rest) = rest.unwrap_or(line).split_once(' ').unwrap();
            assert!(time.ends_with('Z'), "{line}");
            let message = rest.strip_prefix(level).unwrap();
            assert!(message.contains(words), "{line}");
        }
    }

    // What keeps the service from starting is an error in the journal, in all of its lines.
    let bad = machine.write_rules("pas", "");
    let before = machine.log().len();
    let status = fs::metadata(&log).unwrap();
    let mut command = machine.command(BINARY);
    command.args(["apply", bad.to_str().unwrap()]).env(
        "JOURNAL_STREAM",
        format!("{}:{}", status.dev(), status.ino()),
    );
    assert_eq!(machine.spawn(command).wait().code(), Some(3));
    let log = machine.log().split_off(before);
    assert!(log.contains("<3>error: `"), "{log}");
    assert!(log.lines().all(|line| line.starts_with("<3>")), "{log}");
}

#[test]
#[ignore = "needs root"]
fn a_log_that_nobody_reads_stops_nothing_and_what_is_lost_is_counted() {
    let machine = Machine::new();
    let rules = machine.write_rules("pass", "");
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut command = machine.command(BINARY);
    command
        .args(["apply", rules.to_str().unwrap()])
        .stdout(Stdio::null())
        .stderr(writer);
    let mut daemon = machine.network.host.spawn(&mut command).unwrap();
    // The command holds the writing end, too.
    drop(command);
    wait_until("rules are in force", || {
        machine.run(["status"]).status.success()
    });
    let keys = (0..100).map(|number| format!("key{number} = 1\n"));
    machine.write_rules("pass", &keys.collect::<String>());
    for _ in 0..10 {
        let said = machine.run(["reload"]);
        assert!(!said.status.success(), "{said:?}");
    }
    machine.write_rules("pass", "");
    let mut log = vec![0; 1 << 15];
    reader.read_exact(&mut log).unwrap();
    let said = machine.run(["reload"]);
    assert!(said.status.success(), "{said:?}");
    let pid = Pid::from_raw(daemon.id().try_into().unwrap());
    kill(pid, Signal::SIGTERM).unwrap();
    let mut rest = String::new();
    reader.read_to_string(&mut rest).unwrap();
    assert!(daemon.wait().unwrap().success());
    assert!(
        rest.contains("of the log lost: nobody read them in time"),
        "{rest}"
    );
}
