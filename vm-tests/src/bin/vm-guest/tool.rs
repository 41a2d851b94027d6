//! Other commands that the scenarios call.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use benches::network::Namespace;

/// Runs `ip` in a namespace, with these words; it must succeed.
pub(crate) fn ip(namespace: &Namespace, words: &str) -> Result<()> {
    run(namespace, "ip", words).map(drop)
}

/// Runs a command in a namespace, with these words; it must succeed. Returns its standard output.
pub(crate) fn run(namespace: &Namespace, program: &str, words: &str) -> Result<String> {
    let mut command = Command::new(program);
    command
        .args(words.split_whitespace())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let output = namespace.spawn(&mut command)?.wait_with_output();
    let output = output.with_context(|| format!("cannot wait for `{program}`"))?;
    ensure!(
        output.status.success(),
        "`{program} {words}` ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim_end()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
