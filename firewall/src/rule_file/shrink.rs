//! Lists and rule files that shrink: a feed that was cut off is the usual cause.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    error::{ExitStatus, UserError},
    rule_file::load::RuleFile,
    text::format::{counted, grouped},
};

/// The smallest number of rules, or of members of a list, that is not expected to vary.
const GUARDED: usize = 10;

/// The largest part of the rules, in percent, that may be gone.
const RULES: u8 = 50;

/// The maximum number of lists in a message.
const SHOWN: usize = 3;

/// The sizes of a rule file and of the lists that it names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sizes {
    /// The number of rules.
    pub(crate) rules: usize,
    /// The number of members of each list.
    pub(crate) lists: Vec<ListMembers>,
}

/// The size of a list file of a set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ListMembers {
    set: String,
    file: String,
    members: usize,
}

impl Sizes {
    /// The sizes of a rule file.
    pub(crate) fn of(file: &RuleFile) -> Self {
        let lists = file.lists.iter().map(|list| ListMembers {
            set: list.set.clone(),
            file: list.file.clone(),
            members: list.members,
        });
        Self {
            rules: file.ruleset.rules.len(),
            lists: lists.collect(),
        }
    }
}

/// A rule file, or lists that it names, have shrunk by more than they may.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", listed(.0))]
pub(crate) struct ShrinkError(Vec<Shrunk>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Shrunk {
    /// The list and its set; `None` for the rules.
    list: Option<(String, String)>,
    before: usize,
    after: usize,
}

impl UserError for ShrinkError {
    fn help(&self) -> Option<String> {
        let Self(shrunk) = self;
        let key = if shrunk.iter().any(|shrunk| shrunk.list.is_some()) {
            "; `shrink = \"100%\"` beside `file` allows it for good"
        } else {
            ""
        };
        Some(format!("`--force` accepts it once{key}"))
    }

    fn exit_status(&self) -> ExitStatus {
        ExitStatus::BadRules
    }
}

/// Fails when `after` has lost more of what it had `before` than it may.
///
/// # Errors
///
/// [`ShrinkError`] with the lists.
pub(crate) fn check(before: &Sizes, after: &RuleFile) -> Result<(), ShrinkError> {
    let mut shrunk = Vec::new();
    let rules = after.ruleset.rules.len();
    if is_shrunk(before.rules, rules, RULES) {
        shrunk.push(Shrunk {
            list: None,
            before: before.rules,
            after: rules,
        });
    }
    for list in after.lists.iter() {
        let mut known = before.lists.iter();
        let known = known.find(|known| known.set == list.set && known.file == list.file);
        if let Some(known) = known
            && is_shrunk(known.members, list.members, list.shrink)
        {
            shrunk.push(Shrunk {
                list: Some((list.file.clone(), list.set.clone())),
                before: known.members,
                after: list.members,
            });
        }
    }
    if shrunk.is_empty() {
        Ok(())
    } else {
        Err(ShrinkError(shrunk))
    }
}

fn is_shrunk(before: usize, after: usize, percent: u8) -> bool {
    let gone = before.saturating_sub(after);
    before >= GUARDED && gone.saturating_mul(100) > before.saturating_mul(percent.into())
}

impl fmt::Display for Shrunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let before = grouped(self.before as u64);
        match &self.list {
            None => write!(
                f,
                "the rule file has {}, and had {before} before",
                counted(self.after, "rule")
            ),
            Some((file, set)) => write!(
                f,
                "the list `{file}` of the set `{set}` has {}, and had {before} before",
                counted(self.after, "member")
            ),
        }
    }
}

fn listed(shrunk: &[Shrunk]) -> String {
    let shown: Vec<String> = shrunk.iter().take(SHOWN).map(ToString::to_string).collect();
    let more = match shrunk.len().saturating_sub(SHOWN) {
        0 => String::new(),
        count => format!("; and {count} more"),
    };
    shown.join("; ") + &more
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_a_part_may_not_be_gone() {
        for (before, after, percent, expected) in [
            (10, 5, 50, false),
            (10, 4, 50, true),
            (9, 0, 50, false),
            (10, 0, 100, false),
            (10, 0, 99, true),
            (100, 99, 0, true),
            (100, 100, 0, false),
            (100, 1_000, 0, false),
            (1_000_000, 499_999, 50, true),
        ] {
            let found = is_shrunk(before, after, percent);
            assert_eq!(found, expected, "{before} {after} {percent}");
        }
    }

    #[test]
    fn the_error_names_sets_and_numbers() {
        let list = |file: &str, before, after| Shrunk {
            list: Some((file.to_owned(), "bad".to_owned())),
            before,
            after,
        };
        let error = ShrinkError(vec![list("a.txt", 1200, 1)]);
        assert_eq!(
            error.to_string(),
            "the list `a.txt` of the set `bad` has 1 member, and had 1,200 before"
        );
        assert!(error.help().unwrap().contains("shrink"));
        let rules = Shrunk {
            list: None,
            before: 40,
            after: 3,
        };
        let error = ShrinkError(vec![rules]);
        assert_eq!(
            error.to_string(),
            "the rule file has 3 rules, and had 40 before"
        );
        assert_eq!(error.help().unwrap(), "`--force` accepts it once");
    }
}
