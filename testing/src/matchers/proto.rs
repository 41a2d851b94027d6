//! `proto`.

use rules::field::FieldName;

use super::{
    matcher::{Matcher, Operator},
    subject::{Draft, Subject, not_ip, of_kind},
};

/// Sets the protocol number, which must not be that of an IPv6 extension header.
fn put(draft: &mut Draft, number: u128) {
    draft.recipe.upper.protocol = number as u8;
}

pub(super) fn matchers() -> Vec<Matcher> {
    let subject = Subject {
        field: FieldName::Proto,
        drafts: of_kind,
        put,
        lacking: not_ip,
    };
    vec![
        subject.alike(Operator::Single, r#"proto = "tcp""#, &[6], &[5, 7, 17, 255]),
        subject.alike(Operator::Single, "proto = 47", &[47], &[46, 50, 6]),
        subject.alike(
            Operator::List,
            r#"proto = ["udp", "sctp", 89]"#,
            &[17, 132, 89],
            &[6, 88, 133],
        ),
        subject.alike(
            Operator::Range,
            r#"proto = "6-33""#,
            &[6, 17, 33],
            &[5, 34, 255],
        ),
        subject.alike(
            Operator::Negation,
            r#"proto = ["!tcp", "!100-132"]"#,
            &[5, 7, 17, 255],
            &[6, 100, 132],
        ),
        subject.alike(
            Operator::Negation,
            r#"proto = ["0-33", "!udp"]"#,
            &[6, 16, 33],
            &[17, 34],
        ),
    ]
}
