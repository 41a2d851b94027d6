//! Reduces a rule set as long as it still shows a fault.

use std::sync::Arc;

use rules::{
    field::{AddressSet, RangeSet, Value},
    model::{Matches, Rule, Ruleset},
};

/// Removes rules, fields and ranges as long as the rest still shows the fault.
///
/// The time is quadratic in the size of the rule set, but is only spent after a failure.
#[must_use]
pub fn shrink(ruleset: &Ruleset, faulty: impl Fn(&Ruleset) -> bool) -> Ruleset {
    let mut smallest = ruleset.clone();
    let with = |smallest: &Ruleset, rules: Vec<Rule>| Ruleset {
        rules,
        ..smallest.clone()
    };
    loop {
        let before = smallest.clone();
        let rules = smaller(&smallest.rules, |rules| {
            faulty(&with(&smallest, rules.to_vec()))
        });
        smallest.rules = rules;
        for index in 0..smallest.rules.len() {
            while let Some(simpler) = simpler(&smallest.rules[index].matches)
                .into_iter()
                .map(|matches| {
                    let mut candidate = smallest.clone();
                    candidate.rules[index].matches = matches;
                    candidate
                })
                .find(|candidate| faulty(candidate))
            {
                smallest = simpler;
            }
        }
        if smallest == before {
            return smallest;
        }
    }
}

/// Removes ever smaller runs of elements, as long as the rest is faulty.
fn smaller<T: Clone>(elements: &[T], faulty: impl Fn(&[T]) -> bool) -> Vec<T> {
    let mut kept = elements.to_vec();
    let mut run = kept.len();
    while run > 0 {
        let mut at = 0;
        while at < kept.len() {
            let mut candidate = kept.clone();
            candidate.drain(at..(at + run).min(kept.len()));
            if faulty(&candidate) {
                kept = candidate;
            } else {
                at += run;
            }
        }
        run /= 2;
    }
    kept
}

/// Variants of the conditions with one field left out or its set reduced.
fn simpler(matches: &Matches) -> Vec<Matches> {
    let mut found = Vec::new();
    macro_rules! without {
        ($($field:ident),*) => {$(
            if matches.$field.is_some() {
                found.push(Matches { $field: None, ..matches.clone() });
            }
        )*};
    }
    without!(
        interface,
        family,
        src,
        dst,
        proto,
        sport,
        dport,
        tcp_flags,
        icmp,
        ethertype,
        vlan,
        src_mac,
        dst_mac,
        length,
        ttl,
        dscp,
        ip_option,
        fragment,
        in_interface,
        forwarded,
        mark,
        state
    );
    macro_rules! smaller {
        ($($field:ident),*) => {$(
            for set in matches.$field.iter().flat_map(subsets) {
                found.push(Matches { $field: Some(set), ..matches.clone() });
            }
        )*};
    }
    smaller!(
        proto, sport, dport, tcp_flags, ethertype, src_mac, dst_mac, length, ttl, dscp, ip_option,
        mark
    );
    if let Some(set) = &matches.src {
        found.extend(addresses(set).map(|set| Matches {
            src: Some(set),
            ..matches.clone()
        }));
    }
    if let Some(set) = &matches.dst {
        found.extend(addresses(set).map(|set| Matches {
            dst: Some(set),
            ..matches.clone()
        }));
    }
    found
}

fn addresses(set: &AddressSet) -> impl Iterator<Item = Arc<AddressSet>> {
    let v4 = subsets(&set.v4).into_iter().map(|v4| AddressSet {
        v4,
        v6: set.v6.clone(),
    });
    let v6 = subsets(&set.v6).into_iter().map(|v6| AddressSet {
        v4: set.v4.clone(),
        v6,
    });
    v4.chain(v6).map(Arc::new)
}

/// The halves of a set of several ranges.
fn subsets<T: Value>(set: &RangeSet<T>) -> Vec<RangeSet<T>> {
    let ranges = set.ranges();
    if ranges.len() < 2 {
        return Vec::new();
    }
    let (first, last) = ranges.split_at(ranges.len() / 2);
    [first, last]
        .map(|half| RangeSet::from_ranges(half.to_vec()))
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{random::Random, rulesets::ruleset, shapes::Shape};

    #[test]
    fn what_is_left_is_only_what_the_fault_needs() {
        let ruleset = ruleset(&mut Random::new(1), Shape::Hundreds);
        let named = |wanted: &Ruleset, name: &str| wanted.rules.iter().any(|r| r.name == name);
        let left = shrink(&ruleset, |set| {
            named(set, "rule 3") && named(set, "rule 17")
        });
        let names: Vec<&str> = left.rules.iter().map(|rule| rule.name.as_str()).collect();
        assert_eq!(names, ["rule 3", "rule 17"]);
        assert!(
            left.rules
                .iter()
                .all(|rule| rule.matches == Matches::default())
        );
    }
}
