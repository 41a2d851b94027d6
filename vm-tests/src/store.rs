//! Kernels on disk: fetched as packages of a suite, unpacked, and kept for the next run.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    apt::{Apt, Package},
    kernels::{Choice, Wanted},
};

/// Debian's kernels for virtual machines: small, with everything needed here.
const METAPACKAGE: &str = "linux-image-cloud-amd64";
const IMAGE: &str = "linux-image-";
const FLAVOUR: &str = "-cloud-amd64";

/// The packages, other than that of the image, that can contain parts of a kernel.
const PARTS: [&str; 3] = ["linux-base-", "linux-binary-", "linux-modules-"];

/// An unpacked kernel.
#[derive(Clone, Debug)]
pub(crate) struct Kernel {
    /// Its release, such as `6.1.0-56-cloud-amd64`.
    pub(crate) release: String,
    /// The file to boot.
    pub(crate) image: PathBuf,
    /// The folder of its modules.
    pub(crate) modules: PathBuf,
}

/// The store of kernels.
pub(crate) struct Store {
    folder: PathBuf,
}

impl Store {
    /// Keeps kernels below `folder`.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Fetches a kernel, unless it is already in the store.
    pub(crate) fn fetch(&self, wanted: &Wanted) -> Result<Kernel> {
        let apt = Apt::new(&self.folder.join("apt"), &wanted.suite)?;
        apt.update()?;
        let packages = apt.packages()?;
        let image = choose(&packages, &wanted.choice).with_context(|| {
            format!("the suite `{}` has no kernel {}", wanted.suite, wanted.name)
        })?;
        let release = image.name.trim_start_matches(IMAGE);
        let place = self.place(&wanted.name);
        let version = format!("{release} {}\n", image.version);
        if !fs::read_to_string(place.join("version")).is_ok_and(|present| present == version) {
            eprintln!("fetching {} {}", wanted.name, version.trim_end());
            self.unpack(&apt, &parts(&packages, image), &place, &version)?;
        }
        open(&place)
    }

    /// The kernel with this name that was fetched last.
    pub(crate) fn fetched_before(&self, wanted: &Wanted) -> Result<Kernel> {
        open(&self.place(&wanted.name))
    }

    fn place(&self, name: &str) -> PathBuf {
        self.folder.join("kernels").join(name)
    }

    /// Unpacks packages into a folder that is renamed to its final name only when it is complete.
    fn unpack(&self, apt: &Apt, parts: &[&Package], place: &Path, version: &str) -> Result<()> {
        let temporary = tempfile::Builder::new()
            .prefix("fetch-")
            .tempdir_in(&self.folder)
            .context("cannot make a temporary folder")?;
        let (packages, tree) = (temporary.path().join("debs"), temporary.path().join("tree"));
        fs::create_dir(&packages)?;
        apt.download(parts, &packages)?;
        for package in packages.read_dir()? {
            let status = Command::new("dpkg-deb")
                .arg("--extract")
                .args([&package?.path(), &tree])
                .status()
                .context("cannot start `dpkg-deb`")?;
            ensure!(status.success(), "`dpkg-deb` failed");
        }
        fs::write(tree.join("version"), version)?;
        if place.exists() {
            fs::remove_dir_all(place)?;
        }
        fs::create_dir_all(self.folder.join("kernels"))?;
        fs::rename(&tree, place).context("cannot move the kernel to its place")
    }
}

/// The package of the image.
fn choose<'a>(packages: &'a [Package], choice: &Choice) -> Option<&'a Package> {
    let named = |name: &str| packages.iter().find(|package| package.name == name);
    match choice {
        Choice::Metapackage => {
            let depends = &named(METAPACKAGE)?.depends;
            named(depends.iter().find(|name| name.starts_with(IMAGE))?)
        }
        Choice::Series(series) => packages
            .iter()
            .filter(|package| is_of_series(&package.name, series))
            .max_by_key(|package| numbers(&package.name)),
    }
}

