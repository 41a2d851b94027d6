//! What may not be as it was meant in a rule file that can be used, and takes work to find: rules
//! that no packet reaches, and members of sets that others have.
//!
//! This module owns how these findings are told. What they are is for [`crate::analysis`] and
//! `redundancy`.

mod load;
mod redundancy;

pub use self::load::{Linted, load};
