//! The analysis of rule sets, compared with the reference evaluator on random packets.

mod canonical;
mod diffs;
mod dropping;
mod edits;
mod frames;
mod options;
mod shadows;
mod states;
