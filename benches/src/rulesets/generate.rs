//! Generates rule sets and address lists from a seed, reproducibly on every machine.
//!
//! [`rule_set`] makes sets in the style of ClassBench (D. Taylor and J. Turner, "ClassBench: A
//! Packet Classification Benchmark", 2007). Like that generator, it takes from a kind of filter the
//! joint distribution of both prefix lengths, the degree to which addresses share prefixes, and the
//! combinations of ports and protocols, and draws rules accordingly. The parameters
//! ([`FilterKind`]) are those of published sets: `acl` after acl1 to acl5, `fw` after fw1, fw3 and
//! fw5, `ipc` after ipc1. [`Statistics`](super::Statistics) computes them for comparison.
//!
//! IPv6 sets have the same structure, stretched over longer addresses: a site's prefix of 21 to 28
//! bits becomes one of 44 to 64 bits, and hosts have full addresses.

mod addresses;
mod adversarial;
mod choice;
mod kind;
mod lists;
mod upper;

use std::collections::HashSet;

use self::{addresses::AddressTree, choice::Weights, kind::FilterProfile, upper::Upper};
pub use self::{
    adversarial::{
        alternating_hosts, crossed_ports, different_ports, every_address, every_other_address,
        last_bits, nested_prefixes, one_rule_each,
    },
    kind::FilterKind,
    lists::{addresses, prefixes},
};
use super::{Family, Rule, RuleSet, Verdict};
use crate::random::Random;

/// The number of consecutive duplicate rules after which the set stays smaller than requested.
const PATIENCE: u32 = 10_000;

/// Generates a rule set of `size` different rules, the specific ones before the general ones.
///
/// The verdicts are those of [`Verdict::of_index`].
#[must_use]
pub fn rule_set(
    kind: FilterKind,
    family: Family,
    size: usize,
    default: Verdict,
    seed: u64,
) -> RuleSet {
    let mut random = Random::new(seed);
    let mut generator = Generator::new(kind.profile(), family);
    let mut known = HashSet::with_capacity(size);
    let mut rules = Vec::with_capacity(size);
    let mut failures = 0;
    while rules.len() < size && failures < PATIENCE {
        let rule = generator.rule(&mut random);
        if known.insert(rule) {
            rules.push(rule);
            failures = 0;
        } else {
            failures += 1;
        }
    }
    rules.sort_by_key(|rule| {
        let upper = u16::from(rule.protocol.is_none()) + u16::from(rule.dport.is_any());
        let bits = u16::from(rule.src.length()) + u16::from(rule.dst.length());
        (std::cmp::Reverse(bits), upper)
    });
    let mut set = RuleSet { rules, default };
    set.spread_verdicts();
    set
}

/// The state between one rule and the next.
struct Generator {
    profile: &'static FilterProfile,
    family: Family,
    sources: AddressTree,
    destinations: AddressTree,
    upper: Upper,
}

impl Generator {
    fn new(profile: &'static FilterProfile, family: Family) -> Self {
        Self {
            profile,
            family,
            sources: AddressTree::new(family, profile.src_spread),
            destinations: AddressTree::new(family, profile.dst_spread),
            upper: Upper::new(&profile.upper),
        }
    }

    fn rule(&mut self, random: &mut Random) -> Rule {
        let &(src, dst) = Weights::of(self.profile.sides).draw(random);
        let src = src.length(self.family, random);
        let dst = dst.length(self.family, random);
        let src = self.sources.prefix(src, None, random);
        let near = random.below(100) < self.profile.same_site;
        let dst = self.destinations.prefix(dst, near.then_some(src), random);
        let rule = Rule {
            dst,
            ..Rule::of_source(src, Verdict::Drop)
        };
        self.upper.fill(rule, random)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_have_the_size_and_family_that_is_asked_for() {
        for kind in FilterKind::ALL {
            for family in [Family::V4, Family::V6] {
                for size in [0, 1, 100, 20_000] {
                    let set = rule_set(kind, family, size, Verdict::Drop, 1);
                    assert_eq!(set.rules.len(), size, "{kind:?} {family:?}");
                    let of_family =
                        |rule: &Rule| rule.src.family() == family && rule.dst.family() == family;
                    assert!(set.rules.iter().all(of_family));
                    let open = |rule: &Rule| Rule {
                        verdict: Verdict::Drop,
                        ..*rule
                    };
                    let different: HashSet<_> = set.rules.iter().map(open).collect();
                    assert_eq!(different.len(), size);
                }
            }
        }
    }

    #[test]
    fn the_same_seed_makes_the_same_set() {
        let set = |seed| rule_set(FilterKind::Ipc, Family::V6, 500, Verdict::Drop, seed);
        assert_eq!(set(7), set(7));
        assert_ne!(set(7), set(8));
    }

    #[test]
    fn a_hundred_thousand_rules_are_made_and_written() {
        let set = rule_set(FilterKind::Acl, Family::V4, 100_000, Verdict::Drop, 1);
        assert_eq!(set.rules.len(), 100_000);
        let settings = crate::rulesets::write::firewall::Settings {
            interface: "eth0",
            mode: "native",
        };
        let text = crate::rulesets::write::firewall::rules(&set, settings);
        assert_eq!(text.matches("[[rule]]").count(), 100_000);
    }
}
