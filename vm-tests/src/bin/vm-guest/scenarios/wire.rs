//! Another machine sends over a wire: first a packet for every field, then large frames. If the
//! driver supports native mode, the program runs there.

use std::{collections::BTreeMap, fs, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use benches::{features::Feature, network::Namespace, traffic::Receiver};
use nix::sys::signal::Signal;
use vm_tests::{
    report::Outcome,
    wire::{Answer, Burst, CARDS, Card, Request},
};

use crate::{
    cards::{JUMBO_MTU, MTU, Side, Wired},
    fields,
    firewall::{Count, Firewall, PATIENCE, wait_until},
    peer::{self, DROPPED_PORT},
    scene::Scene,
    talk::Talk,
};

/// The number of packets of all kinds together, and their rate per second.
const PACKETS: u64 = 3_000;
const RATE: u32 = 1_500;

/// The number of large frames.
const JUMBO_PACKETS: u64 = 400;
const JUMBO_RATE: u32 = 400;

pub(crate) fn run(scene: &Scene) -> Result<Outcome> {
    let own = Namespace::own()?;
    let mut wire = Wire {
        scene,
        firewall: Firewall { namespace: &own },
        own: &own,
        talk: Talk::open()?,
        lacks: Vec::new(),
    };
    for (index, card) in CARDS.iter().enumerate().filter(|(_, card)| card.is_wired()) {
        wire.fields(index)?;
        // One card is enough for checks that do not depend on queues.
        if card.queues > 1 {
            wire.jumbo(index)?;
        }
    }
    Ok(if wire.lacks.is_empty() {
        Outcome::Passed
    } else {
        Outcome::Lacking(wire.lacks.join("; "))
    })
}

/// Whether the driver supports native mode on this card.
pub(super) fn is_native(card: &Card, mtu: u32) -> Result<bool> {
    let has_buffers = Feature::DriverFrags.is_expected()? || mtu <= MTU;
    Ok(has_buffers && !card.offloads_are_fixed)
}

struct Wire<'a> {
    scene: &'a Scene,
    firewall: Firewall<'a>,
    own: &'a Namespace,
    talk: Talk,
    lacks: Vec<String>,
}

