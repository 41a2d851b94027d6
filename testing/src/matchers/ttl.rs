//! `ttl`.

use rules::field::FieldName;

use super::{
    matcher::{Matcher, Operator},
    subject::{Draft, Subject, not_ip, of_kind},
};

fn put(draft: &mut Draft, hops: u128) {
    draft.recipe.hop_limit = hops as u8;
}

pub(super) fn matchers() -> Vec<Matcher> {
    let subject = Subject {
        field: FieldName::Ttl,
        drafts: of_kind,
        put,
        lacking: not_ip,
    };
    vec![
        subject.alike(Operator::Single, "ttl = 64", &[64], &[0, 63, 65, 255]),
        subject.alike(Operator::List, "ttl = [1, 255]", &[1, 255], &[0, 2, 254]),
        subject.alike(Operator::Range, r#"ttl = "0-1""#, &[0, 1], &[2, 255]),
        subject.alike(
            Operator::Negation,
            r#"ttl = ["!64", "!200-255"]"#,
            &[0, 63, 65, 199],
            &[64, 200, 255],
        ),
        subject.alike(
            Operator::Negation,
            r#"ttl = ["32-64", "!63"]"#,
            &[32, 62, 64],
            &[63, 31, 65],
        ),
    ]
}
