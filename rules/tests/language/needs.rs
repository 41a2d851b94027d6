//! What rule files forget that drop by default: found with packets, said with the rule to add.

use insta::assert_snapshot;
use rules::diagnostics::{Code, Diagnostic};

use crate::support::{load_for_use, report, report_for_use};

/// A rule file that drops by default, with these rules.
fn dropping(rules: &str) -> String {
    on("\"eth0\"", "drop", rules)
}

fn on(interfaces: &str, policy: &str, rules: &str) -> String {
    format!("[firewall]\ninterfaces = [{interfaces}]\npolicy = \"{policy}\"\n{rules}")
}

/// Rules, one a line: the action, and fields between semicolons.
fn rules(lines: &[&str]) -> String {
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        let (action, fields) = line.split_once(' ').unwrap_or((line, ""));
        let fields = fields.replace("; ", "\n");
        text += &format!("[[rule]]\nname = \"rule {number}\"\naction = \"{action}\"\n{fields}\n");
    }
    text
}

#[expect(clippy::panic, reason = "how a test fails")]
fn warnings(text: &str) -> Vec<Diagnostic> {
    load_for_use(text)
        .unwrap_or_else(|errors| panic!("{errors:#?}"))
        .warnings
}

fn codes(text: &str) -> Vec<&'static str> {
    warnings(text)
        .iter()
        .map(|warning| warning.code.as_str())
        .collect()
}

/// The rules in the help of a warning.
#[expect(clippy::unwrap_used, reason = "how a test fails")]
fn remedy(warning: &Diagnostic) -> String {
    let help = warning.help.as_deref().unwrap();
    help.split_once("\n").unwrap().1.to_owned()
}

#[test]
fn a_server_that_drops_by_default_is_warned_of_all_that_it_forgets() {
    let text = dropping(&rules(&[
        "pass proto = \"tcp\"; dport = [80, 443]",
        "pass proto = \"udp\"; dport = 51820",
    ]));
    assert_snapshot!(report_for_use(&text));
    // With the rules of the help, nothing is forgotten.
    let added: String = warnings(&text)
        .iter()
        .map(|warning| remedy(warning) + "\n")
        .collect();
    assert_eq!(codes(&(text + &added)), [""; 0]);
}

#[test]
fn each_remedy_is_enough_for_its_own_warning() {
    let text = dropping(&rules(&[
        "pass proto = \"tcp\"; dport = [80, 443]",
        "pass proto = \"udp\"; dport = 51820",
    ]));
    let all = warnings(&text);
    for warning in &all {
        let left = warnings(&(text.clone() + &remedy(warning)));
        let is_left = |other: &Diagnostic| other.message == warning.message;
        assert!(!left.iter().any(is_left), "{}", warning.message);
        // Replies are passed with what is related, ICMP errors of both families among it.
        let solved = if warning.code == Code::DropsReplies {
            3
        } else {
            1
        };
        assert_eq!(left.len(), all.len() - solved, "{}", warning.message);
    }
}

#[test]
fn packets_that_rules_need_have_their_states() {
    let web = "pass proto = \"tcp\"; dport = [80, 443]";
    let replies = "pass state = [\"established\", \"related\"]";
    assert_eq!(codes(&dropping(&rules(&[replies]))), [""; 0]);
    // No flows are known of what a service lets in, but errors about it are related.
    assert_eq!(codes(&dropping(&rules(&[replies, web]))), [""; 0]);
    let opened = "pass proto = \"tcp\"; dport = [80, 443]; tcp_flags = \"syn,!ack\"";
    assert_eq!(codes(&dropping(&rules(&[replies, opened]))), [""; 0]);
    // Without what is related, they are lost.
    let established = "pass state = \"established\"";
    let errors = "pass icmp_type = [\"destination-unreachable\", \"packet-too-big\", \"time-exceeded\", \"parameter-problem\"]";
    assert_eq!(
        codes(&dropping(&rules(&[established, web, errors]))),
        [""; 0]
    );
    let lost = ["drops-icmp-errors", "drops-icmp-errors"];
    assert_eq!(codes(&dropping(&rules(&[established]))), lost);
    assert_eq!(codes(&dropping(&rules(&[established, web]))), lost);
    // What is new is no answer.
    let opened = "pass state = \"new\"";
    assert!(codes(&dropping(&rules(&[opened]))).contains(&"drops-replies"));
    let invalid = "drop state = \"invalid\"";
    assert_eq!(codes(&on("\"eth0\"", "pass", &rules(&[invalid]))), [""; 0]);
    // Neighbor discovery and queries of routers are new.
    let last = "drop state = \"new\"";
    assert!(codes(&dropping(&rules(&[replies, last]))).contains(&"drops-neighbors"));
    let last = "drop state = \"!new\"";
    assert!(!codes(&dropping(&rules(&[replies, last]))).contains(&"drops-neighbors"));
}

#[test]
fn what_passes_from_a_trusted_network_only_is_forgotten_of_the_internet() {
    let text = dropping(&rules(&[
        "pass src = [\"192.0.2.0/24\", \"2001:db8::/32\"]",
        "pass proto = \"tcp\"; dport = 443",
    ]));
    assert_eq!(
        codes(&text),
        ["drops-replies", "drops-icmp-errors", "drops-icmp-errors"]
    );
}

