//! Rules: the names that a part of the workspace must never use, and the packages on which a
//! package may depend.

use crate::{
    imports::{File, Imports, is_in},
    package::Package,
};

/// The names that the files of a part must never use.
///
/// A part is a folder together with the file of the same name: `a/src/b` is `a/src/b.rs` and
/// everything below `a/src/b`. A name is a part, with a `/`, or a full path outside the package, or
/// a macro with its `!`; `std::fs` includes `std::fs::read`.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// The part.
    pub part: &'static str,
    /// The parts of it that are exempt.
    pub but: &'static [&'static str],
    /// The names that it must never use.
    pub never: &'static [&'static str],
    /// The exceptions among these names.
    pub except: &'static [&'static str],
    /// The reason.
    pub why: &'static str,
}

impl Rule {
    /// Returns the places where the rule is broken, and names in the rule that do not exist,
    /// because a renamed part would otherwise escape its rules.
    pub fn broken(&self, packages: &[Imports]) -> Vec<String> {
        let parts = self.never.iter().chain(self.except);
        let mut broken: Vec<String> = [&self.part]
            .into_iter()
            .chain(self.but)
            .chain(parts.filter(|name| name.contains('/')))
            .filter(|part| !exists(packages, part))
            .map(|part| format!("a rule names `{part}`, which does not exist"))
            .collect();
        for package in packages {
            for file in &package.files {
                if is_in(&file.path, self.part)
                    && !self.but.iter().any(|but| is_in(&file.path, but))
                {
                    self.check(package, file, &mut broken);
                }
            }
        }
        broken
    }

    fn check(&self, package: &Imports, file: &File, broken: &mut Vec<String>) {
        for (target, names) in &file.imports {
            let target = &package.files[*target].path;
            let forbids = |parts: &[&str]| parts.iter().any(|part| is_in(target, part));
            if forbids(self.never) && !forbids(self.except) {
                let line = names.values().min().copied().unwrap_or(0);
                let names: Vec<&str> = names.keys().map(String::as_str).collect();
                broken.push(format!(
                    "{}:{line} imports {} of {}: {}",
                    file.path.display(),
                    names.join(", "),
                    target.display(),
                    self.why
                ));
            }
        }
        for (path, line) in &file.outside {
            let forbids = |names: &[&str]| names.iter().any(|name| is_under(path, name));
            if forbids(self.never) && !forbids(self.except) {
                broken.push(format!(
                    "{}:{line} names {path}: {}",
                    file.path.display(),
                    self.why
                ));
            }
        }
    }
}

fn exists(packages: &[Imports], part: &str) -> bool {
    packages
        .iter()
        .flat_map(|package| &package.files)
        .any(|file| is_in(&file.path, part))
}

fn is_under(path: &str, name: &str) -> bool {
    path.strip_prefix(name)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Returns the packages that depend on one that is not below them, given the floors from the lowest
/// up, and the packages without a floor. Tests and build scripts may depend on anything.
pub fn upward_dependencies(packages: &[Package], floors: &[&[&str]]) -> Vec<String> {
    let floor = |name: &str| floors.iter().position(|floor| floor.contains(&name));
    let mut broken = Vec::new();
    for package in packages {
        let Some(own) = floor(&package.name) else {
            broken.push(format!("the package `{}` has no floor", package.name));
            continue;
        };
        for dependency in &package.dependencies {
            if floor(dependency).is_some_and(|other| other >= own) {
                broken.push(format!(
                    "`{}` depends on `{dependency}`, which is not below it",
                    package.name
                ));
            }
        }
    }
    broken
}
