//! Rules that ask for the state of packets.

use crate::support::run;

const RULES: &str = r#"
[firewall]
interfaces = ["none-such"]
policy = "drop"

[[rule]]
name = "replies"
action = "pass"
state = ["established", "related"]

[[rule]]
name = "ssh"
action = "pass"
proto = "tcp"
dport = 22
state = "new"
"#;

const ANSWER: &str = "udp 192.0.2.1:53 > 192.0.2.2:40000";

#[test]
fn a_packet_is_explained_in_the_state_that_is_given() {
    let explained = |arguments: &[&str]| {
        let files = [("rules.toml", RULES)];
        run(
            &files,
            &[&["explain", "rules.toml", ANSWER], arguments].concat(),
        )
    };
    let new = explained(&[]);
    assert!(new.contains("state is new"), "{new}");
    let established = explained(&["--state", "established"]);
    assert!(established.contains("replies"), "{established}");
    assert!(!established.contains("ssh"), "{established}");
    let stateless = RULES.replace("state = ", "# state = ");
    let files = [("rules.toml", stateless.as_str())];
    let arguments = ["explain", "rules.toml", ANSWER, "--state", "established"];
    let stateless = run(&files, &arguments);
    assert!(stateless.contains("replies"), "{stateless}");
    assert!(!stateless.contains("internal error"), "{stateless}");
    let wrong = explained(&["--state", "opened"]);
    assert!(wrong.ends_with("exit status 2\n"), "{wrong}");
    let files = [("rules.toml", RULES)];
    let out = format!("out {ANSWER}");
    let out = run(
        &files,
        &["explain", "rules.toml", &out, "--state", "established"],
    );
    assert!(out.contains("`--state` is for packets in"), "{out}");
    assert!(out.ends_with("exit status 2\n"), "{out}");
}

#[test]
fn a_change_is_shown_with_the_state_of_its_packet() {
    let without = RULES.replace("[\"established\", \"related\"]", "\"related\"");
    let files = [("old.toml", RULES), ("new.toml", without.as_str())];
    let shown = run(&files, &["diff", "old.toml", "new.toml"]);
    assert!(shown.contains(" state established"), "{shown}");
    assert!(shown.contains(" (established)\n"), "{shown}");
    let json = run(&files, &["diff", "old.toml", "new.toml", "--json"]);
    assert!(json.contains("\"state\": \"established\""), "{json}");
}

#[test]
fn the_plan_has_a_section_for_states_with_the_same_rules() {
    let files = [("rules.toml", RULES)];
    let shown = run(&files, &["check", "rules.toml", "--plan"]);
    for section in [
        "\nnew IPv4: 1 rule,",
        "\nestablished or related IPv4: 1 rule,",
        "\ninvalid IPv6: 0 rules,",
        "\nother: 0 rules,",
    ] {
        assert!(shown.contains(section), "{section}: {shown}");
    }
    let json = run(&files, &["check", "rules.toml", "--plan", "--json"]);
    assert!(json.contains("\"states\""), "{json}");
}
