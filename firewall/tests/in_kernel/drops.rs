//! `firewall capture --drops`: what drops packets, against what was sent and what was counted.

use std::{fs, path::Path, time::Duration};

use aya::maps::{Array, Map, MapData};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::{
    bans::send_from,
    capture::{Capture, Left},
    egress::arriving,
    machine::{Machine, json as parsed, wait_until},
    reload::{drop_port, udp, under_traffic},
};

/// The packets that a capture has shown as JSON, and what it says of all that were dropped.
fn shown(left: &Left) -> (Vec<Value>, Value) {
    let mut lines: Vec<Value> = left.text().lines().map(parsed).collect();
    let tally = lines.pop().unwrap();
    (lines, tally["tally"].clone())
}

/// Whether the programs are asked for dropped packets.
fn is_on(machine: &Machine) -> bool {
    let map = MapData::from_pin(machine.pins().join("drop-switch")).unwrap();
    let map: Array<_, u32> = Map::Array(map).try_into().unwrap();
    map.get(&0, 0).unwrap() != 0
}

/// The sum of what became of dropped packets.
fn sum(tally: &Value) -> u64 {
    ["emitted", "suppressed", "lost", "not_sampled", "not_chosen"]
        .iter()
        .map(|key| tally[key].as_u64().unwrap())
        .sum()
}

/// The packets that were dropped, as counted: those of these rules and all that were dropped without one.
fn dropped(machine: &Machine, rules: &[&str]) -> u64 {
    let said = machine.run(["counters", "--json"]);
    assert!(said.status.success(), "{said:?}");
    let counters = parsed(&said.stdout);
    let packets = |row: &Value| row["packets"].as_u64().unwrap();
    let of_rules = counters["rules"].as_array().unwrap().iter();
    let of_rules = of_rules.filter(|row| rules.contains(&row["name"].as_str().unwrap()));
    let reasons = counters["reasons"].as_array().unwrap().iter();
    let reasons = reasons.filter(|row| row["action"] == "drop");
    of_rules.chain(reasons).map(packets).sum()
}

#[test]
#[ignore = "needs root"]
fn whatever_drops_a_packet_is_shown_with_the_reason() {
    let machine = Machine::new();
    let rules = format!(
        "policy_out = \"drop\"\n{}{}direction = \"out\"\n",
        drop_port("no one", 1),
        drop_port("no two", 2)
    );
    let daemon = machine.apply(&machine.write_rules("drop", &rules));
    assert!(!is_on(&machine));
    let said = machine.run(["ban", "--reason", "scan", "10.9.9.9"]);
    assert!(said.status.success(), "{said:?}");
    let said = machine.run(["ban", "10.9.9.8"]);
    assert!(said.status.success(), "{said:?}");
    let all = Capture::begin(&machine, 1, &["--drops", "--json"]);
    let text = Capture::begin(&machine, 2, &["--drops", "--count", "7"]);
    let parser = Capture::begin(
        &machine,
        3,
        &[
            "--drops", "--json", "--reason", "parser", "--reason", "banned",
        ],
    );
    assert_eq!(all.said(), "capturing dropped packets\n");
    assert!(is_on(&machine));
    let before = dropped(&machine, &["no one", "no two"]);

    machine.send(&udp(&machine, 1), 1);
    machine.send(&udp(&machine, 9), 1);
    // The IP header is said to be longer than the frame.
    let mut broken = udp(&machine, 9).build();
    broken.truncate(30);
    machine.send_frame(&broken);
    send_from(&machine, "10.9.9.9", 1);
    send_from(&machine, "10.9.9.8", 1);
    // One that a rule drops, one that the policy for packets out does, while addresses are resolved by ARP.
    assert_eq!(arriving(&machine, 2, 1), 0);
    assert_eq!(arriving(&machine, 9, 1), 0);

    text.await_lines(7);
    let text = text.finish();
    all.await_lines(7);
    let all = all.interrupt();
    assert!(all.status.success(), "{all:?}");
    let (packets, tally) = shown(&all);
    let causes: Vec<Value> = packets
        .iter()
        .map(|packet| {
            json!([
                packet["rule"],
                packet["reason"],
                packet["ban"],
                packet["direction"]
            ])
        })
        .collect();
    let expected = [
        json!(["no one", null, null, "in"]),
        json!([null, "policy", null, "in"]),
        json!([null, "truncated", null, "in"]),
        json!([null, "banned", "scan", "in"]),
        json!([null, "banned", null, "in"]),
        json!(["no two", null, null, "out"]),
        json!([null, "policy", null, "out"]),
    ];
    assert_eq!(causes, expected);
    for packet in &packets {
        assert_eq!(packet["action"], "drop");
        assert_eq!(packet["interface"], machine.interface());
    }
    let first = packets[0]["packet"].as_str().unwrap();
    assert!(
        first.starts_with("udp ") && first.contains(":1 "),
        "{first}"
    );
    assert_eq!(tally["emitted"], 7, "{tally}");
    assert_eq!(
        tally["dropped"],
        dropped(&machine, &["no one", "no two"]) - before
    );
    assert_eq!(tally["dropped"], sum(&tally));

    let words: Vec<String> = text
        .text()
        .lines()
        .map(|line| line.split("  ").nth(1).unwrap().to_owned())
        .collect();
    assert_eq!(
        words,
        [
            "no one",
            "(policy)",
            "(truncated)",
            "(banned: scan)",
            "(banned)",
            "no two",
            "(policy)"
        ]
    );
    let tally = "\n7 packets captured, 0 lost; 7 packets dropped meanwhile: 7 emitted\n";
    assert!(text.stderr.ends_with(tally), "{text:?}");

    parser.await_lines(3);
    let (packets, tally) = shown(&parser.interrupt());
    let reasons: Vec<&Value> = packets.iter().map(|packet| &packet["reason"]).collect();
    assert_eq!(reasons, ["truncated", "banned", "banned"]);
    assert_eq!(
        (&tally["emitted"], &tally["not_chosen"]),
        (&json!(3), &json!(4))
    );
    wait_until("no capture is left", || !is_on(&machine));
    // None of it is in the log.
    assert!(!machine.log().contains("udp "), "{}", machine.log());
    drop(daemon);
}

