//! The tests of the `firewall` command that need a kernel, as `make test` runs them as root: those in
//! which kernels can differ, and as much of them as an emulated machine does in a few minutes.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use vm_tests::report::Outcome;

use crate::firewall::PATIENCE;

/// The binary of the tests.
const TESTS: &str = "/tests/in_kernel";

/// What runs: files of `firewall/tests/in_kernel`.
const RUN: [&str; 17] = [
    "bans",
    "details",
    "differential",
    "interfaces",
    "jumbo",
    "life_cycle",
    "matchers",
    "neighbours",
    "privileges",
    "refusals",
    "reload",
    "rule_tests",
    "socket",
    "takeover",
    "unreadable",
    "verdicts",
    "verifier",
];

/// What does not: it asks nothing of the kernel that the others do not, and takes minutes, or it needs
/// files and programs that a guest does not have.
#[cfg(test)]
const LEFT_OUT: [&str; 17] = [
    "blocklist",
    "captures",
    "checking",
    "company",
    "confirmed",
    "deaths",
    "examining",
    "explaining",
    "fail2ban",
    "installation",
    "lockout",
    "long_work",
    "many_bans",
    "many_reloads",
    "nftables",
    "rule_sets",
    "service",
];

/// How long all of it may take: several times what it does, since machines are busy.
const BUDGET: Duration = Duration::from_secs(1_500);

/// The random packets.
const PACKETS: u32 = 20_000;

pub(crate) fn run() -> Result<Outcome> {
    let begin = Instant::now();
    let mut tests = Command::new(TESTS)
        .args(["--ignored", "--test-threads=1"])
        .args(RUN.map(|file| format!("{file}::")))
        .env("FIREWALL_TEST_PATIENCE", PATIENCE.as_secs().to_string())
        .env("FIREWALL_PACKETS", PACKETS.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{TESTS}`"))?;
    let output = BufReader::new(tests.stdout.take().context("no pipe")?);
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in output.lines() {
            let _ = sender.send(line);
        }
    });
    let mut failed = Vec::new();
    let mut last = String::new();
    loop {
        match lines.recv_timeout(BUDGET.saturating_sub(begin.elapsed())) {
            Ok(line) => {
                let line = line?;
                // Shown as it comes, with the time, so that the console tells which test takes long.
                println!("{:4} {line}", begin.elapsed().as_secs());
                if let Some(test) = line.strip_prefix("test ") {
                    let name = test.strip_suffix(" ... FAILED");
                    failed.extend(name.map(str::to_owned));
                    last = test.to_owned();
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                tests.kill()?;
                tests.wait()?;
                bail!("the tests took more than {BUDGET:?}; the last to end was `{last}`");
            }
        }
    }
    let status = tests.wait()?;
    ensure!(
        status.success(),
        "`{TESTS}` ended with {status}; failed: {}",
        failed.join(", ")
    );
    Ok(Outcome::Passed)
}

#[cfg(test)]
mod lists {
    use std::collections::BTreeSet;

    use super::*;

    /// Names every file of the tests.
    const MAIN: &str = include_str!("../../../../../firewall/tests/in_kernel/main.rs");

    /// What has no tests.
    const SUPPORT: [&str; 4] = ["kernel", "machine", "test_run", "tracer"];

    #[test]
    fn every_file_of_tests_is_run_or_left_out() {
        let named = RUN.iter().chain(&LEFT_OUT).chain(&SUPPORT).copied();
        let files = MAIN
            .lines()
            .filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'));
        let (named, files): (BTreeSet<_>, BTreeSet<_>) = (named.collect(), files.collect());
        assert_eq!(named, files);
    }
}
