//! `dscp`.

use rules::field::FieldName;

use super::{
    matcher::{Matcher, Operator},
    subject::{Draft, Subject, not_ip, of_kind},
};

/// The other bits of the byte say that congestion was experienced.
fn put(draft: &mut Draft, code_point: u128) {
    draft.recipe.class = (code_point << 2 | 3) as u8;
}

pub(super) fn matchers() -> Vec<Matcher> {
    let subject = Subject {
        field: FieldName::Dscp,
        drafts: of_kind,
        put,
        lacking: not_ip,
    };
    vec![
        subject.alike(Operator::Single, r#"dscp = "ef""#, &[46], &[0, 45, 47, 63]),
        subject.alike(Operator::Single, "dscp = 0", &[0], &[1, 63]),
        subject.alike(
            Operator::List,
            r#"dscp = ["cs1", "af41", 63]"#,
            &[8, 34, 63],
            &[0, 9, 33, 62],
        ),
        subject.alike(
            Operator::Range,
            r#"dscp = "34-38""#,
            &[34, 36, 38],
            &[33, 39, 0],
        ),
        subject.alike(
            Operator::Negation,
            r#"dscp = ["!cs0", "!40-47"]"#,
            &[1, 39, 48, 63],
            &[0, 40, 47],
        ),
        subject.alike(
            Operator::Negation,
            r#"dscp = ["32-63", "!ef"]"#,
            &[32, 45, 63],
            &[46, 31],
        ),
    ]
}
