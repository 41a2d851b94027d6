//! Runs of the command in a folder with rule files.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

/// Runs the command with files of these names and contents beside it; what it says as one text.
pub(crate) fn run(files: &[(&str, &str)], arguments: &[&str]) -> String {
    run_with_bytes(files, ("empty", &[]), arguments)
}

/// The same, with a file that is no text.
pub(crate) fn run_with_bytes(
    files: &[(&str, &str)],
    (name, bytes): (&str, &[u8]),
    arguments: &[&str],
) -> String {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(name), bytes).unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    run_in(folder.path(), arguments)
}

fn run_in(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_firewall"))
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    let status = output.status.code().unwrap();
    format!("{stdout}--- stderr\n{stderr}--- exit status {status}\n")
}
