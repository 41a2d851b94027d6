//! The rule file in a folder of its own, and the edit of it.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::flows::{BANNED, NEWLY_LISTED};

/// The path of the list, relative to the folder of the rule file.
const LIST: &str = "lists/demo-blocklist.txt";

/// The rule that the edit removes.
const REMOVED: &str = "dns";

/// The rule before which the edit inserts new ones.
const NEXT: &str = "web";

/// A working copy of the rule file and its list.
pub(crate) struct RuleFiles {
    folder: TempDir,
}

/// What the edit changed, as lines that begin with `+` or `-`.
pub(crate) struct FileEdit {
    pub(crate) file: &'static str,
    pub(crate) lines: Vec<String>,
}

impl RuleFiles {
    /// Copies the rule file and the list beside it.
    pub(crate) fn copy(rules: &Path) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("fw-demo-").tempdir()?;
        let files = Self { folder };
        let list = rules.with_file_name(LIST);
        fs::create_dir(files.list().with_file_name(""))?;
        for (from, to) in [(rules, files.rules()), (&list, files.list())] {
            fs::copy(from, to).with_context(|| format!("cannot copy `{}`", from.display()))?;
        }
        Ok(files)
    }

    /// The rule file.
    pub(crate) fn rules(&self) -> PathBuf {
        self.folder.path().join("demo.toml")
    }

    fn list(&self) -> PathBuf {
        self.folder.path().join(LIST)
    }

    /// Removes one rule from the rule file, inserts two, and adds a line to the list.
    pub(crate) fn edit(&self) -> Result<Vec<FileEdit>> {
        let mut added = String::new();
        for (name, action, field, value) in [
            ("banned guest", "drop", "src", format!("\"{BANNED}\"")),
            ("ntp", "pass", "dport", "123\nproto = \"udp\"".to_owned()),
        ] {
            write!(
                added,
                "[[rule]]\nname = \"{name}\"\naction = \"{action}\"\n{field} = {value}\n\n"
            )?;
        }
        let text = fs::read_to_string(self.rules())?;
        let removed = rule(&text, REMOVED)?;
        let edited = text.replace(removed, "");
        let next = rule(&edited, NEXT)?;
        replace(
            &self.rules(),
            &edited.replace(next, &format!("{added}{next}")),
        )?;

        let listed = format!("{NEWLY_LISTED}\n");
        let list = fs::read_to_string(self.list())?;
        ensure!(
            list.ends_with('\n'),
            "the list does not end with a line break"
        );
        replace(&self.list(), &(list + &listed))?;

        let lines = |sign: char, text: &str| -> Vec<String> {
            let lines = text.lines().filter(|line| !line.is_empty());
            lines.map(|line| format!("{sign} {line}")).collect()
        };
        Ok(vec![
            FileEdit {
                file: "demo.toml",
                lines: [lines('+', &added), lines('-', removed)].concat(),
            },
            FileEdit {
                file: LIST,
                lines: lines('+', &listed),
            },
        ])
    }
}

/// The lines of the rule with this name.
fn rule<'a>(text: &'a str, name: &str) -> Result<&'a str> {
    const START: &str = "[[rule]]";
    let line = format!("\"{name}\"");
    let is_named = |rule: &&str| {
        rule.lines()
            .any(|entry| entry.starts_with("name") && entry.ends_with(&line))
    };
    let starts: Vec<_> = text.match_indices(START).map(|(at, _)| at).collect();
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    starts
        .iter()
        .zip(ends)
        .filter_map(|(start, end)| text.get(*start..end))
        .find(is_named)
        .with_context(|| format!("the rule file has no rule `{name}`"))
}

/// Writes a file in one step, so that no reader sees half of it.
fn replace(path: &Path, text: &str) -> Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, text).and_then(|()| fs::rename(&new, path))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../rules/samples/demo.toml")
    }

    #[test]
    fn the_edit_changes_the_copy_and_says_how() {
        let files = RuleFiles::copy(&sample()).unwrap();
        let before = fs::read_to_string(files.rules()).unwrap();
        let changes = files.edit().unwrap();
        let after = fs::read_to_string(files.rules()).unwrap();
        assert_eq!(before, fs::read_to_string(sample()).unwrap());
        assert!(rule(&before, "dns").is_ok() && rule(&after, "dns").is_err());
        for added in ["banned guest", "ntp"] {
            assert!(rule(&before, added).is_err() && rule(&after, added).is_ok());
        }
        assert!(after.find("\"ntp\"") < after.find("\"web\"\naction"));
        let list = fs::read_to_string(files.list()).unwrap();
        assert_eq!(list.lines().last(), Some("2001:db8:2::5"));
        let [rules, list] = changes.as_slice() else {
            panic!("two files are edited");
        };
        assert!(rules.lines.contains(&"- name   = \"dns\"".to_owned()));
        assert_eq!(list.lines, ["+ 2001:db8:2::5"]);
    }

    #[test]
    fn a_rule_ends_where_the_next_begins() {
        let text = "[[rule]]\nname = \"a\"\nx = 1\n[[rule]]\nname = \"b\"\n";
        assert_eq!(rule(text, "a").unwrap(), "[[rule]]\nname = \"a\"\nx = 1\n");
        assert_eq!(rule(text, "b").unwrap(), "[[rule]]\nname = \"b\"\n");
        assert!(rule(text, "c").is_err());
    }
}
