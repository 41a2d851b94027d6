//! Names in files reach the terminal with everything visible, and programs with the same meaning.

use serde_json::Value;

use crate::support::run;

/// A name that reads otherwise than it is: text in the other direction, and a character without width.
const NAME: &str = "a\u{202e}b\u{200b}c\u{2028}d\u{e0041}";

const SHOWN: &str = r"a\u{202e}b\u{200b}c\u{2028}d\u{e0041}";

fn rules(action: &str) -> String {
    format!(
        "[firewall]\ninterfaces = [\"e\u{202e}0\"]\n[[rule]]\nname = \"{NAME}\"\naction = \"{action}\"\n\
         dport = [22, 22]\ninterface = \"e\u{202e}0\"\n[[rule]]\nname = \"{NAME}2\"\naction = \"pass\"\n\
         dport = 22\ninterface = \"e\u{202e}0\"\nlog = true\n"
    )
}

/// Runs the command with two files whose names are hostile, too.
fn said(arguments: &[&str]) -> String {
    let (one, other) = (rules("drop"), rules("pass"));
    let files = [("\u{202e}1.toml", &*one), ("\u{202e}2.toml", &*other)];
    run(&files, arguments)
}

const PACKET: &str = "tcp 192.0.2.1:9 > 192.0.2.2:22 interface e\u{202e}0";

fn is_hidden(c: char) -> bool {
    matches!(c, '\u{202e}' | '\u{200b}' | '\u{2028}' | '\u{e0041}') || c.is_control() && c != '\n'
}

#[test]
fn text_shows_what_cannot_be_seen_as_escapes() {
    for (arguments, shows_name) in [
        (&["check", "\u{202e}1.toml"][..], true),
        (&["check", "\u{202e}1.toml", "--plan"], true),
        (&["check", "\u{202e}1.toml", "--deny-warnings"], true),
        (&["check", "\u{202e}1.toml", "--emit", "image"], false),
        (&["diff", "\u{202e}1.toml", "\u{202e}2.toml"], true),
        (&["explain", "\u{202e}1.toml", PACKET], true),
        (&["explain", "\u{202e}1.toml", "tcp \u{202e}"], false),
        (&["explain", "\u{202e}1.toml", "--pcap", "\u{202e}"], false),
        (&["explain", "\u{202e}1.toml", "--index", "\u{202e}"], false),
        (&["check", "\u{202e}"], false),
        (&["\u{202e}"], false),
        (&["doctor", "\u{202e}\u{1b}[2J"], false),
    ] {
        let said = said(arguments);
        assert!(!said.contains(is_hidden), "{arguments:?}: {said:?}");
        assert!(said.contains(SHOWN) || !shows_name, "{arguments:?}: {said}");
    }
}

#[test]
fn json_has_escapes_of_the_same_meaning() {
    for (arguments, path) in [
        (
            &["explain", "--json", "\u{202e}1.toml", PACKET][..],
            "/packets/0/verdict/rule/name",
        ),
        (
            &["diff", "--json", "\u{202e}1.toml", "\u{202e}2.toml"],
            "/changes/0/old/rule",
        ),
    ] {
        let said = said(arguments);
        assert!(!said.contains(is_hidden), "{arguments:?}: {said:?}");
        let (json, _) = said.split_once("--- stderr").unwrap();
        let json: Value = serde_json::from_str(json).unwrap();
        let name = json.pointer(path).and_then(Value::as_str);
        assert_eq!(name, Some(NAME), "{json}");
    }
}

#[test]
fn the_canonical_form_is_visible_and_means_the_same() {
    let said = said(&["check", "\u{202e}1.toml", "--emit", "ruleset"]);
    let (canonical, _) = said.split_once("--- stderr").unwrap();
    assert!(!canonical.contains(is_hidden), "{canonical:?}");
    assert!(
        canonical.contains(r"a\u202eb\u200bc\u2028d\U000e0041"),
        "{canonical}"
    );
    let again = run(
        &[("again.toml", canonical)],
        &["check", "again.toml", "--emit", "ruleset"],
    );
    assert!(again.starts_with(canonical), "{again}");
}
