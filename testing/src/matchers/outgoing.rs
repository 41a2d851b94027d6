//! `in_interface`, `forwarded` and `mark`, which only packets out have.

use rules::{Context, field::FieldName};

use super::{
    matcher::{Kind, Matcher, Operator},
    subject::{Draft, ETH0, Subject, none, of_kind},
};

/// An interface that no image knows.
const UNKNOWN: u128 = 4;

/// Packets that the machine sends.
fn sent(kind: Kind) -> Vec<Draft> {
    let mut drafts = of_kind(kind);
    for draft in &mut drafts {
        draft.context = Context::sent(ETH0);
    }
    drafts
}

/// 0 stands for packets that the machine sends.
fn put_origin(draft: &mut Draft, index: u128) {
    draft.context.in_interface = (index != 0).then_some(index as u32);
}

/// Packets that arrived on an interface that no image knows, and those that the machine sends.
fn without_origin(kind: Kind) -> Vec<Draft> {
    let mut drafts = sent(kind);
    drafts
        .iter_mut()
        .for_each(|draft| put_origin(draft, UNKNOWN));
    drafts.extend(sent(kind));
    drafts
}

pub(super) fn of_in_interface() -> Vec<Matcher> {
    let subject = Subject {
        field: FieldName::InInterface,
        drafts: sent,
        put: put_origin,
        lacking: without_origin,
    };
    vec![
        subject.alike(
            Operator::Single,
            "direction = \"out\"\nin_interface = \"eth1\"",
            &[3],
            &[1, 2, 7],
        ),
        subject.alike(
            Operator::List,
            "direction = \"out\"\nin_interface = [\"lo\", \"br-lan\"]",
            &[1, 65_536],
            &[2, 3, 0x7fff_ffff],
        ),
        subject.alike(
            Operator::Range,
            "direction = \"out\"\nin_interface = \"eth*\"",
            &[2, 3],
            &[1, 7],
        ),
        subject.alike(
            Operator::Negation,
            "direction = \"out\"\nin_interface = [\"!eth0\", \"!br-*\"]",
            &[1, 3, 7],
            &[2, 65_536],
        ),
    ]
}

pub(super) fn of_forwarded() -> Vec<Matcher> {
    let subject = Subject {
        field: FieldName::Forwarded,
        drafts: sent,
        put: put_origin,
        lacking: none,
    };
    let forwarded = [1, 3, UNKNOWN];
    vec![
        subject.alike(
            Operator::Single,
            "direction = \"out\"\nforwarded = true",
            &forwarded,
            &[0],
        ),
        subject.alike(
            Operator::Single,
            "direction = \"out\"\nforwarded = false",
            &[0],
            &forwarded,
        ),
    ]
}

pub(super) fn of_mark() -> Vec<Matcher> {
    let subject = Subject {
        field: FieldName::Mark,
        drafts: sent,
        put: |draft, mark| draft.context.mark = mark as u32,
        lacking: none,
    };
    vec![
        subject.alike(
            Operator::Single,
            "direction = \"out\"\nmark = 0x10",
            &[0x10],
            &[0, 0x0f, 0x11, 0x0010_0000],
        ),
        subject.alike(
            Operator::List,
            "direction = \"out\"\nmark = [0, \"0xffffffff\"]",
            &[0, 0xffff_ffff],
            &[1, 0xffff_fffe],
        ),
        subject.alike(
            Operator::Range,
            "direction = \"out\"\nmark = \"0x10000-0x1ffff\"",
            &[0x1_0000, 0x1_8000, 0x1_ffff],
            &[0xffff, 0x2_0000, 0],
        ),
        subject.alike(
            Operator::Negation,
            "direction = \"out\"\nmark = \"!0\"",
            &[1, 0x8000_0000],
            &[0],
        ),
    ]
}
