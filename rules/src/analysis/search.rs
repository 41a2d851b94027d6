//! Searches a region for a packet that none of the given rules matches.
//!
//! A rule that matches part of the region on only one axis leaves one smaller region. Other rules
//! leave several regions, one for each axis, which are searched until one is found that no rule
//! overlaps, or none is left. Each kind is searched separately, so every packet found can exist.

use std::rc::Rc;

use super::{
    axis::{AXES, Axis},
    budget::{Budget, Exhausted},
    cube::{Cube, Pool},
    region::{Partial, Point, Region, Relations},
    values::{Values, common},
    witness::{USUAL_DST_MAC, USUAL_SRC_MAC},
};
use crate::field::{Form, State};

/// The number of packets tried in each region before it is divided.
const TRIES: u64 = 8;

/// The inputs of a search apart from its question.
pub(super) struct Search<'a> {
    pool: &'a Pool,
    relations: Relations,
    random: u64,
}

/// A region and the rules that match part of it.
struct Open {
    region: Region,
    rules: Rc<[usize]>,
}

impl<'a> Search<'a> {
    pub(super) fn new(pool: &'a Pool) -> Self {
        Self {
            pool,
            relations: Relations::new(pool),
            random: 0,
        }
    }

    /// The rules that overlap the region.
    pub(super) fn overlapping(
        &mut self,
        region: &Region,
        rules: impl IntoIterator<Item = usize>,
        cubes: &[Cube],
        budget: &mut Budget,
    ) -> Result<Vec<(usize, Partial)>, Exhausted> {
        self.relations.begin();
        let mut steps = 0;
        let mut found = Vec::new();
        for rule in rules {
            let partial = self
                .relations
                .partial(region, &cubes[rule], self.pool, &mut steps);
            found.extend(partial.map(|partial| (rule, partial)));
        }
        budget.spend(steps)?;
        Ok(found)
    }

    /// A packet of one of the kinds in the region that none of the rules matches; `None` if they
    /// match all. The rules are indexes of `cubes`; those that contributed to the answer are added
    /// to `used`.
    pub(super) fn left_over(
        &mut self,
        region: &Region,
        kinds: &[Region],
        rules: &[usize],
        cubes: &[Cube],
        used: &mut Vec<usize>,
        budget: &mut Budget,
    ) -> Result<Option<Point>, Exhausted> {
        let rules: Rc<[usize]> = rules.into();
        for region in kinds.iter().filter_map(|kind| region.common(kind)) {
            let rules = Rc::clone(&rules);
            let mut open = vec![Open { region, rules }];
            while let Some(next) = open.pop() {
                if let Some(point) = self.divide(next, cubes, &mut open, used, budget)? {
                    return Ok(Some(point));
                }
            }
        }
        Ok(None)
    }

    /// Finds a packet, or divides the region into open ones.
    fn divide(
        &mut self,
        Open { mut region, rules }: Open,
        cubes: &[Cube],
        open: &mut Vec<Open>,
        used: &mut Vec<usize>,
        budget: &mut Budget,
    ) -> Result<Option<Point>, Exhausted> {
        let mut left = self.overlapping(&region, rules.iter().copied(), cubes, budget)?;
        loop {
            if let Some((rule, _)) = left.iter().find(|(_, partial)| partial.is_none()) {
                used.push(*rule);
                return Ok(None);
            }
            let (single, rest): (Vec<_>, Vec<_>) = left
                .into_iter()
                .partition(|(_, partial)| partial.count() == 1);
            left = rest;
            if single.is_empty() {
                break;
            }
            match self.outside(region, &single, cubes, used, budget)? {
                Some(outside) => region = outside,
                None => return Ok(None),
            }
            let rest = left.iter().map(|(rule, _)| *rule);
            left = self.overlapping(&region, rest, cubes, budget)?;
        }
        if let Some(point) = self.tried(&region, &left, cubes, budget)? {
            return Ok(Some(point));
        }
        let Some(&(rule, partial)) = left.iter().min_by_key(|(_, partial)| partial.count()) else {
            return Ok(None);
        };
        used.push(rule);
        let rules: Rc<[usize]> = left.iter().map(|(rule, _)| *rule).collect();
        let mut parts = Vec::new();
        let mut rest = Some(region);
        for axis in order(partial, &left) {
            let id = cubes[rule][axis as usize];
            let Some(region) = rest else { break };
            budget.spend(1 + region.values(axis).ranges().len() / 8)?;
            parts.extend(region.outside(axis, id, self.pool));
            rest = region.inside(axis, id, self.pool);
        }
        // The last one pushed is the first one popped.
        open.extend(parts.into_iter().rev().map(|region| Open {
            region,
            rules: Rc::clone(&rules),
        }));
        Ok(None)
    }

