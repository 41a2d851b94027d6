//! `firewall check`: what `apply` would say about a rule file, without privileges.

mod command;
mod error;
mod image;
mod plan;

pub(crate) use crate::commands::check::command::{CheckArgs, run};
