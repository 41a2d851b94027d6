//! `ip_option`.

use rules::field::FieldName;

use super::{
    Kind, Matcher, Operator,
    subject::{Draft, Subject, UDP, of_kind, plain},
};
use crate::frames::Layer3;

/// The options of a packet, the bytes of a number: the first that is not 0 begins the list.
fn put(draft: &mut Draft, list: u128) {
    if let Layer3::Ipv4 { options, .. } = &mut draft.recipe.layer3 {
        let bytes = list.to_be_bytes();
        let start = bytes.iter().position(|byte| *byte != 0);
        *options = bytes[start.unwrap_or(bytes.len() - 4)..].to_vec();
    }
}

fn having(kind: Kind) -> Vec<Draft> {
    let mut tagged = plain(kind, UDP);
    tagged.tag(0x8100, 7);
    let mut later = plain(kind, UDP);
    later.fragment(8, true);
    match kind {
        Kind::Ipv4 => vec![plain(kind, UDP), tagged, later],
        Kind::Ipv6 | Kind::Other => Vec::new(),
    }
}

/// A packet of IPv4 whose header has no more than 20 bytes, one whose only option is not whole, and
/// what is not IPv4.
fn lacking(kind: Kind) -> Vec<Draft> {
    match kind {
        Kind::Ipv4 => {
            let mut broken = plain(kind, UDP);
            put(&mut broken, 0x9405_0000);
            let mut short = plain(kind, UDP);
            put(&mut short, 0x9401_0000);
            vec![plain(kind, UDP), broken, short]
        }
        Kind::Ipv6 | Kind::Other => of_kind(kind),
    }
}

const EOL: u128 = 0;
const NOPS: u128 = 0x0101_0101;
const ALERT: u128 = 0x9404_0000;
/// The route is after an option that does nothing, and the end of the list is after it.
const NOP_LSRR: u128 = 0x0183_0304_0000_0000;
const RR_SSRR: u128 = 0x0703_0489_0304_0101;
/// What is after the end is no option.
const EOL_ALERT: u128 = 0x0100_9404_0000_0000;
/// The second option is longer than the header.
const NOP_AND_BROKEN_ALERT: u128 = 0x0101_9403;
const STREAM: u128 = 0x8804_0000;

pub(super) fn matchers() -> Vec<Matcher> {
    let subject = Subject {
        field: FieldName::IpOption,
        drafts: having,
        put,
        lacking,
    };
    vec![
        subject.alike(
            Operator::Single,
            r#"ip_option = "router-alert""#,
            &[ALERT, 0x0194_0400_0000_0000],
            &[
                NOPS,
                EOL,
                NOP_LSRR,
                RR_SSRR,
                EOL_ALERT,
                NOP_AND_BROKEN_ALERT,
            ],
        ),
        subject.alike(
            Operator::Single,
            "ip_option = 1",
            &[NOPS, NOP_LSRR, RR_SSRR, EOL_ALERT, NOP_AND_BROKEN_ALERT],
            &[ALERT, EOL, STREAM],
        ),
        subject.alike(
            Operator::List,
            r#"ip_option = ["lsrr", "strict-source-route", 7]"#,
            &[NOP_LSRR, RR_SSRR],
            &[ALERT, NOPS, EOL],
        ),
        subject.alike(
            Operator::Range,
            r#"ip_option = "131-137""#,
            &[NOP_LSRR, RR_SSRR, STREAM],
            &[ALERT, NOPS, EOL],
        ),
        subject.alike(
            Operator::Negation,
            r#"ip_option = ["!eol", "!nop", "!router-alert"]"#,
            &[NOP_LSRR, RR_SSRR, STREAM],
            &[ALERT, NOPS, EOL, EOL_ALERT],
        ),
    ]
}
