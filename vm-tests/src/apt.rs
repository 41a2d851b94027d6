//! Packages of one Debian suite, through a separate `apt` state: nothing is installed, and the
//! package state of the machine does not change.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

/// The keys that sign the packages.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The mirror for a machine that names none.
const MIRROR: &str = "http://deb.debian.org";

/// A package of the suite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Package {
    /// Its name.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// The names of the packages that it needs; of alternatives, the first.
    pub(crate) depends: Vec<String>,
}

/// The state for a suite.
pub(crate) struct Apt {
    configuration: PathBuf,
}

impl Apt {
    /// Sets the state up below `folder`.
    pub(crate) fn new(folder: &Path, suite: &str) -> Result<Self> {
        ensure!(
            Path::new(KEYRING).exists(),
            "`{KEYRING}` is missing; run `apt-get install debian-archive-keyring` as root"
        );
        let folder = folder.join(suite);
        for part in ["state/lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.join(part))
                .with_context(|| format!("cannot create `{}`", folder.display()))?;
        }
        let archive = archive(suite, &repositories());
        let path = folder.display();
        // `-c` is read last, so it clears the hooks that the machine configures.
        let configuration = format!(
            "#clear APT::Update::Post-Invoke;\n\
             #clear APT::Update::Post-Invoke-Success;\n\
             #clear Acquire::IndexTargets::deb::DEP-11;\n\
             APT::Architecture \"amd64\";\n\
             APT::Sandbox::User \"root\";\n\
             Acquire::Languages \"none\";\n\
             Acquire::Retries \"3\";\n\
             Dir::State \"{path}/state\";\n\
             Dir::State::status \"{path}/status\";\n\
             Dir::Cache \"{path}/cache\";\n\
             Dir::Etc::sourcelist \"{path}/sources.list\";\n\
             Dir::Etc::sourceparts \"-\";\n\
             Dir::Etc::preferencesparts \"-\";\n"
        );
        let source = format!("deb [signed-by={KEYRING}] {archive} {suite} main\n");
        let apt = Self {
            configuration: folder.join("apt.conf"),
        };
        for (file, text) in [
            (&apt.configuration, configuration),
            (&folder.join("sources.list"), source),
            (&folder.join("status"), String::new()),
        ] {
            fs::write(file, text).with_context(|| format!("cannot write `{}`", file.display()))?;
        }
        Ok(apt)
    }

    /// Fetches the list of packages.
    pub(crate) fn update(&self) -> Result<()> {
        self.output(self.command("apt-get").args(["update", "--error-on=any"]))
            .map(drop)
    }

    /// The packages of the list.
    pub(crate) fn packages(&self) -> Result<Vec<Package>> {
        let text = self.output(self.command("apt-cache").arg("dumpavail"))?;
        Ok(parse(&text))
    }

    /// Fetches packages into `folder`.
    pub(crate) fn download(&self, packages: &[&Package], folder: &Path) -> Result<()> {
        let exact = packages
            .iter()
            .map(|package| format!("{}={}", package.name, package.version));
        let mut command = self.command("apt-get");
        command.arg("download").args(exact).current_dir(folder);
        self.output(&mut command).map(drop)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("-qq").arg("-c").arg(&self.configuration);
        command
    }

    fn output(&self, command: &mut Command) -> Result<String> {
        let program = command.get_program().to_string_lossy().into_owned();
        let output = command
            .output()
            .with_context(|| format!("cannot start `{program}`"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "`{program}` failed: {}",
            said.lines().next_back().unwrap_or("it said nothing")
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// The repositories that the machine uses.
fn repositories() -> Vec<String> {
    let output = Command::new("apt-get")
        .args(["indextargets", "--format", "$(REPO_URI)"])
        .output();
    let text = output.map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&text)
        .lines()
        .map(str::to_owned)
        .collect()
}

/// The URL of a suite: on the machine's own mirror if it has one.
fn archive(suite: &str, repositories: &[String]) -> String {
    let name = if suite.ends_with("-security") {
        "debian-security"
    } else {
        "debian"
    };
    let is_it = |uri: &&String| uri.trim_end_matches('/').rsplit('/').next() == Some(name);
    repositories
        .iter()
        .find(is_it)
        .cloned()
        .unwrap_or_else(|| format!("{MIRROR}/{name}"))
}

/// Reads the paragraphs of a package list.
fn parse(text: &str) -> Vec<Package> {
    text.split("\n\n").filter_map(paragraph).collect()
}

fn paragraph(text: &str) -> Option<Package> {
    let field = |key: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(": "))
    };
    let depends = field("Depends").unwrap_or_default();
    Some(Package {
        name: field("Package")?.to_owned(),
        version: field("Version")?.to_owned(),
        depends: depends
            .split(',')
            .filter_map(|entry| entry.split_whitespace().next())
            .map(str::to_owned)
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_are_packages() {
        let text = "Package: a\nVersion: 1-2\nDepends: b (= 1-2), c | d, e\nX: y\n\n\
                    Package: b\nPriority: optional\nVersion: 3\n";
        let package = |name: &str, version: &str, depends: &[&str]| Package {
            name: name.into(),
            version: version.into(),
            depends: depends.iter().map(|&name| name.into()).collect(),
        };
        let expected = [
            package("a", "1-2", &["b", "c", "e"]),
            package("b", "3", &[]),
        ];
        assert_eq!(parse(text), expected);
    }

    #[test]
    fn the_mirror_of_the_machine_is_used_if_it_has_one() {
        let own = [
            "https://example.org/debian/".to_owned(),
            "https://example.org/ubuntu".to_owned(),
        ];
        assert_eq!(archive("sid", &own), "https://example.org/debian/");
        let default = "http://deb.debian.org/debian-security";
        assert_eq!(archive("bookworm-security", &own), default);
    }
}
