//! Generated rule sets resemble the published ones on which they are modelled.

use benches::rulesets::{
    Family, Statistics, Verdict, classbench,
    generate::{FilterKind, rule_set},
    published,
};

/// A statistic, and the amount by which it may be outside the range of the published sets.
type Number = (&'static str, fn(&Statistics) -> usize, usize);

const NUMBERS: [Number; 11] = [
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

/// A kind, and the published sets on which it is modelled.
struct Model {
    kind: FilterKind,
    /// The names of their files.
    files: &'static [&'static str],
    /// The minimum and maximum of their [`NUMBERS`].
    ranges: [(usize, usize); NUMBERS.len()],
}

const MODELS: [Model; 3] = [
    Model {
        kind: FilterKind::Acl,
        files: &["acl1_10k.gz", "acl3_10k.gz", "acl4_10k.gz", "acl5_10k.gz"],
        ranges: [
            (563, 3980),
            (707, 1865),
            (0, 99),
            (0, 138),
            (261, 843),
            (700, 847),
            (0, 83),
            (0, 167),
            (603, 713),
            (0, 0),
            (82, 280),
        ],
    },
    Model {
        kind: FilterKind::Fw,
        files: &["fw1_10k.gz", "fw3_10k.gz", "fw5_10k.gz"],
        ranges: [
            (2654, 3417),
            (5414, 6671),
            (614, 706),
            (289, 387),
            (209, 285),
            (566, 680),
            (11, 16),
            (490, 563),
            (552, 682),
            (106, 162),
            (96, 181),
        ],
    },
    Model {
        kind: FilterKind::Ipc,
        files: &["ipc1_10k.gz"],
        ranges: [
            (1519, 1519),
            (2843, 2843),
            (130, 130),
            (91, 91),
            (289, 289),
            (411, 411),
            (328, 328),
            (116, 116),
            (357, 357),
            (164, 164),
            (368, 368),
        ],
    },
];

#[test]
fn generated_sets_are_like_published_ones() {
    for Model {
        kind,
        files,
        ranges,
    } in MODELS
    {
        let check = |what: &str, statistics: &Statistics, is_model: bool| {
            for ((name, number, slack), (least, most)) in NUMBERS.iter().zip(ranges) {
                let found = number(statistics);
                let slack = if is_model { 0 } else { *slack };
                assert!(
                    (least.saturating_sub(slack)..=most + slack).contains(&found),
                    "{} {what}, {name}: {found}, published {least} to {most}: {statistics}",
                    kind.name()
                );
            }
        };
        for family in [Family::V4, Family::V6] {
            let set = rule_set(kind, family, 10_000, Verdict::Drop, 1);
            check(&format!("{family:?}"), &Statistics::of(&set), false);
        }
        // If the files are present, the ranges must be theirs.
        for path in published::files("classbench", files) {
            let set = classbench::read_rules(&path, Verdict::Drop).unwrap();
            check(published::name(&path), &Statistics::of(&set), true);
        }
    }
}
