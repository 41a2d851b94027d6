//! Targets for figures.

use super::{
    plan::Group,
    results::{Measured, Results},
};
use crate::cost::{
    loading::Loading,
    report::Figures,
    state::{Arriving, Leaving, StateCost},
    switch_time::Reloaded,
};

/// A figure and its target maximum.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// A description of the figure.
    pub what: &'static str,
    /// The unit; empty for a multiple of the baseline.
    pub unit: &'static str,
    /// The target maximum.
    pub most: f64,
    /// The measured value; `None` if it was not measured.
    pub found: Option<f64>,
    /// For a multiple of the baseline, the nanoseconds above the baseline, if measured.
    pub over_baseline: Option<f64>,
    /// The number of refused rule sets among those concerned.
    pub refused: usize,
}

/// The nanoseconds of the baseline on the machine for which the multiples were set. With another
/// baseline, the same multiple allows a different time for classifying a packet.
pub const REFERENCE_BASELINE: f64 = 133.0;

/// The number of bytes in the unit of sizes.
const MEGABYTE: f64 = 1e6;

const MILLION: usize = 1_000_000;

/// A function that summarizes several figures.
type Summary = fn(&[f64]) -> Option<f64>;

/// A function that selects a figure of a loaded rule set.
type Loaded = fn(&Loading) -> f64;

/// The target for the cost of a packet in the cases of a group and a size, as a multiple of the
/// baseline.
struct CostTarget {
    what: &'static str,
    most: f64,
    group: Group,
    size: usize,
    summary: Summary,
}

/// The target for loading in the worst case of a group and a size.
struct LoadTarget {
    what: &'static str,
    unit: &'static str,
    most: f64,
    group: Group,
    size: usize,
    value: Loaded,
}

const COSTS: [CostTarget; 14] = [
    cost("ten rules", 1.12, Group::TenRules, 10, mean),
    cost(
        "1,000 rules, mean of the sets",
        1.2,
        Group::RuleSets,
        1000,
        mean,
    ),
    cost(
        "10,000 rules, mean of the sets",
        1.4,
        Group::RuleSets,
        10_000,
        mean,
    ),
    cost(
        "10,000 rules, worst of the sets",
        1.55,
        Group::RuleSets,
        10_000,
        worst,
    ),
    cost(
        "100,000 rules, worst of the sets",
        2.0,
        Group::RuleSets,
        100_000,
        worst,
    ),
    cost("1,000 addresses", 1.1, Group::Addresses, 1000, mean),
    cost("100,000 addresses", 1.15, Group::Addresses, 100_000, mean),
    cost("1,000,000 addresses", 1.37, Group::Addresses, MILLION, mean),
    cost("1,000,000 prefixes", 1.28, Group::Prefixes, MILLION, mean),
    cost("IPv6: ten rules", 1.15, Group::Ipv6RuleSets, 10, mean),
    cost(
        "IPv6: 1,000 rules, mean of the sets",
        1.35,
        Group::Ipv6RuleSets,
        1000,
        mean,
    ),
    cost(
        "IPv6: 10,000 rules, mean of the sets",
        1.7,
        Group::Ipv6RuleSets,
        10_000,
        mean,
    ),
    cost(
        "IPv6: 1,000,000 addresses",
        1.8,
        Group::Ipv6Addresses,
        MILLION,
        mean,
    ),
    cost(
        "IPv6: 1,000,000 prefixes",
        2.2,
        Group::Ipv6Prefixes,
        MILLION,
        mean,
    ),
];

