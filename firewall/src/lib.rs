//! The `firewall` command as a library.
//!
//! [`main`] is the command. The rest reads the firewall that a [`Config`] names, from its pins and
//! without a daemon: [`Status`], [`RuleListing`], [`CounterSnapshot`] and [`BanListing`], which are what the commands of
//! these names print, as text or as JSON.
//!
//! ```no_run
//! use firewall::{Config, CounterSnapshot};
//!
//! let config = Config::new("/sys/fs/bpf".into(), "/run/firewall".as_ref(), "default".into());
//! let counters = CounterSnapshot::read(&config)?;
//! for rule in &counters.rules {
//!     println!("{}: {} packets", rule.name, rule.count.packets);
//! }
//! # Ok::<(), firewall::Error>(())
//! ```

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
#[cfg(fuzzing)]
pub mod fuzzing;
mod generation;
mod interfaces;
mod kernel;
mod lockout;
mod logging;
mod observe;
mod packet_log;
mod rule_file;
mod runtime;
mod text;

pub use rules::language::{ListedField, ListedLog, ListedSet, ListedTerms};

pub use crate::{
    bans::prefix::Prefix,
    cli::main,
    config::Config,
    error::{Error, ExitStatus, UserError},
    kernel::{
        counters::Count, generation::Generation, info::MapFacts, link::AttachMode, slot::Slot,
    },
    observe::{
        bans::{BanEntry, BanListing, ReasonRow},
        counter_view::{CounterOrder, CounterView, UnknownRule},
        counters::{CounterRate, CounterRow, CounterSnapshot, CounterTotal, LogCount},
        flows::{FlowEnd, FlowEntry, FlowEvents, FlowListing, FlowStatus},
        rules::{FlowSettings, RuleListing, RuleRow},
        status::{
            BanStatus, InterfaceState, InterfaceStatus, PreviousStatus, ProgramAtHook,
            ProgramStatus, RulesStatus, Status, TrafficControlStatus, WaitingStatus,
        },
    },
};