#[test]
fn nothing_is_said_of_what_passes_in_any_way() {
    let answers = "pass tcp_flags = \"ack\"";
    let dns = "pass src = [\"192.0.2.53\", \"2001:db8::53\"]; proto = \"udp\"; sport = 53";
    let ntp = "pass proto = \"udp\"; sport = 123; src = \"192.0.2.53\"";
    let icmp = "pass proto = [\"icmp\", \"icmpv6\"]";
    let web = "pass proto = \"tcp\"; dport = 443";
    let fragments = "pass fragment = true";
    for lines in [
        [answers, dns, ntp, icmp, web, fragments].as_slice(),
        // Not of a family that no connection uses.
        &[
            "pass family = \"ipv4\"; proto = \"tcp\"",
            "pass proto = \"udp\"; family = \"ipv4\"",
            "pass proto = \"icmp\"",
        ],
        &["pass"],
    ] {
        assert_eq!(codes(&dropping(&rules(lines))), [""; 0], "{lines:?}");
    }
    // No ICMP errors are missed where only the own network gets in.
    let own = dropping(&rules(&["pass src = \"192.0.2.0/24\""]));
    assert_eq!(codes(&own), ["drops-replies"]);
    // A rule that drops just these means it; and a policy that passes forgets nothing.
    for lines in [
        ["drop icmp_type = \"packet-too-big\""].as_slice(),
        &["drop proto = \"udp\"; sport = [19, 53, 123, 1900]"],
        &[
            "drop tcp_flags = \"syn,!ack\"",
            "drop proto = \"udp\"; dport = \"0-1023\"",
        ],
        &["drop fragment = true"],
        &["drop src = [\"127.0.0.0/8\", \"224.0.0.0/4\", \"::1\", \"ff00::/8\"]"],
        &["drop ethertype = \"arp\""],
        &["drop family = \"ipv6\""],
        &["drop proto = [\"!tcp\", \"!udp\", \"!icmp\", \"!icmpv6\"]"],
        &[],
    ] {
        assert_eq!(
            codes(&on("\"eth0\"", "pass", &rules(lines))),
            [""; 0],
            "{lines:?}"
        );
    }
}

#[test]
fn a_last_rule_that_takes_neighbor_discovery_is_warned_of_however_it_is_written() {
    for (last, what) in [
        (
            "drop family = \"ipv6\"",
            "neighbor discovery, router advertisements and multicast listener queries",
        ),
        (
            "drop proto = \"0-255\"",
            "neighbor discovery, router advertisements, multicast listener queries and IGMP queries",
        ),
        (
            "drop src = [\"::/0\", \"0.0.0.0/0\"]",
            "neighbor discovery, router advertisements, multicast listener queries and IGMP queries",
        ),
        (
            "drop proto = \"icmpv6\"",
            "neighbor discovery, router advertisements and multicast listener queries",
        ),
        (
            "drop",
            "ARP, neighbor discovery, router advertisements, multicast listener queries and IGMP queries",
        ),
    ] {
        let before = rules(&["pass proto = [\"tcp\", \"udp\"]"]);
        let text = dropping(&(before + &rules(&[last]).replace("rule 0", "last")));
        let found = warnings(&text);
        let found: Vec<_> = found
            .iter()
            .filter(|warning| warning.code.as_str() == "drops-neighbors")
            .collect();
        let messages: Vec<&str> = found
            .iter()
            .map(|warning| warning.message.as_str())
            .collect();
        let message =
            format!("the rule drops {what}, without which no address of the link is reached");
        assert_eq!(messages, [message], "{last}");
        // The rules of the help, before the last one, put it right.
        let (before, last) = text.split_at(text.find("[[rule]]\nname = \"last\"").unwrap());
        let repaired = format!("{before}{}\n{last}", remedy(found[0]));
        assert!(!codes(&repaired).contains(&"drops-neighbors"), "{last}");
    }
}

#[test]
fn local_services_are_missed_where_the_loopback_interface_is_named() {
    let web = rules(&["pass proto = \"tcp\"; dport = [80, 443]"]);
    let text = on("\"lo\"", "drop", &web);
    assert_snapshot!(report_for_use(&text));
    let fixed = on(
        "\"lo\"",
        "drop",
        &(remedy(&warnings(&text)[0]) + "\n" + &web),
    );
    assert_eq!(codes(&fixed), [""; 0]);
    // A glob does not select it.
    assert!(!codes(&on("\"*\"", "drop", &web)).contains(&"drops-loopback"));
    let sources = rules(&["drop src = [\"127.0.0.0/8\", \"::1\"]"]);
    assert_eq!(
        codes(&on("\"lo\", \"eth0\"", "pass", &sources)),
        ["drops-loopback"]
    );
}

#[test]
fn an_extension_header_in_place_of_a_protocol_is_warned_of() {
    assert_snapshot!(report(&on(
        "\"eth0\"",
        "pass",
        &rules(&[
            "pass family = \"ipv6\"; proto = [\"ah\", \"esp\"]",
            "drop src = \"2001:db8::/32\"; proto = 43",
            "drop family = \"ipv6\"; proto = \"!ah\"",
            "drop proto = \"ah\"",
            "drop family = \"ipv6\"; proto = \"ah\"; fragment = true",
        ])
    )));
}

#[test]
fn warnings_can_be_allowed_by_their_codes() {
    let web = rules(&["pass proto = \"tcp\"; dport = [80, 443]"]);
    let lints = "[lints]\nallow = [\"drops-replies\", \"unused-set\"]\n[sets]\nnone = [1]\n";
    assert_eq!(
        codes(&dropping(&(lints.to_owned() + &web))),
        ["drops-icmp-errors", "drops-icmp-errors"]
    );
    assert_snapshot!(report(&dropping(
        "[lints]\nallow = [\"drops-reply\", \"unknown-key\"]\ndeny = []\n"
    )));
}
