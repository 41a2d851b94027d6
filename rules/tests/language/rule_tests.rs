//! Tables `[[test]]`: their results, and the messages for faulty ones.

use std::{sync::Arc, time::Duration};

use rules::{
    diagnostics::{Source, render},
    language::{RuleTest, canonical},
    load,
    model::{Direction, Verdict},
    notation,
};

use crate::support::{failures, load_with, report};

const RULES: &str = r#"
[firewall]
interfaces = ["wan*", "eth0", "eth1"]
policy = "drop"
[[rule]]
name = "seen"
action = "count"
[[rule]]
name = "ssh"
action = "pass"
proto = "tcp"
dport = 22
interface = "eth0"
[[rule]]
name = "telnet"
action = "drop"
proto = "tcp"
dport = 23
"#;

fn tests(text: &str) -> Vec<RuleTest> {
    let loaded = load_with(&format!("{RULES}{text}"), &[]);
    loaded.expect("the file is right").tests
}

#[test]
fn packets_arrive_where_they_say_or_on_the_first_interface_with_a_name() {
    let tests = tests(
        r#"
[[test]]
name = "many"
packet = ["tcp 1.2.3.4:5 > 6.7.8.9:22", "tcp 1.2.3.4:5 > 6.7.8.9:23 interface wan7"]
expect = "drop"
[[test]]
name = "elsewhere"
packet = "hex 00"
interface = "eth1"
expect = "drop"
reason = "truncated"
"#,
    );
    let interfaces: Vec<_> = tests
        .iter()
        .flat_map(|test| &test.packets)
        .map(|packet| packet.context.interface.as_deref())
        .collect();
    assert_eq!(interfaces, [Some("eth0"), Some("wan7"), Some("eth1")]);
    assert_eq!(tests[1].packets[0].frame, [0]);
    assert_eq!(tests[0].expected.verdict, Verdict::Drop);
}

#[test]
fn a_test_that_fails_says_what_was_expected_and_what_was_found() {
    let text = format!(
        "{RULES}{}",
        r#"
[[test]]
name = "ssh passes"
packet = "tcp 203.0.113.9:4444 > 192.0.2.1:22 syn"
expect = "pass"
rule = "ssh"
[[test]]
name = "telnet passes"
packet = ["tcp 203.0.113.9:4444 > 192.0.2.1:22", "tcp 203.0.113.9:4444 > 192.0.2.1:23"]
expect = "pass"
[[test]]
name = "telnet is dropped by the policy"
packet = "tcp 203.0.113.9:4444 > 192.0.2.1:23"
expect = "drop"
reason = "policy"
[[test]]
name = "dns passes"
packet = "udp 203.0.113.9:4444 > 192.0.2.1:53"
expect = "pass"
"#
    );
    let loaded = load_with(&text, &[]).expect("the file is right");
    insta::assert_snapshot!(failures(&loaded).join("\n"));
}

#[test]
fn tests_that_are_wrong_are_told_with_their_places() {
    let tests = r#"
[[test]]
[[test]]
name = ""
packet = "tcp 1.2.3.4:5 > 6.7.8.9:22 sny"
expect = "accept"
[[test]]
name = "a"
packet = ["udp 1.2.3.4:5 > 6.7.8.9", "hex 0"]
pcket = 1
expect = "pass"
[[test]]
name = "b"
packet = "hex 00"
pcap = "b.pcap"
expect = "drop"
[[test]]
name = "c"
packet = "hex 00"
index = 1
expect = "drop"
rule = "sssh"
[[test]]
name = "d"
packet = "hex 00"
expect = "drop"
rule = "seen"
[[test]]
name = "e"
packet = "hex 00"
expect = "drop"
rule = "ssh"
reason = "truncated"
[[test]]
name = "f"
packet = "hex 00"
expect = "drop"
rule = "ssh"
[[test]]
name = "g"
packet = "hex 00"
expect = "pass"
reason = "policy"
[[test]]
name = "h"
packet = "hex 00"
expect = "drop"
reason = "no_image"
[[test]]
name = "i"
packet = ["hex 00 interface eth2", "hex 00 interface eth*", '''udp	1.2.3.4:5 > x''', "udp\t1.2.3.4:5 > x"]
expect = "drop"
interface = "wan*"
[[test]]
name = "j"
packet = "tcp 1.2.3.4:5 > 6.7.8.9:22 interface eth2"
expect = "drop"
[[test]]
name = "k"
packet = 7
expect = true
"#;
    insta::assert_snapshot!(report(&format!("{RULES}{tests}")));
}

