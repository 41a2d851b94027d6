//! The tests of the `firewall` command that need a kernel, as `make test` runs them.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use vm_tests::report::Outcome;

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
    let output = Command::new(binary)
        .args(["--include-ignored", "--test-threads=1"])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{name}`"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    print!("{text}");
    let failed: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"))
        .collect();
    ensure!(
        output.status.success(),
        "`{name}` ended with {}; failed: {}",
        output.status,
        failed.join(", ")
    );
    Ok(())
}
