//! Tests in rule files hold before rules are in force, and what `explain` says of those that are.

use std::{collections::BTreeSet, fs};

use nix::sys::signal::Signal;

use benches::features::Feature;

use crate::{
    machine::{Machine, json, wait_until},
    reload::{drop_port, large_rule, udp},
};

fn test(name: &str, packet: &str, expect: &str) -> String {
    format!("[[test]]\nname = \"{name}\"\npacket = \"{packet}\"\nexpect = \"{expect}\"\n")
}

const TO_ONE: &str = "udp 192.0.2.1:1 > 192.0.2.2:1";
const TO_TWO: &str = "udp 192.0.2.1:1 > 192.0.2.2:2";

#[test]
#[ignore = "needs root"]
fn rules_that_fail_their_tests_are_not_brought_into_force() {
    let machine = Machine::new();
    let rules = drop_port("one", 1) + &test("one passes", TO_ONE, "pass");
    let file = machine.write_rules("pass", &rules);
    let said = machine.run(["apply", file.to_str().unwrap()]);
    assert_eq!(said.status.code(), Some(3), "{said:?}");
    for words in [
        "the test `one passes` fails: expected pass, found drop by the rule `one`",
        "rules.toml:12:10",
        "1 of 1 tests failed",
    ] {
        assert!(said.stderr.contains(words), "{words}: {}", said.stderr);
    }
    machine.assert_nothing_left(&BTreeSet::new());
}

#[test]
#[ignore = "needs root"]
fn a_reload_that_fails_its_tests_changes_nothing() {
    let machine = Machine::new();
    let daemon = machine.apply(&machine.write_rules("pass", &drop_port("one", 1)));
    let program = machine.attached();
    let failing = drop_port("two", 2) + &test("one is dropped", TO_ONE, "drop");
    let file = machine.write_rules("pass", &failing);
    for command in [vec!["reload"], vec!["apply", file.to_str().unwrap()]] {
        let said = machine.run(command);
        assert_eq!(said.status.code(), Some(3), "{said:?}");
        let words = "expected drop, found pass by the reason `policy`";
        assert!(said.stderr.contains(words), "{}", said.stderr);
        assert!(machine.log().contains(words), "{}", machine.log());
    }
    daemon.signal(Signal::SIGHUP);
    wait_until("the third attempt is logged", || {
        machine.log().matches("generation 1 stays in force").count() == 3
    });
    assert_eq!(machine.attached(), program);
    let length = machine.send(&udp(&machine, 1), 4);
    machine.await_counters(&[("one", (4, 4 * length))]);
    assert_eq!(machine.status()["generation"], 1);
}

#[test]
#[ignore = "needs root"]
fn tests_are_run_in_the_kernel_and_count_nowhere() {
    let machine = Machine::new();
    let interface = machine.interface();
    let tests = test("one", TO_ONE, "drop")
        + &test("two", &format!("{TO_TWO} interface {interface}"), "drop")
        + &test(
            "three",
            "udp [2001:db8::1]:1 > [2001:db8::2]:3 vlan 7 ah",
            "pass",
        )
        + &test("long", &format!("{TO_ONE} length 9000"), "drop")
        + &test("short", "hex 00", "drop");
    let rules = drop_port("one", 1)
        + &drop_port("two", 2)
        + &format!("interface = \"{interface}\"\n[[rule]]\nname = \"all\"\naction = \"count\"\n")
        + &tests;
    let daemon = machine.start_logging(&machine.write_rules("pass", &rules), "debug");
    machine.await_daemon(&daemon);
    // The long frame and the short one are none that every kernel takes.
    let judged = "3 packets of the tests have the same result in the kernel and in user space";
    assert!(machine.log().contains(judged), "{}", machine.log());
    machine.await_counters(&[]);
    let length = machine.send(&udp(&machine, 1), 2);
    machine.await_counters(&[("one", (2, 2 * length))]);
    let pins = || {
        let mut pins = machine.bpffs.pins().unwrap();
        // The image of the generation before is of no test.
        pins.retain(|pin| !pin.to_string_lossy().contains("/previous-"));
        pins
    };
    let before = pins();

    // Once into the map that there is, once with a new program for a larger image.
    for more in [drop_port("four", 4), large_rule(40_000)] {
        machine.write_rules("pass", &format!("{rules}{more}"));
        let said = machine.run(["reload"]);
        assert!(said.status.success(), "{said:?}");
        machine.await_counters(&[("one", (2, 2 * length))]);
        assert_eq!(pins(), before);
    }
    assert_eq!(
        machine.log().matches(judged).count(),
        3,
        "{}",
        machine.log()
    );
}

