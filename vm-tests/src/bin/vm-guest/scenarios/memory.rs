//! If there is no memory for the map of the next generation, this is reported, and the rules in
//! force stay.
//!
//! Memory is taken at the moment when the daemon, which is traced, asks for the map, so the kernel
//! really has none.

use std::{process::Command, thread};

use anyhow::{Result, anyhow, ensure};
use benches::features::Feature;
use vm_tests::report::Outcome;

use super::{killed, large};
use crate::{
    addresses::list,
    firewall::{BINARY, wait_until},
    hog::Hog,
    scene::Scene,
    tracer::{self, Loaded, Observer},
};

/// Maps above this are images of long lists.
const LARGE: u32 = 2 << 20;

/// Takes the memory while a large map is created.
#[derive(Default)]
struct Scarcity {
    hog: Option<Hog>,
    times: u64,
}

pub(crate) fn run(scene: &Scene) -> Result<Outcome> {
    let firewall = scene.firewall();
    let rules = scene.write_rules("pass", killed::RULES)?;
    thread::scope(|scope| {
        // The tracer must be the thread that started the command.
        let traced = scope.spawn(|| {
            scene.network.host.run(|| {
                let mut command = Command::new("/init");
                command.args([tracer::HOLD, BINARY, "apply"]).arg(&rules);
                command.env("FIREWALL_STATE_DIR", "");
                let mut scarcity = Scarcity::default();
                let succeeded = tracer::trace(&mut command, &mut scarcity)?;
                Ok::<_, anyhow::Error>((succeeded, scarcity.times))
            })?
        });
        let tried = (|| {
            wait_until("the program is attached", || {
                Ok(traced.is_finished() || firewall.output(["status"])?.status.success())
            })?;
            refuse(scene)
        })();
        let unloaded = firewall.run(&["unload"]);
        let (succeeded, times) = traced
            .join()
            .map_err(|_| anyhow!("the tracer panicked"))??;
        tried?;
        unloaded?;
        ensure!(succeeded, "the daemon failed; the console has its message");
        ensure!(times > 0, "no map for a long list was asked for");
        Ok(Outcome::Passed)
    })
}

/// A reload for which there is no memory: exit status 7 says that it may succeed later.
fn refuse(scene: &Scene) -> Result<()> {
    let firewall = scene.firewall();
    let addresses = if Feature::LargeImages.is_expected()? {
        large::ADDRESSES
    } else {
        large::FEWER_ADDRESSES
    };
    scene.write_file("list.txt", &list(addresses))?;
    scene.write_rules("pass", large::RULES)?;
    let output = firewall.output(["reload"])?;
    let said = String::from_utf8_lossy(&output.stderr);
    let tells = ["bytes for the image", "is out of memory"];
    ensure!(
        output.status.code() == Some(7) && tells.iter().all(|told| said.contains(told)),
        "without memory `firewall reload` ended with {} and said: {said}",
        output.status
    );
    let generation = firewall.generation()?;
    ensure!(generation == 1, "the generation in force is {generation}");
    let mut dropped = (0, 0);
    killed::burst(scene, &mut dropped)?;
    killed::check(&firewall, dropped)
}

impl Observer for Scarcity {
    fn loaded(&mut self, _loaded: Loaded) -> Result<()> {
        Ok(())
    }

    fn before_map(&mut self, value_bytes: u32) -> Result<()> {
        if value_bytes >= LARGE {
            self.hog = Some(Hog::leaving_less_than(value_bytes)?);
            self.times += 1;
        }
        Ok(())
    }

    fn after_map(&mut self, _value_bytes: u32) -> Result<()> {
        self.hog = None;
        Ok(())
    }
}