#[test]
fn packets_that_came_before_are_read_in_order() {
    let text = r#"
[[test]]
name = "both"
given = ["out tcp 6.7.8.9:1 > 1.2.3.4:5 syn", "tcp 1.2.3.4:5 > 6.7.8.9:1 syn,ack interface eth1"]
after = "1m30s"
packet = "tcp 1.2.3.4:5 > 6.7.8.9:1"
expect = "drop"
[[test]]
name = "one, and no time between"
given = "udp 1.2.3.4:5 > 6.7.8.9:1"
packet = ["hex 00", "hex 01"]
expect = "drop"
[[test]]
name = "a number of seconds"
given = "udp 1.2.3.4:5 > 6.7.8.9:1"
after = 90
packet = "hex 00"
expect = "drop"
[[test]]
name = "parts of a second"
given = "udp 1.2.3.4:5 > 6.7.8.9:1"
after = "1.5s"
packet = "hex 00"
expect = "drop"
"#;
    let read = tests(text);
    let origins = |test: &RuleTest| {
        let packets = test.sequence();
        let origins = packets.map(|packet| packet.origin.clone());
        origins.collect::<Vec<_>>().join(" ")
    };
    let whole = "`out tcp 6.7.8.9:1 > 1.2.3.4:5 syn` \
                 `tcp 1.2.3.4:5 > 6.7.8.9:1 syn,ack interface eth1` `tcp 1.2.3.4:5 > 6.7.8.9:1`";
    assert_eq!(origins(&read[0]), whole);
    let directions = read[0].given.iter().map(|packet| packet.context.direction);
    assert_eq!(
        directions.collect::<Vec<_>>(),
        [Direction::Out, Direction::In]
    );
    assert_eq!(
        read.iter().map(|test| test.after).collect::<Vec<_>>(),
        [90.0, 0.0, 90.0, 1.5].map(Duration::from_secs_f64)
    );
    // The canonical form says the same, and every part of a sequence is one of its demands.
    let loaded = load_with(&format!("{RULES}{text}"), &[]).expect("the file is right");
    let canonical = canonical::text(&loaded.ruleset, &loaded.tests);
    let again = load_with(&canonical, &[]).expect("the form is right").tests;
    assert!(RuleTest::are_alike(&read, &again), "{canonical}");
    for (from, to) in [
        ("90", "91"),
        ("1.5s", "1s"),
        ("6.7.8.9:1 > 1", "6.7.8.9:2 > 1"),
    ] {
        let other = tests(&text.replace(from, to));
        assert!(!RuleTest::are_alike(&read, &other), "{from}");
    }
}

#[test]
fn sequences_that_are_wrong_are_told_with_their_places() {
    let tests = r#"
[[test]]
name = "a"
given = ["out udp 1.2.3.4:5 > 6.7.8.9:53", "out udp 1.2.3.4:5 > 6.7.8.9", "in udp 1.2.3.4:5"]
after = "soon"
packet = "hex 00"
expect = "drop"
[[test]]
name = "b"
after = "2s"
packet = "hex 00"
expect = "drop"
[[test]]
name = "c"
given = []
packet = "hex 00"
expect = "drop"
[[test]]
name = "d"
given = "out udp 1.2.3.4:5 > 6.7.8.9:53 interface lan0"
after = ["1s", "2s"]
packet = "hex 00"
expect = "drop"
[[test]]
name = "e"
given = 7
after = "-2s"
packet = "hex 00"
expect = "drop"
[[test]]
name = "f"
given = "out udp 1.2.3.4:5 > 6.7.8.9:53"
after = "1M"
expect = "drop"
"#;
    insta::assert_snapshot!(report(&format!("{RULES}{tests}")));
}

