//! The daemon is killed: filtering continues until another daemon takes over, or until `unload`.

use std::sync::atomic::AtomicBool;

use anyhow::{Result, ensure};
use benches::{
    mix::{Flow, Mix},
    traffic::{Limit, Receiver},
};
use vm_tests::report::Outcome;

use crate::{
    firewall::{Count, Firewall},
    scene::Scene,
};

pub(super) const RULES: &str = r#"
[[rule]]
name = "telnet"
action = "drop"
proto = "tcp"
dport = 23
"#;

/// The number of packets of each burst.
const PACKETS: u64 = 400;

/// The rate in packets per second.
const RATE: u32 = 2_000;

pub(crate) fn run(scene: &Scene) -> Result<Outcome> {
    let firewall = scene.firewall();
    let rules = scene.write_rules("pass", RULES)?;
    let mut dropped = (0, 0);

    firewall.apply(&rules)?.kill()?;
    let status = firewall.status()?;
    ensure!(
        status["daemon"].is_null(),
        "a killed daemon is said to run: {status}"
    );
    let program = scene.attached()?;
    ensure!(program.is_some(), "the program went with the daemon");
    burst(scene, &mut dropped)?;
    check(&firewall, dropped)?;

    let daemon = firewall.apply(&rules)?;
    ensure!(
        firewall.generation()? == 2,
        "the next generation is not 2: {}",
        firewall.status()?
    );
    burst(scene, &mut dropped)?;
    check(&firewall, dropped)?;

    daemon.kill()?;
    burst(scene, &mut dropped)?;
    check(&firewall, dropped)?;
    firewall.run(&["unload"])?;
    Ok(Outcome::Passed)
}

/// Sends packets that are dropped and packets that pass, and adds up the drops.
pub(super) fn burst(scene: &Scene, dropped: &mut Count) -> Result<()> {
    let link = scene.network.link();
    let mut mix = Mix::new(
        1,
        [
            Flow::new("telnet").packet(link.ipv4().tcp(40_000, 23, 0)),
            Flow::new("ssh").packet(link.ipv4().tcp(40_000, 22, 0)),
        ],
    );
    let receiver = Receiver::start(&scene.network.host, &link.host, mix.len())?;
    let stop = AtomicBool::new(false);
    let sent = scene
        .sender()?
        .run(&mut mix, RATE, Limit::Packets(PACKETS), &stop)?;
    let arrived = receiver.finish()?;
    let arrived = arrived.packets();
    let expected = [0, sent.packets.get(1).copied().unwrap_or_default()];
    ensure!(
        arrived == expected,
        "of telnet and ssh {arrived:?} arrived, not {expected:?}"
    );
    dropped.0 += sent.packets.first().copied().unwrap_or_default();
    dropped.1 += sent.bytes.first().copied().unwrap_or_default();
    Ok(())
}

/// Checks their counters.
pub(super) fn check(firewall: &Firewall<'_>, dropped: Count) -> Result<()> {
    let counted = firewall.counters()?.get("telnet").copied();
    ensure!(
        counted == Some(dropped),
        "the rule has counted {counted:?}, not {dropped:?}"
    );
    Ok(())
}
