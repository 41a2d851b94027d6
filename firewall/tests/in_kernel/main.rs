//! The `firewall` command from outside: real programs in the kernel, real packets over a veth pair
//! made for each test, a BPF file system of its own. Nothing of the machine's own network is
//! touched.
//!
//! All but those of [`checking`] and [`explaining`] need root, and fail without.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails where something is not as it should be"
)]

mod background;
mod bans;
mod bare;
mod blocklist;
mod capture;
mod captures;
mod checking;
mod company;
mod confirmed;
mod conversations;
mod deaths;
mod details;
mod differential;
mod documents;
mod drops;
mod egress;
mod examining;
mod exit_status;
mod explaining;
mod fail2ban;
mod flows;
mod installation;
mod interfaces;
mod jumbo;
mod kernel;
mod last_good;
mod library;
mod life_cycle;
mod lockout;
mod logging;
mod long_frames;
mod long_work;
mod machine;
mod many_bans;
mod many_reloads;
mod matchers;
mod memory;
mod neighbors;
mod nftables;
mod outgoing;
mod ownership;
mod pppoe;
mod pressure;
mod privileges;
mod refusals;
mod reload;
mod rule_sets;
mod rule_tests;
mod run_folder;
mod sequences;
mod service;
mod showing;
mod socket;
mod status;
mod stdin;
mod takeover;
mod test_run;
mod tracer;
mod unreadable;
mod verdicts;
mod verifier;
