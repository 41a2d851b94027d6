//! The list of commands that tests call is complete: `make setup` installs each of them, and a test
//! fails if one is missing.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use benches::tools;

/// The folders of tests and of measurements that call commands.
const FOLDERS: [&str; 5] = [
    "architecture/tests",
    "benches/src",
    "benches/tests",
    "firewall/tests",
    "rules/tests",
];

/// Files of Rust with their text.
fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut folders: Vec<_> = FOLDERS.map(|folder| root.join(folder)).into();
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    found
}

/// A command given only by its name is looked up when it is called; if it is missing, the error
/// does not name it.
#[test]
fn no_test_calls_a_command_by_its_name_alone() {
    let mut wrong = Vec::new();
    // In two parts, so that this line is not found itself.
    let call = concat!("Command::", "new(\"");
    for (path, text) in sources() {
        for name in text.split(call).skip(1) {
            let name = name.split('"').next().unwrap_or_default();
            wrong.push(format!("{}: `{name}`", path.display()));
        }
    }
    assert!(
        wrong.is_empty(),
        "{}\nhelp: call `benches::tools::command`",
        wrong.join("\n")
    );
}

#[test]
fn every_command_of_the_list_is_called() {
    let sources = sources();
    for (command, _) in tools::for_tests() {
        let is_named = sources.iter().any(|(_, text)| text.contains(command));
        assert!(is_named, "nothing calls `{command}`");
    }
}

#[test]
#[ignore = "needs root"]
fn every_command_of_the_list_is_there() {
    for (command, _) in tools::for_tests() {
        let _ = tools::command(command);
    }
}
