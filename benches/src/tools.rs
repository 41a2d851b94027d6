//! The commands that tests and measurements call: finds them, and says what to do if they are
//! missing.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// The commands that tests call, and the Debian packages that contain them.
const FOR_TESTS: &str = include_str!("../../scripts/test-tools");

/// Folders of commands, which may not be on the path.
const FOLDERS: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];

/// A command that a test calls and that is not installed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the command `{command}` is missing; Debian has it in `{package}`\nhelp: run `make setup`")]
pub struct MissingTool {
    command: String,
    package: String,
}

/// Finds a command by its name.
#[must_use]
pub fn find(command: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(FOLDERS.map(PathBuf::from))
        .map(|folder| folder.join(command))
        .find(|path| path.is_file())
}

/// Makes a command of a tool that `make setup` installs for tests.
///
/// # Panics
///
/// If `make setup` does not install it, or the tool is missing: a test that needs it fails with a
/// message that says what to do.
#[must_use]
#[expect(clippy::panic, reason = "how a test fails")]
pub fn command(name: &str) -> Command {
    let Some(package) = package(name) else {
        panic!("`{name}` is not in `scripts/test-tools`, whose commands `make setup` installs");
    };
    let found = found(name, find(name).as_deref(), package);
    Command::new(found.unwrap_or_else(|missing| panic!("{missing}")))
}

fn found(command: &str, path: Option<&Path>, package: &str) -> Result<PathBuf, MissingTool> {
    path.map(PathBuf::from).ok_or_else(|| MissingTool {
        command: command.to_owned(),
        package: package.to_owned(),
    })
}

/// The commands that tests call.
pub fn for_tests() -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = FOR_TESTS.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once(' '))
}

fn package(command: &str) -> Option<&'static str> {
    for_tests().find_map(|(name, package)| (name == command).then_some(package))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_list_is_a_command_and_its_package() {
        let lines = FOR_TESTS.lines().filter(|line| !line.starts_with('#'));
        assert_eq!(lines.count(), for_tests().count());
        for (command, package) in for_tests() {
            assert!(!package.contains(' ') && !package.is_empty(), "{command}");
        }
        assert!(for_tests().is_sorted());
    }

    #[test]
    fn a_missing_tool_is_told_with_its_package_and_what_to_do() {
        assert_eq!(
            found("ipset", None, "ipset").unwrap_err().to_string(),
            "the command `ipset` is missing; Debian has it in `ipset`\nhelp: run `make setup`"
        );
        assert_eq!(find("no-such-command"), None);
        assert!(find("sh").is_some());
    }

    #[test]
    #[should_panic(expected = "`no-such-command` is not in `scripts/test-tools`")]
    fn a_tool_that_setup_does_not_install_is_not_called() {
        let _ = command("no-such-command");
    }
}
