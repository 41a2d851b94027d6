//! The sample files are valid rule files.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use rules::{
    Loaded,
    diagnostics::Source,
    lint::load_for_use,
    model::{Mode, RuleAction, Ruleset, Verdict},
};

use crate::support::failures;

fn sample(name: &str) -> Ruleset {
    loaded(name).ruleset
}

fn loaded(name: &str) -> Loaded {
    let folder = folder();
    let source = Arc::new(Source::new(name, fs::read(folder.join(name)).unwrap()));
    let loaded = load_for_use(&source, |list| {
        fs::read(folder.join(list)).map(|bytes| Source::new(list, bytes))
    });
    let loaded = loaded.unwrap_or_else(|errors| panic!("{errors:#?}"));
    assert!(loaded.warnings.is_empty(), "{:#?}", loaded.warnings);
    loaded
}

/// Those that are a whole policy of a machine.
const POLICIES: [&str; 4] = ["home.toml", "laptop.toml", "router.toml", "web.toml"];

#[test]
fn samples_pass_their_tests_by_the_evaluator() {
    for name in POLICIES {
        let loaded = loaded(name);
        assert!(loaded.tests.len() >= 10, "{name}");
        let failures = failures(&loaded);
        assert!(failures.is_empty(), "{name}: {}", failures.join("\n"));
    }
}

#[test]
fn policies_let_in_what_a_machine_cannot_do_without() {
    // On the first interface of each.
    const NEEDED: &str = r#"
[[test]]
name = "addresses"
packet = ["udp 100.64.0.1:67 > 255.255.255.255:68", "udp 100.64.0.1:67 > 100.64.0.2:68", "udp [fe80::1]:547 > [fe80::2]:546"]
expect = "pass"
[[test]]
name = "neighbors and routers"
packet = ["arp 100.64.0.1 > 100.64.0.2", "icmpv6 fe80::1 > fe80::2 neighbor-solicitation", "icmpv6 fe80::1 > fe80::2 neighbor-advertisement",
          "icmpv6 :: > ff02::1:ff00:2 neighbor-solicitation", "icmpv6 fe80::1 > ff02::1 router-advertisement",
          "icmpv6 fe80::1 > fe80::2 router-advertisement", "icmpv6 :: > ff02::2 router-solicitation", "icmpv6 fe80::1 > ff02::1 130/0"]
expect = "pass"
[[test]]
name = "answers"
given = ["out udp 100.64.0.2:40000 > 100.64.0.53:53", "out tcp 100.64.0.2:40000 > 100.64.0.53:53 syn", "out udp [2001:db8:77::2]:40000 > [2001:db8:77::53]:53",
         "out icmp 100.64.0.2 > 100.64.0.53"]
packet = ["udp 100.64.0.53:53 > 100.64.0.2:40000 payload 300", "tcp 100.64.0.53:53 > 100.64.0.2:40000 syn,ack",
          "udp [2001:db8:77::53]:53 > [2001:db8:77::2]:40000 payload 300", "icmp 100.64.0.53 > 100.64.0.2 echo-reply"]
expect = "pass"
rule = "replies"
[[test]]
name = "only answers"
packet = ["udp 100.64.0.53:53 > 100.64.0.2:40000 payload 300", "tcp 100.64.0.53:53 > 100.64.0.2:40000 syn,ack",
          "udp [2001:db8:77::53]:53 > [2001:db8:77::2]:40000 payload 300", "icmp 100.64.0.53 > 100.64.0.2 echo-reply", "tcp 100.64.0.9:1 > 100.64.0.2:22 syn"]
expect = "drop"
[[test]]
name = "errors about what was sent"
given = ["out tcp 100.64.0.2:40000 > 100.64.0.7:443 syn", "out udp [2001:db8:77::2]:40000 > [2001:db8:77::7]:443"]
packet = ["icmp 100.64.0.1 > 100.64.0.2 3/4 about tcp 100.64.0.2:40000 > 100.64.0.7:443", "icmp 100.64.0.1 > 100.64.0.2 time-exceeded about tcp 100.64.0.2:40000 > 100.64.0.7:443",
          "icmpv6 2001:db8:77::1 > 2001:db8:77::2 packet-too-big about udp [2001:db8:77::2]:40000 > [2001:db8:77::7]:443"]
expect = "pass"
rule = "replies"
"#;
    for name in POLICIES {
        let text = fs::read_to_string(folder().join(name)).unwrap();
        let first = text.split('"').nth(1).unwrap().replace('*', "0");
        let needed = NEEDED.replace("expect", &format!("interface = \"{first}\"\nexpect"));
        let source = Arc::new(Source::new(name, format!("{text}{needed}")));
        let loaded = load_for_use(&source, |list| {
            fs::read(folder().join(list)).map(|bytes| Source::new(list, bytes))
        });
        let loaded = loaded.unwrap_or_else(|errors| panic!("{errors:#?}"));
        let failures = failures(&loaded);
        assert!(failures.is_empty(), "{name}: {}", failures.join("\n"));
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("samples")
}

fn names(ruleset: &Ruleset, action: RuleAction) -> Vec<&str> {
    let rules = ruleset.rules.iter().filter(|rule| rule.action == action);
    rules.map(|rule| rule.name.as_str()).collect()
}

#[test]
fn the_home_server_sample_opens_what_it_says() {
    let ruleset = sample("home.toml");
    assert_eq!(ruleset.settings.mode, Mode::Auto);
    assert_eq!(ruleset.settings.policy, Verdict::Drop);
    assert_eq!(
        names(&ruleset, RuleAction::Pass),
        [
            "replies",
            "home network",
            "ssh from the office",
            "web",
            "http/3 and wireguard",
            "dhcp answers",
            "multicast listeners",
            "answered pings",
            "later fragments"
        ]
    );
    assert_eq!(
        names(&ruleset, RuleAction::Drop),
        ["impossible sources", "no such segment", "first fragments"]
    );
    assert_eq!(names(&ruleset, RuleAction::Count), ["pings"]);
    let place = ruleset.rules[0].place;
    assert_eq!((place.line.get(), place.column.get()), (16, 10));
}

#[test]
fn the_laptop_sample_lets_in_replies_and_little_else() {
    let ruleset = sample("laptop.toml");
    assert_eq!(ruleset.settings.policy, Verdict::Drop);
    assert!(ruleset.asks_for_states());
    assert_eq!(
        names(&ruleset, RuleAction::Pass),
        ["replies", "dhcp answers", "multicast listeners", "pings"]
    );
    assert_eq!(names(&ruleset, RuleAction::Drop), ["no such segment"]);
}

#[test]
fn the_ddos_sample_blocks_the_list_but_for_one_host() {
    let ruleset = sample("ddos.toml");
    assert_eq!(ruleset.settings.mode, Mode::Native);
    let blocklist = ruleset
        .rules
        .iter()
        .find(|rule| rule.name == "blocklist")
        .unwrap();
    let src = blocklist.matches.src.as_ref().unwrap();
    let v4 = |a, b, c, d| src.v4.contains(u32::from_be_bytes([a, b, c, d]));
    assert!(v4(192, 0, 2, 200));
    assert!(v4(198, 51, 100, 95));
    assert!(v4(203, 0, 113, 7));
    assert!(!v4(203, 0, 113, 53));
    assert!(!v4(192, 0, 2, 1));
    assert_eq!(src.v6.ranges().len(), 2);
}
