//! Generated rule sets are like those that they are modelled on.

use benches::rulesets::{
    Family, RuleSet, Statistics, Verdict, classbench,
    generate::{FilterKind, rule_set},
    published,
};

use crate::data;

/// The published sets that each kind is modelled on.
const MODELS: [(FilterKind, &[&str]); 3] = [
    (
        FilterKind::Acl,
        &["acl1_10k.gz", "acl3_10k.gz", "acl4_10k.gz", "acl5_10k.gz"],
    ),
    (FilterKind::Fw, &["fw1_10k.gz", "fw3_10k.gz", "fw5_10k.gz"]),
    (FilterKind::Ipc, &["ipc1_10k.gz"]),
];

#[test]
fn generated_sets_are_like_published_ones() {
    for (kind, models) in MODELS {
        let published: Vec<_> = data::files("classbench", models)
            .iter()
            .map(|path| {
                let set = classbench::read_rules(path, Verdict::Drop).unwrap();
                let statistics = Statistics::of(&set);
                println!("{}: {statistics}", published::name(path));
                statistics
            })
            .collect();
        for family in [Family::V4, Family::V6] {
            let set: RuleSet = rule_set(kind, family, 10_000, Verdict::Drop, 1);
            let generated = Statistics::of(&set);
            println!("generated {} {family:?}: {generated}", kind.name());
            for (name, number, slack) in NUMBERS {
                let found = number(&generated);
                let published = published.iter().map(number);
                let (Some(least), Some(most)) = (published.clone().min(), published.max()) else {
                    continue;
                };
                assert!(
                    (least.saturating_sub(*slack)..=most + slack).contains(&found),
                    "{} {family:?}, {name}: {found}, published {least} to {most}",
                    kind.name()
                );
            }
        }
    }
}

/// What is compared, and how far it may be outside the range of the published sets.
type Number = (&'static str, fn(&Statistics) -> usize, usize);

const NUMBERS: &[Number] = &[
    ("sources", |s| s.sources, 1000),
    ("destinations", |s| s.destinations, 1000),
    ("open sources", |s| s.open_sources, 60),
    ("open destinations", |s| s.open_destinations, 60),
    ("host sources", |s| s.host_sources, 100),
    ("host destinations", |s| s.host_destinations, 100),
    ("open protocols", |s| s.open_protocols, 50),
    ("flags", |s| s.with_flags, 50),
    ("any and exact port", |s| s.port_classes[0][3], 60),
    ("exact and any port", |s| s.port_classes[3][0], 60),
    ("no ports", |s| s.port_classes[0][0], 60),
];
