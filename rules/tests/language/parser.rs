//! The verdicts on frames to which rules cannot be applied.

use rules::model::{Parser, Verdict};

use crate::support::load_clean;

/// The verdict on one class of frames.
type Class = fn(&mut Parser) -> &mut Verdict;

fn parser(policy: &str, keys: &str) -> Parser {
    let text =
        format!("[firewall]\ninterfaces = [\"eth0\"]\npolicy = \"{policy}\"\n[parser]\n{keys}\n");
    load_clean(&text).settings.parser
}

#[test]
fn what_cannot_be_read_is_dropped_and_other_ethertypes_have_the_policy() {
    for (name, policy) in [("pass", Verdict::Pass), ("drop", Verdict::Drop)] {
        let parser = parser(name, "");
        let expected = Parser {
            malformed: Verdict::Drop,
            truncated: Verdict::Drop,
            too_many_headers: Verdict::Drop,
            too_many_tags: Verdict::Drop,
            unknown_ethertype: policy,
        };
        assert_eq!(parser, expected);
        let without = load_clean(&format!(
            "[firewall]\ninterfaces = [\"eth0\"]\npolicy = \"{name}\"\n"
        ));
        assert_eq!(without.settings.parser, expected);
    }
}

#[test]
fn each_key_sets_its_own_class() {
    let default = Parser::with_policy(Verdict::Drop);
    let cases: [(&str, Class); 5] = [
        ("malformed", |parser| &mut parser.malformed),
        ("truncated", |parser| &mut parser.truncated),
        ("too_many_headers", |parser| &mut parser.too_many_headers),
        ("too_many_tags", |parser| &mut parser.too_many_tags),
        ("unknown_ethertype", |parser| &mut parser.unknown_ethertype),
    ];
    for (key, class) in cases {
        let mut expected = default;
        *class(&mut expected) = Verdict::Pass;
        assert_eq!(parser("drop", &format!("{key} = \"pass\"")), expected);
    }
    let dropped = parser("pass", "unknown_ethertype = \"drop\"");
    assert_eq!(dropped.unknown_ethertype, Verdict::Drop);
}
