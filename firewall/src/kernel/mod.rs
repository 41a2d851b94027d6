//! The boundary to the kernel: the only folder that names `aya`, and the only one with `unsafe`
//! code ([`syscall`], [`memory`], [`ethtool`], [`events`] and [`logs`]).
//!
//! It knows maps, programs, links and pins. It must not know rules, the daemon or the command
//! line: names and numbers are handed to it.

pub(crate) mod bans;
pub(crate) mod clock;
pub(crate) mod connection;
pub(crate) mod conntrack;
pub(crate) mod counters;
pub(crate) mod descriptors;
pub(crate) mod drops;
pub(crate) mod ethtool;
pub(crate) mod events;
pub(crate) mod flow_writer;
pub(crate) mod flows;
pub(crate) mod generation;
pub(crate) mod held_pins;
pub(crate) mod hook;
pub(crate) mod host;
pub(crate) mod image_size;
pub(crate) mod images;
pub(crate) mod info;
pub(crate) mod link;
pub(crate) mod logs;
mod maps;
pub(crate) mod max_bans;
pub(crate) mod memory;
mod netlink;
pub(crate) mod note;
pub(crate) mod pins;
pub(crate) mod program;
pub(crate) mod shared;
pub(crate) mod slot;
pub(crate) mod sockets;
pub(crate) mod syscall;
pub(crate) mod traffic_control;
pub(crate) mod trial;
mod trial_flows;
pub(crate) mod undo;
pub(crate) mod verifier;
