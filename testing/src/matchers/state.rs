//! `state`.

use rules::field::{FieldName, State};

use super::{
    matcher::{Matcher, Operator},
    subject::{Draft, Subject, not_ip, of_kind},
};

const NEW: u128 = 0;
const ESTABLISHED: u128 = 1;
const RELATED: u128 = 2;
const INVALID: u128 = 3;

fn put(draft: &mut Draft, state: u128) {
    draft.context.state = match state {
        ESTABLISHED => State::Established,
        RELATED => State::Related,
        INVALID => State::Invalid,
        _ => State::New,
    };
}

pub(super) fn matchers() -> Vec<Matcher> {
    let subject = Subject {
        field: FieldName::State,
        drafts: of_kind,
        put,
        lacking: not_ip,
    };
    vec![
        subject.alike(
            Operator::Single,
            "state = \"new\"",
            &[NEW],
            &[ESTABLISHED, RELATED, INVALID],
        ),
        subject.alike(
            Operator::Single,
            "state = \"invalid\"",
            &[INVALID],
            &[NEW, ESTABLISHED, RELATED],
        ),
        subject.alike(
            Operator::List,
            "state = [\"established\", \"related\"]",
            &[ESTABLISHED, RELATED],
            &[NEW, INVALID],
        ),
        subject.alike(
            Operator::Negation,
            "state = [\"!established\", \"!new\"]",
            &[RELATED, INVALID],
            &[NEW, ESTABLISHED],
        ),
    ]
}
