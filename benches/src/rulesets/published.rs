//! The folder of published rule sets, lists and captures, if present.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// The environment variable that names a different folder.
pub const VARIABLE: &str = "FIREWALL_DATA";

/// The folder: the value of [`VARIABLE`], or `../shared/data` relative to the root of the project.
#[must_use]
pub fn folder() -> PathBuf {
    match env::var_os(VARIABLE) {
        Some(folder) => folder.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"),
    }
}

/// The files below a subfolder whose names have one of the endings, in order of their paths; none
/// if there is no such folder.
#[must_use]
pub fn files(below: &str, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder().join(below)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if endings.iter().any(|ending| name(&path).ends_with(ending)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The name of a file without its folder.
#[must_use]
pub fn name(path: &Path) -> &str {
    path.file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default()
}

/// Whether tests may take minutes: the environment variable `FIREWALL_LONG` is `1`.
#[must_use]
pub fn may_be_long() -> bool {
    env::var_os("FIREWALL_LONG").is_some_and(|value| value == "1")
}
