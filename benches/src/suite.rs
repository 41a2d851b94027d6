//! A whole run: which measurements there are, and what becomes of their figures.
//!
//! A [`plan`] says what is measured, the [`results`] hold everything that was, [`targets`] compares
//! them with what they should be, and [`markdown`] is what people read.

pub mod markdown;
pub mod plan;
pub mod results;
pub mod targets;
