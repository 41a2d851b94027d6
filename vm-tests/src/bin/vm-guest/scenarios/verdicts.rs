//! Every match field decides packets; counters and arrivals are exact.

use std::sync::atomic::AtomicBool;

use anyhow::Result;
use benches::traffic::{Limit, Receiver};
use nix::sys::signal::Signal;
use vm_tests::report::Outcome;

use crate::{fields, firewall::counts, machine::Machine};

/// The packets, about a hundred of each kind, and how many a second.
const PACKETS: u64 = 3_000;
const RATE: u32 = 2_000;

pub(crate) fn run(machine: &Machine) -> Result<Outcome> {
    let link = machine.network.link();
    let rules = machine.write_rules("drop", &fields::rules(link))?;
    let firewall = machine.firewall();
    let daemon = firewall.apply(&rules)?;
    let mut mix = fields::mix(link)?;
    let receiver = Receiver::start(&machine.network.host, &link.host, mix.len())?;
    let stop = AtomicBool::new(false);
    let limit = Limit::Packets(PACKETS);
    let sent = machine.sender()?.run(&mut mix, RATE, limit, &stop)?;
    let arrived = receiver.finish()?;
    fields::check(link, &counts(&sent), &arrived, &firewall.counters()?)?;
    daemon.signal(Signal::SIGTERM)?;
    daemon.wait()?;
    Ok(Outcome::Passed)
}
