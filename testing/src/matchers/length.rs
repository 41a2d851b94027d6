//! `length`.

use rules::field::FieldName;

use super::{
    matcher::{Matcher, Operator},
    subject::{Draft, Subject, not_ip, of_kind},
};

/// Pads the packet to the length, which exceeds that of all headers.
fn put(draft: &mut Draft, length: u128) {
    let recipe = &mut draft.recipe;
    recipe.payload = vec![0; length as usize - recipe.length()];
}

pub(super) fn matchers() -> Vec<Matcher> {
    let subject = Subject {
        field: FieldName::Length,
        drafts: of_kind,
        put,
        lacking: not_ip,
    };
    vec![
        subject.alike(Operator::Single, "length = 200", &[200], &[199, 201, 456]),
        subject.alike(
            Operator::List,
            "length = [200, 576]",
            &[200, 576],
            &[575, 577, 199],
        ),
        subject.alike(
            Operator::Range,
            r#"length = "256-1500""#,
            &[256, 600, 1500],
            &[255, 1501],
        ),
        subject.alike(
            Operator::Negation,
            r#"length = ["!200", "!500-599"]"#,
            &[199, 201, 600, 1500],
            &[200, 500, 599],
        ),
        subject.alike(
            Operator::Negation,
            r#"length = ["100-300", "!200"]"#,
            &[199, 201, 300],
            &[200, 301],
        ),
    ]
}
