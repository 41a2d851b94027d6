//! Generated rule sets beside those that they are modelled on.

use benches::rulesets::{
    Family, Statistics, Verdict, classbench,
    generate::{Kind, rule_set},
};

use crate::data;

#[test]
fn print() {
    for kind in Kind::ALL {
        for size in [1000, 10_000] {
            for family in [Family::V4, Family::V6] {
                let set = rule_set(kind, family, size, Verdict::Drop, 1);
                println!(
                    "generated {} {family:?}: {}",
                    kind.name(),
                    Statistics::of(&set)
                );
            }
        }
        for path in data::rule_sets()
            .iter()
            .filter(|p| p.to_string_lossy().contains(kind.name()))
        {
            let set = classbench::read_rules(path, Verdict::Drop).unwrap();
            println!(
                "{}: {}",
                path.file_name().unwrap().display(),
                Statistics::of(&set)
            );
        }
    }
}