#[test]
#[ignore = "needs root"]
fn tests_of_packets_out_are_run_in_the_kernel() {
    let machine = Machine::new();
    let interface = machine.interface();
    let out = |name: &str, action: &str, fields: &str| {
        format!(
            "[[rule]]\nname = \"{name}\"\naction = \"{action}\"\ndirection = \"out\"\n{fields}\n"
        )
    };
    let rules = out("all", "count", "proto = \"udp\"")
        + &out(
            "one",
            "drop",
            "proto = \"udp\"\ndport = 1\nforwarded = false",
        )
        + &out(
            "guests",
            "drop",
            "in_interface = \"none-such*\"\ninterface = \"!none-such*\"",
        )
        + &out("marked", "drop", "mark = 7")
        + &drop_port("in", 1);
    let by = |rule: &str| format!("rule = \"{rule}\"\n");
    let tests = test("own", &format!("out {TO_ONE}"), "drop")
        + &by("one")
        + &test("other", &format!("out {TO_TWO} interface {interface}"), "pass")
        + &test("guest", &format!("out {TO_ONE} in_interface none-such1"), "drop")
        + &by("guests")
        + &test("not a guest", &format!("out {TO_ONE} in_interface none-like1"), "pass")
        + &test("marked", &format!("out {TO_TWO} mark 7"), "drop")
        + &by("marked")
        + &test("cut", &format!("out {TO_ONE} truncate 37"), "pass")
        + &test("in", TO_ONE, "drop")
        // These are none that the kernel tries.
        + &test("absent", &format!("out {TO_ONE} interface none-such1"), "drop")
        + &test("long", &format!("out {TO_ONE} length 9000"), "drop");
    let settings = format!("[firewall]\ninterfaces = [\"{interface}\", \"none-such*\"]\n");
    let file = machine.write_file(&(settings + &rules + &tests));
    let daemon = machine.start_logging(&file, "debug");
    machine.await_daemon(&daemon);
    let (tried, not_tried) = if Feature::TestRunForwarded.is_expected().unwrap() {
        (7, 2)
    } else {
        (5, 4)
    };
    let said = format!(
        "{tried} packets of the tests have the same result in the kernel and in user space; \
         {not_tried} packets were run in user space only"
    );
    assert!(machine.log().contains(&said), "{}", machine.log());
    let counters = machine.counters();
    assert!(
        !counters.contains_key("one") && !counters.contains_key("guests"),
        "{counters:?}"
    );
    let pins = machine.bpffs.pins().unwrap();
    let next = |pin: &std::path::PathBuf| pin.to_string_lossy().contains("/next-");
    assert!(!pins.iter().any(next), "{pins:?}");
}

#[test]
#[ignore = "needs root"]
fn what_follows_a_packet_that_the_kernel_does_not_take_is_run_in_user_space() {
    let machine = Machine::new();
    let rules = "[[rule]]\nname = \"replies\"\naction = \"pass\"\nstate = \"established\"\n";
    let answer = "udp 192.0.2.2:1 > 192.0.2.1:1";
    let given = |packet: &str| format!("given = \"out {packet}\"\n");
    let tests = test("an answer", answer, "pass")
        + &given(TO_ONE)
        + "rule = \"replies\"\n"
        // No kernel takes the long packet, so none knows its flow.
        + &test("an answer to a long one", answer, "pass")
        + &given(&format!("{TO_ONE} length 9000"))
        + "rule = \"replies\"\n"
        // Without flows, the next packet does not depend on it.
        + &format!(
            "[[test]]\nname = \"long\"\npacket = [\"{TO_ONE} length 9000\", \"{TO_ONE}\"]\nexpect = \"drop\"\n"
        );
    let file = machine.write_rules("drop", &(rules.to_owned() + &tests));
    let daemon = machine.start_logging(&file, "debug");
    machine.await_daemon(&daemon);
    let said = "3 packets of the tests have the same result in the kernel and in user space; \
                3 packets were run in user space only";
    assert!(machine.log().contains(said), "{}", machine.log());
}

