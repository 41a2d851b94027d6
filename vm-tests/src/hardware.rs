//! The hardware of scenarios: the machines, their devices, and whether they run one after the other
//! or at the same time.

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{Context as _, Result, ensure};
use vm_tests::{
    PEER,
    report::End,
    scenarios::{Hardware, Scenario},
    wire,
};

use crate::{
    machine::{Ended, Guest, Machine, System, escaped},
    watch,
    wires::Wires,
};

/// The memory of guests in MiB: the first compiles a list of a million addresses, the one at the
/// other end of a wire only sends.
const MEMORY: u64 = 1024;
const PEER_MEMORY: u64 = 256;

/// The memory that QEMU itself needs in addition to that of its guest, in MiB.
const OVERHEAD: u64 = 500;

/// The size of a disk in bytes.
const DISK: u64 = 64 << 20;

/// The timeout of a machine, and its number among those that run at the same time.
#[derive(Clone, Copy)]
pub(crate) struct Terms {
    /// The timeout.
    pub(crate) timeout: Duration,
    /// The number among those that run at the same time.
    pub(crate) number: usize,
}

/// The maximum memory that any hardware needs, in MiB.
pub(crate) const fn memory() -> u64 {
    MEMORY + PEER_MEMORY + 2 * OVERHEAD
}

/// Runs scenarios on the hardware that they need; returns the result of each guest, in order.
pub(crate) fn run(
    hardware: Hardware,
    scenarios: &[Scenario],
    system: System<'_>,
    terms: Terms,
) -> Result<Vec<Ended>> {
    let names: Vec<String> = scenarios.iter().map(|one| one.name()).collect();
    let guest = |name, cpus, devices| Guest {
        name,
        cpus,
        memory: MEMORY,
        devices,
        arguments: names.clone(),
    };
    match hardware {
        Hardware::Plain => {
            let machine = Machine::start(system, &guest("plain", 1, Vec::new()))?;
            Ok(vec![machine.wait(terms.timeout)?])
        }
        Hardware::Wired => {
            let wires = Wires::new(terms.number, system.folder)?;
            let guarded = guest("wired", wire::CPUS, wires.guarded());
            let guarded = Machine::start(system, &guarded)?;
            wires.await_listener()?;
            let peer = Guest {
                name: "peer",
                cpus: 1,
                memory: PEER_MEMORY,
                devices: wires.peer(),
                arguments: vec![PEER.to_owned()],
            };
            let mut peer = Machine::start(system, &peer)?;
            let mut ended = guarded.wait(terms.timeout)?;
            if let (Some(fault), Some(of_peer)) = (&mut ended.fault, peer.ended_early()?) {
                *fault += &format!("; the other machine: {of_peer}");
            }
            Ok(vec![ended])
        }
        Hardware::Durable => {
            let disk = system.folder.join("disk");
            make_disk(&disk)?;
            let drive = format!("file={},format=raw,if=virtio", escaped(&disk));
            let devices = vec!["-drive".to_owned(), drive];
            let first = Machine::start(system, &guest("first", 1, devices.clone()))?;
            let mut ended = vec![first.wait(terms.timeout)?];
            if ended.iter().all(|ended| ended.end == Some(End::PowerCut)) {
                let second = Machine::start(system, &guest("second", 1, devices))?;
                ended.push(second.wait(terms.timeout)?);
            }
            fs::remove_file(&disk)?;
            Ok(ended)
        }
        Hardware::Failing => watch::run(system, terms.timeout),
    }
}

/// Makes a disk with an empty file system.
fn make_disk(path: &Path) -> Result<()> {
    let file = fs::File::create(path);
    file.and_then(|file| file.set_len(DISK))
        .with_context(|| format!("cannot make `{}`", path.display()))?;
    let output = Command::new("/sbin/mke2fs")
        .args(["-q", "-F", "-t", "ext4"])
        .arg(path)
        .output()
        .context("cannot start `mke2fs`; run `apt-get install e2fsprogs` as root")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`mke2fs` failed: {said}");
    Ok(())
}
