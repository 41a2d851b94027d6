//! A blocklist of a million addresses.

use std::{net::Ipv4Addr, sync::atomic::AtomicBool};

use anyhow::{Context as _, Result, ensure};
use benches::{
    features::Feature,
    mix::{Flow, Mix},
    traffic::{Limit, Receiver},
};
use nix::sys::signal::Signal;
use vm_tests::report::Outcome;

use crate::{
    addresses::{Addresses, list},
    scene::Scene,
};

pub(super) const RULES: &str = r#"
[sets]
listed = { file = "list.txt" }

[[rule]]
name = "listed"
action = "drop"
src = "@listed"
"#;

/// A million addresses take an image of 8 MiB.
pub(super) const ADDRESSES: u32 = 1_000_000;

/// The number of addresses that fits an image of 4 MiB, the maximum of older kernels.
pub(super) const FEWER_ADDRESSES: u32 = 500_000;

/// The number of listed, and of other, source addresses of packets.
const SENDERS: usize = 200;

/// The number of packets, and their rate per second.
const PACKETS: u64 = 2_000;
const RATE: u32 = 2_000;

pub(crate) fn run(scene: &Scene) -> Result<Outcome> {
    let Some(lacking) = Feature::LargeImages.lacking()? else {
        filter(scene, ADDRESSES)?;
        return Ok(Outcome::Passed);
    };
    let rules = scene.write_rules("pass", "")?;
    let firewall = scene.firewall();
    let daemon = firewall.apply(&rules)?;
    scene.write_file("list.txt", &list(ADDRESSES))?;
    scene.write_rules("pass", RULES)?;
    firewall.refuse(&["reload"], "no map of 8388608 bytes for the image")?;
    ensure!(
        firewall.generation()? == 1,
        "the generation in force did not stay"
    );
    daemon.signal(Signal::SIGTERM)?;
    daemon.wait()?;
    filter(scene, FEWER_ADDRESSES)?;
    Ok(Outcome::Lacking(format!(
        "{lacking}; tried {FEWER_ADDRESSES} addresses instead of {ADDRESSES}"
    )))
}

/// Puts a list of `addresses` addresses in force, and checks that it decides exactly.
fn filter(scene: &Scene, addresses: u32) -> Result<()> {
    scene.write_file("list.txt", &list(addresses))?;
    let rules = scene.write_rules("pass", RULES)?;
    let firewall = scene.firewall();
    let daemon = firewall.apply(&rules)?;
    let link = scene.network.link();
    // The list contains only even addresses.
    let from = |odd| {
        let addresses = Addresses::new().step_by(997).take(SENDERS);
        addresses.map(move |address| link.ipv4_from(Ipv4Addr::from(address | odd)).udp(1, 2))
    };
    let flows = [
        Flow::new("listed").packets(from(0)),
        Flow::new("others").packets(from(1)),
    ];
    let mut mix = Mix::new(1, flows);
    let receiver = Receiver::start(&scene.network.host, &link.host, mix.len())?;
    let stop = AtomicBool::new(false);
    let sent = scene
        .sender()?
        .run(&mut mix, RATE, Limit::Packets(PACKETS), &stop)?;
    let arrived = receiver.finish()?;
    let [listed, others] = sent.packets.as_slice() else {
        anyhow::bail!("two flows were sent, not {}", sent.packets.len());
    };
    let arrived = arrived.packets();
    ensure!(
        arrived == [0, *others],
        "of listed addresses and others {arrived:?} packets arrived, not {:?}",
        [0, *others]
    );
    let counted = firewall.counters()?.get("listed").copied();
    let counted = counted.context("the rule has counted nothing")?;
    ensure!(
        counted.0 == *listed,
        "the rule has counted {} packets, not {listed}",
        counted.0
    );
    daemon.signal(Signal::SIGTERM)?;
    daemon.wait()
}
