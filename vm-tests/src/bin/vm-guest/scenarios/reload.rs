//! The rules change under traffic, with a new image and with a new program, and no packet escapes
//! the rules.

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use benches::{
    mix::{Flow, Mix},
    traffic::{Arrivals, Limit, Receiver, Sent},
};
use nix::sys::signal::Signal;
use vm_tests::report::Outcome;

use crate::{firewall::wait_until, scene::Scene};

/// The number of rule changes.
const CHANGES: u64 = 12;

/// The change after which there are more rules than counters of the first program.
const GROWTH: u64 = 8;

/// The rate in packets per second.
const RATE: u32 = 2_000;

/// The flows: what both rule files drop, what both pass, and what the second drops.
const FLOWS: [(&str, u16); 3] = [
    ("always dropped", 23),
    ("always passed", 22),
    ("by turns", 53),
];

pub(crate) fn run(scene: &Scene) -> Result<Outcome> {
    let firewall = scene.firewall();
    let rules = scene.write_rules("pass", &text(1))?;
    let daemon = firewall.apply(&rules)?;
    let (sent, arrived) = under_traffic(scene, || {
        for generation in 2..=CHANGES {
            scene.write_rules("pass", &text(generation))?;
            daemon.signal(Signal::SIGHUP)?;
            wait_until("the change is in force", || {
                Ok(firewall.generation()? == generation)
            })?;
        }
        Ok(())
    })?;
    let arrivals = |flow: usize| arrived.flows.get(flow).copied().unwrap_or_default();
    let packets = |flow: usize| sent.packets.get(flow).copied().unwrap_or_default();
    ensure!(
        arrivals(0).packets == 0,
        "{} packets got by during a change",
        arrivals(0).packets
    );
    ensure!(
        arrivals(1).packets == packets(1) && arrivals(1).gaps == 0,
        "of {} packets that pass, {} arrived, with {} gaps",
        packets(1),
        arrivals(1).packets,
        arrivals(1).gaps
    );
    ensure!(
        (1..packets(2)).contains(&arrivals(2).packets),
        "of {} packets that were dropped by turns, {} arrived",
        packets(2),
        arrivals(2).packets
    );
    let counted = firewall.counters()?.get(FLOWS[0].0).copied();
    let expected = sent
        .packets
        .first()
        .copied()
        .zip(sent.bytes.first().copied());
    ensure!(
        counted == expected,
        "over {CHANGES} generations {counted:?} were counted, not {expected:?}"
    );
    daemon.signal(Signal::SIGTERM)?;
    daemon.wait()?;
    Ok(Outcome::Passed)
}

/// Sends packets of all flows as long as `work` takes.
fn under_traffic(scene: &Scene, work: impl FnOnce() -> Result<()>) -> Result<(Sent, Arrivals)> {
    let link = scene.network.link();
    let flow = |(name, port)| Flow::new(name).packet(link.ipv4().udp(40_000, port));
    let mut mix = Mix::new(1, FLOWS.map(flow));
    let receiver = Receiver::start(&scene.network.host, &link.host, mix.len())?;
    let mut sender = scene.sender()?;
    let stop = AtomicBool::new(false);
    let sent = thread::scope(|scope| {
        let sending = scope.spawn(|| sender.run(&mut mix, RATE, Limit::Time(Duration::MAX), &stop));
        let worked = work();
        stop.store(true, Ordering::Relaxed);
        let sent = sending.join().map_err(|_| anyhow!("the sender panicked"))?;
        worked?;
        sent.context("cannot send")
    })?;
    Ok((sent, receiver.finish()?))
}

/// The rules of a generation.
fn text(generation: u64) -> String {
    let mut text = String::new();
    let mut drop = |name: &str, port: u64| {
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "[[rule]]\nname = \"{name}\"\naction = \"drop\"\nproto = \"udp\"\ndport = {port}\n"
        );
    };
    if generation >= GROWTH {
        for number in 0..200 {
            drop(&format!("idle {number}"), 10_000 + number);
        }
    }
    if generation.is_multiple_of(2) {
        drop(FLOWS[2].0, FLOWS[2].1.into());
    }
    drop(FLOWS[0].0, FLOWS[0].1.into());
    text
}
