//! `firewall explain` by a rule file, without root.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use benches::packet::Packet;

use crate::machine::{BINARY, Said, json, said};

const RULES: &str = r#"
[firewall]
interfaces = ["none-such0", "none-such1"]
policy = "drop"

[[rule]]
name = "seen"
action = "count"

[[rule]]
name = "ssh from the office"
action = "pass"
proto = "tcp"
src = ["192.0.2.0/24", "2001:db8:1::/48"]
dport = 22
interface = "none-such0"

[[rule]]
name = "pings"
action = "pass"
icmp_type = "echo-request"

[[rule]]
name = "tcp"
action = "drop"
proto = "tcp"

[[rule]]
name = "all of it"
action = "drop"
family = "ipv4"
"#;

fn explain_in(folder: &Path, arguments: &[&str]) -> Said {
    let mut command = Command::new(BINARY);
    command
        .arg("explain")
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null());
    said(command.output().unwrap())
}

fn explain(arguments: &[&str]) -> Said {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rules.toml"), RULES).unwrap();
    explain_in(folder.path(), &[&["rules.toml"], arguments].concat())
}

fn explained(arguments: &[&str]) -> String {
    let said = explain(arguments);
    assert!(said.status.success(), "{said:?}");
    assert_eq!(said.stderr, "");
    said.stdout
}

#[test]
fn each_rule_above_the_one_that_decides_has_a_field_that_does_not_match() {
    let shown = [
        "tcp 203.0.113.9:4444 > 192.0.2.1:22 syn",
        "tcp [2001:db8:1::9]:4444 > [2001:db8::1]:22 syn hop-by-hop",
        "tcp 192.0.2.9:4444 > 192.0.2.1:22 interface none-such1",
        "udp [2001:db8::1]:53 > [2001:db8::2]:53 vlan 10",
        "arp 192.0.2.1 > 192.0.2.2",
        "tcp 203.0.113.9:4444 > 192.0.2.1:22 truncate 40",
    ]
    .map(|packet| explained(&[packet]));
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn the_same_is_told_as_json() {
    let packet = "tcp 203.0.113.9:4444 > 192.0.2.1:22 syn";
    insta::assert_snapshot!(explained(&["--json", packet]));
}

#[test]
fn the_rules_that_log_a_packet_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let text = ["seen", "tcp"].iter().fold(RULES.to_owned(), |text, name| {
        let name = format!("name = \"{name}\"\n");
        text.replace(&name, &format!("{name}log = true\n"))
    });
    fs::write(folder.path().join("rules.toml"), text).unwrap();
    for (packet, rules) in [
        ("tcp 203.0.113.9:4444 > 192.0.2.1:22", &["seen", "tcp"][..]),
        ("udp 203.0.113.9:4444 > 192.0.2.1:22", &["seen"]),
    ] {
        let shown = explain_in(folder.path(), &["rules.toml", packet]).stdout;
        let line = format!("\nlogged   by `{}`, within the limit\n", rules.join("`, `"));
        assert!(shown.contains(&line), "{shown}");
        let shown = json(&explain_in(folder.path(), &["rules.toml", "--json", packet]).stdout);
        let logged = &shown["packets"][0]["verdict"]["logged"];
        assert_eq!(*logged, serde_json::json!(rules), "{shown}");
    }
    assert!(!explained(&["tcp 203.0.113.9:4444 > 192.0.2.1:22"]).contains("logged"));
}

#[test]
fn many_rules_are_told_by_the_fields_that_do_not_match() {
    let folder = tempfile::tempdir().unwrap();
    let rules: String = (0..100)
        .map(|port| {
            format!(
                "[[rule]]\nname = \"{port}\"\naction = \"drop\"\nproto = \"udp\"\ndport = {port}\n"
            )
        })
        .collect();
    let text = format!("[firewall]\ninterfaces = [\"none-such*\"]\n{rules}");
    fs::write(folder.path().join("rules.toml"), text).unwrap();
    let packet = "udp 192.0.2.1:1 > 192.0.2.2:70";
    let said = explain_in(folder.path(), &["rules.toml", packet]);
    insta::assert_snapshot!(said.stdout);
}

#[test]
fn every_packet_of_a_capture_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rules.toml"), RULES).unwrap();
    let ping = Packet::ipv4([192, 0, 2, 1].into(), [192, 0, 2, 2].into()).icmp(8, 0);
    let frames = [ping.build(), Packet::ethertype(0x88cc).build()];
    let words = |words: [u32; 4]| words.into_iter().flat_map(u32::to_le_bytes);
    let mut capture: Vec<u8> = words([0xa1b2_c3d4, 0x0004_0002, 0, 0]).collect();
    capture.extend([65_535, 1].into_iter().flat_map(u32::to_le_bytes));
    for frame in &frames {
        let length = u32::try_from(frame.len()).unwrap();
        capture.extend(words([0, 0, length, length]));
        capture.extend(frame);
    }
    fs::write(folder.path().join("two.pcap"), capture).unwrap();
    let arguments = ["rules.toml", "--pcap", "two.pcap", "--json"];
    let said = explain_in(folder.path(), &arguments);
    let report = json(&said.stdout);
    let verdicts: Vec<_> = report["packets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|packet| &packet["verdict"])
        .collect();
    assert_eq!(verdicts.len(), 2);
    assert_eq!(verdicts[0]["rule"]["name"], "pings");
    assert_eq!(verdicts[1]["reason"], "unknown_ethertype");
    let second = [&arguments[..], &["--index", "2"]].concat();
    let report = json(&explain_in(folder.path(), &second).stdout);
    assert_eq!(report["packets"].as_array().unwrap().len(), 1);
    let third = [&arguments[..], &["--index", "3"]].concat();
    let said = explain_in(folder.path(), &third);
    assert_eq!(said.status.code(), Some(1));
    assert_eq!(
        said.stderr,
        "error: the capture `two.pcap` has no such packet, only 2\n"
    );
}

#[test]
fn a_packet_that_cannot_be_read_has_a_place() {
    let said = explain(&["tcp 192.0.2.1 > 192.0.2.2:22"]);
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    assert_eq!(said.stdout, "");
    insta::assert_snapshot!(said.stderr);
    assert_eq!(explain(&[]).status.code(), Some(2));
}
