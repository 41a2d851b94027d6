//! The power fails in the middle of a reload. The machine is started again with the same disk:
//! nothing is left in the kernel, the files are complete, and `apply` puts them in force.

use std::{fs, path::Path, sync::atomic::AtomicBool, thread, time::Instant};

use anyhow::{Context as _, Result, bail, ensure};
use benches::{
    mix::{Flow, Mix},
    traffic::{Limit, Receiver},
};
use nix::{
    mount::{MsFlags, mount},
    sys::signal::Signal,
    unistd::sync,
};
use vm_tests::report::{End, Outcome};

use super::large;
use crate::{
    addresses::{Addresses, list},
    exit,
    scene::Scene,
};

/// The disk, and where it is mounted.
const DISK: &str = "/dev/vda";
const FOLDER: &str = "/disk";

/// The number of addresses of the list, chosen so that a reload takes some time.
const ADDRESSES: u32 = 100_000;

/// The fractions of a reload after which the power fails, tried in turn as long as the reload is
/// faster.
const PARTS: [u32; 4] = [2, 4, 8, 16];

/// The number of packets after the restart, and their rate per second.
const PACKETS: u64 = 400;
const RATE: u32 = 2_000;

pub(crate) fn run(scene: &Scene) -> Result<Outcome> {
    fs::create_dir_all(FOLDER)?;
    mount(
        Some(DISK),
        FOLDER,
        Some("ext4"),
        MsFlags::empty(),
        None::<&str>,
    )
    .with_context(|| format!("cannot mount `{DISK}`"))?;
    let rules = Path::new(FOLDER).join("rules.toml");
    if rules.exists() {
        restart(scene, &rules)
    } else {
        cut(scene, &rules)
    }
}

/// Cuts the power during a reload.
fn cut(scene: &Scene, rules: &Path) -> Result<Outcome> {
    let firewall = scene.firewall();
    let write = |addresses| {
        fs::write(Path::new(FOLDER).join("list.txt"), list(addresses))
            .context("cannot write the list")
    };
    write(ADDRESSES)?;
    let interface = &scene.network.link().host.interface;
    fs::copy(
        scene.write_rules_for(interface, "native", "pass", large::RULES)?,
        rules,
    )?;
    sync();
    let _daemon = firewall.apply(rules)?;
    // An unchanged file would be no change.
    write(ADDRESSES + 50_000)?;
    let begin = Instant::now();
    firewall.run(&["reload"])?;
    let usual = begin.elapsed();
    for (part, more) in PARTS.into_iter().zip(2..) {
        // Enough addresses are new that the image in force cannot be updated.
        write(ADDRESSES + more * 50_000)?;
        sync();
        let before = firewall.generation()?;
        let over = thread::scope(|scope| {
            let reload = scope.spawn(|| firewall.run(&["reload"]));
            thread::sleep(usual / part);
            if !reload.is_finished() && firewall.generation()? == before && !reload.is_finished() {
                exit::exit(End::PowerCut)?;
            }
            reload
                .join()
                .map_err(|_| anyhow::anyhow!("the reload panicked"))?
        });
        over?;
    }
    bail!("each reload was over before the power could go; one takes {usual:?}")
}

/// Starts the daemon again and checks the rules.
fn restart(scene: &Scene, rules: &Path) -> Result<Outcome> {
    scene.check_nothing_left()?;
    let firewall = scene.firewall();
    firewall.refuse(&["status"], "nothing is loaded")?;
    let daemon = firewall.apply(rules)?;
    let generation = firewall.generation()?;
    ensure!(generation == 1, "the first generation is {generation}");
    let link = scene.network.link();
    let listed = Addresses::new().next();
    let listed = listed.context("the list is empty")?;
    let mut mix = Mix::new(
        1,
        [
            Flow::new("listed").packet(link.ipv4_from(listed.into()).udp(1, 2)),
            Flow::new("other").packet(link.ipv4_from((listed | 1).into()).udp(1, 2)),
        ],
    );
    let receiver = Receiver::start(&scene.network.host, &link.host, mix.len())?;
    let stop = AtomicBool::new(false);
    let limit = Limit::Packets(PACKETS);
    let sent = scene.sender()?.run(&mut mix, RATE, limit, &stop)?;
    let arrived = receiver.finish()?.packets();
    let other = sent.packets.get(1).copied().unwrap_or_default();
    ensure!(
        arrived == [0, other],
        "of a listed address and another {arrived:?} packets arrived, not {:?}",
        [0, other]
    );
    daemon.signal(Signal::SIGTERM)?;
    daemon.wait()?;
    Ok(Outcome::Passed)
}
