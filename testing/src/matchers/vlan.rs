//! `vlan`.

use rules::field::FieldName;

use super::{
    matcher::{Kind, Matcher, Operator},
    subject::{Draft, Subject, UDP, plain},
};

/// The value that stands for no tag.
const UNTAGGED: u128 = 0xffff;

fn put(draft: &mut Draft, id: u128) {
    if id == UNTAGGED {
        draft.recipe.tags.clear();
    } else {
        draft.tag(0x8100, id as u16);
    }
}

/// A packet without a tag, and packets that already have an inner tag.
fn drafts(kind: Kind) -> Vec<Draft> {
    let untagged = plain(kind, UDP);
    let inner = [0x8100, 0x88a8, 0x9100].map(|kind| {
        let mut draft = untagged.clone();
        draft.tag(kind, 5);
        draft
    });
    [untagged].into_iter().chain(inner).collect()
}

pub(super) fn matchers() -> Vec<Matcher> {
    let with_none = Subject {
        field: FieldName::Vlan,
        drafts,
        put,
        lacking: super::subject::none,
    };
    let subject = Subject {
        lacking: |kind| vec![plain(kind, UDP)],
        ..with_none
    };
    vec![
        subject.alike(Operator::Single, "vlan = 5", &[5], &[0, 4, 6, 4095]),
        subject.alike(Operator::Single, "vlan = 0", &[0], &[5, 4095]),
        with_none.alike(Operator::Single, r#"vlan = "none""#, &[UNTAGGED], &[0, 5]),
        subject.alike(
            Operator::List,
            "vlan = [1, 100, 4095]",
            &[1, 100, 4095],
            &[5, 0],
        ),
        with_none.alike(
            Operator::List,
            r#"vlan = ["none", 7]"#,
            &[UNTAGGED, 7],
            &[5, 0],
        ),
        subject.alike(
            Operator::Range,
            r#"vlan = "100-199""#,
            &[100, 150, 199],
            &[99, 200],
        ),
        subject.alike(
            Operator::Negation,
            r#"vlan = ["!5", "!10-19"]"#,
            &[0, 4, 6, 20],
            &[5, 10, 19],
        ),
        subject.alike(Operator::Negation, r#"vlan = "!none""#, &[0, 4095], &[]),
        subject.alike(
            Operator::Negation,
            r#"vlan = ["10-19", "!15"]"#,
            &[10, 14],
            &[15, 20],
        ),
    ]
}
