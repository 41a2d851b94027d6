//! What a packet takes that the machine sends, with programs at the egress hook.

use std::{
    fmt::{self, Write as _},
    net::{Ipv4Addr, SocketAddrV4, UdpSocket},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use driver_ebpf::program;
use serde::{Deserialize, Serialize};

use super::{
    clock::Clock, daemon::Daemon, object_file::ObjectFile, site::Site, statistics::Spread,
    testbed::Testbed,
};
use crate::{classifier::Classifier, random::Random, tools};

/// The number of packets sent at once.
const AT_ONCE: usize = 5_000;

/// The numbers of rules that are measured.
const RULES: [usize; 2] = [10, 10_000];

/// The seed of rules and packets.
const SEED: u64 = 1;

/// The cost of packets out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Egress {
    /// The number of packets of each row; their destinations are distinct.
    pub packets: usize,
    /// What was measured.
    pub rows: Vec<Row>,
}

/// The cost of a packet with one program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The program and its rules.
    pub name: String,
    /// The CPU time of a packet from the system call to the other end of the link, in nanoseconds.
    pub nanoseconds: Spread,
    /// The ratio to the time without a program, measured in the same round.
    pub ratio: Spread,
}

impl fmt::Display for Egress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "A UDP packet of 16 bytes, sent by `sendto` through a veth pair and dropped at its other \
             end; {} packets of each row, all with distinct destinations, which the last rules match \
             as often as the first. Rules and packets are generated.",
            self.packets
        )?;
        writeln!(
            f,
            "{:<28} {:>9} {:>19} {:>7} {:>15}",
            "", "ns/packet", "quartiles", "ratio", "quartiles"
        )?;
        for Row {
            name,
            nanoseconds: time,
            ratio,
        } in &self.rows
        {
            let quartiles = format!("{:.0}-{:.0}", time.lower_quartile, time.upper_quartile);
            let of_ratio = format!("{:.3}-{:.3}", ratio.lower_quartile, ratio.upper_quartile);
            writeln!(
                f,
                "{name:<28} {:>9.0} {quartiles:>19} {:>7.3} {of_ratio:>15}",
                time.median, ratio.median
            )?;
        }
        Ok(())
    }
}

/// Measures in `rounds` rounds.
///
/// # Errors
///
/// If the kernel has no links for traffic control (Linux 6.6), a command fails, a packet is not
/// judged, or the process is asked to end.
pub fn measure(rounds: usize, cpu: usize, site: &Site) -> Result<Egress> {
    let clock = Clock::new(cpu)?;
    let none = SendingHost::new("no program", Arc::new(Testbed::with_sink()?), None)?;
    let empty = SendingHost::new("an empty program", Arc::new(Testbed::with_sink()?), None)?;
    let host = &empty.testbed.network().host;
    let index = empty.testbed.host().index;
    let _empty_program = host.run(|| Classifier::attach(index))??;
    let mut subjects = vec![none, empty];
    let no_rules = "policy_out = \"drop\"\n[[rule]]\nname = \"all\"\naction = \"pass\"\n\
                    direction = \"out\"\n";
    subjects.push(SendingHost::start(
        "firewall, a rule for all",
        no_rules,
        site,
    )?);
    let most = rounds * AT_ONCE;
    for count in RULES {
        let rules = rules(count);
        let name = format!("firewall, {count} rules");
        subjects.push(SendingHost::start(&name, &rules, site)?);
    }
    let mut times = vec![Vec::new(); subjects.len()];
    let before = judged(&subjects)?;
    for round in 0..rounds {
        for (subject, times) in subjects.iter().zip(&mut times) {
            site.interrupt.check()?;
            let to = destinations(subject.rules(), round);
            let (time, ()) = clock.time(|| subject.send(&to))?;
            times.push(time.as_secs_f64() * 1e9 / to.len() as f64);
        }
    }
    for ((subject, before), after) in subjects.iter().zip(before).zip(judged(&subjects)?) {
        let judged = after - before;
        let expected = if subject.daemon.is_some() { most } else { 0 };
        ensure!(
            judged == expected as u64,
            "{}: {judged} of {expected} packets were judged",
            subject.name
        );
    }
    let base = times.first().cloned().unwrap_or_default();
    let rows = subjects.into_iter().zip(times).map(|(subject, times)| {
        let ratios: Vec<f64> = times
            .iter()
            .zip(&base)
            .map(|(time, base)| time / base)
            .collect();
        Row {
            name: subject.name,
            nanoseconds: Spread::of(&times),
            ratio: Spread::of(&ratios),
        }
    });
    Ok(Egress {
        packets: most,
        rows: rows.collect(),
    })
}

