//! `ethertype`. ARP is left out: the policy does not apply to ARP packets that no rule decides.

use rules::field::FieldName;

use super::{
    matcher::{Kind, Matcher, Operator},
    subject::{Draft, Subject, none, of_kind},
};
use crate::frames::Layer3;

/// For IP packets, the kind of packet determines the value.
fn put(draft: &mut Draft, value: u128) {
    if let Layer3::Other { ethertype } = &mut draft.recipe.layer3 {
        *ethertype = value as u16;
    }
}

pub(super) fn matchers() -> Vec<Matcher> {
    let subject = Subject {
        field: FieldName::Ethertype,
        drafts: of_kind,
        put,
        lacking: none,
    };
    let of_ip = |kind, is_hit| -> (Kind, &[u128], &[u128]) {
        if is_hit {
            (kind, &[0], &[])
        } else {
            (kind, &[], &[0])
        }
    };
    let rule = |operator, rule, v4, v6, hits: &[u128], misses: &[u128]| {
        let other = (Kind::Other, hits, misses);
        let values = [of_ip(Kind::Ipv4, v4), of_ip(Kind::Ipv6, v6), other];
        subject.rule(operator, rule, &values)
    };
    vec![
        rule(
            Operator::Single,
            r#"ethertype = "ipv4""#,
            true,
            false,
            &[],
            &[0x88cc, 0x0801],
        ),
        rule(
            Operator::Single,
            "ethertype = 0x86dd",
            false,
            true,
            &[],
            &[0x86dc, 0],
        ),
        rule(
            Operator::Single,
            r#"ethertype = "eapol""#,
            false,
            false,
            &[0x888e],
            &[0x888d, 0x888f],
        ),
        rule(
            Operator::List,
            r#"ethertype = ["lldp", "ipv6", 0x8864]"#,
            false,
            true,
            &[0x88cc, 0x8864],
            &[0x8863, 0xffff],
        ),
        rule(
            Operator::List,
            r#"ethertype = ["lacp", "ipv4"]"#,
            true,
            false,
            &[0x8809],
            &[0x880a],
        ),
        rule(
            Operator::Range,
            r#"ethertype = "0-1535""#,
            false,
            false,
            &[0, 38, 1535],
            &[1536, 0xffff],
        ),
        rule(
            Operator::Range,
            r#"ethertype = "0x0800-0x86dd""#,
            true,
            true,
            &[0x0801, 0x86dc],
            &[0x07ff, 0x86de],
        ),
        rule(
            Operator::Negation,
            r#"ethertype = ["!lldp", "!ipv6"]"#,
            true,
            false,
            &[0x88cb, 0x888e],
            &[0x88cc],
        ),
        rule(
            Operator::Negation,
            r#"ethertype = "!ipv4""#,
            false,
            true,
            &[0x88cc, 0x888e],
            &[],
        ),
    ]
}
