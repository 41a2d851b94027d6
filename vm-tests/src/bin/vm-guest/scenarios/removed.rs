//! An interface is removed under traffic: the others are filtered as before. When it comes back, it
//! is filtered again automatically.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Result, anyhow, ensure};
use benches::{
    mix::{Flow, Mix},
    network::Link,
    traffic::{Limit, Receiver, Sender},
};
use nix::sys::signal::Signal;
use vm_tests::report::Outcome;

use crate::{firewall::wait_until, scene::Scene};

const RULES: &str = r#"
[[rule]]
name = "stays"
action = "drop"
interface = "fw-host0"
dport = 53

[[rule]]
name = "goes"
action = "drop"
interface = "fw-host1"
dport = 53
"#;

/// The rate on each interface in packets per second, and the number of packets after it is back.
const RATE: u32 = 1_000;
const PACKETS: u64 = 400;

/// The duration of traffic before the interface is removed, and afterwards.
const WHILE: Duration = Duration::from_millis(500);

pub(crate) fn run(scene: &mut Scene) -> Result<Outcome> {
    let rules = scene.write_rules_for("fw-host*", "native", "pass", RULES)?;
    let daemon = scene.firewall().apply(&rules)?;
    let dropped = under_traffic(scene)?;
    let firewall = scene.firewall();
    let status = firewall.status()?;
    ensure!(
        attached(&status) == ["fw-host0"],
        "after one was removed: {status}"
    );
    let before = firewall.counters()?;
    ensure!(
        before.get("stays").map(|count| count.0) == Some(dropped),
        "of {dropped} packets on the interface that stays {before:?} were counted"
    );

    scene.network.make_again(1)?;
    let firewall = scene.firewall();
    wait_until("the interface that came back is attached to", || {
        Ok(attached(&firewall.status()?) == ["fw-host0", "fw-host1"])
    })?;
    let [_, link] = scene.network.links() else {
        anyhow::bail!("there are {} links", scene.network.links().len());
    };
    let mut mix = flows(link);
    let receiver = Receiver::start(&scene.network.host, &link.host, mix.len())?;
    let stop = AtomicBool::new(false);
    let sent = Sender::open(&scene.network.peer, &link.peer)?.run(
        &mut mix,
        RATE,
        Limit::Packets(PACKETS),
        &stop,
    )?;
    let arrived = receiver.finish()?.packets();
    let [dropped, passed] = sent.packets.as_slice() else {
        anyhow::bail!("two flows were sent, not {}", sent.packets.len());
    };
    ensure!(
        arrived == [0, *passed],
        "through the interface that came back {arrived:?} packets arrived, not {:?}",
        [0, *passed]
    );
    let counted = firewall.counters()?;
    let packets = |counters: &std::collections::BTreeMap<String, (u64, u64)>| {
        counters.get("goes").map_or(0, |count| count.0)
    };
    ensure!(
        packets(&counted) - packets(&before) == *dropped,
        "of {dropped} packets on the interface that came back {counted:?} were counted, {before:?} \
         before"
    );
    daemon.signal(Signal::SIGTERM)?;
    daemon.wait()?;
    Ok(Outcome::Passed)
}

/// The interfaces that are filtered.
fn attached(status: &serde_json::Value) -> Vec<&str> {
    let interfaces = status["interfaces"].as_array().into_iter().flatten();
    interfaces
        .filter(|one| one["state"] == "attached")
        .filter_map(|one| one["name"].as_str())
        .collect()
}

/// A flow that is dropped and one that passes.
fn flows(link: &Link) -> Mix {
    Mix::new(
        1,
        [
            Flow::new("dropped").packet(link.ipv4().udp(40_000, 53)),
            Flow::new("passed").packet(link.ipv4().udp(40_000, 54)),
        ],
    )
}

/// Removes the second interface while packets come in on both, and checks the arrivals on the
/// first; returns the number of packets sent there that are dropped.
fn under_traffic(scene: &Scene) -> Result<u64> {
    let [stays, goes] = scene.network.links() else {
        anyhow::bail!("there are {} links", scene.network.links().len());
    };
    let receiver = Receiver::start(&scene.network.host, &stays.host, 2)?;
    let stop = AtomicBool::new(false);
    let send = |link: &Link| {
        let mut sender = Sender::open(&scene.network.peer, &link.peer)?;
        sender.run(&mut flows(link), RATE, Limit::Time(Duration::MAX), &stop)
    };
    let sent = thread::scope(|scope| {
        let on_stays = scope.spawn(|| send(stays));
        let on_goes = scope.spawn(|| send(goes));
        thread::sleep(WHILE);
        let removed = scene.network.delete(goes);
        let told = removed.and_then(|()| {
            wait_until("the status says that the interface is gone", || {
                Ok(attached(&scene.firewall().status()?) == [stays.host.interface.as_str()])
            })
        });
        thread::sleep(WHILE);
        stop.store(true, Ordering::Relaxed);
        let sent = on_stays
            .join()
            .map_err(|_| anyhow!("the sender panicked"))?;
        // The kernel refuses to send on an interface that is gone.
        let refused = on_goes.join().map_err(|_| anyhow!("the sender panicked"))?;
        told?;
        ensure!(refused.is_err(), "nobody missed the interface");
        sent
    })?;
    let arrived = receiver.finish()?;
    let arrived = arrived.packets();
    let [dropped, passed] = sent.packets.as_slice() else {
        anyhow::bail!("two flows were sent, not {}", sent.packets.len());
    };
    ensure!(
        arrived == [0, *passed],
        "while another interface went {arrived:?} packets arrived, not {:?}",
        [0, *passed]
    );
    Ok(*dropped)
}