impl Wire<'_> {
    /// A packet for every field of the language.
    fn fields(&mut self, index: usize) -> Result<()> {
        let Wired { card, link } = Wired::put_up(index, &Side::Guarded, MTU)?;
        let mode = self.mode(card, MTU)?;
        let interface = &link.host.interface;
        let rules = self
            .scene
            .write_rules_for(interface, mode, "drop", &fields::rules(&link))?;
        let daemon = self.firewall.apply(&rules)?;
        self.check_mode(mode)?;
        let before = interrupts()?;
        let flows = fields::mix(&link)?.len();
        let receiver = Receiver::start(self.own, &link.host, flows)?;
        let sent = self.ask(index, Burst::Verdicts, PACKETS, RATE)?;
        let counted = self.await_counters(PACKETS, fields::decided)?;
        let arrived = receiver.finish()?;
        fields::check(&link, &sent, &arrived, &counted)
            .with_context(|| format!("the card `{}` in {mode} mode", card.id))?;
        if card.queues > 1 {
            let after = interrupts()?;
            let busy = after
                .iter()
                .filter(|(queue, count)| **count > before.get(*queue).copied().unwrap_or_default());
            let busy = busy.count();
            ensure!(busy > 1, "packets came in on {busy} queues only");
        }
        daemon.signal(Signal::SIGTERM)?;
        daemon.wait()
    }

    /// Frames that do not fit into a buffer of one page.
    fn jumbo(&mut self, index: usize) -> Result<()> {
        let Wired { card, link } = Wired::put_up(index, &Side::Guarded, JUMBO_MTU)?;
        let mode = self.mode(card, JUMBO_MTU)?;
        let rules = format!(
            "[[rule]]\nname = \"dropped\"\naction = \"drop\"\ndport = {DROPPED_PORT}\n\
             [[rule]]\nname = \"passed\"\naction = \"pass\"\nproto = \"udp\"\nlength = \"8000-9018\"\n"
        );
        let interface = &link.host.interface;
        let rules = self
            .scene
            .write_rules_for(interface, mode, "drop", &rules)?;
        let daemon = self.firewall.apply(&rules)?;
        self.check_mode(mode)?;
        let flows = peer::mix(Burst::Jumbo, &link)?.len();
        let receiver = Receiver::start(self.own, &link.host, flows)?;
        let sent = self.ask(index, Burst::Jumbo, JUMBO_PACKETS, JUMBO_RATE)?;
        let counted = self.await_counters(JUMBO_PACKETS, |counted| {
            counted.values().map(|count| count.0).sum()
        })?;
        let arrived = receiver.finish()?;
        let [dropped4, dropped6, passed4, passed6] = sent.as_slice() else {
            bail!("{} flows were sent", sent.len());
        };
        let sum = |one: &Count, other: &Count| (one.0 + other.0, one.1 + other.1);
        let expected = BTreeMap::from([
            ("dropped".to_owned(), sum(dropped4, dropped6)),
            ("passed".to_owned(), sum(passed4, passed6)),
        ]);
        ensure!(
            counted == expected,
            "of large frames in {mode} mode {counted:?} were counted, not {expected:?}"
        );
        let arrived = arrived.packets();
        let expected = [0, 0, passed4.0, passed6.0];
        ensure!(
            arrived == expected,
            "of large frames in {mode} mode {arrived:?} arrived, not {expected:?}"
        );
        daemon.signal(Signal::SIGTERM)?;
        daemon.wait()
    }

    /// The mode for a card.
    fn mode(&mut self, card: &Card, mtu: u32) -> Result<&'static str> {
        if is_native(card, mtu)? {
            return Ok("native");
        }
        let lacking = Feature::DriverFrags.lacking()?;
        self.lacks
            .push(lacking.with_context(|| format!("the card `{}` is not native", card.id))?);
        Ok("generic")
    }

    fn check_mode(&self, mode: &str) -> Result<()> {
        let status = self.firewall.status()?;
        let found = &status["interfaces"][0]["mode"];
        ensure!(found == mode, "attached in the mode {found}, not {mode}");
        Ok(())
    }

    /// Makes the other machine send.
    fn ask(&mut self, card: usize, burst: Burst, packets: u64, rate: u32) -> Result<Vec<Count>> {
        self.talk.say(&Request {
            card,
            burst,
            packets,
            rate,
        })?;
        match self
            .talk
            .hear(PATIENCE + Duration::from_secs(packets / u64::from(rate)))?
        {
            Answer::Sent(sent) => {
                let total: u64 = sent.iter().map(|count| count.0).sum();
                ensure!(total == packets, "{total} packets were sent, not {packets}");
                Ok(sent)
            }
            Answer::Failed(why) => bail!("the other machine did not send: {why}"),
        }
    }

    /// Waits until this many packets are counted: some are still on the wire after they are sent.
    fn await_counters(
        &self,
        packets: u64,
        total: impl Fn(&BTreeMap<String, Count>) -> u64,
    ) -> Result<BTreeMap<String, Count>> {
        let mut last = BTreeMap::new();
        let counted = wait_until("every packet is counted", || {
            last = self.firewall.counters()?;
            Ok(total(&last) >= packets)
        });
        counted.with_context(|| format!("of {packets} packets {last:?} were counted"))?;
        Ok(last)
    }
}

/// The number of interrupts of each receive queue.
fn interrupts() -> Result<BTreeMap<String, u64>> {
    let path = "/proc/interrupts";
    let text = fs::read_to_string(path).with_context(|| format!("cannot read `{path}`"))?;
    let mut counts = BTreeMap::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let Some(queue) = words.next_back().filter(|name| name.contains("-input")) else {
            continue;
        };
        let sum = words.skip(1).map_while(|word| word.parse::<u64>().ok());
        counts.insert(queue.to_owned(), sum.sum());
    }
    Ok(counts)
}
