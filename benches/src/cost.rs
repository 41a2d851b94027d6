//! The cost of a packet: CPU time per packet with a firewall at the far end of a veth pair, and of
//! the program alone.
//!
//! A [`case`] is a rule set, written for each firewall, and a series of packets. Each firewall that
//! can take part is a [`subject`]: it is set up on its own [`testbed`], and the [`driver`] sends it
//! packets in [`rounds`], in turn with the others, so that other work of the machine is spread over
//! all of them. An empty XDP program that drops everything always takes part: it is the baseline,
//! the cost of a packet without a filter. A [`report`] has the figures.

pub mod bans;
pub mod case;
pub mod clock;
mod daemon;
pub mod data;
pub mod drawing;
pub mod driver;
pub mod egress;
mod expectation;
pub mod loading;
pub mod machine;
mod object_file;
mod offload;
pub mod profile;
pub mod registry;
pub mod reload;
pub mod report;
pub mod rounds;
pub mod rule_file;
pub mod sample;
pub mod site;
pub mod state;
pub mod statistics;
pub mod subject;
pub mod subject_kind;
mod subjects;
pub mod switch_time;
pub mod testbed;
mod tool;
pub mod verdicts;
