//! Captures whose interfaces have names.

use crate::support::run_with_bytes;

/// A block of pcapng around this body, whose length is a multiple of 4.
fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32 + 12).to_le_bytes();
    [&kind.to_le_bytes()[..], &length, body, &length].concat()
}

/// A capture of a packet on each of these interfaces, of which an empty one has no name.
fn capture(interfaces: &[&str]) -> Vec<u8> {
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let section: Vec<u8> = words(&[0x1a2b_3c4d, 1, u32::MAX, u32::MAX]);
    let mut bytes = block(0x0a0d_0d0a, &section);
    for name in interfaces {
        let mut body: Vec<u8> = words(&[1, 0]);
        if !name.is_empty() {
            body.extend(words_of_option(name));
        }
        bytes.extend(block(1, &body));
    }
    // An ARP request, as `arp 192.0.2.1 > 192.0.2.2` writes it.
    let mut frame = vec![0xff; 6];
    frame.extend([0, 0, 0x5e, 0, 0x53, 0xfe, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    frame.extend([0, 0, 0x5e, 0, 0x53, 0xfe, 192, 0, 2, 1]);
    frame.extend([0, 0, 0, 0, 0, 0, 192, 0, 2, 2, 0, 0]);
    for number in 0..interfaces.len() as u32 {
        let length = frame.len() as u32;
        let mut body: Vec<u8> = words(&[number, 0, 0, length, length]);
        body.extend(&frame);
        bytes.extend(block(6, &body));
    }
    bytes
}

/// The option `if_name`, and the end of the options.
fn words_of_option(name: &str) -> Vec<u8> {
    let mut option = vec![2, 0, name.len() as u8, 0];
    option.extend(name.as_bytes());
    option.resize(option.len().next_multiple_of(4), 0);
    option.extend([0; 4]);
    option
}

const RULES: &str = "\
[firewall]
interfaces = [\"none-a\"]
[[rule]]
name = \"a\"
action = \"count\"
interface = \"none-a\"
[[rule]]
name = \"b\"
action = \"drop\"
interface = [\"none-b\", \"wlan*\", \"!wlan0\"]
ethertype = \"arp\"
";

/// The rule or reason for each packet, and its interface.
fn explained(interfaces: &[&str], more: &[&str]) -> Vec<String> {
    let arguments = ["explain", "rules.toml", "--pcap", "c.pcapng"];
    let said = run_with_bytes(
        &[("rules.toml", RULES)],
        ("c.pcapng", &capture(interfaces)),
        &[&arguments, more].concat(),
    );
    assert!(said.ends_with("--- exit status 0\n"), "{said}");
    assert!(!said.contains("DEFECT"), "{said}");
    let lines = said.lines().take_while(|line| !line.is_empty());
    lines
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let interface = line.split("interface ").nth(1).unwrap_or_default();
            format!("{} {interface}", words[2])
        })
        .collect()
}

#[test]
fn packets_arrive_on_the_interfaces_that_the_capture_names() {
    let names = ["none-b", "wlan1", "wlan0", "none-a", "none-c", "wlan2"];
    assert_eq!(
        explained(&names, &[]),
        [
            "b none-b",
            "b wlan1",
            "(neighbor) wlan0",
            "(neighbor) none-a",
            "(neighbor) none-c",
            "b wlan2"
        ]
    );
    // Names that no interface has here, and no name.
    let foreign = ["", "any", "wlan*", "\\Device\\NPF_{4E1B}", "a name"];
    let usual = vec!["(neighbor) none-a"; foreign.len()];
    assert_eq!(explained(&foreign, &[]), usual);
    assert_eq!(
        explained(&names, &["--interface", "none-b"]),
        vec!["b none-b"; names.len()]
    );
}
