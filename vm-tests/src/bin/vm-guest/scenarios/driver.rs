//! If the settings of a driver prevent native mode, `native` is refused with a message that says
//! why, and `auto` falls back with a message.

use anyhow::{Context as _, Result, ensure};
use benches::network::Namespace;
use nix::sys::signal::Signal;
use vm_tests::{
    report::Outcome,
    wire::{CARDS, CPUS, Card},
};

use super::wire::is_native;
use crate::{
    cards::{JUMBO_MTU, MTU, Side, Wired},
    firewall::{self, Firewall},
    scene::Scene,
    tool,
};

/// The expected findings of `firewall doctor` about a card with too few queues, or with enough.
fn examine(firewall: &Firewall<'_>, card: &Card, interface: &str) -> Result<()> {
    let output = firewall.output(["doctor", "--json", interface])?;
    let said = String::from_utf8_lossy(&output.stdout);
    let tells = said.contains("one for each CPU");
    let is_short = card.queues < 2 * CPUS;
    ensure!(
        tells == is_short && said.contains("virtio_net"),
        "of the card `{}` with {} queues `firewall doctor` ended with {} and said: {said}",
        card.id,
        card.queues,
        output.status
    );
    Ok(())
}

pub(crate) fn run(scene: &Scene) -> Result<Outcome> {
    let own = Namespace::own()?;
    let firewall = Firewall { namespace: &own };
    for (index, card) in CARDS.iter().enumerate() {
        for mtu in [MTU, JUMBO_MTU] {
            let Wired { link, .. } = Wired::put_up(index, &Side::Guarded, mtu)?;
            let interface = &link.host.interface;
            let native = is_native(card, mtu)?;
            examine(&firewall, card, interface)?;
            let rules = scene.write_rules_for(interface, "native", "pass", "")?;
            if !native {
                let refusal = if card.offloads_are_fixed {
                    format!("the driver of `{interface}` has no native XDP")
                } else {
                    format!(
                        "the driver of `{interface}` refuses a native XDP program with its \
                         present settings"
                    )
                };
                firewall
                    .refuse(&["apply", &rules.display().to_string()], &refusal)
                    .with_context(|| format!("the card `{}` with an MTU of {mtu}", card.id))?;
                scene.check_nothing_left()?;
            }
            let rules = scene.write_rules_for(interface, "auto", "pass", "")?;
            let daemon = firewall.apply(&rules)?;
            let mode = if native { "native" } else { "generic" };
            let status = firewall.status()?;
            let found = &status["interfaces"][0]["mode"];
            ensure!(
                found == mode,
                "the card `{}` with an MTU of {mtu} is in the mode {found}, not {mode}",
                card.id
            );
            let log = firewall::log();
            ensure!(
                log.contains("attaching in generic mode, which is slower") != native,
                "in the mode {mode} the log is: {log}"
            );
            daemon.signal(Signal::SIGTERM)?;
            daemon.wait()?;
        }
    }
    queues(scene)?;
    Ok(Outcome::Passed)
}

/// A veth whose other end sends from more queues than it receives on.
fn queues(scene: &Scene) -> Result<()> {
    const SHORT: &str = "fw-short";
    let firewall = scene.firewall();
    for words in [
        // The options of the first end determine whether the queues of the second are used
        // (`veth_newlink`, Linux 5.15).
        "link add fw-short numrxqueues 1 numtxqueues 1 type veth \
         peer name fw-many numrxqueues 2 numtxqueues 2",
        "link set fw-short up",
        "link set fw-many up",
    ] {
        tool::ip(firewall.namespace, words)?;
    }
    let rules = scene.write_rules_for(SHORT, "native", "pass", "")?;
    let refusal =
        format!("the driver of `{SHORT}` refuses a native XDP program with its present settings");
    firewall
        .refuse(&["apply", &rules.display().to_string()], &refusal)
        .context("a veth with too few queues")?;
    let output = firewall.output(["doctor", SHORT])?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(
        said.contains("native XDP needs as many"),
        "of queues `firewall doctor` said: {said}"
    );
    scene.check_nothing_left()
}
