//! What rules say, for people: [`rules::language::Listing`].

use rules::language::{ListedTerms, Listing};

use crate::support::load_with;

fn listing(text: &str, lists: &[(&str, &str)]) -> Listing {
    let text = format!("[firewall]\ninterfaces = [\"eth0\"]\n{text}");
    load_with(&text, lists).unwrap().listing
}

fn terms(words: &[&str]) -> ListedTerms {
    ListedTerms {
        terms: words.iter().map(|&word| word.to_owned()).collect(),
        more: 0,
    }
}

#[test]
fn fields_are_as_written_in_the_order_of_all_fields() {
    let found = listing(
        r#"
[sets]
office = ["192.0.2.0/24"]
[[rule]]
name = "a"
action = "drop"
dport = [22, "80-90"]
proto = "tcp"
src = ["@office", "!192.0.2.7"]
log = { rate = "5/minute", burst = 7 }
[[rule]]
name = "off"
action = "drop"
enabled = false
fragment = true
[[rule]]
name = "all"
action = "pass"
"#,
        &[],
    );
    let [first, off, all] = &found.rules[..] else {
        panic!("{found:?}");
    };
    let fields: Vec<_> = first
        .fields
        .iter()
        .map(|field| (field.field.as_str(), field.terms.clone()))
        .collect();
    assert_eq!(
        fields,
        [
            ("src", terms(&["@office", "!192.0.2.7"])),
            ("proto", terms(&["tcp"])),
            ("dport", terms(&["22", "80-90"])),
        ]
    );
    let log = first.log.as_ref().unwrap();
    assert_eq!((log.rate.as_str(), log.burst), ("5/minute", 7));
    assert!(first.enabled && all.enabled && !off.enabled);
    assert_eq!(off.fields[0].terms, terms(&["true"]));
    assert!(all.fields.is_empty() && all.log.is_none());
}

#[test]
fn sets_that_rules_use_are_counted_and_long_ones_are_not_listed() {
    let many: Vec<String> = (0..300_u32)
        .map(|number| (2 * number).to_string())
        .collect();
    let many = many.join(", ");
    let found = listing(
        &format!(
            r#"
[sets]
inner = ["192.0.2.0/25", "192.0.2.128/25", "2001:db8::/32"]
outer = ["@inner", "198.51.100.7"]
feed = {{ files = ["a.txt", "b.txt"] }}
ports = [{many}]
unused = ["203.0.113.9"]
[[rule]]
name = "a"
action = "drop"
src = ["@outer", "@feed"]
proto = "udp"
sport = [{many}]
dport = "@ports"
"#
        ),
        &[
            ("a.txt", "192.0.2.1\n192.0.2.1\n"),
            ("b.txt", "192.0.2.3\n"),
        ],
    );
    let sets: Vec<_> = found
        .sets
        .iter()
        .map(|set| (set.name.as_str(), set.kind.as_str(), set.ranges))
        .collect();
    assert_eq!(
        sets,
        [
            ("inner", "addresses", 2),
            ("outer", "addresses", 3),
            ("feed", "addresses", 2),
            ("ports", "ports", 300),
        ]
    );
    assert_eq!(
        found.sets[1].members,
        Some(terms(&["@inner", "198.51.100.7"]))
    );
    assert_eq!(found.sets[2].members, None);
    assert_eq!(found.sets[2].files, ["a.txt", "b.txt"]);
    let shown = |terms: &ListedTerms| (terms.terms.len(), terms.more);
    let ports = found.sets[3].members.as_ref().unwrap();
    assert_eq!(
        shown(ports),
        (Listing::MAX_MEMBERS, 300 - Listing::MAX_MEMBERS)
    );
    let sport = &found.rules[0].fields[2];
    assert_eq!(sport.field, "sport");
    assert_eq!(
        shown(&sport.terms),
        (Listing::MAX_TERMS, 300 - Listing::MAX_TERMS)
    );
}
