//! `src` and `dst`.

use rules::field::FieldName;

use super::{
    matcher::{Kind, Matcher, Operator},
    subject::{Draft, Subject, not_ip, of_kind},
};
use crate::frames::Layer3;

/// 192.0.2.0.
const V4: u128 = 0xc000_0200;
/// 2001:db8::.
const V6: u128 = 0x2001_0db8 << 96;
/// 2001:db8:1::.
const V6_SITE: u128 = V6 | 1 << 80;

/// A rule of each operator, for a field.
macro_rules! rules {
    ($field:literal) => {
        [
            concat!($field, r#" = "192.0.2.7""#),
            concat!($field, r#" = "2001:db8::7""#),
            concat!($field, r#" = ["192.0.2.7", "2001:db8::7", "192.0.2.9"]"#),
            concat!($field, r#" = ["192.0.2.0/25", "2001:db8:1::/48"]"#),
            concat!(
                $field,
                r#" = ["192.0.2.5-192.0.3.1", "2001:db8::ffff-2001:db8::1:1"]"#
            ),
            concat!(
                $field,
                " = \"@office\"\n[sets]\noffice = [\"192.0.2.7\", \"192.0.2.64/26\", \"2001:db8:1::/48\"]"
            ),
            concat!($field, r#" = ["!192.0.2.7", "!2001:db8:1::/48"]"#),
            concat!(
                $field,
                " = [\"@office\", \"!192.0.2.66\", \"!2001:db8:1::5\"]\n[sets]\n",
                "office = [\"192.0.2.64/26\", \"2001:db8:1::/48\"]"
            ),
        ]
    };
}

pub(super) fn of_source() -> Vec<Matcher> {
    matchers(
        FieldName::Src,
        |draft, value| match &mut draft.recipe.layer3 {
            Layer3::Other { .. } => {}
            Layer3::Ipv4 { src, .. } => *src = value as u32,
            Layer3::Ipv6 { src, .. } => *src = value,
        },
        rules!("src"),
    )
}

pub(super) fn of_destination() -> Vec<Matcher> {
    matchers(
        FieldName::Dst,
        |draft, value| match &mut draft.recipe.layer3 {
            Layer3::Other { .. } => {}
            Layer3::Ipv4 { dst, .. } => *dst = value as u32,
            Layer3::Ipv6 { dst, .. } => *dst = value,
        },
        rules!("dst"),
    )
}

fn matchers(
    field: FieldName,
    put: fn(&mut Draft, u128),
    [
        single4,
        single6,
        list,
        prefixes,
        ranges,
        set,
        negation,
        negation_of_set,
    ]: [&'static str; 8],
) -> Vec<Matcher> {
    let subject = Subject {
        field,
        drafts: of_kind,
        put,
        lacking: not_ip,
    };
    let rule = |operator, rule, v4: (&[u128], &[u128]), v6: (&[u128], &[u128])| {
        let values = [(Kind::Ipv4, v4.0, v4.1), (Kind::Ipv6, v6.0, v6.1)];
        subject.rule(operator, rule, &values)
    };
    vec![
        rule(
            Operator::Single,
            single4,
            (&[V4 | 7], &[V4 | 6, V4 | 8, 0, 0xffff_ffff]),
            // An IPv6 address with an IPv4 address in its last or first bits is a different
            // address.
            (&[], &[V4 | 7, (V4 | 7) << 96, V6 | 7]),
        ),
        rule(
            Operator::Single,
            single6,
            (&[], &[V4 | 7, 7, 0x2001_0db8]),
            (&[V6 | 7], &[V6 | 6, V6 | 8, V6 | 1 << 64 | 7, 0, u128::MAX]),
        ),
        rule(
            Operator::List,
            list,
            (&[V4 | 7, V4 | 9], &[V4 | 8, V4 | 6]),
            (&[V6 | 7], &[V6 | 9, V6 | 8]),
        ),
        rule(
            Operator::Range,
            prefixes,
            (&[V4, V4 | 127], &[V4 | 128, V4 - 1]),
            (
                &[V6_SITE, V6_SITE | ((1 << 80) - 1)],
                &[V6_SITE - 1, V6_SITE + (1 << 80)],
            ),
        ),
        rule(
            Operator::Range,
            ranges,
            (&[V4 | 5, V4 | 255, V4 + 257], &[V4 | 4, V4 + 258]),
            (
                &[V6 | 0xffff, V6 | 0x1_0000, V6 | 0x1_0001],
                &[V6 | 0xfffe, V6 | 0x1_0002],
            ),
        ),
        rule(
            Operator::Set,
            set,
            (&[V4 | 7, V4 | 64, V4 | 127], &[V4 | 8, V4 | 63, V4 | 128]),
            (&[V6_SITE | 1], &[V6 | 1, V6_SITE + (1 << 80)]),
        ),
        rule(
            Operator::Negation,
            negation,
            (&[V4 | 6, V4 | 8, 0, 0xffff_ffff], &[V4 | 7]),
            (&[V6 | 1, u128::MAX], &[V6_SITE, V6_SITE | 1]),
        ),
        rule(
            Operator::Negation,
            negation_of_set,
            (&[V4 | 65, V4 | 67], &[V4 | 66, V4 | 63]),
            (&[V6_SITE | 4, V6_SITE | 6], &[V6_SITE | 5, V6 | 5]),
        ),
    ]
}
