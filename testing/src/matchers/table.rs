//! The rules of all fields, and which combinations have no packet.

use rules::field::FieldName;

use super::{
    address, dscp, ethertype, family, fragment, icmp_type, interface, ip_option, length, mac,
    matcher::{Aspect, Kind, Matcher, Operator, can_be},
    outgoing, ports, proto, state, tcp_flags, ttl, vlan,
};

/// The rules of all fields.
#[must_use]
pub fn table() -> Vec<Matcher> {
    FieldName::ALL.iter().flat_map(|field| of(*field)).collect()
}

/// The combinations of field, operator, kind and aspect for which the table has no packet.
#[must_use]
pub fn missing(table: &[Matcher]) -> Vec<String> {
    let mut missing = Vec::new();
    for &field in FieldName::ALL {
        for &operator in operators(field) {
            for &kind in Kind::ALL {
                for &aspect in Aspect::ALL {
                    let is_there = || {
                        table
                            .iter()
                            .filter(|matcher| {
                                (matcher.field, matcher.operator) == (field, operator)
                            })
                            .flat_map(|matcher| &matcher.packets)
                            .any(|packet| (packet.kind, packet.aspect) == (kind, aspect))
                    };
                    if can_be(field, kind, aspect) && !is_there() {
                        let name = field.as_str();
                        missing.push(format!("`{name}`: {operator:?}, {kind:?}, {aspect:?}"));
                    }
                }
            }
        }
    }
    missing
}

/// The rules of a field.
fn of(field: FieldName) -> Vec<Matcher> {
    match field {
        FieldName::Interface => interface::matchers(),
        FieldName::InInterface => outgoing::of_in_interface(),
        FieldName::Forwarded => outgoing::of_forwarded(),
        FieldName::Mark => outgoing::of_mark(),
        FieldName::Family => family::matchers(),
        FieldName::Ethertype => ethertype::matchers(),
        FieldName::Vlan => vlan::matchers(),
        FieldName::SrcMac => mac::of_source(),
        FieldName::DstMac => mac::of_destination(),
        FieldName::Src => address::of_source(),
        FieldName::Dst => address::of_destination(),
        FieldName::Proto => proto::matchers(),
        FieldName::Sport => ports::of_source(),
        FieldName::Dport => ports::of_destination(),
        FieldName::TcpFlags => tcp_flags::matchers(),
        FieldName::IcmpType => icmp_type::matchers(),
        FieldName::Length => length::matchers(),
        FieldName::Ttl => ttl::matchers(),
        FieldName::Dscp => dscp::matchers(),
        FieldName::IpOption => ip_option::matchers(),
        FieldName::Fragment => fragment::matchers(),
        FieldName::State => state::matchers(),
    }
}

/// The operators that a field supports.
const fn operators(field: FieldName) -> &'static [Operator] {
    use Operator::{List, Negation, Range, Set, Single};
    match field {
        FieldName::Family | FieldName::Fragment | FieldName::Forwarded => &[Single],
        FieldName::TcpFlags | FieldName::State => &[Single, List, Negation],
        FieldName::Interface
        | FieldName::InInterface
        | FieldName::Mark
        | FieldName::Ethertype
        | FieldName::Vlan
        | FieldName::SrcMac
        | FieldName::DstMac
        | FieldName::Proto
        | FieldName::IcmpType
        | FieldName::Length
        | FieldName::Ttl
        | FieldName::Dscp
        | FieldName::IpOption => &[Single, List, Range, Negation],
        FieldName::Src | FieldName::Dst | FieldName::Sport | FieldName::Dport => {
            &[Single, List, Range, Set, Negation]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_give_their_values_by_the_operator_that_they_stand_for() {
        for matcher in table() {
            let (value, sets) = matcher
                .rule
                .split_once("[sets]")
                .unwrap_or((matcher.rule, ""));
            let has = |text| value.contains(text);
            let fits = match matcher.operator {
                Operator::Single => !has("[") && !has("@") && !has("\"!"),
                Operator::List => has("[") && has(",") && !has("\"!"),
                Operator::Range => has("-") || has("/") || has("*") || has("?"),
                Operator::Set => has("@") && !sets.is_empty(),
                Operator::Negation => has("\"!"),
            };
            assert!(fits, "{:?}: {}", matcher.operator, matcher.rule);
        }
    }

    #[test]
    fn a_combination_without_a_packet_is_named() {
        let mut table = table();
        assert_eq!(missing(&table), Vec::<String>::new());
        for matcher in &mut table {
            if (matcher.field, matcher.operator) == (FieldName::Ttl, Operator::Range) {
                matcher.packets.retain(|packet| {
                    (packet.kind, packet.aspect) != (Kind::Ipv6, Aspect::Truncated)
                });
            }
        }
        assert_eq!(missing(&table), ["`ttl`: Range, Ipv6, Truncated"]);
    }
}
