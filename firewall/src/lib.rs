//! The `firewall` command as a library: the command line, the daemon, and the boundary to the kernel.

mod bans;
mod candidate;
mod cli;
mod commands;
mod config;
mod control;
mod daemon;
mod doctor;
mod error;
mod filter;
mod generation;
mod interfaces;
mod kernel;
mod lockout;
mod logging;
mod packet_log;
mod rule_file;
mod runtime;
mod text;

pub use crate::cli::main;
