//! `enabled` and `comment` of rules.

use rules::model::RuleAction;

use crate::support::{load_clean, report};

const HEAD: &str = "[firewall]\ninterfaces = [\"eth0\"]\n";

fn rule(name: &str, rest: &str) -> String {
    format!("[[rule]]\nname = \"{name}\"\naction = \"drop\"\n{rest}\n")
}

#[test]
fn a_disabled_rule_matches_nothing_and_keeps_its_name() {
    let off = rule("off", "enabled = false\nproto = \"udp\"\ncomment = \"why\"");
    let on = rule(
        "on",
        "enabled = true\nproto = \"tcp\"\ncomment = \"because\"",
    );
    let ruleset = load_clean(&format!("{HEAD}{off}{on}"));
    let names: Vec<&str> = ruleset
        .rules
        .iter()
        .map(|rule| rule.name.as_str())
        .collect();
    assert_eq!(names, ["on"]);
    assert_eq!(ruleset.rules[0].comment.as_deref(), Some("because"));
    let [disabled] = &ruleset.disabled[..] else {
        panic!("{:?}", ruleset.disabled);
    };
    assert_eq!(disabled.name, "off");
    assert_eq!(disabled.action, RuleAction::Drop);
    assert_eq!(disabled.comment.as_deref(), Some("why"));
    assert_eq!(disabled.place.line.get(), 4);
    assert_eq!(ruleset.names().collect::<Vec<_>>(), ["on", "off"]);
}

#[test]
fn faults_of_a_disabled_rule_are_errors() {
    let said = report(&format!(
        "{HEAD}{}",
        rule("off", "enabled = false\nsrc = \"x\"")
    ));
    assert!(said.contains("error[invalid-value]"), "{said}");
    let twice = rule("same", "enabled = false\nproto = 6") + &rule("same", "proto = 17");
    let said = report(&format!("{HEAD}{twice}"));
    assert!(said.contains("the rule name `same` is taken"), "{said}");
}

#[test]
fn a_set_of_a_disabled_rule_is_used_and_its_drops_warn_of_nothing() {
    let sets = "[sets]\nall = [\"0.0.0.0/0\"]\n";
    let off = rule("off", "enabled = false\nsrc = \"@all\"") + &rule("all", "enabled = false");
    let said = report(&format!("{HEAD}{sets}{off}"));
    assert_eq!(said.trim(), "loaded");
}

#[test]
fn a_test_that_expects_a_disabled_rule_is_an_error() {
    let test = "[[test]]\nname = \"t\"\npacket = \"udp 192.0.2.1:1 > 192.0.2.2:2\"\n\
                expect = \"drop\"\nrule = \"off\"\n";
    let off = rule("off", "enabled = false\nproto = \"udp\"");
    let said = report(&format!("{HEAD}{off}{test}"));
    assert!(said.contains("the rule `off` is disabled"), "{said}");
    let unknown = test.replace("\"off\"", "\"of\"");
    let on = rule("off2", "proto = \"udp\"");
    let said = report(&format!("{HEAD}{off}{on}{unknown}"));
    assert!(said.contains("unknown rule `of`"), "{said}");
}

#[test]
fn enabled_is_a_boolean_and_a_comment_one_short_line() {
    let said = report(&format!(
        "{HEAD}{}",
        rule("r", "enabled = \"no\"\nproto = 6")
    ));
    assert!(said.contains("`enabled` takes `true` or `false`"), "{said}");
    for (comment, fault) in [
        ("a\\nb".to_owned(), "control character"),
        ("x".repeat(257), "257 bytes"),
    ] {
        let fields = format!("comment = \"{comment}\"\nproto = 6");
        let said = report(&format!("{HEAD}{}", rule("r", &fields)));
        assert!(said.contains("invalid comment of a rule"), "{said}");
        assert!(said.contains(fault), "{said}");
    }
    let longest = format!("comment = \"{}\"\nproto = 6", "x".repeat(256));
    load_clean(&format!("{HEAD}{}", rule("r", &longest)));
}
