//! Sets designed to be hard for the compiler, for the size of its tables, or for the search.

use std::net::Ipv6Addr;

use crate::{
    packet::protocol,
    random::Random,
    rulesets::{
        AddressList, AddressRange, Family, ListPolicy, PortRange, Prefix, Rule, RuleSet, Verdict,
        family::number,
    },
};

/// 10.0.0.0/16 and 2001:db8::/112, which contain the densest lists.
fn network(family: Family) -> u128 {
    match family {
        Family::V4 => 0x0a00_0000,
        Family::V6 => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0).into(),
    }
}

/// Chains of source prefixes of every length, each within the previous one: an address in the
/// middle of a chain is in 32 or 128 of them, the longest of which comes first. Verdicts alternate
/// along a chain. Prefixes shared by two chains occur once.
#[must_use]
pub fn nested_prefixes(family: Family, chains: usize, seed: u64) -> RuleSet {
    let mut random = Random::new(seed);
    let mut prefixes = Vec::new();
    for _ in 0..chains {
        let bits = u128::from(random.number()) << 64 | u128::from(random.number());
        let address = family.address(bits);
        prefixes.extend((1..=family.bits()).filter_map(|length| Prefix::new(address, length)));
    }
    prefixes.sort_by_key(|prefix| (std::cmp::Reverse(prefix.length()), number(prefix.first())));
    prefixes.dedup();
    let rules = prefixes.into_iter().map(|prefix| {
        let verdict = if prefix.length() % 2 == 0 {
            Verdict::Drop
        } else {
            Verdict::Pass
        };
        Rule::of_source(prefix, verdict)
    });
    RuleSet {
        rules: rules.collect(),
        default: Verdict::Drop,
    }
}

/// TCP rules for all addresses, each with a destination port of its own; at most 65,536.
#[must_use]
pub fn different_ports(family: Family, count: usize) -> RuleSet {
    let rules = (0..=u16::MAX).take(count).map(|port| Rule {
        protocol: Some(protocol::TCP),
        dport: PortRange::single(port),
        ..Rule::of_source(Prefix::any(family), Verdict::of_index(port.into()))
    });
    RuleSet {
        rules: rules.collect(),
        default: Verdict::Drop,
    }
}

/// Like [`different_ports`], and in each rule a range of source ports that lies within that of the
/// previous rule. No two ports of either side are matched by the same rules, so the number of pairs
/// to distinguish may be the square of the number of rules.
#[must_use]
pub fn crossed_ports(family: Family, count: usize) -> RuleSet {
    let mut set = different_ports(family, count);
    for (rule, port) in set.rules.iter_mut().zip(0..=u16::MAX) {
        let range = PortRange::new(port / 2, u16::MAX - port.div_ceil(2));
        rule.sport = range.unwrap_or(PortRange::ANY);
    }
    set
}

/// A rule for each of `count` consecutive addresses, with alternating verdicts.
#[must_use]
pub fn alternating_hosts(family: Family, count: u32) -> RuleSet {
    let rules = (0..count).map(|host| {
        let address = family.address(network(family) + u128::from(host));
        let verdict = if host % 2 == 0 {
            Verdict::Pass
        } else {
            Verdict::Drop
        };
        Rule::of_source(Prefix::host(address), verdict)
    });
    RuleSet {
        rules: rules.collect(),
        default: Verdict::Drop,
    }
}

/// Every other address of one /16 (in IPv6, of one /112): 65,536 bounds under one prefix.
#[must_use]
pub fn every_other_address(family: Family) -> AddressList {
    hosts(family, (0..1 << 16).step_by(2))
}

/// Every address of one /16 (in IPv6, of one /112), as single addresses.
#[must_use]
pub fn every_address(family: Family) -> AddressList {
    hosts(family, 0..1 << 16)
}

/// `count` IPv6 addresses that have all bits but the last 32 in common.
#[must_use]
pub fn last_bits(count: usize, seed: u64) -> AddressList {
    let mut random = Random::new(seed);
    let mut members = std::collections::BTreeSet::new();
    while members.len() < count {
        members.insert(random.below(1 << 32));
    }
    hosts(Family::V6, members)
}

/// A rule for each member of a list, whose verdicts are those of [`Verdict::of_index`]; a range
/// that is not a prefix becomes one rule per prefix.
#[must_use]
pub fn one_rule_each(list: &AddressList, default: Verdict) -> RuleSet {
    let policy = ListPolicy {
        listed: Verdict::Drop,
        others: default,
    };
    let mut set = RuleSet::of_list(list, policy);
    set.spread_verdicts();
    set
}

fn hosts(family: Family, hosts: impl IntoIterator<Item = u64>) -> AddressList {
    let members = hosts.into_iter().map(|host| {
        let address = family.address(network(family) + u128::from(host));
        AddressRange::single(address)
    });
    AddressList {
        members: members.collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn chains_are_as_deep_as_addresses_are_long() {
        for family in [Family::V4, Family::V6] {
            let set = nested_prefixes(family, 1, 1);
            assert_eq!(set.rules.len(), usize::from(family.bits()));
            let innermost = set.rules[0].src.first();
            assert!(set.rules.iter().all(|rule| rule.src.contains(innermost)));
            let many = nested_prefixes(family, 100, 1).rules;
            assert!(many.len() > 90 * usize::from(family.bits() - 8));
        }
    }

    #[test]
    fn no_two_rules_name_the_same_ports() {
        let rules = crossed_ports(Family::V4, 1 << 17).rules;
        assert_eq!(rules.len(), 1 << 16);
        let ports: HashSet<_> = rules.iter().map(|rule| rule.dport).collect();
        assert_eq!(ports.len(), 1 << 16);
        let within = |[outer, inner]: &[Rule; 2]| {
            outer.sport.first() <= inner.sport.first() && inner.sport.last() < outer.sport.last()
                || outer.sport.first() < inner.sport.first()
                    && inner.sport.last() <= outer.sport.last()
        };
        assert!(rules.array_windows().all(within));
    }

    #[test]
    fn lists_fill_one_prefix() {
        for family in [Family::V4, Family::V6] {
            assert_eq!(every_address(family).merged().members.len(), 1);
            assert_eq!(every_other_address(family).merged().members.len(), 1 << 15);
        }
        assert_eq!(last_bits(1000, 1).members.len(), 1000);
    }
}
