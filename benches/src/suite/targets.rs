//! What figures should be.

use super::{plan::Group, results::Results};
use crate::cost::{
    contestant::{ImageFacts, Loading},
    report::Figures,
};

/// A figure and what it should be at most.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// What it is.
    pub what: String,
    /// What it is measured in; nothing for a multiple of the floor.
    pub unit: &'static str,
    /// What it should be at most.
    pub most: f64,
    /// What it is; `None` when it was not measured.
    pub found: Option<f64>,
}

impl Target {
    /// Whether it is what it should be; `None` when it was not measured.
    #[must_use]
    pub fn is_met(&self) -> Option<bool> {
        self.found.map(|found| found <= self.most)
    }
}

/// The bytes of what sizes are given in.
const MEGABYTE: f64 = 1e6;

/// Every target, with what the results say of it.
#[must_use]
pub fn targets(results: &Results) -> Vec<Target> {
    let figures = |group, size| results.own(group, size);
    let costs = |group, size| -> Vec<f64> { figures(group, size).map(times_floor).collect() };
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
    let rows = [
        ("ten rules", "", 1.25, mean(&costs(Group::TenRules, 10))),
        (
            "1,000 rules, mean of the sets",
            "",
            1.5,
            mean(&costs(Group::RuleSets, 1000)),
        ),
        (
            "10,000 rules, mean of the sets",
            "",
            2.0,
            mean(&costs(Group::RuleSets, 10_000)),
        ),
        (
            "10,000 rules, worst of the sets",
            "",
            2.8,
            worst(&costs(Group::RuleSets, 10_000)),
        ),
        (
            "100,000 rules, worst of the sets",
            "",
            3.3,
            worst(&costs(Group::RuleSets, 100_000)),
        ),
        (
            "1,000 addresses",
            "",
            1.25,
            mean(&costs(Group::Addresses, 1000)),
        ),
        (
            "100,000 addresses",
            "",
            1.6,
            mean(&costs(Group::Addresses, 100_000)),
        ),
        (
            "1,000,000 prefixes",
            "",
            1.9,
            mean(&costs(Group::Prefixes, million)),
        ),
        (
            "1,000,000 addresses from the file to in force, CPU time",
            "s",
            0.6,
            loads(Group::Addresses, million, |load| load.cpu_seconds),
        ),
        (
            "1,000,000 addresses, memory of all maps",
            "MB",
            10.0,
            loads(Group::Addresses, million, |load| {
                load.memory() as f64 / MEGABYTE
            }),
        ),
        (
            "10,000 rules compiled, worst of the sets",
            "s",
            0.15,
            images(10_000, compiled),
        ),
        (
            "100,000 rules compiled, worst of the sets",
            "s",
            3.0,
            images(100_000, compiled),
        ),
        (
            "image of 100,000 rules, worst of the sets",
            "MB",
            32.0,
            images(100_000, |image| image.bytes as f64 / MEGABYTE),
        ),
        (
            "reload of 100,000 prefixes, from the files to the switch",
            "ms",
            50.0,
            reload.map(|reload| reload.logged.median * 1e3),
        ),
        (
            "packets let through, or not judged, in reloads",
            "packets",
            0.0,
            reload.map(|reload| (reload.passed + reload.unjudged) as f64),
        ),
    ];
    rows.into_iter()
        .map(|(what, unit, most, found)| Target {
            what: what.to_owned(),
            unit,
            most,
            found,
        })
        .collect()
}

/// The cost of a packet as a multiple of the floor.
fn times_floor(figures: &Figures) -> f64 {
    figures.on_the_way.times_floor.median
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
        let target = |found| Target {
            what: String::new(),
            unit: "",
            most: 2.0,
            found,
        };
        assert_eq!(target(Some(2.0)).is_met(), Some(true));
        assert_eq!(target(Some(2.1)).is_met(), Some(false));
        assert_eq!(target(None).is_met(), None);
        assert_eq!((mean(&[]), worst(&[])), (None, None));
        assert_eq!(
            (mean(&[1.0, 3.0]), worst(&[1.0, 3.0])),
            (Some(2.0), Some(3.0))
        );
    }
}