#[test]
#[ignore = "needs root"]
fn under_a_flood_the_sums_are_those_of_the_counters() {
    let machine = Machine::new();
    let _daemon = machine.apply(&machine.write_rules("drop", &drop_port("other", 2)));
    for (number, words, bound) in [
        (1, &["--rate", "50"] as &[&str], "suppressed"),
        (2, &["--sample", "100"], "not_sampled"),
        (3, &["--reason", "policy", "--rate", "100000"], "emitted"),
        (4, &["--rule", "other"], "not_chosen"),
    ] {
        let words = [&["--drops", "--json"], words].concat();
        let before = dropped(&machine, &["other"]);
        let capture = Capture::begin(&machine, number, &words);
        let sent = under_traffic(&machine, 20_000, || {
            std::thread::sleep(Duration::from_secs(1));
        });
        machine.send(&udp(&machine, 2), 3);
        // All of it has been counted.
        wait_until("all packets are counted", || {
            dropped(&machine, &["other"]) - before >= sent.total() + 3
        });
        let left = capture.interrupt();
        assert!(left.status.success(), "{left:?}");
        let (packets, tally) = shown(&left);
        let counted = dropped(&machine, &["other"]) - before;
        assert_eq!(tally["dropped"], counted, "{words:?}: {tally}");
        assert_eq!(sum(&tally), counted, "{words:?}: {tally}");
        assert!(tally[bound].as_u64().unwrap() > 0, "{words:?}: {tally}");
        let lost: u64 = packets
            .iter()
            .filter_map(|line| line["lost"].as_u64())
            .sum();
        let arrived = packets.iter().filter(|line| line["lost"].is_null()).count() as u64;
        assert_eq!(tally["emitted"], arrived + lost, "{words:?}: {tally}");
        if bound == "not_sampled" {
            assert!(packets.iter().all(|packet| packet["one_in"] == 100));
        }
        if bound == "not_chosen" {
            assert_eq!(tally["emitted"], 3, "{tally}");
        }
    }
}

#[test]
#[ignore = "needs root"]
fn filters_choose_packets_by_what_is_in_them() {
    let machine = Machine::new();
    let _daemon = machine.apply(&machine.write_rules("drop", ""));
    let capture = Capture::begin(
        &machine,
        1,
        &[
            "--drops",
            "--json",
            "--address",
            "10.9.0.0/16",
            "--proto",
            "udp",
            "--port",
            "53",
            "--direction",
            "in",
            "--interface",
            machine.interface(),
        ],
    );
    send_from(&machine, "10.9.9.9", 2);
    send_from(&machine, "10.8.9.9", 1);
    machine.send(&udp(&machine, 53), 1);
    let (packets, tally) = {
        capture.await_lines(2);
        shown(&capture.interrupt())
    };
    assert_eq!(packets.len(), 2);
    for packet in &packets {
        let words = packet["packet"].as_str().unwrap();
        assert!(words.starts_with("udp 10.9.9.9:4000 > "), "{words}");
    }
    assert_eq!(
        (&tally["emitted"], &tally["not_chosen"]),
        (&json!(2), &json!(2))
    );
    for (words, message) in [
        (["--rule", "x"], "there is no rule `x` in force"),
        (["--reason", "polcy"], "did you mean `policy`?"),
        (
            ["--src", "x"],
            "`x` is neither an address, a prefix nor a range",
        ),
    ] {
        let said = machine.run([&["capture", "--drops"], &words[..]].concat());
        assert_eq!(said.status.code(), Some(1), "{said:?}");
        assert!(said.stderr.contains(message), "{said:?}");
    }
}

