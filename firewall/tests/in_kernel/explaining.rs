//! `firewall explain` by a rule file, without root.

use std::{
    fmt::Write as _,
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use benches::packet::{Packet, tcp_flags};
use flate2::{Compression, write::GzEncoder};

use crate::machine::{BINARY, Said, json, memory_of, said};

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

/// A capture of the classic form, on links of this type.
fn capture(link: u32, frames: &[Vec<u8>]) -> Vec<u8> {
    let head = [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, link];
    let mut capture = head.map(u32::to_le_bytes).concat();
    for frame in frames {
        record(&mut capture, frame, frame.len());
    }
    capture
}

/// Adds a frame that had so many bytes.
fn record(capture: &mut Vec<u8>, frame: &[u8], length: usize) {
    let words = [0, 0, frame.len() as u32, length as u32];
    capture.extend(words.map(u32::to_le_bytes).concat());
    capture.extend(frame);
}

fn ping() -> Packet {
    Packet::ipv4([192, 0, 2, 1].into(), [192, 0, 2, 2].into()).icmp(8, 0)
}

fn ssh() -> Packet {
    let packet = Packet::ipv4([192, 0, 2, 7].into(), [198, 51, 100, 1].into());
    packet.tcp(4444, 22, tcp_flags::SYN)
}

/// A capture of two packets, explained with further arguments.
fn explain_two(arguments: &[&str]) -> Said {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rules.toml"), RULES).unwrap();
    let frames = [ping().build(), Packet::ethertype(0x88cc).build()];
    fs::write(folder.path().join("two.pcap"), capture(1, &frames)).unwrap();
    let arguments = [&["rules.toml", "--pcap", "two.pcap"], arguments].concat();
    explain_in(folder.path(), &arguments)
}

/// Explains what comes on standard input.
fn explain_piped(input: &[u8], arguments: &[&str]) -> Said {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rules.toml"), RULES).unwrap();
    let mut command = Command::new(BINARY);
    command
        .args(["explain", "rules.toml", "--pcap", "-"])
        .args(arguments)
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // What is not needed is not read.
    let _ = stdin.write_all(input);
    drop(stdin);
    said(child.wait_with_output().unwrap())
}

#[test]
fn a_capture_is_a_line_for_each_packet_and_a_summary_by_rule() {
    let mut file = capture(1, &[]);
    for _ in 0..3 {
        let frame = ping().build();
        record(&mut file, &frame, frame.len());
    }
    let frame = ssh().payload(&[7; 1000]).build();
    record(&mut file, &frame, frame.len());
    record(&mut file, &frame[..60], frame.len());
    let session = ssh().session(7).vlan(3).build();
    record(&mut file, &session, session.len());
    record(&mut file, &Packet::ethertype(0x88cc).build(), 14);
    let said = explain_piped(&file, &[]);
    assert!(said.status.success(), "{said:?}");
    insta::assert_snapshot!(said.stdout);
}

#[test]
fn every_packet_of_a_capture_is_explained_as_json_in_full_and_by_its_number() {
    let lines = |arguments: &[&str]| -> Vec<serde_json::Value> {
        let said = explain_two(arguments);
        assert!(said.status.success(), "{said:?}");
        said.stdout.lines().map(json).collect()
    };
    let brief = lines(&["--json"]);
    assert_eq!(brief.len(), 3);
    assert_eq!(brief[0]["number"], 1);
    let words = "icmp 192.0.2.1 > 192.0.2.2 echo-request interface none-such0";
    assert_eq!(brief[0]["packet"], words);
    assert_eq!(brief[0]["verdict"]["rule"]["name"], "pings");
    assert_eq!(brief[0]["verdict"]["counted"], serde_json::json!(["seen"]));
    assert_eq!(brief[1]["verdict"]["reason"], "unknown_ethertype");
    let summary = &brief[2]["summary"];
    assert_eq!(summary["packets"], 2);
    assert_eq!(summary["rules"][0]["name"], "seen");
    assert_eq!(summary["rules"][1]["action"], "pass");
    assert_eq!(summary["reasons"][0]["packets"], 1);
    let full = lines(&["--json", "--full"]);
    assert_eq!(full.len(), 3);
    assert_eq!(full[0]["rules"].as_array().unwrap().len(), 3);
    assert_eq!(full[2], brief[2]);
    let second = lines(&["--json", "--index", "2"]);
    assert_eq!(second.len(), 1);
    assert_eq!(second[0]["verdict"]["reason"], "unknown_ethertype");
    let text = explain_two(&["--full"]).stdout;
    assert!(
        text.contains("packet   packet 1 of two.pcap: 42 bytes\n"),
        "{text}"
    );
    assert!(text.contains("\n2 packets, "), "{text}");
    let said = explain_two(&["--index", "3"]);
    assert_eq!(said.status.code(), Some(1));
    assert_eq!(
        said.stderr,
        "error: the capture `two.pcap` has no such packet, only 2\n"
    );
}

#[test]
fn captures_of_any_usual_form_are_explained() {
    let ip = ssh().build().split_off(14);
    let cooked = [&[0; 14][..], &[8, 0], &ip].concat();
    let mut compressed = GzEncoder::new(Vec::new(), Compression::default());
    compressed.write_all(&capture(1, &[ssh().build()])).unwrap();
    for (what, file) in [
        ("Ethernet", capture(1, &[ssh().build()])),
        (
            "with a frame check sequence",
            capture(0x2400_0001, &[[ssh().build(), vec![7; 4]].concat()]),
        ),
        ("raw IP", capture(101, std::slice::from_ref(&ip))),
        ("cooked", capture(113, &[cooked])),
        ("loopback", capture(0, &[[&[2, 0, 0, 0], &ip[..]].concat()])),
        ("gzip", compressed.finish().unwrap()),
    ] {
        let said = explain_piped(&file, &["--json"]);
        assert!(said.status.success(), "{what}: {said:?}");
        let lines: Vec<_> = said.stdout.lines().map(json).collect();
        assert_eq!(lines.len(), 2, "{what}: {lines:?}");
        let packet = lines[0]["packet"].as_str().unwrap();
        assert!(
            packet.starts_with("tcp 192.0.2.7:4444 > 198.51.100.1:22 syn"),
            "{what}: {packet}"
        );
        assert_eq!(lines[0]["verdict"]["rule"]["name"], "ssh from the office");
    }
}

#[test]
fn what_cannot_be_read_of_a_capture_is_counted_and_an_empty_one_has_no_packets() {
    for empty in [Vec::new(), capture(1, &[])] {
        let said = explain_piped(&empty, &[]);
        assert!(said.status.success(), "{said:?}");
        assert_eq!(said.stdout, "no packets\n");
    }
    let said = explain_piped(&capture(105, &[vec![0; 50], vec![0; 50]]), &[]);
    assert!(said.status.success(), "{said:?}");
    assert_eq!(
        said.stdout,
        "no packets\n2 packets skipped: links of type 105 cannot be read\n"
    );
    // What comes before damage is explained.
    let mut cut = capture(1, &[ping().build(), ping().build()]);
    cut.pop();
    let said = explain_piped(&cut, &[]);
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    assert_eq!(said.stdout.lines().count(), 1, "{said:?}");
    assert_eq!(
        said.stderr,
        "error: cannot read the capture `-`: it is damaged or cut off after packet 1\n"
    );
    let said = explain_piped(b"no capture at all, but some text", &[]);
    assert_eq!(said.status.code(), Some(1), "{said:?}");
}

/// Packets of the capture that is streamed, and the most memory that it may take in KiB.
const STREAMED: usize = 200_000;
const MOST_MEMORY: u64 = 100 << 10;

#[test]
fn a_capture_of_any_length_is_explained_in_bounded_memory() {
    let folder = tempfile::tempdir().unwrap();
    let mut rules = RULES.to_owned();
    for port in 0..200 {
        writeln!(
            rules,
            "[[rule]]\nname = \"{port}\"\naction = \"drop\"\nproto = \"udp\"\ndport = {port}"
        )
        .unwrap();
    }
    fs::write(folder.path().join("rules.toml"), rules).unwrap();
    let frame = Packet::ipv6(
        "2001:db8::1".parse().unwrap(),
        "2001:db8::2".parse().unwrap(),
    )
    .udp(4000, 4000)
    .payload(&[7; 500])
    .build();
    for (form, packets) in [("--json", STREAMED), ("--full", STREAMED / 20)] {
        let mut child = Command::new(BINARY)
            .args(["explain", "rules.toml", "--pcap", "-", form])
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(&capture(1, &[])).unwrap();
        let mut part = Vec::new();
        for _ in 0..100 {
            record(&mut part, &frame, frame.len());
        }
        for _ in 0..packets / 100 {
            stdin.write_all(&part).unwrap();
        }
        // It waits for more, having read all but what is in the pipe.
        let most = memory_of(child.id(), "VmHWM");
        drop(stdin);
        assert!(child.wait().unwrap().success());
        println!("{form}: {packets} packets, at most {most} KiB");
        assert!(most < MOST_MEMORY, "{form}: {most} KiB");
    }
}

#[test]
fn a_packet_that_cannot_be_read_has_a_place() {
    let said = explain(&["tcp 192.0.2.1 > 192.0.2.2:22"]);
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    assert_eq!(said.stdout, "");
    insta::assert_snapshot!(said.stderr);
    assert_eq!(explain(&[]).status.code(), Some(2));
}
