//! The kernels to test, from `kernels.toml`.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;

const FILE: &str = include_str!("../kernels.toml");

/// A kernel to test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Its name on the command line and in reports.
    pub(crate) name: String,
    /// The suite of the mirror that has it.
    pub(crate) suite: String,
    /// The choice among the kernels of the suite.
    pub(crate) choice: Choice,
    /// Whether it may be missing.
    pub(crate) is_optional: bool,
}

/// The choice of a kernel from a suite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// The newest of a series, such as `6.1`.
    Series(String),
    /// The kernel on which the metapackage depends.
    Metapackage,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KernelList {
    kernel: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    suite: String,
    series: Option<String>,
    name: Option<String>,
    #[serde(default)]
    optional: bool,
}

/// The kernels with these names, or all kernels if there are no names.
pub(crate) fn wanted(names: &[String]) -> Result<Vec<Wanted>> {
    select(parse(FILE)?, names)
}

fn parse(text: &str) -> Result<Vec<Wanted>> {
    let file: KernelList = toml::from_str(text).context("kernels.toml")?;
    let mut names = BTreeSet::new();
    let mut kernels = Vec::new();
    for entry in file.kernel {
        let (name, choice) = match (entry.series, entry.name) {
            (Some(series), None) => (series.clone(), Choice::Series(series)),
            (None, Some(name)) => (name, Choice::Metapackage),
            (Some(_), Some(_)) | (None, None) => bail!(
                "kernels.toml: a kernel of `{}` has either `series` or `name`",
                entry.suite
            ),
        };
        ensure!(
            names.insert(name.clone()),
            "kernels.toml: two kernels are called `{name}`"
        );
        kernels.push(Wanted {
            name,
            suite: entry.suite,
            choice,
            is_optional: entry.optional,
        });
    }
    Ok(kernels)
}

fn select(kernels: Vec<Wanted>, names: &[String]) -> Result<Vec<Wanted>> {
    for name in names {
        if !kernels.iter().any(|kernel| kernel.name == *name) {
            let known: Vec<&str> = kernels.iter().map(|kernel| kernel.name.as_str()).collect();
            bail!(
                "there is no kernel `{name}`; kernels.toml has {}",
                known.join(", ")
            );
        }
    }
    Ok(kernels
        .into_iter()
        .filter(|kernel| names.is_empty() || names.contains(&kernel.name))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_has_the_kernels_that_must_be_there() {
        let names: Vec<String> = parse(FILE).unwrap().into_iter().map(|k| k.name).collect();
        for name in ["5.10", "6.1", "6.12", "6.18", "newest"] {
            assert!(names.iter().any(|known| known == name), "{name}");
        }
    }

    #[test]
    fn only_kernels_whose_suite_may_end_are_optional() {
        let kernels = parse(FILE).unwrap();
        let optional = kernels.iter().filter(|kernel| kernel.is_optional);
        let names: Vec<_> = optional.map(|kernel| kernel.name.as_str()).collect();
        assert_eq!(names, ["5.10", "6.18"]);
    }

    #[test]
    fn an_unknown_kernel_lists_those_there_are() {
        let kernels = parse(
            "kernel = [{ suite = \"a\", series = \"6.1\" }, { suite = \"a\", name = \"new\" }]",
        )
        .unwrap();
        let names = |names: &[&str]| names.iter().map(|&name| name.into()).collect::<Vec<_>>();
        assert_eq!(select(kernels.clone(), &names(&["new"])).unwrap().len(), 1);
        assert_eq!(select(kernels.clone(), &[]).unwrap().len(), 2);
        let error = select(kernels, &names(&["new", "6.2"])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no kernel `6.2`; kernels.toml has 6.1, new"
        );
    }

    #[test]
    fn a_kernel_has_one_name() {
        for bad in [
            "kernel = [{ suite = \"a\" }]",
            "kernel = [{ suite = \"a\", series = \"6.1\", name = \"b\" }]",
            "kernel = [{ suite = \"a\", name = \"b\" }, { suite = \"c\", name = \"b\" }]",
            "kernel = [{ suite = \"a\", name = \"b\", serie = \"6.1\" }]",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
