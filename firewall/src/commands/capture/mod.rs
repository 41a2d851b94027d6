//! `firewall capture`: packets that rules log, for people, programs and tools that read captures.

mod command;
mod error;
mod form;
mod lines;
mod output;
mod pcapng;

pub(crate) use crate::commands::capture::command::{CaptureArgs, run};
