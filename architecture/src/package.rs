//! The packages of the workspace: their folders, targets and dependencies on each other.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use toml::{Table, Value};

/// A package of the workspace.
#[derive(Debug)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its folder, relative to the root of the workspace.
    pub folder: PathBuf,
    /// The root file of each target under `src`, relative to the package's folder; the library first.
    pub roots: Vec<PathBuf>,
    /// The packages that it depends on outside its tests and build script.
    pub dependencies: BTreeSet<String>,
}

impl Package {
    /// Reads every package of the workspace in the folder `root`.
    ///
    /// # Errors
    /// Fails when a manifest cannot be read or understood.
    pub fn all(root: &Path) -> Result<Vec<Self>> {
        let manifest = manifest(root)?;
        let members = manifest
            .get("workspace")
            .and_then(|workspace| workspace.get("members"))
            .and_then(Value::as_array)
            .with_context(|| format!("{} has no workspace members", root.display()))?;
        members
            .iter()
            .filter_map(Value::as_str)
            .map(|member| Self::read(root, Path::new(member)))
            .collect()
    }

    fn read(root: &Path, folder: &Path) -> Result<Self> {
        let manifest = manifest(&root.join(folder))?;
        let name = manifest
            .get("package")
            .and_then(|package| package.get("name"))
            .and_then(Value::as_str)
            .with_context(|| format!("{} has no package name", folder.display()))?;
        let dependencies = manifest
            .get("dependencies")
            .and_then(Value::as_table)
            .map(|table| table.keys().cloned().collect())
            .unwrap_or_default();
        Ok(Self {
            name: name.to_owned(),
            folder: folder.to_owned(),
            roots: roots(&root.join(folder), &manifest)?,
            dependencies,
        })
    }

    /// Returns the name under which the package's library is imported, if it has one.
    pub(crate) fn library(&self) -> Option<String> {
        let first = self.roots.first()?;
        first
            .ends_with("lib.rs")
            .then(|| self.name.replace('-', "_"))
    }
}

fn manifest(folder: &Path) -> Result<Table> {
    let path = folder.join("Cargo.toml");
    let text =
        fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    text.parse()
        .with_context(|| format!("{} cannot be parsed", path.display()))
}

/// Finds the roots where Cargo finds them itself, and those of binaries that the manifest names.
fn roots(folder: &Path, manifest: &Table) -> Result<Vec<PathBuf>> {
    let mut roots: Vec<PathBuf> = ["src/lib.rs", "src/main.rs"]
        .iter()
        .map(PathBuf::from)
        .filter(|root| folder.join(root).is_file())
        .collect();
    let binaries = Path::new("src/bin");
    if folder.join(binaries).is_dir() {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder.join(binaries))? {
            let entry = entry?;
            let path = binaries.join(entry.file_name());
            if entry.path().is_dir() {
                found.push(path.join("main.rs"));
            } else {
                found.push(path);
            }
        }
        found.sort();
        roots.append(&mut found);
    }
    let named = manifest.get("bin").and_then(Value::as_array);
    for path in named
        .into_iter()
        .flatten()
        .filter_map(|bin| bin.get("path"))
    {
        let path = PathBuf::from(path.as_str().context("a path is no string")?);
        if path.starts_with("src") && !roots.contains(&path) {
            roots.push(path);
        }
    }
    Ok(roots)
}
