//! Warnings that take work to find in a rule file without errors: rules that no packet reaches,
//! redundant members of sets, and packets that are needed and dropped.
//!
//! This module owns the messages about these findings. [`crate::analysis`], `redundancy` and
//! `needs` find them.

mod load;
mod needs;
mod redundancy;

pub use self::load::{Linted, load, load_for_use};
