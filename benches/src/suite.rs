//! A whole run: its measurements, and the reports on them.
//!
//! A [`plan`] lists the measurements, the [`results`] contain all figures, [`targets`] compares
//! them with their targets, and [`markdown`] writes the report for readers.

pub mod markdown;
pub mod plan;
pub mod results;
pub mod targets;
