//! What figures should be.

use super::{plan::Group, results::Results};
use crate::cost::{
    loading::{ImageFacts, Loading},
    report::Figures,
};

/// A figure and what it should be at most.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// What it is.
    pub what: String,
    /// What it is measured in; nothing for a multiple of the baseline.
    pub unit: &'static str,
    /// What it should be at most.
    pub most: f64,
    /// What it is; `None` when it was not measured.
    pub found: Option<f64>,
    /// Of a multiple of the baseline, the nanoseconds over the baseline, if it was measured.
    pub over_baseline: Option<f64>,
}

/// The nanoseconds of the baseline on the machine that the multiples were set for. On one with another
/// baseline the same multiple leaves another time for judging a packet.
pub const REFERENCE_BASELINE: f64 = 167.0;

impl Target {
    fn new(what: &str, unit: &'static str, most: f64, found: Option<f64>) -> Self {
        Self {
            what: what.to_owned(),
            unit,
            most,
            found,
            over_baseline: None,
        }
    }

    /// Whether it is what it should be; `None` when it was not measured.
    #[must_use]
    pub fn is_met(&self) -> Option<bool> {
        self.found.map(|found| found <= self.most)
    }

    /// The nanoseconds over the baseline that the target leaves where the baseline is
    /// [`REFERENCE_BASELINE`]; `None` when it is no multiple of the baseline.
    #[must_use]
    pub fn allowance(&self) -> Option<f64> {
        self.unit
            .is_empty()
            .then_some((self.most - 1.0) * REFERENCE_BASELINE)
    }
}

/// The bytes of what sizes are given in.
const MEGABYTE: f64 = 1e6;

/// Every target, with what the results say of it.
#[must_use]
pub fn targets(results: &Results) -> Vec<Target> {
    let figures = |group, size| results.own(group, size);
    let cost = |what, most, group, size, of: fn(&[f64]) -> Option<f64>| {
        let over =
            |value: fn(&Figures) -> f64| of(&figures(group, size).map(value).collect::<Vec<_>>());
        Target {
            found: over(|figures| figures.on_the_way.times_baseline.median),
            over_baseline: over(|figures| figures.on_the_way.over_baseline.median),
            ..Target::new(what, "", most, None)
        }
    };
    let loads = |group, size, value: fn(&Loading) -> f64| {
        let values = figures(group, size).map(|figures| value(&figures.loading));
        worst(&values.collect::<Vec<_>>())
    };
    let images = |size, value: fn(&ImageFacts) -> f64| {
        let images = figures(Group::RuleSets, size).filter_map(|one| one.loading.image);
        worst(&images.map(|image| value(&image)).collect::<Vec<_>>())
    };
    let compiled = |image: &ImageFacts| image.compile_seconds;
    let reload = results.reload.as_ref();
    let million = 1_000_000;
    vec![
        cost("ten rules", 1.25, Group::TenRules, 10, mean),
        cost(
            "1,000 rules, mean of the sets",
            1.5,
            Group::RuleSets,
            1000,
            mean,
        ),
        cost(
            "10,000 rules, mean of the sets",
            2.0,
            Group::RuleSets,
            10_000,
            mean,
        ),
        cost(
            "10,000 rules, worst of the sets",
            2.8,
            Group::RuleSets,
            10_000,
            worst,
        ),
        cost(
            "100,000 rules, worst of the sets",
            3.3,
            Group::RuleSets,
            100_000,
            worst,
        ),
        cost("1,000 addresses", 1.25, Group::Addresses, 1000, mean),
        cost("100,000 addresses", 1.6, Group::Addresses, 100_000, mean),
        cost("1,000,000 prefixes", 1.9, Group::Prefixes, million, mean),
        Target::new(
            "1,000,000 addresses from the file to in force, CPU time",
            "s",
            0.6,
            loads(Group::Addresses, million, |load| load.cpu_seconds),
        ),
        Target::new(
            "1,000,000 addresses, memory of all maps",
            "MB",
            10.0,
            loads(Group::Addresses, million, |load| {
                load.memory() as f64 / MEGABYTE
            }),
        ),
        Target::new(
            "10,000 rules compiled, worst of the sets",
            "s",
            0.15,
            images(10_000, compiled),
        ),
        Target::new(
            "100,000 rules compiled, worst of the sets",
            "s",
            3.0,
            images(100_000, compiled),
        ),
        Target::new(
            "image of 100,000 rules, worst of the sets",
            "MB",
            32.0,
            images(100_000, |image| image.bytes as f64 / MEGABYTE),
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
    ]
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn worst(values: &[f64]) -> Option<f64> {
    values.iter().copied().reduce(f64::max)
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
        assert_eq!(target(None).allowance(), Some(167.0));
        assert_eq!(Target::new("", "s", 2.0, None).allowance(), None);
        assert_eq!((mean(&[]), worst(&[])), (None, None));
        assert_eq!(
            (mean(&[1.0, 3.0]), worst(&[1.0, 3.0])),
            (Some(2.0), Some(3.0))
        );
    }
}
