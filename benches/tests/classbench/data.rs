//! Published rule sets and lists, which lie beside the project or nowhere.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// The files of a folder whose names end so, in order of their names; where there is no such
/// folder none, which is said.
pub(crate) fn files(folder: &str, endings: &[&str]) -> Vec<PathBuf> {
    let folder = match env::var_os("FIREWALL_DATA") {
        Some(data) => PathBuf::from(data),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"),
    }
    .join(folder);
    let Ok(entries) = fs::read_dir(&folder) else {
        println!("skipped: there is no `{}`", folder.display());
        return Vec::new();
    };
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| endings.iter().any(|ending| name(path).ends_with(ending)));
    files.sort();
    files
}

/// The name of a file.
pub(crate) fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

/// Whether tests may take minutes, which is said when they may not.
pub(crate) fn may_be_long() -> bool {
    let may = env::var_os("FIREWALL_LONG").is_some_and(|value| value == "1");
    if !may {
        println!("skipped: set FIREWALL_LONG=1 for what takes minutes");
    }
    may
}
