//! A rule set as people see it: what rules say, by names of sets and not by their members.

use serde::{Deserialize, Serialize};

/// What the rules of a file say, and the sets that they use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// The rules in the order of the file, also those that are disabled.
    pub rules: Vec<ListedRule>,
    /// The sets that rules use, in the order of the file.
    pub sets: Vec<ListedSet>,
}

/// What a rule says, without its name, direction, action and comment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedRule {
    /// Whether it is in force.
    pub enabled: bool,
    /// Its fields, in the order of [`FieldName::ALL`](crate::field::FieldName::ALL).
    pub fields: Vec<ListedField>,
    /// The limit of its log, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<ListedLog>,
}

/// A field of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedField {
    /// Its key in a rule file.
    pub field: String,
    /// What it says.
    #[serde(flatten)]
    pub terms: ListedTerms,
}

/// Terms as written, as far as there is room for them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedTerms {
    /// The first of them: numbers in decimal, `!` before what is negated, `@` before the name of a set.
    pub terms: Vec<String>,
    /// The number of those that are left out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: usize,
}

/// The limit of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedLog {
    /// The events in a unit of time, as in a rule file.
    pub rate: String,
    /// The events that may come at once.
    pub burst: u32,
}

/// A set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedSet {
    /// Its name.
    pub name: String,
    /// `addresses` or `ports`.
    pub kind: String,
    /// The number of ranges that it consists of: of its members, those that overlap or are adjacent are one.
    pub ranges: usize,
    /// Its members, if they are written in the rule file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<ListedTerms>,
    /// The list files that its members come from, as the rule file names them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
}

impl Listing {
    /// The most terms of a field.
    pub const MAX_TERMS: usize = 256;

    /// The most members of a set.
    pub const MAX_MEMBERS: usize = 16;
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(number: &usize) -> bool {
    *number == 0
}
