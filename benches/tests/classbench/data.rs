//! Published rule sets, lists and captures, which lie beside the project or nowhere.

use std::path::PathBuf;

use benches::rulesets::published;

/// The files below a folder whose names end so; where there are none, that is said.
pub(crate) fn files(below: &str, endings: &[&str]) -> Vec<PathBuf> {
    let files = published::files(below, endings);
    if files.is_empty() {
        let folder = published::folder().join(below);
        println!("skipped: nothing of {endings:?} in `{}`", folder.display());
    }
    files
}

/// Whether tests may take minutes, which is said when they may not.
pub(crate) fn may_be_long() -> bool {
    let may = published::may_be_long();
    if !may {
        println!("skipped: set FIREWALL_LONG=1 for what takes minutes");
    }
    may
}
