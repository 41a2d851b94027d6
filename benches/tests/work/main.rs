//! The counted work of a fixed list of rule sets: the bytes of their images and the maximum number
//! of loads of a packet, compared with `golden.txt`. Counts are the same on every machine; times
//! are not, and are not compared.
//!
//! Packets aimed at the rules check that no packet takes more loads.
//!
//! More than [`WORSE`] percent above the file fails. More than [`BETTER`] percent below it fails
//! too, so that improvements are recorded. An intended change is written to the file by
//!
//! ```text
//! FIREWALL_RENEW=1 cargo test -p benches --test work
//! ```

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails where something is not as it should be"
)]

mod golden;
mod loads;
mod sets;

use std::env;

use golden::{Golden, Work};

/// The percentage by which a count may exceed the file: small changes of thresholds stay below.
const WORSE: usize = 2;

/// The percentage by which a count may be below the file.
const BETTER: usize = 10;

#[test]
fn the_work_of_rule_sets_is_as_it_was() {
    let found: Vec<_> = sets::all()
        .into_iter()
        .map(|(name, set)| (name, set.work(name)))
        .collect();
    if env::var_os("FIREWALL_RENEW").is_some_and(|value| value == "1") {
        Golden::write(&found).unwrap();
        return;
    }
    let golden = Golden::read().unwrap();
    let mut reports: Vec<String> = found
        .iter()
        .flat_map(|(name, work)| compare(name, golden.work(name), *work))
        .collect();
    let known = |name: &&str| found.iter().any(|(found, _)| found == name);
    let gone = golden.names().filter(|name| !known(name));
    reports.extend(gone.map(|name| format!("`{name}` is in the file and no longer a rule set")));
    assert!(
        reports.is_empty(),
        "{}\nhelp: what is meant is written to the file by \
         `FIREWALL_RENEW=1 cargo test -p benches --test work`",
        reports.join("\n")
    );
}

/// The reports about a rule set.
fn compare(name: &str, golden: Option<Work>, found: Work) -> Vec<String> {
    let Some(golden) = golden else {
        return vec![format!("`{name}` is not in the file")];
    };
    let counts = [
        ("bytes", golden.bytes, found.bytes),
        ("loads", golden.loads, found.loads),
    ];
    counts
        .into_iter()
        .filter_map(|(what, golden, found)| {
            let limit = if found * 100 > golden * (100 + WORSE) {
                "more than is allowed"
            } else if found * 100 < golden * (100 - BETTER) {
                "less, which the file should keep"
            } else {
                return None;
            };
            let percent = (found as f64 / golden as f64 - 1.0) * 100.0;
            Some(format!(
                "`{name}`: {golden} {what} became {found} ({percent:+.1}%): {limit}"
            ))
        })
        .collect()
}

#[test]
fn only_what_is_out_of_bounds_is_reported() {
    let work = |bytes, loads| Work { bytes, loads };
    let golden = Some(work(1000, 100));
    for fine in [(1000, 100), (1020, 102), (900, 90)] {
        assert_eq!(compare("a", golden, work(fine.0, fine.1)), [""; 0]);
    }
    assert_eq!(
        compare("a", golden, work(1021, 89)),
        [
            "`a`: 1000 bytes became 1021 (+2.1%): more than is allowed",
            "`a`: 100 loads became 89 (-11.0%): less, which the file should keep",
        ]
    );
    assert_eq!(compare("b", None, work(1, 1)), ["`b` is not in the file"]);
}
