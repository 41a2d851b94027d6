//! Compares lists of values, sets and negations with their definition, value by value, and globs
//! with a table of all prefixes; reads damaged files.

use proptest::prelude::*;
use rules::diagnostics::{Diagnostic, render};

use crate::support::{load_with, matches};

/// The set that terms may name.
const SET: [(u16, u16); 3] = [(2, 4), (9, 9), (60, 65)];

/// A term of a list of ports: whether it is negated, and the range or, for `None`, the set.
type Term = (bool, Option<(u16, u16)>);

fn takes(terms: &[Term], port: u16) -> bool {
    let within = |(first, last): (u16, u16)| (first..=last).contains(&port);
    let holds = |operand: Option<(u16, u16)>| match operand {
        Some(range) => within(range),
        None => SET.into_iter().any(within),
    };
    let mut positives = terms.iter().filter(|(negated, _)| !negated).peekable();
    let any = positives.peek().is_none() || positives.any(|(_, operand)| holds(*operand));
    any && !terms
        .iter()
        .any(|(negated, operand)| *negated && holds(*operand))
}

fn written(terms: &[Term], value: impl Fn(u16) -> String) -> String {
    let terms: Vec<_> = terms
        .iter()
        .map(|(negated, operand)| {
            let sign = if *negated { "!" } else { "" };
            match operand {
                Some((first, last)) if first == last => format!("\"{sign}{}\"", value(*first)),
                Some((first, last)) => format!("\"{sign}{}-{}\"", value(*first), value(*last)),
                None => format!("\"{sign}@set\""),
            }
        })
        .collect();
    format!("[{}]", terms.join(", "))
}

fn terms() -> impl Strategy<Value = Vec<Term>> {
    let range = (0..70_u16, 0..70_u16).prop_map(|(a, b)| (a.min(b), a.max(b)));
    let operand = prop_oneof![3 => range.prop_map(Some), 1 => Just(None)];
    prop::collection::vec((prop::bool::weighted(0.3), operand), 1..6)
}

fn terms_without_sets() -> impl Strategy<Value = Vec<Term>> {
    let range = (0..70_u16, 0..70_u16).prop_map(|(a, b)| (a.min(b), a.max(b)));
    prop::collection::vec((prop::bool::weighted(0.3), range.prop_map(Some)), 1..6)
}

/// The conditions of one rule with `fields`, even if nothing matches.
fn resolved(fields: &str) -> rules::model::Matches {
    let text = format!(
        "[firewall]\ninterfaces = [\"*\"]\n[[rule]]\nname = \"r\"\naction = \"pass\"\n{fields}\n"
    );
    load_with(&text, &[])
        .unwrap()
        .ruleset
        .rules
        .remove(0)
        .matches
}

/// Whether `pattern` matches `name`, from a table of which prefixes of one match which of the
/// other.
fn glob(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let mut fits = vec![vec![false; name.len() + 1]; pattern.len() + 1];
    for i in 0..=pattern.len() {
        for j in 0..=name.len() {
            fits[i][j] = match (i, j) {
                (0, j) => j == 0,
                (i, 0) => pattern[i - 1] == b'*' && fits[i - 1][0],
                (i, j) => match pattern[i - 1] {
                    b'*' => fits[i - 1][j] || fits[i][j - 1],
                    b'?' => fits[i - 1][j - 1],
                    byte => byte == name[j - 1] && fits[i - 1][j - 1],
                },
            };
        }
    }
    fits[pattern.len()][name.len()]
}

fn points_into_its_file(diagnostic: &Diagnostic) -> bool {
    let bytes = diagnostic.primary.source.bytes();
    let span = diagnostic.primary.span;
    let lines = bytes.split(|byte| *byte == b'\n').count();
    let line = diagnostic.place().line.get() as usize;
    span.start <= span.end && span.end <= bytes.len().max(1) && (1..=lines).contains(&line)
}

