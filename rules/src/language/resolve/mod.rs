//! The meaning of a rule file: from what is written to a [`Ruleset`](crate::model::Ruleset).
//!
//! This module owns the order of the work and what rules have beside match fields. It does not
//! know TOML, and the text of values only as far as [`fields`] and [`sets`] read it.

mod broad;
mod choice;
mod consistency;
mod fields;
mod files;
mod interface;
mod list_files;
mod literal;
mod loaded;
mod log;
mod name;
mod rule_file;
mod rule_tests;
mod sets;
mod settings;

pub(crate) use self::{list_files::options as list_options, rule_file::resolve};
pub use self::{loaded::Loaded, name::MAX_RULE_NAME_LEN, rule_file::load};
