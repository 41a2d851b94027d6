//! How failures reach the user: what an error must say, the error of a command, exit statuses.
//!
//! The errors themselves live beside what fails, and implement [`UserError`] there. This module
//! knows none of them but those of `kernel`, which knows nothing above it.

mod exit_status;
mod failure;
mod kernel;
mod lack;
mod parts;
mod user_error;

pub use crate::error::{exit_status::ExitStatus, failure::Error, user_error::UserError};
pub(crate) use crate::error::{lack::is_lack, parts::ErrorParts};
