//! Packets that are sent are filtered, at a link or before Linux 6.6 by a filter of traffic control,
//! which survives the daemon. If another process removes it, it comes back.

use std::{fs, net::Ipv4Addr, sync::atomic::AtomicBool};

use anyhow::{Context as _, Result, ensure};
use benches::{
    features::Feature,
    mix::{Flow, Mix},
    packet::Packet,
    traffic::Limit,
};
use nix::sys::signal::Signal;
use serde_json::Value;
use vm_tests::report::Outcome;

use crate::{
    datagrams::{self, COUNT, DROPPED, IPV4_LENGTH},
    firewall::{Count, Firewall, log, wait_until},
    scene::Scene,
    tool,
};

pub(crate) const RULES: &str = r#"
[[rule]]
name = "forwarded"
action = "drop"
direction = "out"
in_interface = "fw-host0"
forwarded = true
mark = 0
proto = "udp"
dport = 8

[[rule]]
name = "no eight"
action = "drop"
direction = "out"
proto = "udp"
dport = 8
"#;

/// The length of an Ethernet header.
const ETHERNET: u64 = 14;

/// The number of forwarded packets, and their rate per second.
const FORWARDED: u64 = 100;
const RATE: u32 = 1_000;

pub(crate) fn run(scene: &Scene) -> Result<Outcome> {
    let lacking = Feature::TcxLinks.lacking()?;
    let firewall = scene.firewall();
    let rules = scene.write_rules("pass", RULES)?;
    let mut dropped = (0, 0);

    let daemon = firewall.apply(&rules)?;
    burst(scene, &mut dropped)?;
    // Filters are not lost with the discipline that holds them; links do not depend on one.
    let has_clsact = !scene.disciplines()?.is_empty();
    ensure!(
        has_clsact == lacking.is_some(),
        "disciplines of traffic control: {:?}",
        scene.disciplines()?
    );
    if lacking.is_some() {
        remove_filter(scene, "qdisc del dev {} clsact")?;
        burst(scene, &mut dropped)?;
        remove_filter(scene, "filter del dev {} egress")?;
        burst(scene, &mut dropped)?;
    }

    forward(scene)?;
    burst(scene, &mut dropped)?;

    daemon.kill()?;
    burst(scene, &mut dropped)?;
    let before = program(&firewall)?;
    let daemon = firewall.apply(&rules)?;
    ensure!(
        program(&firewall)? != before,
        "the program was not replaced"
    );
    burst(scene, &mut dropped)?;
    daemon.signal(Signal::SIGTERM)?;
    daemon.wait()?;
    scene.check_nothing_left()?;

    // What was there before stays.
    let interface = &scene.network.link().host.interface;
    let traffic_control = |words: &str| {
        let words = format!("qdisc {words} dev {interface} clsact");
        tool::run(&scene.network.host, "tc", &words)
    };
    traffic_control("add")?;
    firewall.apply(&rules)?.kill()?;
    burst(scene, &mut (0, 0))?;
    firewall.run(&["unload"])?;
    ensure!(
        scene.disciplines()?.len() == 1,
        "the discipline that was there is gone"
    );
    traffic_control("del")?;
    Ok(lacking.map_or(Outcome::Passed, Outcome::Lacking))
}

/// Has another process remove the filter, by these words of `tc`, and waits until it is back.
fn remove_filter(scene: &Scene, words: &str) -> Result<()> {
    let interface = &scene.network.link().host.interface;
    let words = words.replace("{}", interface);
    let host = &scene.network.host;
    tool::run(host, "tc", &words)?;
    wait_until("the filter is there again", || {
        let filters = tool::run(host, "tc", &format!("filter show dev {interface} egress"))?;
        Ok(filters.contains("direct-action"))
    })?;
    let log = log();
    let detached = format!("`{interface}` was removed or detached by another process");
    ensure!(
        log.contains(&detached),
        "after `tc {words}` the log is: {log}"
    );
    Ok(())
}

/// Sends datagrams from the machine, and checks which arrive and what the rule has counted.
fn burst(scene: &Scene, dropped: &mut Count) -> Result<()> {
    let network = &scene.network;
    let peer = network.link().peer.ipv4.into();
    datagrams::exchange(&network.host, &network.peer, peer)?;
    dropped.0 += COUNT;
    dropped.1 += COUNT * (ETHERNET + IPV4_LENGTH);
    let counted = scene.firewall().counters()?.get("no eight").copied();
    ensure!(
        counted == Some(*dropped),
        "the rule has counted {counted:?}, not {dropped:?}"
    );
    Ok(())
}

/// Has the machine forward packets out of the interface that they came in by.
fn forward(scene: &Scene) -> Result<()> {
    let (network, link) = (&scene.network, scene.network.link());
    network
        .host
        .run(|| fs::write("/proc/sys/net/ipv4/ip_forward", "1"))??;
    let beyond = Ipv4Addr::new(198, 51, 100, 7);
    tool::ip(
        &network.host,
        &format!("route add {beyond} via {}", link.peer.ipv4),
    )?;
    let packet = link.to_host(Packet::ipv4(link.peer.ipv4, beyond));
    let packet = packet.udp(40_000, DROPPED);
    let mut mix = Mix::new(1, [Flow::new("forwarded").packet(packet)]);
    let stop = AtomicBool::new(false);
    let limit = Limit::Packets(FORWARDED);
    scene.sender()?.run(&mut mix, RATE, limit, &stop)?;
    wait_until("forwarded packets are dropped", || {
        let counted = scene.firewall().counters()?.get("forwarded").copied();
        Ok(counted.is_some_and(|(packets, _)| packets == FORWARDED))
    })
}

/// The program at the hook, which must be the only one there.
fn program(firewall: &Firewall<'_>) -> Result<u64> {
    let status = firewall.status()?;
    let at_hook = &status["traffic_control"][0];
    let order = at_hook["order"].as_array().map(Vec::len);
    ensure!(
        at_hook["state"] == "attached" && order == Some(1),
        "at the hook: {at_hook}"
    );
    let id: Option<u64> = at_hook["program"]["id"].as_u64();
    id.with_context(|| format!("no program in {}", Value::clone(at_hook)))
}
