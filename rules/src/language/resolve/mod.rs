//! Resolves a rule file to a [`Ruleset`](crate::model::Ruleset).
//!
//! This module owns the order of the work and the keys of rules other than match fields. It does
//! not know TOML; only [`fields`] and [`sets`] read the text of values.

mod broad;
mod choice;
mod consistency;
mod fields;
mod files;
mod flows;
mod interface;
mod lints;
mod list_files;
mod listing;
mod literal;
mod loaded;
mod log;
mod name;
mod rule_file;
mod rule_tests;
mod sets;
mod settings;

pub(crate) use self::{list_files::options as list_options, rule_file::resolve};
pub use self::{
    loaded::{ListSize, Loaded},
    name::MAX_RULE_NAME_LEN,
    rule_file::load,
};
