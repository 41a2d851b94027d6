//! Whether rules let in what a packet out may be an answer to.

use super::read::invoking_fields;
use crate::{
    context::Context,
    evaluator::{
        decode::{Fields, decode},
        mismatch::matches,
    },
    field::{Family, MAX_DSCP, MAX_MAC, MAX_VLAN, RangeSet, State, Value, VlanSet},
    model::{Direction, Matches, Rule, RuleAction, Ruleset, Verdict},
};

/// Whether the rules for packets in, or their policy, let in what a packet out may be an answer to: the packet with its
/// addresses and ports the other way, as a `new` one that arrives on the interface by which the answer leaves.
#[must_use]
pub fn lets_in(ruleset: &Ruleset, frame: &[u8], context: &Context<Option<&str>>) -> bool {
    decode(frame).is_ok_and(|sent| lets_in_answered(ruleset, sent, context))
}

/// Likewise of the packet that an ICMP error is about, which the machine seems to have sent.
#[must_use]
pub fn lets_in_invoking(ruleset: &Ruleset, frame: &[u8], context: &Context<Option<&str>>) -> bool {
    invoking_fields(frame).is_some_and(|sent| lets_in_answered(ruleset, sent, context))
}

fn lets_in_answered(ruleset: &Ruleset, sent: Fields, context: &Context<Option<&str>>) -> bool {
    const ACK: u8 = 0x10;
    let asked = Fields {
        src: sent.dst,
        dst: sent.src,
        sport: sent.dport,
        dport: sent.sport,
        tcp_flags: sent.tcp_flags.map(|_| ACK),
        ..sent
    };
    let arriving = Context::arriving(context.interface);
    let verdict = reverse_verdict(ruleset, &asked, &arriving);
    verdict.unwrap_or(ruleset.settings.policy) == Verdict::Pass
}

/// The verdict of the rules on a packet in of which only the interface, addresses, protocol, ports, TCP flags and ICMP
/// message are known, and that is no fragment; `None` if no rule decides.
///
/// A rule that passes decides over what it may match, a rule that drops over what it must match.
#[must_use]
pub fn reverse_verdict(
    ruleset: &Ruleset,
    fields: &Fields,
    context: &Context<Option<&str>>,
) -> Option<Verdict> {
    let context = context.in_state(State::New);
    let fields = &Fields {
        is_fragment: Some(false),
        ..fields.clone()
    };
    let rules = ruleset.iter().map(|(_, rule)| rule);
    rules
        .filter(|rule| rule.direction == Direction::In)
        .find_map(|rule| says(rule, fields, &context))
}

fn says(rule: &Rule, fields: &Fields, context: &Context<Option<&str>>) -> Option<Verdict> {
    let wanted = &rule.matches;
    let known = Matches {
        length: None,
        ttl: None,
        dscp: None,
        ip_option: None,
        vlan: None,
        src_mac: None,
        dst_mac: None,
        ..wanted.clone()
    };
    if !matches(&known, fields, context) {
        return None;
    }
    match rule.action {
        RuleAction::Pass => may_match(wanted, fields).then_some(Verdict::Pass),
        RuleAction::Drop => must_match(wanted).then_some(Verdict::Drop),
        RuleAction::Count => None,
    }
}

/// Whether the fields that are not known can have values that match.
fn may_match(wanted: &Matches, fields: &Fields) -> bool {
    fn may<T: Value>(set: &Option<RangeSet<T>>) -> bool {
        set.as_ref().is_none_or(|set| !set.is_empty())
    }
    let tags = wanted.vlan.as_ref();
    may(&wanted.length)
        && may(&wanted.ttl)
        && may(&wanted.dscp)
        && may(&wanted.src_mac)
        && may(&wanted.dst_mac)
        && tags.is_none_or(|VlanSet { ids, untagged }| *untagged || !ids.is_empty())
        // Only IPv4 packets have options.
        && may(&wanted.ip_option)
        && (wanted.ip_option.is_none() || fields.family == Some(Family::Ipv4))
}

/// Whether they match, whatever their values are.
fn must_match(wanted: &Matches) -> bool {
    fn must<T: Value>(set: &Option<RangeSet<T>>, last: T) -> bool {
        set.as_ref().is_none_or(|set| set.covers(T::MIN, last))
    }
    let tags = wanted.vlan.as_ref();
    must(&wanted.length, u16::MAX)
        && must(&wanted.ttl, u8::MAX)
        && must(&wanted.dscp, MAX_DSCP)
        && must(&wanted.src_mac, MAX_MAC)
        && must(&wanted.dst_mac, MAX_MAC)
        && tags.is_none_or(|VlanSet { ids, untagged }| *untagged && ids.covers(0, MAX_VLAN))
        && wanted.ip_option.is_none()
}
