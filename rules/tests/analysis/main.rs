//! What is said of rule sets without a packet, against the reference evaluator on packets.

mod canonical;
mod diffs;
mod edits;
mod frames;
mod shadows;
