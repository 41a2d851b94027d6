//! Warnings that take work to find in a rule file without errors: rules that no packet reaches, and
//! redundant members of sets.
//!
//! This module owns the messages about these findings. [`crate::analysis`] and `redundancy` find
//! them.

mod load;
mod redundancy;

pub use self::load::{Linted, load};
