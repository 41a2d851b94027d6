//! The ledger: the statistics of the verifier and the JIT for each program, by kernel, so that
//! growth is noticed before a kernel refuses a program.

use std::{collections::BTreeMap, fmt::Write as _, fs};

use anyhow::{Context as _, Result};
use vm_tests::report::Verified;

const FILE: &str = include_str!("../ledger.toml");

/// The path of the file.
const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/ledger.toml");

const HEAD: &str = "\
# What the verifier and the JIT make of the shipped programs, by kernel. A growth of more than a
# fifth fails, and so does more than 40 % of the verifier's limit of 1,000,000 instructions.
# Reviewed; `make vm-test RENEW=1 SCENARIO=load` rewrites it.
";

/// The maximum number of instructions that the verifier processes (`BPF_COMPLEXITY_LIMIT_INSNS`,
/// Linux 5.2).
const LIMIT: u64 = 1_000_000;

/// The share of it that a program may take: newer kernels may need more for the same program.
const SHARE: u64 = LIMIT / 100 * 40;

/// The entries by kernel and program.
pub(crate) struct Ledger(BTreeMap<String, Programs>);

/// The statistics of each program of a kernel.
pub(crate) type Programs = BTreeMap<String, Verified>;

impl Ledger {
    pub(crate) fn read() -> Result<Self> {
        toml::from_str(FILE).map(Self).context("ledger.toml")
    }

    /// Sets the numbers of a kernel.
    pub(crate) fn renew(&mut self, kernel: &str, verified: Programs) {
        self.0.insert(kernel.to_owned(), verified);
    }

    /// Rewrites the file.
    pub(crate) fn write(&self) -> Result<()> {
        fs::write(PATH, self.text()).with_context(|| format!("cannot write `{PATH}`"))
    }

    fn text(&self) -> String {
        let mut text = HEAD.to_owned();
        for (kernel, programs) in &self.0 {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "\n[\"{kernel}\"]");
            for (program, &verified) in programs {
                let _ = writeln!(text, "{}", line(program, verified));
            }
        }
        text
    }

    /// The deviations of these numbers from the ledger; usually none.
    pub(crate) fn faults(&self, kernel: &str, programs: &Programs) -> Vec<String> {
        let mut faults = Vec::new();
        for (program, &verified) in programs {
            faults.extend(self.faults_of(kernel, program, verified));
        }
        let entries = self.0.get(kernel).into_iter().flat_map(BTreeMap::keys);
        for missing in entries.filter(|program| !programs.contains_key(*program)) {
            faults.push(format!(
                "`{missing}`, which ledger.toml has, was not loaded; if it no longer is, \
                 `make vm-test RENEW=1 SCENARIO=load` rewrites ledger.toml"
            ));
        }
        faults
    }

    fn faults_of(&self, kernel: &str, program: &str, verified: Verified) -> Vec<String> {
        let mut faults = Vec::new();
        if verified.instructions > SHARE {
            faults.push(format!(
                "{} instructions of `{program}` verified, more than 40 % of the limit",
                verified.instructions
            ));
        }
        let entry = self
            .0
            .get(kernel)
            .and_then(|programs| programs.get(program));
        let Some(entry) = entry else {
            faults.push(format!(
                "ledger.toml lacks for the kernel the line `{}`; \
                 `make vm-test RENEW=1 SCENARIO=load` adds it",
                line(program, verified)
            ));
            return faults;
        };
        for (what, was, is) in [
            ("instructions", entry.instructions, verified.instructions),
            ("peak_states", entry.peak_states, verified.peak_states),
            ("jited_bytes", entry.jited_bytes, verified.jited_bytes),
        ] {
            if is > was + was / 5 {
                faults.push(format!(
                    "`{what}` of `{program}` grew from {was} to {is}, by more than a fifth; if it \
                     must, `make vm-test RENEW=1 SCENARIO=load` rewrites ledger.toml"
                ));
            }
        }
        faults
    }
}

fn line(program: &str, verified: Verified) -> String {
    let Verified {
        instructions,
        peak_states,
        jited_bytes,
    } = verified;
    format!(
        "{program} = {{ instructions = {instructions}, peak_states = {peak_states}, \
         jited_bytes = {jited_bytes} }}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: Verified = Verified {
        instructions: 100_000,
        peak_states: 1_000,
        jited_bytes: 10_000,
    };

    fn programs(verified: Verified) -> Programs {
        BTreeMap::from([("egress".to_owned(), verified)])
    }

    #[test]
    fn the_file_is_as_it_is_written() {
        assert_eq!(Ledger::read().unwrap().text(), FILE);
    }

    #[test]
    fn growth_by_more_than_a_fifth_is_a_fault() {
        let ledger = Ledger(BTreeMap::from([("a".to_owned(), programs(BEFORE))]));
        assert!(ledger.faults("a", &programs(BEFORE)).is_empty());
        let grown = Verified {
            instructions: 120_000,
            peak_states: 1_201,
            jited_bytes: 1,
        };
        let faults = ledger.faults("a", &programs(grown));
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].starts_with("`peak_states` of `egress` grew from 1000 to 1201"));
    }

    #[test]
    fn a_program_that_is_no_longer_loaded_is_a_fault() {
        let ledger = Ledger(BTreeMap::from([("a".to_owned(), programs(BEFORE))]));
        let faults = ledger.faults("a", &Programs::new());
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].starts_with("`egress`"));
    }

    #[test]
    fn two_fifths_of_the_limit_are_a_fault_and_so_is_a_program_without_an_entry() {
        let ledger = Ledger(BTreeMap::new());
        let large = Verified {
            instructions: 400_001,
            ..BEFORE
        };
        let faults = ledger.faults("b", &programs(large));
        assert_eq!(faults.len(), 2, "{faults:?}");
        let line = faults[1].split('`').nth(1).unwrap();
        let read: Programs = toml::from_str(line).unwrap();
        assert_eq!(read["egress"], large);
    }
}
