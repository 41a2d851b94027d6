//! `firewall diff`.

use insta::assert_snapshot;

use crate::support::run;

const OLD: &str = r#"
[firewall]
interfaces = ["none-such*"]
policy = "drop"

[sets]
office = ["192.0.2.0/24", "2001:db8:1::/48"]

[[rule]]
name = "ssh from the office"
action = "pass"
proto = "tcp"
src = "@office"
dport = 22

[[rule]]
name = "blocklist"
action = "drop"
src = ["198.51.100.0/24", "192.0.2.7"]

[[rule]]
name = "web"
action = "pass"
proto = "tcp"
dport = [80, 443]

[[rule]]
name = "pings"
action = "pass"
icmp_type = "echo-request"
"#;

fn diff(new: &str, arguments: &[&str]) -> String {
    let files = [("old.toml", OLD), ("new.toml", new)];
    run(
        &files,
        &[&["diff", "old.toml", "new.toml"], arguments].concat(),
    )
}

/// The old file with the first two rules in the other order.
fn swapped() -> String {
    let parts: Vec<&str> = OLD.split("[[rule]]").collect();
    [parts[0], parts[2], parts[1], parts[3], parts[4]].join("[[rule]]")
}

#[test]
fn a_file_is_the_same_as_itself() {
    assert_snapshot!(diff(OLD, &[]));
}

#[test]
fn other_words_for_the_same_are_the_same() {
    let new = OLD.replace(
        "\"192.0.2.0/24\"",
        "\"192.0.2.0/25\", \"192.0.2.128-192.0.2.255\"",
    );
    assert_snapshot!(diff(&new, &[]));
}

#[test]
fn rules_whose_order_matters_are_named() {
    assert_snapshot!(diff(&swapped(), &[]));
}

#[test]
fn members_that_come_and_go_are_shown_and_no_others() {
    let new = OLD
        .replace("\"192.0.2.7\"]", "\"203.0.113.0/28\"]")
        .replace("80, 443", "80, \"443-445\"");
    assert_snapshot!(diff(&new, &[]));
}

#[test]
fn tcp_flags_are_shown_as_they_are_written() {
    let rule = |flags: &str| {
        format!(
            "[firewall]\ninterfaces = [\"none-such*\"]\n\
             [[rule]]\nname = \"a\"\naction = \"drop\"\nproto = \"tcp\"\ntcp_flags = {flags}\n"
        )
    };
    let shown = |old: &str, new: &str| {
        let (old, new) = (rule(old), rule(new));
        let said = run(
            &[("old.toml", &*old), ("new.toml", &*new)],
            &["diff", "old.toml", "new.toml"],
        );
        let line = said.lines().find_map(|line| line.split_once("tcp_flags "));
        let (_, rest) = line.unwrap_or_else(|| panic!("{said}"));
        rest.to_owned()
    };
    assert_eq!(shown("\"syn\"", "\"syn,!ack\""), "syn,ack");
    assert_eq!(shown("\"rst\"", "[\"rst\", \"syn,!ack\"]"), "syn,!rst,!ack");
    assert_eq!(shown("\"ack\"", "[\"ack\", \"!ack\"]"), "!ack");
}

#[test]
fn another_policy_is_about_what_no_rule_takes() {
    assert_snapshot!(diff(
        &OLD.replace("policy = \"drop\"", "policy = \"pass\""),
        &[]
    ));
}

#[test]
fn a_rule_of_another_name_is_only_a_difference_of_counting() {
    let new = OLD.replace("name = \"web\"", "name = \"www\"");
    assert!(diff(&new, &[]).ends_with("--- exit status 0\n"));
    assert_snapshot!(diff(&new, &["--counting"]));
}

/// A rule that only counts is moved behind one that drops some of its packets, and has more fields.
#[test]
fn what_a_rule_counts_otherwise_is_shown_with_a_packet_each_way() {
    let count = "\n[[rule]]\nname = \"seen\"\naction = \"count\"\nproto = \"tcp\"\n";
    let [before, after] = ["web", "pings"].map(|rule| {
        let head = format!("\n[[rule]]\nname = \"{rule}\"");
        OLD.replace(&head, &format!("{count}{head}"))
    });
    let after = after.replace(
        "\"tcp\"\n\n[[rule]]\nname = \"pings\"",
        "[\"tcp\", \"udp\"]\n\n[[rule]]\nname = \"pings\"",
    );
    let said = |arguments: &[&str]| {
        let files = [("old.toml", before.as_str()), ("new.toml", after.as_str())];
        run(
            &files,
            &[&["diff", "old.toml", "new.toml"], arguments].concat(),
        )
    };
    assert!(said(&[]).ends_with("--- exit status 0\n"));
    assert_snapshot!(said(&["--counting"]));
}

#[test]
fn other_interfaces_are_a_difference() {
    assert_snapshot!(diff(&OLD.replace("none-such*", "none-such0"), &[]));
}

#[test]
fn what_the_budget_does_not_suffice_for_is_said() {
    assert_snapshot!(diff(&swapped(), &["--budget", "40"]));
}

#[test]
fn json_has_everything() {
    assert_snapshot!(diff(&swapped(), &["--json"]));
}

#[test]
fn files_that_cannot_be_compared_have_a_status_of_their_own() {
    assert_snapshot!(diff("[firewall]\n", &[]));
}
