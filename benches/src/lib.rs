//! Traffic, test networks, the demonstration and the benchmarks of the firewall.
//!
//! - [`packet`]: the frames of [`rules`], of every kind that the firewall must classify;
//! - [`tuple`]: the fields of a packet that most rules use;
//! - [`mix`]: marked flows of such packets, drawn from a seed;
//! - [`network`]: namespaces joined by veth pairs, gone when the value is dropped;
//! - [`rulesets`]: rule sets and address lists to compare filters with, and packets for them;
//! - [`traffic`]: sending at a steady rate, and counting what arrives;
//! - [`classifier`]: a program of another owner at the egress hook;
//! - [`bpffs`], [`objects`]: a private BPF file system, and which BPF objects the kernel holds;
//! - [`cost`]: the cost of a packet, for the firewall and others;
//! - [`suite`]: all measurements of a run, and the reports on them;
//! - [`tools`]: the commands of the machine that tests and measurements call;
//! - [`sandbox`]: the first steps of programs, so that nothing outlives them;
//! - [`interrupt`]: signals as a flag, so that everything above is undone before the end.
//!
//! Nothing here knows how the firewall works: it is tested and measured from outside.

mod bpf;
pub mod bpffs;
pub mod classifier;
pub mod cost;
pub mod features;
pub mod interrupt;
pub mod mark;
pub mod mix;
pub mod network;
pub mod objects;
pub mod random;
pub mod rulesets;
pub mod sandbox;
pub mod suite;
pub mod tools;
pub mod traffic;
pub mod tuple;

pub use rules::packet;
