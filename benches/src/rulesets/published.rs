//! Where published rule sets, lists and captures lie, when there are some.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// The variable of the environment that names another folder than the usual one.
pub const VARIABLE: &str = "FIREWALL_DATA";

/// The folder: what [`VARIABLE`] says, else `../shared/data` from the root of the project.
#[must_use]
pub fn folder() -> PathBuf {
    match env::var_os(VARIABLE) {
        Some(folder) => folder.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"),
    }
}

/// The files below a folder there whose names end so, in order of their paths; none where there
/// is no such folder.
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