/// A network whose host sends, and what runs at its egress hook.
pub(super) struct SendingHost {
    name: String,
    testbed: Arc<Testbed>,
    daemon: Option<Daemon>,
    /// The number of rules.
    count: usize,
    socket: UdpSocket,
    port: u16,
    _drop: ObjectFile,
}

impl SendingHost {
    pub(super) fn new(name: &str, testbed: Arc<Testbed>, daemon: Option<Daemon>) -> Result<Self> {
        let network = testbed.network();
        let mut drop = ObjectFile::load(1, &[program::DISCARD])?;
        drop.attach(program::DISCARD, &network.peer, testbed.peer())?;
        let mut command = tools::command("ip");
        let gateway = testbed.peer().ipv4.to_string();
        command.args(["route", "add", "default", "via", &gateway]);
        let status = network.host.spawn(&mut command)?.wait()?;
        ensure!(status.success(), "`ip route` ended with {status}");
        let socket = network
            .host
            .run(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)))?
            .context("no socket")?;
        Ok(Self {
            name: name.to_owned(),
            testbed,
            daemon,
            count: 0,
            port: socket.local_addr()?.port(),
            socket,
            _drop: drop,
        })
    }

    /// Has `firewall` filter what the host sends.
    pub(super) fn start(name: &str, rules: &str, site: &Site) -> Result<Self> {
        let mut daemon = Daemon::prepare(site)?;
        let interface = daemon.testbed().host().interface.clone();
        let text = format!("[firewall]\ninterfaces = [\"{interface}\"]\n{rules}");
        daemon.write(&text, None)?;
        daemon.start()?;
        daemon.change(1)?;
        let testbed = Arc::clone(daemon.testbed());
        Ok(Self {
            count: rules.matches("[[rule]]").count(),
            ..Self::new(name, testbed, Some(daemon))?
        })
    }

    /// The number of rules that packets are aimed at.
    fn rules(&self) -> usize {
        if self.count > 1 { self.count } else { RULES[1] }
    }

    /// Its network.
    pub(super) fn testbed(&self) -> &Testbed {
        &self.testbed
    }

    /// Its `firewall`.
    pub(super) fn daemon(&self) -> Result<&Daemon> {
        self.daemon.as_ref().context("no `firewall` filters there")
    }

    /// The port that it sends from.
    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    /// Sends a packet to each address.
    pub(super) fn send(&self, to: &[SocketAddrV4]) -> Result<()> {
        for to in to {
            self.socket.send_to(&[0; 16], to)?;
        }
        Ok(())
    }
}

/// How many packets out each subject has judged.
fn judged(subjects: &[SendingHost]) -> Result<Vec<u64>> {
    // What is still on its way is counted.
    std::thread::sleep(Duration::from_millis(100));
    let judged = subjects.iter().map(|subject| match &subject.daemon {
        Some(daemon) => Ok(daemon.verdicts()?.passed),
        None => Ok(0),
    });
    judged.collect()
}

/// The prefix and the first of 64 ports of a rule.
fn target(number: usize) -> (Ipv4Addr, u16) {
    let mut random = Random::new(SEED.wrapping_mul(1 << 32) + number as u64);
    // Of 32.0.0.0/3, which has no addresses with a meaning of their own.
    let address = 0x2000_0000 | random.number() as u32 & 0x1fff_ff00;
    let port = 1024 + 64 * random.below(900) as u16;
    (Ipv4Addr::from(address), port)
}

/// Rules for packets out, each for a network of 256 addresses and 64 ports.
fn rules(count: usize) -> String {
    let mut text = String::from("policy_out = \"pass\"\n");
    for number in 0..count {
        let (address, port) = target(number);
        let _ = write!(
            text,
            "[[rule]]\nname = \"{number}\"\naction = \"pass\"\ndirection = \"out\"\n\
             proto = \"udp\"\ndst = \"{address}/24\"\ndport = \"{port}-{}\"\n",
            port + 63
        );
    }
    text
}

/// The destinations of a round: each of another rule, as long as there are any.
fn destinations(rules: usize, round: usize) -> Vec<SocketAddrV4> {
    let numbers = (0..AT_ONCE).map(|number| round * AT_ONCE + number);
    let destination = |number: usize| {
        let (address, port) = target(number % rules);
        // Addresses and ports of a rule are enough for all rounds.
        let place = number / rules;
        let address = u32::from(address) + (place % 256) as u32;
        let port = port + (place / 256 % 64) as u16;
        SocketAddrV4::new(Ipv4Addr::from(address), port)
    };
    numbers.map(destination).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn destinations_are_distinct() {
        for rules in RULES {
            let all: BTreeSet<SocketAddrV4> = (0..20)
                .flat_map(|round| destinations(rules, round))
                .collect();
            assert_eq!(all.len(), 20 * AT_ONCE, "{rules}");
        }
    }
}
