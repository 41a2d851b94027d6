//! Four CPUs classify and count packets at the same time while the rules change: no count is lost.

use std::{fs, sync::atomic::AtomicBool, thread};

use anyhow::{Context as _, Result, anyhow, ensure};
use benches::{
    mix::{Flow, Mix},
    network::Link,
    traffic::{Limit, Receiver, Sender},
};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    sys::signal::Signal,
    unistd::Pid,
};
use vm_tests::{report::Outcome, wire::CPUS};

use crate::{
    firewall::{Count, wait_until},
    scene::Scene,
};

/// The number of packets on each CPU, and their rate per second.
const PACKETS: u64 = 3_000;
const RATE: u32 = 500;

/// The number of rule changes meanwhile.
const CHANGES: u64 = 4;

pub(crate) fn run(scene: &Scene) -> Result<Outcome> {
    let firewall = scene.firewall();
    let rules = scene.write_rules_for("fw-host*", "native", "pass", &text(1))?;
    let daemon = firewall.apply(&rules)?;
    let before = received()?;
    let sent = thread::scope(|scope| {
        let links = scene.network.links().iter().enumerate();
        let senders: Vec<_> = links
            .map(|(cpu, link)| scope.spawn(move || send(scene, link, cpu)))
            .collect();
        let changed = (2..=CHANGES).try_for_each(|generation| {
            scene.write_rules_for("fw-host*", "native", "pass", &text(generation))?;
            daemon.signal(Signal::SIGHUP)?;
            wait_until("the change is in force", || {
                Ok(firewall.generation()? == generation)
            })
        });
        let mut total = [(0, 0); 2];
        for sender in senders {
            let sent = sender.join().map_err(|_| anyhow!("a sender panicked"))??;
            for (total, sent) in total.iter_mut().zip(sent) {
                *total = (total.0 + sent.0, total.1 + sent.1);
            }
        }
        changed?;
        Ok::<_, anyhow::Error>(total)
    })?;
    let counted = firewall.counters()?;
    let [dropped, passed] = sent;
    let both = (dropped.0 + passed.0, dropped.1 + passed.1);
    for (name, expected) in [
        ("every packet", both),
        ("dropped", dropped),
        ("policy", passed),
    ] {
        let counted = counted.get(name).copied();
        ensure!(
            counted == Some(expected),
            "`{name}` has counted {counted:?}, not {expected:?}"
        );
    }
    // A CPU on which packets were sent must also have received them.
    for (cpu, (after, before)) in received()?.iter().zip(&before).enumerate() {
        ensure!(after > before, "CPU {cpu} received nothing");
    }
    daemon.signal(Signal::SIGTERM)?;
    daemon.wait()?;
    Ok(Outcome::Passed)
}

/// The rules of a generation.
fn text(generation: u64) -> String {
    format!(
        "[[rule]]\nname = \"every packet\"\naction = \"count\"\n\
         [[rule]]\nname = \"idle {generation}\"\naction = \"drop\"\ndport = 9\n\
         [[rule]]\nname = \"dropped\"\naction = \"drop\"\ndport = 53\n"
    )
}

/// Sends on one link from one CPU, which then also receives the packets; returns the numbers of
/// packets sent that are dropped and that pass.
fn send(scene: &Scene, link: &Link, cpu: usize) -> Result<Vec<Count>> {
    let mut only = CpuSet::new();
    only.set(cpu)?;
    sched_setaffinity(Pid::from_raw(0), &only).with_context(|| format!("there is no CPU {cpu}"))?;
    let mut mix = Mix::new(
        1,
        [
            Flow::new("dropped").packet(link.ipv4().udp(40_000, 53)),
            Flow::new("passed").packet(link.ipv6().udp(40_000, 54)),
        ],
    );
    let receiver = Receiver::start(&scene.network.host, &link.host, mix.len())?;
    let stop = AtomicBool::new(false);
    let mut sender = Sender::open(&scene.network.peer, &link.peer)?;
    let sent = sender.run(&mut mix, RATE, Limit::Packets(PACKETS), &stop)?;
    let arrived = receiver.finish()?.packets();
    let sent = crate::firewall::counts(&sent);
    let passed = sent.get(1).map_or(0, |count| count.0);
    ensure!(
        arrived == [0, passed],
        "on CPU {cpu} {arrived:?} packets arrived, not {:?}",
        [0, passed]
    );
    Ok(sent)
}

/// The number of receive events on each CPU.
fn received() -> Result<Vec<u64>> {
    let path = "/proc/softirqs";
    let text = fs::read_to_string(path).with_context(|| format!("cannot read `{path}`"))?;
    let line = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("NET_RX:"));
    let line = line.with_context(|| format!("`{path}` has no line `NET_RX`"))?;
    let counts: Vec<u64> = line
        .split_whitespace()
        .map_while(|word| word.parse().ok())
        .collect();
    ensure!(
        counts.len() >= CPUS as usize,
        "there are {} CPUs",
        counts.len()
    );
    Ok(counts.into_iter().take(CPUS as usize).collect())
}
