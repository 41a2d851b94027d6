//! Rules that change while packets are judged.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};
use serde::{Deserialize, Serialize};

use super::{
    case::Rules,
    clock::Clock,
    daemon::Daemon,
    drawing::{Drawing, Traffic, draw},
    driver::Driver,
    site::Site,
    statistics::Spread,
    testbed::Testbed,
};
use crate::rulesets::{
    AddressList, Family, ListPolicy, generate, stream::Listed, write::list::list,
};

/// How many members one list has and the other has not.
const CHANGED: usize = 1000;

/// How many packets are in the series, and how many are sent at once.
const PACKETS: usize = 100_000;
const AT_ONCE: u32 = 20_000;

/// How long packets come before the signal, and after the switch.
const BEFORE: Duration = Duration::from_millis(100);

/// What reloads under traffic took, and what became of the packets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reload {
    /// How many prefixes the blocklist has.
    pub prefixes: usize,
    /// The time from the files to the switch as the log has it, in seconds, a sample a reload.
    pub logged: Spread,
    /// The time from the signal until the log had it, in seconds.
    pub seen: Spread,
    /// How many distinct packets are in the series.
    pub packets: usize,
    /// How many packets reached the firewall, all of them from sources that stand in both lists.
    pub received: u64,
    /// How many of them were let through.
    pub passed: u64,
    /// How many were neither let through nor dropped, as far as was counted.
    pub unjudged: u64,
}

/// Reloads a blocklist of `prefixes` source prefixes `times` times, each time with other members,
/// while packets from sources that stay listed come as fast as one CPU makes them.
///
/// # Errors
///
/// If the command fails, or the process is told to end.
pub fn measure(prefixes: usize, times: u32, cpu: usize, site: &Site) -> Result<Reload> {
    let all = generate::prefixes(prefixes + CHANGED, Family::V4, 1).members;
    let part = |from: usize, to: usize| AddressList {
        members: all.get(from..to).unwrap_or_default().to_vec(),
    };
    let lists = [part(0, prefixes), part(CHANGED, prefixes + CHANGED)];
    let texts = lists.each_ref().map(list);
    let common = part(CHANGED, prefixes);
    let listed = Listed::new(&common);
    let drawing = Drawing {
        family: Family::V4,
        traffic: Traffic::Hits,
        packets: PACKETS,
        seed: 1,
    };
    let packets = draw(&listed, &drawing)?;

    let mut daemon = Daemon::prepare(site)?;
    let [first, _] = lists;
    let rules = Rules::List(first, ListPolicy::BLOCKLIST);
    let (rules, _) = rules.rule_file(&daemon.testbed().host().interface);
    let [first, _] = &texts;
    daemon.write(&rules, Some(first))?;
    daemon.start()?;
    daemon.change(1)?;
    let mut driver = Driver::load(&packets, daemon.testbed())?;
    let clock = Clock::new(cpu)?;

    let before = (daemon.verdicts()?, daemon.testbed().received()?);
    let (mut logged, mut seen) = (Vec::new(), Vec::new());
    for (generation, text) in (2..).zip(texts.iter().cycle().skip(1)).take(times as usize) {
        site.interrupt.check()?;
        daemon.write(&rules, Some(text))?;
        let traffic = TrafficThread::start(driver, Arc::clone(daemon.testbed()), clock.clone())?;
        thread::sleep(BEFORE);
        let began = Instant::now();
        daemon.reload()?;
        let change = daemon.change(generation)?;
        seen.push(began.elapsed().as_secs_f64());
        logged.push(change.all.as_secs_f64());
        thread::sleep(BEFORE);
        driver = traffic.finish()?;
    }
    let verdicts = daemon.verdicts()?.since(before.0);
    let received = daemon.testbed().received()? - before.1;
    Ok(Reload {
        prefixes,
        packets: packets.len(),
        logged: Spread::of(&logged),
        seen: Spread::of(&seen),
        received,
        passed: verdicts.passed,
        unjudged: received.abs_diff(verdicts.total()),
    })
}

/// A driver that sends until it is told to end.
struct TrafficThread {
    ending: Arc<AtomicBool>,
    thread: thread::JoinHandle<Result<Driver>>,
}

impl TrafficThread {
    fn start(mut driver: Driver, testbed: Arc<Testbed>, clock: Clock) -> Result<Self> {
        let ending = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&ending);
        let send = move || {
            let mut from = 0_u32;
            while !flag.load(Ordering::Relaxed) {
                driver.send(&testbed, from, AT_ONCE, &clock)?;
                from = from.wrapping_add(AT_ONCE) % driver.count();
            }
            Ok(driver)
        };
        let thread = thread::Builder::new()
            .spawn(send)
            .context("cannot start a thread")?;
        Ok(Self { ending, thread })
    }

    fn finish(self) -> Result<Driver> {
        self.ending.store(true, Ordering::Relaxed);
        let joined = self.thread.join();
        joined.map_err(|_| anyhow!("the thread that sends panicked"))?
    }
}
