//! `sport` and `dport`.

use rules::field::FieldName;

use super::{
    matcher::{Kind, Matcher, Operator},
    subject::{Draft, GRE, ICMP, ICMPV6, Subject, UDP, dressed, of_kind, plain},
};

/// The protocols that have ports.
const PROTOCOLS: [u8; 5] = [6, 17, 33, 132, 136];

/// A rule of each operator, for a field.
macro_rules! rules {
    ($field:literal) => {
        [
            concat!($field, " = 53"),
            concat!($field, " = [22, 80, 65535]"),
            concat!($field, r#" = "1024-2047""#),
            concat!(
                $field,
                " = \"@web\"\n[sets]\nweb = [80, 443, \"8000-8099\"]"
            ),
            concat!($field, r#" = ["!53", "!8000-8099"]"#),
            concat!(
                $field,
                " = [\"@web\", \"!8080\"]\n[sets]\nweb = [80, \"8000-8099\"]"
            ),
        ]
    };
}

pub(super) fn of_source() -> Vec<Matcher> {
    let put = |draft: &mut Draft, value| draft.recipe.upper.sport = value as u16;
    matchers(FieldName::Sport, put, rules!("sport"))
}

pub(super) fn of_destination() -> Vec<Matcher> {
    let put = |draft: &mut Draft, value| draft.recipe.upper.dport = value as u16;
    matchers(FieldName::Dport, put, rules!("dport"))
}

fn drafts(kind: Kind) -> Vec<Draft> {
    let mut drafts: Vec<_> = PROTOCOLS
        .iter()
        .flat_map(|protocol| dressed(plain(kind, *protocol)))
        .collect();
    let mut first_fragment = plain(kind, UDP);
    first_fragment.fragment(0, true);
    drafts.push(first_fragment);
    drafts
}

/// Other protocols, and later fragments.
fn lacking(kind: Kind) -> Vec<Draft> {
    let mut later = plain(kind, UDP);
    later.fragment(2, true);
    match kind {
        Kind::Ipv4 => vec![plain(kind, ICMP), plain(kind, GRE), later],
        Kind::Ipv6 => vec![plain(kind, ICMPV6), plain(kind, GRE), later],
        Kind::Other => of_kind(kind),
    }
}

fn matchers(
    field: FieldName,
    put: fn(&mut Draft, u128),
    [single, list, range, set, negation, negation_of_set]: [&'static str; 6],
) -> Vec<Matcher> {
    let subject = Subject {
        field,
        drafts,
        put,
        lacking,
    };
    vec![
        subject.alike(
            Operator::Single,
            single,
            &[53],
            &[0, 52, 54, 0x3500, 65_535],
        ),
        subject.alike(
            Operator::List,
            list,
            &[22, 80, 65_535],
            &[0, 23, 79, 65_534],
        ),
        subject.alike(Operator::Range, range, &[1024, 1500, 2047], &[1023, 2048]),
        subject.alike(
            Operator::Set,
            set,
            &[80, 443, 8000, 8099],
            &[81, 442, 7999, 8100],
        ),
        subject.alike(
            Operator::Negation,
            negation,
            &[0, 52, 54, 7999, 65_535],
            &[53, 8000, 8099],
        ),
        subject.alike(
            Operator::Negation,
            negation_of_set,
            &[80, 8079, 8081],
            &[8080, 81, 0],
        ),
    ]
}
