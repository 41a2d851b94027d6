//! Impossible requests are refused with a message, and the rules in force stay.

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use vm_tests::report::Outcome;

use crate::scene::Scene;

pub(crate) fn run(scene: &Scene) -> Result<Outcome> {
    let firewall = scene.firewall();
    let no_driver = scene.write_file(
        "loopback.toml",
        "[firewall]\ninterfaces = [\"lo\"]\nmode = \"native\"\n",
    )?;
    let no_driver = no_driver.display().to_string();
    firewall.refuse(
        &["apply", &no_driver],
        "the driver of `lo` has no native XDP",
    )?;
    scene.check_nothing_left()?;

    let rules = scene.write_rules("pass", "")?;
    let daemon = firewall.apply(&rules)?;
    let program = scene.attached()?;
    scene.write_rules("pass", "[[rule]]\nname = \"a\"\naction = \"refuse\"\n")?;
    firewall.refuse_with(3, &["reload"], "rules.toml:")?;
    firewall.refuse(
        &["apply", &no_driver],
        "the driver of `lo` has no native XDP",
    )?;
    ensure!(
        scene.attached()? == program && firewall.generation()? == 1,
        "what was in force did not stay: {}",
        firewall.status()?
    );
    daemon.signal(Signal::SIGTERM)?;
    daemon.wait()?;
    Ok(Outcome::Passed)
}
