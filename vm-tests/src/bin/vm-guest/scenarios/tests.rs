//! The tests of the `firewall` command that need a kernel, as `make test` runs them as root.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use vm_tests::report::Outcome;

use crate::firewall::PATIENCE;

/// The folder of the test binaries.
const TESTS: &str = "/tests";

pub(crate) fn run() -> Result<Outcome> {
    let listing = fs::read_dir(TESTS).with_context(|| format!("cannot read `{TESTS}`"))?;
    let mut binaries = Vec::new();
    for entry in listing {
        binaries.push(entry?.path());
    }
    ensure!(!binaries.is_empty(), "no tests were packed");
    binaries.sort();
    for binary in binaries {
        run_binary(&binary)?;
    }
    Ok(Outcome::Passed)
}

fn run_binary(binary: &Path) -> Result<()> {
    let name = binary.display();
    let mut tests = Command::new(binary)
        .args(["--ignored", "--test-threads=1"])
        .env("FIREWALL_TEST_PATIENCE", PATIENCE.as_secs().to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{name}`"))?;
    let mut failed = Vec::new();
    // Shown as it comes, so that the console tells which test hangs.
    for line in BufReader::new(tests.stdout.take().context("no pipe")?).lines() {
        let line = line?;
        println!("{line}");
        let test = line.strip_prefix("test ");
        failed.extend(
            test.and_then(|test| test.strip_suffix(" ... FAILED"))
                .map(str::to_owned),
        );
    }
    let status = tests.wait()?;
    ensure!(
        status.success(),
        "`{name}` ended with {status}; failed: {}",
        failed.join(", ")
    );
    Ok(())
}
