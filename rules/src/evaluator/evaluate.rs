//! The verdict on a frame or its fields: a scan over the rules, and the defaults after them.

use std::net::IpAddr;

use firewall_ebpf::abi::Reason;

use super::{
    decode::{Fields, decode},
    mismatch::matches,
    outcome::{Evaluation, Outcome},
};
use crate::{
    context::Context,
    field::Family,
    model::{Direction, Parser, RuleAction, Ruleset, Verdict},
};

/// Evaluates a frame, from the Ethernet header on.
///
/// An interface without a name is one for which the rule set was not compiled, and no rule that
/// names an interface in its place matches.
#[must_use]
pub fn evaluate(ruleset: &Ruleset, frame: &[u8], context: &Context<Option<&str>>) -> Evaluation {
    match decode(frame) {
        Ok(fields) => classify(ruleset, &fields, context),
        Err(reason) => Evaluation {
            outcome: Outcome::Reason(reason),
            verdict: match context.direction {
                Direction::In => of_unreadable(&ruleset.settings.parser, reason),
                Direction::Out => ruleset.settings.policy_out,
            },
            counted: Vec::new(),
        },
    }
}

/// The result for a frame that could not be decoded.
fn of_unreadable(parser: &Parser, reason: Reason) -> Verdict {
    match reason {
        Reason::Malformed => parser.malformed,
        Reason::Truncated => parser.truncated,
        Reason::TooManyHeaders => parser.too_many_headers,
        Reason::TooManyTags => parser.too_many_tags,
        // Not a fault of a frame.
        Reason::Policy
        | Reason::Neighbor
        | Reason::NoImage
        | Reason::BadImage
        | Reason::UnknownEthertype
        | Reason::Banned => Verdict::Drop,
    }
}

/// Evaluates the fields of a well-formed frame, like [`evaluate`].
#[must_use]
pub fn classify(ruleset: &Ruleset, fields: &Fields, context: &Context<Option<&str>>) -> Evaluation {
    let mut counted = Vec::new();
    for (id, rule) in ruleset.iter() {
        if rule.direction != context.direction || !matches(&rule.matches, fields, context) {
            continue;
        }
        let verdict = match rule.action {
            RuleAction::Pass => Verdict::Pass,
            RuleAction::Drop => Verdict::Drop,
            RuleAction::Count => {
                counted.push(id);
                continue;
            }
        };
        return Evaluation {
            outcome: Outcome::Rule(id),
            verdict,
            counted,
        };
    }
    let settings = &ruleset.settings;
    let (reason, verdict_in) = if is_neighbor(fields) {
        (Reason::Neighbor, Verdict::Pass)
    } else if fields.family.is_none() {
        (Reason::UnknownEthertype, settings.parser.unknown_ethertype)
    } else {
        (Reason::Policy, settings.policy)
    };
    let verdict = match (context.direction, reason) {
        (Direction::In, _) | (Direction::Out, Reason::Neighbor) => verdict_in,
        (Direction::Out, _) => settings.policy_out,
    };
    Evaluation {
        outcome: Outcome::Reason(reason),
        verdict,
        counted,
    }
}

/// Address resolution; the five messages of neighbor discovery, whole and from this link (RFC
/// 4861, section 4; RFC 6980); multicast listener queries from this link (RFC 2710); queries of IGMP
/// to this link (RFC 3376).
fn is_neighbor(fields: &Fields) -> bool {
    const ARP: u16 = 0x0806;
    let whole = fields.is_fragment == Some(false);
    match (fields.family, fields.src, fields.icmp) {
        (None, _, _) => fields.ethertype == ARP,
        (Some(Family::Ipv6), Some(IpAddr::V6(src)), Some(message)) if whole => {
            match (message.to_be_bytes(), fields.hop_limit) {
                ([130, _], Some(1)) => src.is_unicast_link_local(),
                ([133..=137, _], Some(255)) => true,
                (_, _) => false,
            }
        }
        (Some(Family::Ipv4), _, _) => fields.is_group_query,
        (Some(Family::Ipv6), _, _) => false,
    }
}