const LOADS: [LoadTarget; 11] = [
    load(
        "1,000 rules, memory of all maps, worst of the sets",
        "MB",
        1.5,
        Group::RuleSets,
        1000,
        megabytes,
    ),
    load(
        "IPv6: 1,000 rules, memory of all maps, worst of the sets",
        "MB",
        3.0,
        Group::Ipv6RuleSets,
        1000,
        megabytes,
    ),
    load(
        "10,000 rules compiled, worst of the sets",
        "s",
        0.15,
        Group::RuleSets,
        10_000,
        compiled,
    ),
    load(
        "100,000 rules compiled, worst of the sets",
        "s",
        3.0,
        Group::RuleSets,
        100_000,
        compiled,
    ),
    load(
        "100,000 rules from the file to in force, CPU time, worst of the sets",
        "s",
        0.4,
        Group::RuleSets,
        100_000,
        cpu_seconds,
    ),
    load(
        "100,000 rules, memory of all maps, worst of the sets",
        "MB",
        12.0,
        Group::RuleSets,
        100_000,
        megabytes,
    ),
    load(
        "image of 100,000 rules, worst of the sets",
        "MB",
        32.0,
        Group::RuleSets,
        100_000,
        image,
    ),
    load(
        "1,000,000 addresses from the file to in force, CPU time",
        "s",
        0.6,
        Group::Addresses,
        MILLION,
        cpu_seconds,
    ),
    load(
        "1,000,000 addresses, memory of all maps",
        "MB",
        10.0,
        Group::Addresses,
        MILLION,
        megabytes,
    ),
    load(
        "IPv6: 1,000,000 addresses, memory of all maps",
        "MB",
        24.0,
        Group::Ipv6Addresses,
        MILLION,
        megabytes,
    ),
    load(
        "IPv6: 1,000,000 prefixes, memory of all maps",
        "MB",
        16.0,
        Group::Ipv6Prefixes,
        MILLION,
        megabytes,
    ),
];

/// Every target with its measured value.
#[must_use]
pub fn targets(results: &Results) -> Vec<Target> {
    let costs = COSTS.map(|target| {
        let CostTarget {
            what,
            most,
            group,
            size,
            summary,
        } = target;
        let over = |value: fn(&Figures) -> f64| {
            let values = results.own(group, size).map(value);
            summary(&values.collect::<Vec<_>>())
        };
        Target {
            found: over(|figures| figures.on_the_way.times_baseline.median),
            over_baseline: over(|figures| figures.on_the_way.over_baseline.median),
            refused: refused(results, group, size),
            ..Target::new(what, "", most, None)
        }
    });
    let loads = LOADS.map(|target| {
        let LoadTarget {
            what,
            unit,
            most,
            group,
            size,
            value,
        } = target;
        let values = results
            .own(group, size)
            .map(|figures| value(&figures.loading));
        Target {
            refused: refused(results, group, size),
            ..Target::new(what, unit, most, worst(&values.collect::<Vec<_>>()))
        }
    });
    costs
        .into_iter()
        .chain(loads)
        .chain(others(results))
        .collect()
}

/// Targets that do not concern a case.
fn others(results: &Results) -> Vec<Target> {
    let reload = results.reload.as_ref();
    let bans = results.bans.as_ref();
    let mut switch_times = results.switch_times.iter();
    let edited = switch_times.find(|time| time.what == Reloaded::Rules);
    let mut others = vec![
        Target::new(
            "a packet whose source is not banned, with 1,000,000 bans",
            "ns more",
            15.0,
            bans.map(|bans| bans.others.median - bans.without.median),
        ),
        Target::new(
            "a packet whose source is banned, with 1,000,000 bans",
            "ns more",
            60.0,
            bans.map(|bans| bans.banned.median - bans.without.median),
        ),
        Target::new(
            "one rule of 10,000 edited, from the signal to in force",
            "ms",
            15.0,
            edited.map(|time| time.seen.median * 1e3),
        ),
        Target::new(
            "reload of 100,000 prefixes, from the files to the switch",
            "ms",
            50.0,
            reload.map(|reload| reload.logged.median * 1e3),
        ),
        Target::new(
            "packets let through, or not judged, in reloads",
            "packets",
            0.0,
            reload.map(|reload| (reload.passed + reload.unjudged) as f64),
        ),
    ];
    others.extend(states(results.state.as_ref()));
    others
}

