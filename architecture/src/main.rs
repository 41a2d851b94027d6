//! Prints the imports of each package of the workspace, or of the packages given; for a folder or
//! file such as `rules/src/evaluator`, every name that it takes.

#![forbid(unsafe_code)]

use std::{env, path::Path};

use anyhow::Result;
use architecture::{
    imports::Imports,
    package::Package,
    report::{Graphs, names},
};

fn main() -> Result<()> {
    let wanted: Vec<String> = env::args().skip(1).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for package in Package::all(&root)? {
        let imports = Imports::read(&root, &package)?;
        if wanted.is_empty() || wanted.contains(&package.name) {
            print!("{}", Graphs::new(&imports).report());
        }
        for part in wanted.iter().filter(|name| name.contains('/')) {
            print!("{}", names(&imports, part));
        }
    }
    Ok(())
}
