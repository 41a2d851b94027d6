//! A rule set with a fast search, for drawing packets that no rule matches and for long traffic.

use std::{collections::HashMap, net::IpAddr};

use super::{
    Decision, Rule, RuleSet,
    family::{Family, number},
};
use crate::tuple::Tuple;

/// A rule set whose rules are found by the lengths of their prefixes: tuple space search (V.
/// Srinivasan, S. Suri and G. Varghese, "Packet Classification Using Tuple Space Search", 1999). It
/// decides like [`RuleSet::decide`].
#[derive(Clone, Debug)]
pub struct Index<'a> {
    set: &'a RuleSet,
    spaces: Vec<Space>,
}

/// The rules with prefixes of certain lengths.
#[derive(Clone, Debug)]
struct Space {
    family: Family,
    src_mask: u128,
    dst_mask: u128,
    /// The first rule of all.
    first: usize,
    /// The rules by their prefixes, ascending.
    rules: HashMap<(u128, u128), Vec<usize>>,
}

impl<'a> Index<'a> {
    /// Builds the index.
    #[must_use]
    pub fn new(set: &'a RuleSet) -> Self {
        let mut places = HashMap::new();
        let mut spaces: Vec<Space> = Vec::new();
        for (index, rule) in set.rules.iter().enumerate() {
            let family = rule.src.family();
            let lengths = (family, rule.src.length(), rule.dst.length());
            let place = *places.entry(lengths).or_insert(spaces.len());
            if place == spaces.len() {
                spaces.push(Space {
                    family,
                    src_mask: !rule.src.host_mask(),
                    dst_mask: !rule.dst.host_mask(),
                    first: index,
                    rules: HashMap::new(),
                });
            }
            if let Some(space) = spaces.get_mut(place) {
                let key = (number(rule.src.first()), number(rule.dst.first()));
                space.rules.entry(key).or_default().push(index);
            }
        }
        // They are created in the order of their first rules.
        Self { set, spaces }
    }

    /// The rule set.
    #[must_use]
    pub const fn rule_set(&self) -> &'a RuleSet {
        self.set
    }

    /// The same decision as [`RuleSet::decide`].
    #[must_use]
    pub fn decide(&self, tuple: &Tuple) -> Decision {
        let first = self.first(tuple.src, tuple.dst, |_, rule| rule.matches(tuple));
        self.set.decision(first)
    }

    /// The index of the first rule whose prefixes contain these addresses and which `wanted`
    /// accepts.
    pub(super) fn first(
        &self,
        src: IpAddr,
        dst: IpAddr,
        wanted: impl Fn(usize, &Rule) -> bool,
    ) -> Option<usize> {
        let family = Family::of(src);
        let (src, dst) = (number(src), number(dst));
        let mut best: Option<usize> = None;
        for space in &self.spaces {
            if best.is_some_and(|best| best < space.first) {
                break;
            }
            if space.family != family {
                continue;
            }
            let key = (src & space.src_mask, dst & space.dst_mask);
            let candidates = space.rules.get(&key).into_iter().flatten().copied();
            let found = candidates
                .take_while(|index| best.is_none_or(|best| *index < best))
                .find(|index| {
                    let rule = self.set.rules.get(*index);
                    rule.is_some_and(|rule| wanted(*index, rule))
                });
            best = found.or(best);
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        random::Random,
        rulesets::{
            Verdict,
            generate::{FilterKind, rule_set},
            stream::{Pattern, Stream},
        },
    };

    #[test]
    fn the_index_decides_as_the_scan_does() {
        let mut random = Random::new(1);
        for kind in FilterKind::ALL {
            for family in [Family::V4, Family::V6] {
                let set = rule_set(kind, family, 200, Verdict::Pass, random.number());
                let index = Index::new(&set);
                for tuple in Stream::new(&index, Pattern::Boundary, 1).take(2000) {
                    assert_eq!(index.decide(&tuple), set.decide(&tuple), "{tuple:?}");
                }
            }
        }
    }
}