#[test]
#[ignore = "needs root"]
fn packets_are_explained_by_the_flows_in_force() {
    let machine = Machine::new();
    let rules = "[[rule]]\nname = \"replies\"\naction = \"pass\"\nstate = \"established\"\n";
    let file = machine.write_rules("drop", rules);
    let daemon = machine.apply(&file);
    let link = machine.network.link();
    let (own, far) = (link.host.ipv4, link.peer.ipv4);
    let answer = |port: u16| format!("udp {far}:9 > {own}:{port}");
    let explained = |packet: &str| {
        let said = machine.run(["explain", "--live", "--json", packet]);
        assert!(said.status.success(), "{said:?}");
        json(&said.stdout)["packets"][0].clone()
    };
    let send = || {
        let socket = std::net::UdpSocket::bind((own, 0)).unwrap();
        socket.send_to(b"ask", (far, 9)).unwrap();
        socket.local_addr().unwrap().port()
    };
    let port = machine.network.host.run(send).unwrap();
    let check = || {
        let known = explained(&answer(port));
        assert_eq!(known["state"]["state"], "established", "{known}");
        assert_eq!(known["verdict"]["action"], "pass", "{known}");
        let flow = &known["state"]["flow"];
        assert_eq!(flow["protocol"], "udp", "{flow}");
        assert_eq!(flow["from"], format!("{own}:{port}"), "{flow}");
        assert_eq!(flow["to"], format!("{far}:9"), "{flow}");
        assert_eq!(flow["phase"], "unanswered", "{flow}");
        let of = |key: &str| flow[key].as_u64().unwrap();
        assert!(of("idle_seconds") + of("seconds_left") >= 30, "{flow}");
        let unknown = explained(&answer(port ^ 1));
        assert_eq!(unknown["state"]["state"], "new", "{unknown}");
        assert!(unknown["state"]["flow"].is_null(), "{unknown}");
        assert_eq!(unknown["verdict"]["reason"], "policy", "{unknown}");
    };
    check();
    // Explaining a packet is not its arrival, and needs neither the file nor the daemon.
    fs::write(&file, "").unwrap();
    daemon.kill();
    check();
}

#[test]
#[ignore = "needs root"]
fn what_is_in_force_explains_packets_with_and_without_its_daemon() {
    let machine = Machine::new();
    let rules = drop_port("one", 1) + &drop_port("two", 2);
    let file = machine.write_rules("pass", &rules);
    let daemon = machine.apply(&file);
    let verdict = || {
        let said = machine.run(["explain", "--live", "--json", TO_TWO]);
        assert!(said.status.success(), "{said:?}");
        let report = json(&said.stdout);
        report["packets"][0].clone()
    };
    let whole = verdict();
    assert_eq!(whole["interface"], machine.interface());
    assert_eq!(whole["verdict"]["rule"]["name"], "two");
    assert_eq!(whole["verdict"]["rule"]["line"], 10);
    assert_eq!(whole["rules"][0]["mismatch"]["field"], "dport");

    // What is in force does not change with the file.
    fs::write(
        &file,
        fs::read_to_string(&file).unwrap().replace("two", "three"),
    )
    .unwrap();
    let bare = verdict();
    assert_eq!(bare["verdict"]["rule"]["name"], "two");
    assert!(bare["rules"].is_null());
    daemon.kill();
    assert_eq!(verdict(), bare);
    machine.await_counters(&[]);
    assert!(machine.run(["unload"]).status.success());
    let said = machine.run(["explain", "--live", TO_TWO]);
    assert_eq!(said.status.code(), Some(1));
    assert!(said.stderr.contains("nothing is loaded"), "{said:?}");
}
