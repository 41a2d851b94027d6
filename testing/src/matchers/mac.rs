//! `src_mac` and `dst_mac`.

use rules::field::FieldName;

use super::{
    matcher::{Matcher, Operator},
    subject::{Draft, Subject, none, of_kind},
};

const VENDOR: u128 = 0x001b_2100_0000;
const LAST: u128 = 0xffff_ffff_ffff;

pub(super) fn of_source() -> Vec<Matcher> {
    let subject = subject(FieldName::SrcMac, |draft, value| {
        draft.recipe.src_mac = value as u64;
    });
    vec![
        single(&subject, r#"src_mac = "00:1b:21:00:00:07""#),
        list(
            &subject,
            r#"src_mac = ["00:1b:21:00:00:07", "ff:ff:ff:ff:ff:ff"]"#,
        ),
        prefix(&subject, r#"src_mac = "00:1b:21:00:00:00/24""#),
        range(
            &subject,
            r#"src_mac = "00:1b:21:00:00:05-00:1b:21:00:01:00""#,
        ),
        negation(
            &subject,
            r#"src_mac = ["00:1b:21:00:00:00/24", "!00:1b:21:00:00:07"]"#,
        ),
        negation_alone(&subject, r#"src_mac = "!00:1b:21:00:00:07""#),
    ]
}

pub(super) fn of_destination() -> Vec<Matcher> {
    let subject = subject(FieldName::DstMac, |draft, value| {
        draft.recipe.dst_mac = value as u64;
    });
    vec![
        single(&subject, r#"dst_mac = "00:1b:21:00:00:07""#),
        list(
            &subject,
            r#"dst_mac = ["00:1b:21:00:00:07", "ff:ff:ff:ff:ff:ff"]"#,
        ),
        prefix(&subject, r#"dst_mac = "00:1b:21:00:00:00/24""#),
        range(
            &subject,
            r#"dst_mac = "00:1b:21:00:00:05-00:1b:21:00:01:00""#,
        ),
        negation(
            &subject,
            r#"dst_mac = ["00:1b:21:00:00:00/24", "!00:1b:21:00:00:07"]"#,
        ),
        negation_alone(&subject, r#"dst_mac = "!00:1b:21:00:00:07""#),
    ]
}

const fn subject(field: FieldName, put: fn(&mut Draft, u128)) -> Subject {
    Subject {
        field,
        drafts: of_kind,
        put,
        lacking: none,
    }
}

fn single(subject: &Subject, rule: &'static str) -> Matcher {
    let misses = [VENDOR | 6, VENDOR | 8, 0, LAST];
    subject.alike(Operator::Single, rule, &[VENDOR | 7], &misses)
}

fn list(subject: &Subject, rule: &'static str) -> Matcher {
    let hits = [VENDOR | 7, LAST];
    subject.alike(Operator::List, rule, &hits, &[VENDOR | 6, 0, LAST - 1])
}

fn prefix(subject: &Subject, rule: &'static str) -> Matcher {
    let hits = [VENDOR, VENDOR | 0xff_ffff];
    let misses = [VENDOR - 1, VENDOR + 0x100_0000, 0, LAST];
    subject.alike(Operator::Range, rule, &hits, &misses)
}

fn range(subject: &Subject, rule: &'static str) -> Matcher {
    let hits = [VENDOR | 5, VENDOR | 0x80, VENDOR | 0x100];
    subject.alike(Operator::Range, rule, &hits, &[VENDOR | 4, VENDOR | 0x101])
}

fn negation(subject: &Subject, rule: &'static str) -> Matcher {
    let hits = [VENDOR, VENDOR | 6, VENDOR | 8];
    subject.alike(Operator::Negation, rule, &hits, &[VENDOR | 7, VENDOR - 1])
}

fn negation_alone(subject: &Subject, rule: &'static str) -> Matcher {
    let hits = [0, VENDOR | 6, LAST];
    subject.alike(Operator::Negation, rule, &hits, &[VENDOR | 7])
}
