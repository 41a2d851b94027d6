//! Prints the imports of each package of the workspace, or of those named.

#![forbid(unsafe_code)]

use std::{env, path::Path};

use anyhow::Result;
use architecture::{imports::Imports, package::Package, report::Graphs};

fn main() -> Result<()> {
    let wanted: Vec<String> = env::args().skip(1).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for package in Package::all(&root)? {
        if wanted.is_empty() || wanted.contains(&package.name) {
            print!("{}", Graphs::new(&Imports::read(&root, &package)?).report());
        }
    }
    Ok(())
}
