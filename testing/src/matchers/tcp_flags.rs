//! `tcp_flags`.

use rules::field::FieldName;

use super::{
    matcher::{Kind, Matcher, Operator},
    subject::{Draft, ICMP, ICMPV6, Subject, TCP, UDP, dressed, of_kind, plain},
};

const FIN: u128 = 1;
const SYN: u128 = 2;
const RST: u128 = 4;
const ACK: u128 = 16;
const CWR: u128 = 128;

fn put(draft: &mut Draft, flags: u128) {
    draft.recipe.upper.tcp_flags = flags as u8;
}

/// Other protocols, and later fragments.
fn lacking(kind: Kind) -> Vec<Draft> {
    let mut later = plain(kind, TCP);
    later.fragment(2, false);
    match kind {
        Kind::Ipv4 => vec![plain(kind, ICMP), plain(kind, UDP), later],
        Kind::Ipv6 => vec![plain(kind, ICMPV6), plain(kind, UDP), later],
        Kind::Other => of_kind(kind),
    }
}

pub(super) fn matchers() -> Vec<Matcher> {
    let subject = Subject {
        field: FieldName::TcpFlags,
        drafts: |kind| dressed(plain(kind, TCP)),
        put,
        lacking,
    };
    vec![
        subject.alike(
            Operator::Single,
            r#"tcp_flags = "syn,!ack""#,
            &[SYN, SYN | CWR, SYN | FIN],
            &[0, ACK, SYN | ACK, 0xff],
        ),
        subject.alike(
            Operator::Single,
            r#"tcp_flags = "cwr""#,
            &[CWR, 0xff],
            &[0, 0x7f],
        ),
        subject.alike(
            Operator::List,
            r#"tcp_flags = ["syn", "rst,ack"]"#,
            &[SYN, SYN | ACK, RST | ACK],
            &[0, RST, ACK, FIN | ACK],
        ),
        subject.alike(
            Operator::Negation,
            r#"tcp_flags = "!syn,!ack""#,
            &[0, FIN, RST, CWR],
            &[SYN, ACK, SYN | ACK, 0xff],
        ),
    ]
}
