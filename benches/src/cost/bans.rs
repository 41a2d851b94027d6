//! Bans: the time to add them, their memory, and the cost of a packet with them.

use std::{
    fmt,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use super::{
    clock::Clock,
    daemon::Daemon,
    drawing::{Drawing, Traffic, draw},
    driver::Driver,
    site::Site,
    statistics::Spread,
    verdicts::Verdicts,
};
use crate::{
    rulesets::{Family, generate, stream::Listed, write::list::list},
    tuple::Tuple,
};

/// The number of packets sent at once.
const AT_ONCE: u32 = 20_000;

/// The cost of bans.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bans {
    /// The number of bans.
    pub count: usize,
    /// The time in seconds from submitting the list until all bans were in force.
    pub seconds: f64,
    /// The number of packets sent from banned sources, and from others; each is sent once.
    pub packets: usize,
    /// The memory of the maps of bans without any ban, in bytes.
    pub memory_before: u64,
    /// The memory of the maps with all bans, as far as the kernel reports it (Linux 6.4).
    pub memory: u64,
    /// The CPU time of a packet that no rule matches, in nanoseconds, without bans.
    pub without: Spread,
    /// The CPU time with bans, of a packet whose source is not banned.
    pub others: Spread,
    /// The CPU time with bans, of a packet whose source is banned.
    pub banned: Spread,
}

impl fmt::Display for Bans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        let more = |spread: &Spread| spread.median - self.without.median;
        write!(
            f,
            "{} addresses in {:.2} s, {:.0} a second, of one list on stdin; the maps take {:.1} MB \
             without bans and {:.1} MB with them. A packet that no rule matches takes {:.0} ns \
             without bans; with them {:+.1} ns when its source is not banned, and {:+.1} ns when it \
             is. Addresses and packets are generated: {} distinct packets from banned sources and as \
             many from others.",
            self.count,
            self.seconds,
            self.count as f64 / self.seconds,
            megabytes(self.memory_before),
            megabytes(self.memory),
            self.without.median,
            more(&self.others),
            more(&self.banned),
            self.packets
        )
    }
}

/// Bans `count` addresses, and measures packets in `rounds` rounds.
///
/// # Errors
///
/// If the command fails, a packet does not get the expected verdict, or the process is asked to
/// end.
pub fn measure(count: usize, rounds: u32, cpu: usize, site: &Site) -> Result<Bans> {
    let addresses = generate::addresses(count, Family::V4, 1);
    let listed = Listed::new(&addresses);
    let packets = (rounds * AT_ONCE) as usize;
    let drawn = |traffic| {
        let drawing = Drawing {
            family: Family::V4,
            traffic,
            packets,
            seed: 1,
        };
        draw(&listed, &drawing)
    };
    let (inside, outside) = (drawn(Traffic::Hits)?, drawn(Traffic::Misses)?);
    ensure!(
        inside.len() == packets && outside.len() == packets,
        "there are fewer than {packets} distinct packets"
    );
    let clock = Clock::new(cpu)?;

    let without = start(site)?;
    let with = start(site)?;
    let memory_before = with.ban_memory()?;
    let text = list(&addresses);
    let began = Instant::now();
    with.ban(&text)?;
    let seconds = began.elapsed().as_secs_f64();
    // The daemon resizes the Bloom filter when it is idle.
    std::thread::sleep(Duration::from_secs(3));

    let mut series = [
        Series::load(&outside, &without)?,
        Series::load(&outside, &with)?,
        Series::load(&inside, &with)?,
    ];
    let before = [without.verdicts()?, with.verdicts()?];
    for round in 0..rounds {
        for series in &mut series {
            site.interrupt.check()?;
            series.measure(round, &clock)?;
        }
    }
    let sent = u64::from(rounds * AT_ONCE);
    let judged = [&without, &with].map(Daemon::verdicts);
    let [plain, banned] = judged;
    let (plain, banned) = (plain?.since(before[0]), banned?.since(before[1]));
    let expected = |dropped, unmatched| Verdicts {
        passed: 0,
        dropped,
        unmatched,
    };
    ensure!(
        plain == expected(sent, sent) && banned == expected(2 * sent, sent),
        "not all were judged as they should be: {plain:?}, {banned:?}"
    );
    let memory = with.ban_memory()?;
    let [without, others, banned] = series.map(|series| Spread::of(&series.nanoseconds));
    Ok(Bans {
        count,
        seconds,
        packets,
        memory_before,
        memory,
        without,
        others,
        banned,
    })
}

/// A daemon without rules whose policy is to drop.
fn start(site: &Site) -> Result<Daemon> {
    let mut daemon = Daemon::prepare(site)?;
    let interface = daemon.testbed().host().interface.clone();
    let rules = format!(
        "[firewall]\ninterfaces = [\"{interface}\"]\nmode = \"native\"\npolicy = \"drop\"\n"
    );
    daemon.write(&rules, None)?;
    daemon.start()?;
    daemon.change(1)?;
    Ok(daemon)
}

/// Packets that are sent to a daemon, and what they cost.
struct Series<'a> {
    driver: Driver,
    daemon: &'a Daemon,
    nanoseconds: Vec<f64>,
}

impl<'a> Series<'a> {
    fn load(packets: &[Tuple], daemon: &'a Daemon) -> Result<Self> {
        Ok(Self {
            driver: Driver::load(packets, daemon.testbed())?,
            daemon,
            nanoseconds: Vec::new(),
        })
    }

    fn measure(&mut self, round: u32, clock: &Clock) -> Result<()> {
        let from = round.wrapping_mul(AT_ONCE) % self.driver.count();
        let testbed = self.daemon.testbed();
        let run = self.driver.send(testbed, from, AT_ONCE, clock)?;
        self.nanoseconds.push(run.nanoseconds());
        Ok(())
    }
}