/// Targets for rules that ask for states.
fn states(cost: Option<&StateCost>) -> impl Iterator<Item = Target> {
    const MORE: &str = "ns more";
    const IN: [(&str, f64, Arriving, u32); 7] = [
        (
            "an answer, 1,000 flows in 65,536 slots",
            20.0,
            Arriving::Hits,
            1 << 16,
        ),
        (
            "an answer, 100,000 flows in 1,048,576 slots",
            150.0,
            Arriving::Hits,
            1 << 20,
        ),
        (
            "an answer, 1,000,000 flows in 2,097,152 slots",
            190.0,
            Arriving::Hits,
            1 << 21,
        ),
        (
            "a packet of no flow, 65,536 slots",
            15.0,
            Arriving::Misses,
            1 << 16,
        ),
        (
            "a packet of no flow, 1,048,576 slots",
            30.0,
            Arriving::Misses,
            1 << 20,
        ),
        (
            "a packet of no flow, 2,097,152 slots",
            30.0,
            Arriving::Misses,
            1 << 21,
        ),
        (
            "a SYN of a flood, 65,536 slots",
            60.0,
            Arriving::Syns,
            1 << 16,
        ),
    ];
    let arriving = IN.map(|(what, most, arriving, slots)| {
        let found = cost.and_then(|cost| cost.more(arriving, slots));
        Target::new(what, MORE, most, found)
    });
    let out = [
        ("a packet out of a known flow", Leaving::Known),
        ("a packet out that begins a flow", Leaving::Begins),
    ];
    let out = out.map(|(what, leaving)| {
        let found = cost.and_then(|cost| cost.more_out(leaving));
        Target::new(what, MORE, 250.0, found)
    });
    let bytes = |what, most, found: Option<f64>| Target::new(what, "bytes", most, found);
    let slot = bytes(
        "a slot of the table of flows",
        18.0,
        cost.map(|cost| cost.slot_bytes),
    );
    let ipv6 = bytes(
        "the addresses of an IPv6 flow",
        40.0,
        cost.map(|cost| cost.ipv6_bytes),
    );
    arriving.into_iter().chain(out).chain([slot, ipv6])
}

impl Target {
    const fn new(what: &'static str, unit: &'static str, most: f64, found: Option<f64>) -> Self {
        Self {
            what,
            unit,
            most,
            found,
            over_baseline: None,
            refused: 0,
        }
    }

    /// Whether the target is met, which it is not if rules are refused; `None` if it was not
    /// measured.
    #[must_use]
    pub fn is_met(&self) -> Option<bool> {
        if self.refused > 0 {
            return Some(false);
        }
        self.found.map(|found| found <= self.most)
    }

    /// The nanoseconds above the baseline that the target allows if the baseline is
    /// [`REFERENCE_BASELINE`]; `None` if the target is not a multiple of the baseline.
    #[must_use]
    pub fn allowance(&self) -> Option<f64> {
        self.unit
            .is_empty()
            .then_some((self.most - 1.0) * REFERENCE_BASELINE)
    }
}

const fn cost(
    what: &'static str,
    most: f64,
    group: Group,
    size: usize,
    summary: Summary,
) -> CostTarget {
    CostTarget {
        what,
        most,
        group,
        size,
        summary,
    }
}

const fn load(
    what: &'static str,
    unit: &'static str,
    most: f64,
    group: Group,
    size: usize,
    value: Loaded,
) -> LoadTarget {
    LoadTarget {
        what,
        unit,
        most,
        group,
        size,
        value,
    }
}

fn refused(results: &Results, group: Group, size: usize) -> usize {
    let cases = results.of(group).filter(|measured| measured.size == size);
    cases.filter_map(Measured::refusal).count()
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn worst(values: &[f64]) -> Option<f64> {
    values.iter().copied().reduce(f64::max)
}

const fn cpu_seconds(loading: &Loading) -> f64 {
    loading.cpu_seconds
}

fn megabytes(loading: &Loading) -> f64 {
    loading.memory() as f64 / MEGABYTE
}

fn compiled(loading: &Loading) -> f64 {
    loading.image.map_or(0.0, |image| image.compile_seconds)
}

fn image(loading: &Loading) -> f64 {
    loading
        .image
        .map_or(0.0, |image| image.bytes as f64 / MEGABYTE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_met_missed_or_not_measured() {
        let target = |found| Target::new("", "", 2.0, found);
        assert_eq!(target(Some(2.0)).is_met(), Some(true));
        assert_eq!(target(Some(2.1)).is_met(), Some(false));
        assert_eq!(target(None).is_met(), None);
        assert_eq!(target(None).allowance(), Some(REFERENCE_BASELINE));
        assert_eq!(Target::new("", "s", 2.0, None).allowance(), None);
        assert_eq!((mean(&[]), worst(&[])), (None, None));
        assert_eq!(
            (mean(&[1.0, 3.0]), worst(&[1.0, 3.0])),
            (Some(2.0), Some(3.0))
        );
    }

    #[test]
    fn a_set_that_is_refused_misses_whatever_the_others_cost() {
        for found in [None, Some(1.0)] {
            let target = Target {
                refused: 1,
                ..Target::new("", "", 2.0, found)
            };
            assert_eq!(target.is_met(), Some(false));
        }
    }
}
