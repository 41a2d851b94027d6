//! `fragment`.

use rules::field::FieldName;

use super::{
    matcher::{Matcher, Operator},
    subject::{Draft, Subject, not_ip, of_kind},
};

const WHOLE: u128 = 0;
const FIRST: u128 = 1;
const MIDDLE: u128 = 2;
const LAST: u128 = 3;

fn put(draft: &mut Draft, part: u128) {
    match part {
        FIRST => draft.fragment(0, true),
        MIDDLE => draft.fragment(8, true),
        LAST => draft.fragment(0x1fff, false),
        _ => {}
    }
}

pub(super) fn matchers() -> Vec<Matcher> {
    let subject = Subject {
        field: FieldName::Fragment,
        drafts: of_kind,
        put,
        lacking: not_ip,
    };
    let fragments = [FIRST, MIDDLE, LAST];
    vec![
        subject.alike(Operator::Single, "fragment = true", &fragments, &[WHOLE]),
        subject.alike(Operator::Single, "fragment = false", &[WHOLE], &fragments),
    ]
}