#[test]
fn a_rule_that_cannot_be_read_is_not_unknown_to_a_test() {
    let report = report(
        r#"
[firewall]
interfaces = ["eth0"]
[[rule]]
name = "a"
action = "pas"
[[test]]
name = "t"
packet = "hex 00"
expect = "drop"
rule = "a"
"#,
    );
    assert_eq!(report.matches("error[").count(), 1, "{report}");
}

/// A capture in the classic format of these packets, each truncated to the given number of bytes.
fn capture(packets: &[(&str, usize)]) -> Vec<u8> {
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let mut bytes: Vec<u8> = words(&[0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 1]);
    for (packet, most) in packets {
        let frame = notation::read(packet).expect("a packet").frame;
        let captured = frame.len().min(*most);
        let lengths = [0, 0, captured as u32, frame.len() as u32];
        bytes.extend::<Vec<u8>>(words(&lengths));
        bytes.extend(&frame[..captured]);
    }
    bytes
}

fn with_captures(tests: &str) -> Result<Vec<RuleTest>, String> {
    let source = Arc::new(Source::new("rules.toml", format!("{RULES}{tests}")));
    let ssh = "tcp 1.2.3.4:5 > 6.7.8.9:22";
    let loaded = load(&source, |name| match name {
        "two.pcap" => Ok(Source::new(
            name,
            capture(&[(ssh, 1500), ("arp 1.2.3.4 > 6.7.8.9", 1500)]),
        )),
        "cut.pcap" => Ok(Source::new(name, capture(&[(ssh, 40)]))),
        "text.pcap" => Ok(Source::new(name, "this is text, and some more of it")),
        _ => Err("no such file"),
    });
    let shown = |errors: Vec<_>| errors.iter().map(render).collect::<Vec<_>>().join("\n");
    loaded.map(|loaded| loaded.tests).map_err(shown)
}

#[test]
fn packets_come_from_captures() {
    let tests = with_captures(
        r#"
[[test]]
name = "all"
pcap = "two.pcap"
expect = "pass"
[[test]]
name = "one"
pcap = "two.pcap"
index = 2
expect = "pass"
interface = "wan0"
"#,
    )
    .unwrap_or_else(|errors| panic!("{errors}"));
    let origins: Vec<Vec<_>> = tests
        .iter()
        .map(|test| {
            let packets = test.packets.iter();
            packets.map(|packet| packet.origin.as_str()).collect()
        })
        .collect();
    let (first, second) = ("packet 1 of `two.pcap`", "packet 2 of `two.pcap`");
    assert_eq!(origins, [vec![first, second], vec![second]]);
    assert_eq!(
        tests[1].packets[0].context.interface.as_deref(),
        Some("wan0")
    );
    assert_eq!(tests[0].packets[0].frame.len(), 54);
}

#[test]
fn captures_that_are_no_use_are_told() {
    let tests = r#"
[[test]]
name = "a"
pcap = "none.pcap"
expect = "pass"
[[test]]
name = "b"
pcap = "cut.pcap"
expect = "pass"
[[test]]
name = "c"
pcap = "text.pcap"
expect = "pass"
[[test]]
name = "d"
pcap = "two.pcap"
index = 3
expect = "pass"
[[test]]
name = "e"
pcap = "two.pcap"
index = "first"
expect = "pass"
"#;
    let errors = with_captures(tests).expect_err("every test is wrong");
    insta::assert_snapshot!(errors);
}

#[test]
fn the_reason_neighbor_has_one_spelling() {
    let text = |reason: &str| {
        format!(
            "{RULES}[[test]]\nname = \"arp\"\npacket = \"arp 192.0.2.2 > 192.0.2.1\"\nexpect = \"pass\"\nreason = \"{reason}\"\n"
        )
    };
    assert!(load_with(&text("neighbor"), &[]).is_ok());
    let refused = report(&text("neighbour"));
    assert!(refused.contains("unknown reason `neighbour`"), "{refused}");
    assert!(refused.contains("did you mean `neighbor`?"), "{refused}");
}
