//! `firewall check`: what `apply` would say of a rule file, without privileges.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    path::Path,
};

use crate::{
    candidate,
    error::Error,
    generation::Generation,
    interfaces,
    source::{self, SourceError},
    text::{bytes, counted, tell},
};

/// Checks a rule file: prints what is wrong with it to stdout.
pub(crate) async fn run(path: &Path) -> Result<(), Error> {
    let file = match source::load(path) {
        Ok(file) => file,
        Err(SourceError::Invalid { path, diagnostics }) => {
            print(&source::render(&diagnostics))?;
            return Err(Error::Checked {
                path,
                found: source::counted(&diagnostics),
            });
        }
        Err(error) => return Err(error.into()),
    };
    if !file.warnings.is_empty() {
        print(&source::render(&file.warnings))?;
    }
    // The file may be for another machine: patterns that fit no interface here are no error.
    let patterns = &file.ruleset.settings.interfaces;
    let mut interfaces = interfaces::list().await?;
    interfaces.retain(|interface| patterns.iter().any(|p| p.matches(&interface.name)));
    let candidate = candidate::compile(
        &file,
        &interfaces,
        Generation::FIRST,
        &BTreeMap::new(),
        None,
    )?;
    tell(&format!(
        "`{}`: {}, {}, image {}",
        path.display(),
        source::counted(&file.warnings),
        counted(file.ruleset.rules.len(), "rule"),
        bytes(candidate.image().bytes().len() as u64)
    ));
    Ok(())
}

fn print(text: &str) -> Result<(), Error> {
    io::stdout()
        .write_all(text.as_bytes())
        .map_err(Error::Output)
}
