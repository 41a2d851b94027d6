//! Packets aimed at a rule set or an address list, drawn from a seed.

mod distinct;
mod host;
mod region;
mod regions;
mod zipf;

use self::zipf::Zipf;
pub use self::{
    distinct::distinct,
    host::between_hosts,
    region::Region,
    regions::{Listed, Regions},
};
use crate::{random::Random, tuple::Tuple};

/// The number of consecutive packets that match after which the stream of misses ends.
const PATIENCE: u32 = 10_000;

/// The maximum length of a run of one packet.
const LONGEST_RUN: f64 = 65_536.0;

/// The distribution of packets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pattern {
    /// Inside a rule, or a member of a list, each as likely as any other.
    Uniform,
    /// Inside a rule, where the rule of rank `k` in a random order is `1 / k^exponent` times as
    /// likely as the first.
    Zipf {
        /// How unequal rules are; 1 is usual.
        exponent: f64,
    },
    /// Inside a rule, the same packet several times in a row, with run lengths from a Pareto
    /// distribution of this shape and scale 1: the locality of ClassBench's trace generator.
    Pareto {
        /// How seldom runs are long; 1 is usual.
        shape: f64,
    },
    /// At the corners of rules: the first and last addresses of prefixes and the ends of port
    /// ranges, and in half of the cases just outside in some field.
    Boundary,
    /// Packets that no rule matches, half of them just outside one. The stream ends if every packet
    /// tried matches.
    Misses,
}

/// A stream of packets, the same for the same seed, which only ends for [`Pattern::Misses`].
#[derive(Clone, Debug)]
pub struct Stream<'a, T> {
    regions: &'a T,
    pattern: Pattern,
    random: Random,
    zipf: Option<Zipf>,
    /// The packet that is repeated, and the remaining number of repetitions.
    run: Option<(Tuple, u32)>,
}

impl<'a, T: Regions> Stream<'a, T> {
    /// Starts the stream that belongs to `seed`. It is empty if there are no regions.
    #[must_use]
    pub fn new(regions: &'a T, pattern: Pattern, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let zipf = match pattern {
            Pattern::Zipf { exponent } => Some(Zipf::new(regions.len(), exponent, &mut random)),
            Pattern::Uniform | Pattern::Pareto { .. } | Pattern::Boundary | Pattern::Misses => None,
        };
        Self {
            regions,
            pattern,
            random,
            zipf,
            run: None,
        }
    }

    fn region(&mut self) -> Option<Region> {
        let index = match &self.zipf {
            Some(zipf) => zipf.draw(&mut self.random)?,
            None => usize::try_from(self.random.below(self.regions.len() as u64)).ok()?,
        };
        self.regions.region(index)
    }

    fn inside(&mut self) -> Option<Tuple> {
        Some(self.region()?.inside(&mut self.random))
    }

    fn corner(&mut self) -> Option<Tuple> {
        Some(self.region()?.corner(&mut self.random))
    }

    fn miss(&mut self) -> Option<Tuple> {
        for _ in 0..PATIENCE {
            let region = self.region()?;
            let tuple = if self.random.below(2) == 0 {
                region.corner(&mut self.random)
            } else {
                Region::everything(region.family()).inside(&mut self.random)
            };
            if !self.regions.matches(&tuple) {
                return Some(tuple);
            }
        }
        None
    }

    fn run(&mut self, shape: f64) -> Option<Tuple> {
        let (tuple, left) = match self.run {
            Some((tuple, left @ 1..)) => (tuple, left),
            Some((_, 0)) | None => {
                let tuple = self.inside()?;
                // Above 0 and at most 1.
                let chance = (self.random.below(1 << 32) + 1) as f64 / (1_u64 << 32) as f64;
                let length = chance.powf(-1.0 / shape).min(LONGEST_RUN);
                (tuple, length as u32)
            }
        };
        self.run = Some((tuple, left.saturating_sub(1)));
        Some(tuple)
    }
}

impl<T: Regions> Iterator for Stream<'_, T> {
    type Item = Tuple;

    fn next(&mut self) -> Option<Tuple> {
        match self.pattern {
            Pattern::Uniform | Pattern::Zipf { .. } => self.inside(),
            Pattern::Pareto { shape } => self.run(shape),
            Pattern::Boundary => self.corner(),
            Pattern::Misses => self.miss(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::rulesets::{
        AddressList, Family, Index, Prefix, Verdict,
        generate::{self, FilterKind},
    };

    #[test]
    fn packets_are_inside_or_outside_as_asked() {
        for family in [Family::V4, Family::V6] {
            let set = generate::rule_set(FilterKind::Acl, family, 300, Verdict::Drop, 1);
            let index = Index::new(&set);
            let hits = |pattern| {
                let stream = Stream::new(&index, pattern, 1).take(1000);
                stream.filter(|tuple| index.matches(tuple)).count()
            };
            assert_eq!(hits(Pattern::Uniform), 1000);
            assert_eq!(hits(Pattern::Zipf { exponent: 1.0 }), 1000);
            assert_eq!(hits(Pattern::Pareto { shape: 1.0 }), 1000);
            assert!((500..1000).contains(&hits(Pattern::Boundary)));
            assert_eq!(hits(Pattern::Misses), 0);
            assert_eq!(
                Stream::new(&index, Pattern::Misses, 1).take(1000).count(),
                1000
            );
        }
    }

    #[test]
    fn members_of_lists_are_hit_and_missed() {
        for family in [Family::V4, Family::V6] {
            for list in [
                generate::prefixes(1000, family, 1),
                generate::every_other_address(family),
            ] {
                let listed = Listed::new(&list);
                let is_member =
                    |tuple: &Tuple| list.members.iter().any(|member| member.contains(tuple.src));
                assert!(
                    Stream::new(&listed, Pattern::Uniform, 1)
                        .take(300)
                        .all(|t| is_member(&t))
                );
                assert!(
                    !Stream::new(&listed, Pattern::Misses, 1)
                        .take(300)
                        .any(|t| is_member(&t))
                );
            }
        }
    }

    #[test]
    fn where_everything_matches_there_are_no_misses() {
        let list = AddressList {
            members: vec![Prefix::any(Family::V4).into()],
        };
        assert_eq!(
            Stream::new(&Listed::new(&list), Pattern::Misses, 1).next(),
            None
        );
        let nothing = AddressList::default();
        let nothing = Listed::new(&nothing);
        for pattern in [
            Pattern::Uniform,
            Pattern::Zipf { exponent: 1.0 },
            Pattern::Misses,
        ] {
            assert_eq!(Stream::new(&nothing, pattern, 1).next(), None);
        }
    }

    #[test]
    fn some_packets_come_more_often_than_others() {
        let set = generate::rule_set(FilterKind::Acl, Family::V4, 500, Verdict::Drop, 1);
        let index = Index::new(&set);
        let most_frequent = |pattern| {
            let mut counts: HashMap<_, u32> = HashMap::new();
            for tuple in Stream::new(&index, pattern, 1).take(20_000) {
                *counts.entry(index.decide(&tuple).rule).or_default() += 1;
            }
            counts.into_values().max().unwrap()
        };
        let zipf = most_frequent(Pattern::Zipf { exponent: 1.0 });
        assert!(zipf > 2000, "{zipf}");
        let stream: Vec<_> = Stream::new(&index, Pattern::Pareto { shape: 1.0 }, 1)
            .take(20_000)
            .collect();
        let repeated = stream.windows(2).filter(|pair| pair[0] == pair[1]).count();
        assert!(repeated > 10_000, "{repeated}");
    }
}
