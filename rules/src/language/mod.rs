//! The rule language: converts the text of a rule file to a rule set, and back.
//!
//! This module owns rule files: their syntax, their meaning, the list files and tests in them. It
//! does not evaluate packets.

pub mod canonical;
mod listing;
pub mod lists;
pub(crate) mod resolve;
mod rule_test;
pub(crate) mod syntax;

pub use self::{
    listing::{ListedField, ListedLog, ListedRule, ListedSet, ListedTerms, Listing},
    resolve::{ListSize, Loaded, MAX_RULE_NAME_LEN, load},
    rule_test::{Expected, RuleTest, TestPacket, decider},
};
pub(crate) use self::{
    resolve::list_options,
    syntax::{Field, File, Members, Operand, Term},
};
