//! The analysis in `firewall check`, and the stages that it prints.

use insta::assert_snapshot;

use crate::support::run;

fn check(rules: &str, arguments: &[&str]) -> String {
    let text = format!("[firewall]\ninterfaces = [\"none-such*\"]\n{rules}");
    let list = "192.0.2.0/24\n192.0.2.9 # again\n2001:db8::/32\n2001:db8:1::1\n192.0.2.0/24\n";
    let files = [("rules.toml", text.as_str()), ("list.txt", list)];
    run(&files, &[&["check", "rules.toml"], arguments].concat())
}

const SHADOWED: &str = r#"
[[rule]]
name = "low ports"
action = "drop"
proto = "tcp"
dport = "0-1023"

[[rule]]
name = "ssh"
action = "pass"
proto = "tcp"
dport = 22

[[rule]]
name = "high ports"
action = "pass"
proto = "tcp"
dport = "1024-65535"

[[rule]]
name = "resets"
action = "count"
tcp_flags = "rst"
"#;

#[test]
fn rules_that_no_packet_reaches_are_named_with_those_before_them() {
    assert_snapshot!(check(SHADOWED, &[]));
}

#[test]
fn warnings_can_be_denied() {
    let said = check(SHADOWED, &["--deny-warnings"]);
    assert!(said.ends_with(
        "error: `rules.toml` has 2 warnings\nhelp: `--deny-warnings` treats them as errors\n--- exit status 3\n"
    ), "{said}");
    let clean = check(
        "[[rule]]\nname = \"a\"\naction = \"pass\"\ndport = 1\n",
        &["--deny-warnings"],
    );
    assert!(clean.ends_with("--- exit status 0\n"), "{clean}");
}

#[test]
fn members_that_others_have_are_shown_with_both_places() {
    assert_snapshot!(check(
        r#"
[sets]
list = { file = "list.txt" }
office = ["192.0.2.0/24", "192.0.2.7", "2001:db8::1", "2001:db8::1"]
web = [80, "8000-8099", 8080]

[[rule]]
name = "a"
action = "drop"
src = ["@office", "192.0.2.9", "@list"]
dst = ["10.0.0.0/8", "!10.1.0.0/16", "!10.1.2.3"]
dport = ["@web", 443, "443-445"]
"#,
        &[]
    ));
}

#[test]
fn without_a_budget_nothing_false_is_said() {
    assert_snapshot!(check(SHADOWED, &["--budget", "3"]));
}

#[test]
fn fields_that_no_packet_has_together_are_warned_of() {
    assert_snapshot!(check(
        "[[rule]]\nname = \"short\"\naction = \"drop\"\nproto = \"tcp\"\ndport = 22\nlength = \"0-39\"\n",
        &[]
    ));
}

const STAGES: &str = r#"
[sets]
office = ["192.0.2.0/25", "192.0.2.128-192.0.2.255", "2001:db8:1::/48"]
web = [80, 443, "8000-8099"]

[[rule]]
name = "office"
action = "pass"
proto = "tcp"
src = "@office"
dport = "!@web"

[[rule]]
name = "new"
action = "drop"
tcp_flags = "syn,!ack"

[[rule]]
name = "pings"
action = "count"
icmp_type = "echo-request"
"#;

#[test]
fn the_rule_set_is_printed_in_one_form() {
    assert_snapshot!(check(STAGES, &["--emit=ruleset"]));
}

#[test]
fn the_parts_of_the_image_are_printed_in_one_form() {
    assert_snapshot!(check(STAGES, &["--emit=image"]));
}
