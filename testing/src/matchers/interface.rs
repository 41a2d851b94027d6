//! `interface`.

use rules::field::FieldName;

use super::{
    matcher::{Matcher, Operator},
    subject::{Draft, Subject, of_kind},
};

/// An interface that no image knows.
const UNKNOWN: u128 = 4;

fn put(draft: &mut Draft, index: u128) {
    draft.context.interface = index as u32;
}

pub(super) fn matchers() -> Vec<Matcher> {
    let subject = Subject {
        field: FieldName::Interface,
        drafts: of_kind,
        put,
        lacking: |kind| {
            let mut drafts = of_kind(kind);
            drafts.iter_mut().for_each(|draft| put(draft, UNKNOWN));
            drafts
        },
    };
    vec![
        subject.alike(Operator::Single, r#"interface = "eth1""#, &[3], &[1, 2, 7]),
        subject.alike(
            Operator::List,
            r#"interface = ["lo", "br-lan"]"#,
            &[1, 65_536],
            &[2, 3, 0x7fff_ffff],
        ),
        subject.alike(
            Operator::Range,
            r#"interface = "?eth*""#,
            &[0x7fff_ffff],
            &[2, 3, 1],
        ),
        subject.alike(Operator::Range, r#"interface = "eth*""#, &[2, 3], &[1, 7]),
        subject.alike(
            Operator::Negation,
            r#"interface = ["!eth0", "!br-*"]"#,
            &[1, 3, 7],
            &[2, 65_536],
        ),
        subject.alike(
            Operator::Negation,
            r#"interface = ["eth*", "!eth1"]"#,
            &[2],
            &[3, 1],
        ),
    ]
}