fn is_of_series(name: &str, series: &str) -> bool {
    name.strip_prefix(IMAGE)
        .and_then(|name| name.strip_suffix(FLAVOUR))
        .and_then(|release| release.strip_prefix(series))
        .is_some_and(|rest| rest.starts_with('.'))
}

/// The numbers in a name, by which releases are ordered.
fn numbers(name: &str) -> Vec<u64> {
    name.split(|c: char| !c.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect()
}

/// The packages of a kernel: that of the image, and those of its parts.
fn parts<'a>(packages: &'a [Package], image: &'a Package) -> Vec<&'a Package> {
    let is_part = |name: &str| PARTS.iter().any(|part| name.starts_with(part));
    let needed =
        |package: &&Package| is_part(&package.name) && image.depends.contains(&package.name);
    packages.iter().filter(needed).chain([image]).collect()
}

/// Finds the needed files of an unpacked kernel.
fn open(place: &Path) -> Result<Kernel> {
    let version = fs::read_to_string(place.join("version"))
        .with_context(|| format!("no kernel was fetched into `{}`", place.display()))?;
    let release = version.split_whitespace().next().unwrap_or_default();
    let one_of = |paths: [String; 2]| {
        let mut paths = paths.iter().map(|path| place.join(path));
        paths
            .find(|path| path.exists())
            .with_context(|| format!("the kernel {release} lacks a part"))
    };
    let modules = format!("usr/lib/modules/{release}");
    Ok(Kernel {
        image: one_of([
            format!("boot/vmlinuz-{release}"),
            format!("{modules}/vmlinuz"),
        ])?,
        modules: one_of([format!("lib/modules/{release}"), modules])?,
        release: release.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, depends: &[&str]) -> Package {
        Package {
            name: name.into(),
            version: "1".into(),
            depends: depends.iter().map(|&name| name.into()).collect(),
        }
    }

    #[test]
    fn the_newest_of_a_series_is_chosen_by_number() {
        let packages = [
            "linux-image-6.1.0-9-cloud-amd64",
            "linux-image-6.1.0-56-cloud-amd64",
            "linux-image-6.1.0-57-amd64",
            "linux-image-6.1-cloud-amd64",
            "linux-image-6.12.3+deb13-cloud-amd64",
            "linux-image-6.1.0-58-cloud-amd64-dbg",
        ]
        .map(|name| package(name, &[]));
        let choose = |series: &str| {
            let choice = Choice::Series(series.into());
            choose(&packages, &choice).map(|package| package.name.as_str())
        };
        assert_eq!(choose("6.1"), Some("linux-image-6.1.0-56-cloud-amd64"));
        assert_eq!(choose("6.12"), Some("linux-image-6.12.3+deb13-cloud-amd64"));
        assert_eq!(choose("6"), Some("linux-image-6.12.3+deb13-cloud-amd64"));
        assert_eq!(choose("5.10"), None);
    }

    #[test]
    fn the_metapackage_leads_to_the_image_and_its_parts() {
        let packages = [
            package(METAPACKAGE, &["linux-image-7.3-cloud-amd64"]),
            package(
                "linux-image-7.3-cloud-amd64",
                &["kmod", "linux-binary-7.3", "linux-modules-7.3"],
            ),
            package("linux-binary-7.3", &[]),
            package("linux-modules-7.3", &[]),
            package("linux-modules-7.2", &[]),
            package("kmod", &[]),
        ];
        let image = choose(&packages, &Choice::Metapackage).unwrap();
        let names: Vec<&str> = parts(&packages, image)
            .iter()
            .map(|package| package.name.as_str())
            .collect();
        assert_eq!(
            names,
            [
                "linux-binary-7.3",
                "linux-modules-7.3",
                "linux-image-7.3-cloud-amd64"
            ]
        );
    }
}
