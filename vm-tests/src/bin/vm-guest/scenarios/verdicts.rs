//! Every match field decides packets; counters and arrivals are exact.

use std::sync::atomic::AtomicBool;

use anyhow::Result;
use benches::traffic::{Limit, Receiver};
use nix::sys::signal::Signal;
use vm_tests::report::Outcome;

use crate::{fields, firewall::counts, scene::Scene};

/// The number of packets, about a hundred of each kind, and their rate per second.
const PACKETS: u64 = 3_000;
const RATE: u32 = 2_000;

pub(crate) fn run(scene: &Scene) -> Result<Outcome> {
    let link = scene.network.link();
    let rules = scene.write_rules("drop", &fields::rules(link))?;
    let firewall = scene.firewall();
    let daemon = firewall.apply(&rules)?;
    let mut mix = fields::mix(link)?;
    let receiver = Receiver::start(&scene.network.host, &link.host, mix.len())?;
    let stop = AtomicBool::new(false);
    let limit = Limit::Packets(PACKETS);
    let sent = scene.sender()?.run(&mut mix, RATE, limit, &stop)?;
    let arrived = receiver.finish()?;
    fields::check(link, &counts(&sent), &arrived, &firewall.counters()?)?;
    daemon.signal(Signal::SIGTERM)?;
    daemon.wait()?;
    Ok(Outcome::Passed)
}