proptest! {
    #[test]
    fn a_list_of_ports_takes_what_it_says(terms in terms()) {
        let text = written(&terms, |port| port.to_string());
        let set = written(&SET.map(|range| (false, Some(range))), |port| port.to_string());
        let ports = resolved(&format!("dport = {text}\n[sets]\nset = {set}")).dport.unwrap();
        for port in (0..80).chain([u16::MAX]) {
            prop_assert_eq!(ports.contains(port), takes(&terms, port), "{} {}", port, text);
        }
    }

    #[test]
    fn a_list_of_addresses_takes_what_it_says(terms in terms()) {
        let address = |number: u16| format!("192.0.2.{number}");
        let text = written(&terms, address);
        let set = written(&SET.map(|range| (false, Some(range))), address);
        let src = resolved(&format!("src = {text}\n[sets]\nset = {set}")).src.unwrap();
        for number in 0..80 {
            let member = src.v4.contains(0xc000_0200 + u32::from(number));
            prop_assert_eq!(member, takes(&terms, number), "{} {}", number, text);
        }
        let only_negatives = terms.iter().all(|(negated, _)| *negated);
        prop_assert_eq!(src.v6.is_full(), only_negatives);
        prop_assert_eq!(src.v6.is_empty(), !only_negatives);
    }

    #[test]
    fn a_list_of_identifiers_of_vlans_takes_what_it_says(terms in terms_without_sets()) {
        let text = written(&terms, |id| id.to_string());
        let vlan = resolved(&format!("vlan = {text}")).vlan.unwrap();
        for id in (0..80).chain([4095]) {
            prop_assert_eq!(vlan.ids.contains(id), takes(&terms, id), "{} {}", id, text);
        }
        prop_assert!(!vlan.ids.contains(4096) && !vlan.untagged, "{}", text);
    }

    #[test]
    fn a_list_of_mac_addresses_takes_what_it_says(terms in terms_without_sets()) {
        let text = written(&terms, |number| format!("02:00:00:00:00:{number:02x}"));
        let macs = resolved(&format!("src_mac = {text}")).src_mac.unwrap();
        for number in 0..80 {
            let member = macs.contains(0x0200_0000_0000 + u64::from(number));
            prop_assert_eq!(member, takes(&terms, number), "{} {}", number, text);
        }
        prop_assert!(!macs.contains(1 << 48), "{}", text);
    }

    #[test]
    fn lists_of_numbers_take_what_they_say(terms in terms_without_sets()) {
        let text = written(&terms, |number| number.to_string());
        let numbers = resolved(&format!("ethertype = {text}\n"));
        let ip = resolved(&format!("length = {text}\nttl = {text}"));
        for number in (0..80).chain([255]) {
            let wanted = takes(&terms, number);
            let byte = number as u8;
            prop_assert_eq!(numbers.ethertype.as_ref().unwrap().contains(number), wanted);
            prop_assert_eq!(ip.length.as_ref().unwrap().contains(number), wanted);
            prop_assert_eq!(ip.ttl.as_ref().unwrap().contains(byte), wanted, "{} {}", number, text);
        }
    }

    #[test]
    fn globs_fit_like_the_table_of_their_prefixes(
        pattern in "[ab*?]{1,8}",
        names in prop::collection::vec("[ab]{1,8}", 1..20),
    ) {
        let interface = matches(&format!("interface = \"{pattern}\"")).interface.unwrap();
        for name in names {
            prop_assert_eq!(interface.matches(&name), glob(&pattern, &name), "{} {}", pattern, name);
        }
    }

    #[test]
    fn no_damage_to_a_file_makes_the_reader_panic(
        damages in prop::collection::vec(
            (any::<prop::sample::Index>(), 0..12_usize, "[\\[\\]{}=\"',.!@#\n\ta-z0-9é/-]{0,3}"),
            1..4,
        ),
    ) {
        let mut text = include_str!("../../samples/ddos.toml").to_owned();
        for (at, removed, inserted) in damages {
            let at = text.floor_char_boundary(at.index(text.len()));
            let end = text.floor_char_boundary(at + removed);
            text.replace_range(at..end, &inserted);
        }
        let lists = [("lists/drop.txt", include_str!("../../samples/lists/drop.txt"))];
        let diagnostics = match load_with(&text, &lists) {
            Ok(loaded) => loaded.warnings,
            Err(diagnostics) => {
                prop_assert!(!diagnostics.is_empty());
                diagnostics
            }
        };
        for diagnostic in &diagnostics {
            prop_assert!(points_into_its_file(diagnostic), "{:?}", diagnostic);
            prop_assert!(render(diagnostic).lines().count() >= 5);
        }
    }
}
