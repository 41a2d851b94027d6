//! Published rule sets and lists, which lie beside the project or nowhere.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// The folder: `FIREWALL_DATA`, or `../shared/data` from the project's root.
pub(crate) fn folder() -> PathBuf {
    match env::var_os("FIREWALL_DATA") {
        Some(folder) => folder.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"),
    }
}

/// The filter files of ClassBench, in order of their names; none where there is no folder.
pub(crate) fn rule_sets() -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder().join("classbench")) else {
        return Vec::new();
    };
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| !path.to_string_lossy().contains("trace"));
    files.sort();
    files
}
