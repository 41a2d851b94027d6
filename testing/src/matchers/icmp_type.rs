//! `icmp_type`. Values are `type << 8 | code`.

use rules::field::FieldName;

use super::{
    matcher::{Kind, Matcher, Operator},
    subject::{Draft, ICMP, ICMPV6, Subject, TCP, dressed, of_kind, plain},
};

fn put(draft: &mut Draft, message: u128) {
    draft.recipe.upper.icmp = message as u16;
}

fn drafts(kind: Kind) -> Vec<Draft> {
    match kind {
        Kind::Ipv4 => dressed(plain(kind, ICMP)),
        Kind::Ipv6 => dressed(plain(kind, ICMPV6)),
        Kind::Other => of_kind(kind),
    }
}

/// Other protocols, including ICMP of the other family, and later fragments.
fn lacking(kind: Kind) -> Vec<Draft> {
    let (own, other) = match kind {
        Kind::Ipv4 => (ICMP, ICMPV6),
        Kind::Ipv6 => (ICMPV6, ICMP),
        Kind::Other => return of_kind(kind),
    };
    let mut foreign = plain(kind, other);
    // An echo request of either.
    put(&mut foreign, if other == ICMP { 0x0800 } else { 0x8000 });
    let mut later = plain(kind, own);
    later.fragment(2, false);
    vec![plain(kind, TCP), foreign, later]
}

pub(super) fn matchers() -> Vec<Matcher> {
    let subject = Subject {
        field: FieldName::IcmpType,
        drafts,
        put,
        lacking,
    };
    let rule = |operator, rule, v4: (&[u128], &[u128]), v6: (&[u128], &[u128])| {
        let values = [(Kind::Ipv4, v4.0, v4.1), (Kind::Ipv6, v6.0, v6.1)];
        subject.rule(operator, rule, &values)
    };
    vec![
        rule(
            Operator::Single,
            r#"icmp_type = "echo-request""#,
            (&[0x0800, 0x08ff], &[0x0000, 0x0700, 0x8000]),
            (&[0x8000, 0x80ff], &[0x8100, 0x7f00, 0x0800]),
        ),
        rule(
            Operator::List,
            r#"icmp_type = ["echo-request", "echo-reply"]"#,
            (&[0x0800, 0x0000], &[0x0300, 0x8100]),
            (&[0x8000, 0x8100], &[0x0100, 0x0000]),
        ),
        rule(
            Operator::Range,
            "icmp_type = \"3-5\"\nfamily = \"ipv4\"",
            (&[0x0300, 0x04ff, 0x05ff], &[0x02ff, 0x0600]),
            (&[], &[0x0300, 0x0400]),
        ),
        rule(
            Operator::Range,
            "icmp_type = \"1/1-3\"\nproto = \"icmpv6\"",
            (&[], &[0x0101]),
            (&[0x0101, 0x0103], &[0x0100, 0x0104, 0x0201]),
        ),
        rule(
            Operator::Negation,
            r#"icmp_type = ["!echo-request", "!echo-reply"]"#,
            (&[0x0300, 0xff00, 0x8000], &[0x0800, 0x0000]),
            (&[0x0100, 0x0800, 0xff00], &[0x8000, 0x8100]),
        ),
    ]
}