#[test]
#[ignore = "needs root"]
fn no_capture_outlives_its_reader_or_the_daemon() {
    let machine = Machine::new();
    let rules = machine.write_rules("drop", "");
    let mut daemon = machine.apply(&rules);
    let killed = Capture::begin(&machine, 1, &["--drops"]);
    assert!(is_on(&machine));
    drop(killed);
    wait_until("the capture of a reader that was killed ends", || {
        !is_on(&machine)
    });

    let left = Capture::begin(&machine, 2, &["--drops"]);
    daemon.signal(Signal::SIGTERM);
    daemon.wait();
    let left = left.finish();
    assert!(left.status.success(), "{left:?}");

    let daemon = machine.apply(&rules);
    let _left = Capture::begin(&machine, 3, &["--drops"]);
    daemon.kill();
    assert!(is_on(&machine));
    let _daemon = machine.apply(&rules);
    assert!(!is_on(&machine));
    assert!(fs::exists(machine.pins().join("drop-events")).unwrap());
    assert!(Path::new(&machine.pins()).join("drop-counts").exists());
}

#[test]
#[ignore = "needs root"]
fn the_policy_the_parser_and_bans_log_within_their_limits() {
    let machine = Machine::new();
    let rules = "policy_out = \"drop\"\nlog = { rate = \"1/hour\", burst = 2, journal = true }\n\
                 [parser]\nlog = true\n[bans]\nlog = true\n";
    let _daemon = machine.apply(&machine.write_rules("drop", rules));
    let said = machine.run(["ban", "10.9.9.9"]);
    assert!(said.status.success(), "{said:?}");
    let capture = Capture::begin(&machine, 1, &["--json", "--count", "5"]);
    let reasons = "of the reasons `banned`, `malformed`, `policy`, `too_many_headers`, `too_many_tags`, `truncated`, \
                   `unknown_ethertype`\n";
    assert!(capture.said().ends_with(reasons), "{}", capture.said());
    machine.send(&udp(&machine, 9), 4);
    let mut broken = udp(&machine, 9).build();
    broken.truncate(30);
    machine.send_frame(&broken);
    send_from(&machine, "10.9.9.9", 1);
    assert_eq!(arriving(&machine, 9, 1), 0);
    let left = capture.finish();
    left.assert_ended("\n5 packets captured, 0 lost\n");
    let told: Vec<Value> = left.text().lines().map(parsed).collect();
    let told: Vec<Value> = told
        .iter()
        .map(|packet| json!([packet["reason"], packet["direction"], packet["action"]]))
        .collect();
    let expected = [
        json!(["policy", "in", "drop"]),
        json!(["policy", "in", "drop"]),
        json!(["truncated", "in", "drop"]),
        json!(["banned", "in", "drop"]),
        json!(["policy", "out", "drop"]),
    ];
    assert_eq!(told, expected);
    let said = machine.run(["counters", "--json"]);
    let counters = parsed(&said.stdout);
    let rows = counters["reasons"].as_array().unwrap().iter();
    let row = |name: &str, direction: &str| {
        let mut rows = rows.clone();
        let found = rows.find(|row| {
            row["name"] == name && row["direction"] == direction && row["action"] == "drop"
        });
        found.unwrap()["log"].clone()
    };
    let policy = json!({"emitted": 2, "suppressed": 2, "lost": 0});
    assert_eq!(row("policy", "in"), policy);
    assert_eq!(row("banned", "in")["emitted"], 1);
    assert_eq!(row("truncated", "in")["emitted"], 1);
    // Only the policy asks for the log of the daemon.
    wait_until("the log has the packets", || {
        machine.log().matches("reason policy drop: ").count() == 3
    });
    let log = machine.log();
    assert!(
        !log.contains("reason banned") && !log.contains("reason truncated"),
        "{log}"
    );
}
