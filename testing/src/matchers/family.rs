//! `family`.

use rules::field::FieldName;

use super::{
    matcher::{Kind, Matcher, Operator},
    subject::{Subject, not_ip, of_kind},
};

pub(super) fn matchers() -> Vec<Matcher> {
    let subject = Subject {
        field: FieldName::Family,
        drafts: of_kind,
        // The kind of packet determines the value.
        put: |_, _| {},
        lacking: not_ip,
    };
    vec![
        subject.rule(
            Operator::Single,
            r#"family = "ipv4""#,
            &[(Kind::Ipv4, &[0], &[]), (Kind::Ipv6, &[], &[0])],
        ),
        subject.rule(
            Operator::Single,
            r#"family = "ipv6""#,
            &[(Kind::Ipv4, &[], &[0]), (Kind::Ipv6, &[0], &[])],
        ),
    ]
}