    /// The part of the region that is left by rules which each match part of it on only one axis:
    /// what one leaves does not change the axes of the others. `None` if nothing is left.
    fn outside(
        &self,
        mut region: Region,
        single: &[(usize, Partial)],
        cubes: &[Cube],
        used: &mut Vec<usize>,
        budget: &mut Budget,
    ) -> Result<Option<Region>, Exhausted> {
        for axis in Axis::ALL {
            let rules = single
                .iter()
                .filter(|(_, partial)| partial.axes().any(|of| of == axis))
                .map(|(rule, _)| *rule);
            let rules: Vec<usize> = rules.collect();
            let mut ids: Vec<_> = rules
                .iter()
                .map(|rule| cubes[*rule][axis as usize])
                .collect();
            ids.sort_unstable();
            ids.dedup();
            if ids.is_empty() {
                continue;
            }
            let values = region.values(axis);
            let mut taken = Vec::new();
            for id in ids {
                taken.extend_from_slice(common(values, self.pool.set(id)).ranges());
            }
            budget.spend(1 + (values.ranges().len() + taken.len()) / 8)?;
            match region.without(axis, &Values::from_ranges(taken)) {
                Some(outside) => region = outside,
                None => {
                    used.extend(rules);
                    return Ok(None);
                }
            }
        }
        used.extend(single.iter().map(|(rule, _)| *rule));
        Ok(Some(region))
    }

    /// A packet of the region that none of the rules matches, if one is found by trying a few.
    fn tried(
        &mut self,
        region: &Region,
        rules: &[(usize, Partial)],
        cubes: &[Cube],
        budget: &mut Budget,
    ) -> Result<Option<Point>, Exhausted> {
        for turn in 0..TRIES {
            let point: Point = Axis::ALL.map(|axis| {
                let preferred = if turn == 0 { usual(region, axis) } else { None };
                preferred.unwrap_or_else(|| self.any(region, axis))
            });
            let at = rules.iter().position(|(rule, partial)| {
                let takes = |axis: Axis| {
                    let id = cubes[*rule][axis as usize];
                    self.pool.set(id).contains(point[axis as usize])
                };
                partial.axes().all(takes)
            });
            budget.spend(at.unwrap_or(rules.len()) + 1)?;
            if at.is_none() {
                return Ok(Some(point));
            }
        }
        Ok(None)
    }

    /// A pseudo-random value of the region, the same in each run.
    fn any(&mut self, region: &Region, axis: Axis) -> u128 {
        // The constants are those of Knuth's MMIX generator.
        let mut next = || {
            self.random = self
                .random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            u128::from(self.random >> 32)
        };
        let ranges = region.values(axis).ranges();
        let at = next() as usize % ranges.len().max(1);
        let (first, last) = ranges.get(at).copied().unwrap_or_default();
        let offset = next() << 96 | next() << 64 | next() << 32 | next();
        match (last - first).checked_add(1) {
            Some(width) => first + offset % width,
            None => offset,
        }
    }
}

/// The axes on which the rule is partial, beginning with those on which the fewest rules are:
/// outside the rule on such an axis, few rules are left.
fn order(partial: Partial, rules: &[(usize, Partial)]) -> Vec<Axis> {
    let mut counts = [0_usize; AXES];
    for (_, partial) in rules {
        for axis in partial.axes() {
            counts[axis as usize] += 1;
        }
    }
    let mut axes: Vec<Axis> = partial.axes().collect();
    axes.sort_by_key(|axis| counts[*axis as usize]);
    axes
}

/// A familiar value, if the region contains it; otherwise the first one.
fn usual(region: &Region, axis: Axis) -> Option<u128> {
    const SYN: u128 = 2;
    let values = region.values(axis);
    let known: [Option<u128>; 2] = match axis.form() {
        Form::Interface | Form::Family | Form::Forwarded | Form::Mark | Form::Proto => [None, None],
        Form::InInterface => [Some(super::axis::ABSENT), None],
        Form::Vlan => [Some(super::axis::ABSENT), None],
        Form::SrcMac => [Some(USUAL_SRC_MAC.0.into()), None],
        Form::DstMac => [Some(USUAL_DST_MAC.0.into()), None],
        // The minimum that the headers need, except for ICMP and ICMPv6, of which some messages are
        // longer.
        Form::Length(_) => match values.ranges().first() {
            Some((24, _)) => [Some(28), None],
            Some((44, _)) => [Some(48), None],
            Some(_) | None => [None, None],
        },
        Form::Number(number) | Form::Options(number) => [Some(number.usual.into()), None],
        // LLDP.
        Form::Ethertype => [Some(0x88cc), None],
        // 2001:db8::9 and 203.0.113.9, 2001:db8::1 and 192.0.2.1.
        Form::Src => [Some(0x2001_0db8 << 96 | 9), Some(0xcb00_7109)],
        Form::Dst => [Some(0x2001_0db8 << 96 | 1), Some(0xc000_0201)],
        Form::Sport => [Some(40_000), None],
        Form::Dport => [Some(80), None],
        Form::TcpFlags => [Some(SYN), None],
        // Echo requests.
        Form::Icmp => [Some(0x0800), Some(0x8000)],
        Form::Fragment => [Some(super::axis::WHOLE), None],
        Form::State => [Some(State::New.number().into()), None],
    };
    // IPv6 addresses are out of range for IPv4, and IPv4 addresses are too small for IPv6.
    let fits = |value: &u128| {
        let wide = values
            .ranges()
            .last()
            .is_some_and(|(_, last)| *last > u128::from(u32::MAX));
        let is_address = matches!(axis, Axis::Src | Axis::Dst);
        values.contains(*value) && (!is_address || wide == (*value > u128::from(u32::MAX)))
    };
    let first = values.ranges().first().map(|(first, _)| *first);
    known.into_iter().flatten().find(fits).or(first)
}
