//! Reloads under traffic.

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

/// The number of members by which each list differs from the other.
const CHANGED: usize = 1000;

/// The number of packets in the series, and the number sent at once.
const PACKETS: usize = 100_000;
const AT_ONCE: u32 = 20_000;

/// The duration of traffic before the signal, and after the switch.
const BEFORE: Duration = Duration::from_millis(100);

/// The time of reloads under traffic, and the verdicts on the packets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reload {
    /// The number of prefixes of the blocklist.
    pub prefixes: usize,
    /// The time from the files to the switch according to the log, in seconds, one sample per
    /// reload.
    pub logged: Spread,
    /// The time from the signal until the log reports the switch, in seconds.
    pub seen: Spread,
    /// The number of distinct packets in the series.
    pub packets: usize,
    /// The number of packets that reached the firewall, all from sources in both lists.
    pub received: u64,
    /// The number of them that passed.
    pub passed: u64,
    /// The number of them that were counted neither as passed nor as dropped.
    pub unjudged: u64,
}

/// Reloads a blocklist of `prefixes` source prefixes `times` times, each time with other members,
/// while one CPU generates packets from sources that stay listed as fast as it can.
///
/// # Errors
///
/// If the command fails, or the process is asked to end.
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

/// A driver that sends until it is asked to end.
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
