//! Rounds in which all contestants take turns.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use aya::programs::ProgramFd;

use super::{
    arena::Arena,
    case::Case,
    clock::Clock,
    contestant::{Contestant, Entry, Kind, Site, Verdicts},
    driver::{Driver, Run},
    machine::Machine,
    report::{Cost, Figures, Report},
    statistics::Spread,
    tool::TooSlow,
};

/// How many packets of the series each contestant judges for the check.
const CHECKED: u32 = 10_000;

/// With how many packets an estimate begins, and how long one takes at least.
const ESTIMATED: u32 = 2_000;
const ESTIMATING: Duration = Duration::from_millis(20);

/// Between these lies the number of packets of one turn.
const TURN: std::ops::RangeInclusive<f64> = 2_000.0..=1e9;

/// How far apart in the series rounds begin: it has no divisor in common with a power of ten.
const STRIDE: u32 = 1_299_709;

/// How it is measured.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// How many rounds there are.
    pub rounds: u32,
    /// How long the turns of one contestant take together.
    pub time: Duration,
    /// The CPU.
    pub cpu: usize,
}

/// Measures what a packet of a case costs contestants. `tell` is given a line about each step.
///
/// # Errors
///
/// If a contestant that can take part fails, packets do not reach it or are not judged, two judge
/// otherwise, or the process is told to end.
pub fn measure(
    case: &Case,
    kinds: &[Kind],
    setting: &Setting,
    site: &Site,
    tell: &dyn Fn(&str),
) -> Result<Report> {
    let machine = Machine::read()?;
    let clock = Clock::new(setting.cpu)?;
    let mut absent = Vec::new();
    let mut present = Vec::new();
    for kind in kinds {
        site.interrupt.check()?;
        tell(&format!("setting up: {}", kind.name()));
        match enter(*kind, case, site)? {
            Entry::Ready(contestant) => present.push((*kind, contestant)),
            Entry::Absent(reason) => absent.push(reason),
        }
    }
    tell(&format!("preparing {} packets", case.packets.len()));
    let generator = Arena::new()?;
    let mut driver = Driver::load(&case.packets, &generator)?;
    let mut turns = Vec::new();
    for (kind, contestant) in present {
        site.interrupt.check()?;
        let turn = Turn::prepare(kind, contestant, &mut driver, &clock, setting)?;
        turns.push(turn);
    }
    check_agreement(&turns)?;

    let each = size_of_a_turn(setting, |packets| {
        driver.discard(&generator, 0, packets, &clock)
    })?;
    let mut made = Vec::new();
    for round in 0..setting.rounds {
        tell(&format!("round {} of {}", round + 1, setting.rounds));
        let from = STRIDE.wrapping_mul(round) % driver.count();
        let run = driver.discard(&generator, from, each, &clock)?;
        made.push(run.nanoseconds());
        for turn in &mut turns {
            site.interrupt.check()?;
            turn.take(&mut driver, from, &clock)?;
        }
    }
    for turn in &turns {
        turn.check_all_judged()?;
    }
    let floors = Floors::of(&turns)?;
    let contestants: Vec<_> = turns.iter().map(|turn| turn.figures(&floors)).collect();
    Ok(Report {
        case: case.name.clone(),
        description: case.description.clone(),
        packets: driver.count(),
        on_cpu: clock.cpu(),
        machine,
        noise: Spread::of(&floors.dropping.on_the_way).noise(),
        generator: Spread::of(&made),
        contestants,
        absent,
    })
}

/// Sets a contestant up; one that takes too long does not take part.
fn enter(kind: Kind, case: &Case, site: &Site) -> Result<Entry> {
    let entry = kind.enter(case, site);
    if let Err(error) = &entry
        && let Some(slow) = error.downcast_ref::<TooSlow>()
    {
        return Ok(Entry::absent(kind.name(), slow.to_string()));
    }
    entry.with_context(|| format!("`{}` cannot be set up", kind.name()))
}

/// A contestant and what it was measured to take.
struct Turn {
    kind: Kind,
    contestant: Box<dyn Contestant>,
    program: Option<ProgramFd>,
    /// How it judged the packets of the check.
    verdicts: Option<Verdicts>,
    /// What it had counted before the first round.
    counted: Option<Verdicts>,
    /// How many packets it gets in a turn on the way, and alone.
    packets: (u32, u32),
    samples: Samples,
    sent: u64,
    received: u64,
    /// How many packets the driver called its program with.
    called: u64,
}

/// Nanoseconds a packet, a sample a round.
#[derive(Clone, Default)]
struct Samples {
    on_the_way: Vec<f64>,
    alone: Vec<f64>,
}

impl Turn {
    /// Has the contestant judge the packets of the check, and estimates what one costs.
    fn prepare(
        kind: Kind,
        contestant: Box<dyn Contestant>,
        driver: &mut Driver,
        clock: &Clock,
        setting: &Setting,
    ) -> Result<Self> {
        let arena = contestant.arena();
        let checked = CHECKED.min(driver.count());
        let before = contestant.verdicts()?;
        let received = arena.received()?;
        driver.send(arena, 0, checked, clock)?;
        let received = arena.received()? - received;
        let name = contestant.name();
        ensure!(
            received == u64::from(checked),
            "of {checked} packets, {received} reached `{name}`"
        );
        let verdicts = match (before, contestant.verdicts()?) {
            (Some(before), Some(after)) => Some(after.since(before)),
            (Some(_), None) | (None, _) => None,
        };
        if let Some(verdicts) = verdicts {
            ensure!(
                verdicts.total() == u64::from(checked),
                "of {checked} packets, `{name}` judged {}: {verdicts:?}",
                verdicts.total()
            );
        }
        let on_the_way = size_of_a_turn(setting, |packets| driver.send(arena, 0, packets, clock))?;
        let program = contestant.program()?;
        let alone = match &program {
            Some(program) => {
                let call = |packets| driver.call(program, arena, 0, packets, clock);
                size_of_a_turn(setting, call)?
            }
            None => 0,
        };
        Ok(Self {
            kind,
            program,
            verdicts,
            packets: (on_the_way, alone),
            samples: Samples::default(),
            sent: 0,
            received: 0,
            called: 0,
            counted: contestant.verdicts()?,
            contestant,
        })
    }

    fn take(&mut self, driver: &mut Driver, from: u32, clock: &Clock) -> Result<()> {
        let arena = self.contestant.arena();
        let (on_the_way, alone) = self.packets;
        let before = arena.received()?;
        let run = driver.send(arena, from, on_the_way, clock)?;
        let received = arena.received()? - before;
        let share = received as f64 / f64::from(on_the_way);
        ensure!(
            share > 0.99,
            "of {on_the_way} packets, {received} reached `{}`",
            self.contestant.name()
        );
        self.sent += u64::from(on_the_way);
        self.received += received;
        self.samples.on_the_way.push(run.nanoseconds());
        if let Some(program) = &self.program {
            let run = driver.call(program, arena, from, alone, clock)?;
            self.called += u64::from(alone);
            self.samples.alone.push(run.nanoseconds());
        }
        Ok(())
    }

    /// Fails unless the contestant judged each packet that reached it in the rounds.
    fn check_all_judged(&self) -> Result<()> {
        let (Some(before), Some(after)) = (self.counted, self.contestant.verdicts()?) else {
            return Ok(());
        };
        let (judged, expected) = (after.since(before).total(), self.received + self.called);
        ensure!(
            judged == expected,
            "of {expected} packets, `{}` judged {judged}",
            self.contestant.name()
        );
        Ok(())
    }

    fn figures(&self, floors: &Floors) -> Figures {
        let floor = floors.under(self);
        Figures {
            name: self.contestant.name().to_owned(),
            version: self.contestant.version().to_owned(),
            loading: self.contestant.loading(),
            sent: self.sent,
            received: self.received,
            verdicts: self.verdicts,
            on_the_way: Cost::of(&self.samples.on_the_way, &floor.on_the_way),
            alone: (!self.samples.alone.is_empty())
                .then(|| Cost::of(&self.samples.alone, &floor.alone)),
        }
    }

    /// The share of packets that it passes.
    fn passes(&self) -> f64 {
        match (self.kind, self.verdicts) {
            (Kind::PassingFloor, _) => 1.0,
            (_, Some(verdicts)) => verdicts.passed as f64 / verdicts.total().max(1) as f64,
            (_, None) => 0.0,
        }
    }
}

/// What the empty programs take.
struct Floors {
    dropping: Samples,
    passing: Samples,
}

impl Floors {
    fn of(turns: &[Turn]) -> Result<Self> {
        let samples = |kind| {
            let turn = turns.iter().find(|turn| turn.kind == kind);
            turn.map(|turn| turn.samples.clone())
        };
        let dropping = samples(Kind::Floor).context("there is no floor among the contestants")?;
        Ok(Self {
            passing: samples(Kind::PassingFloor).unwrap_or_else(|| dropping.clone()),
            dropping,
        })
    }

    /// The floor of a contestant: packets that it passes cost the kernel more behind the hook, and
    /// so does passing them with an empty program.
    fn under(&self, turn: &Turn) -> Samples {
        let passes = turn.passes();
        let mix = |dropping: &[f64], passing: &[f64]| {
            let pairs = dropping.iter().zip(passing);
            pairs
                .map(|(dropping, passing)| dropping * (1.0 - passes) + passing * passes)
                .collect()
        };
        Samples {
            on_the_way: mix(&self.dropping.on_the_way, &self.passing.on_the_way),
            alone: mix(&self.dropping.alone, &self.passing.alone),
        }
    }
}

/// How many packets fill the time of a turn.
fn size_of_a_turn(setting: &Setting, mut run: impl FnMut(u32) -> Result<Run>) -> Result<u32> {
    let mut packets = ESTIMATED;
    let sample = loop {
        let sample = run(packets)?;
        // A short run that waited for the CPU may seem to have taken no time at all.
        if sample.time >= ESTIMATING {
            break sample;
        }
        ensure!(packets < u32::MAX, "{packets} packets took no time");
        packets = packets.saturating_mul(4);
    };
    let time = setting.time.as_secs_f64() * 1e9 / f64::from(setting.rounds.max(1));
    Ok((time / sample.nanoseconds()).clamp(*TURN.start(), *TURN.end()) as u32)
}

/// Fails if two contestants judge the packets of the check otherwise.
fn check_agreement(turns: &[Turn]) -> Result<()> {
    let mut first: Option<(&str, Verdicts)> = None;
    for turn in turns {
        let Some(verdicts) = turn.verdicts else {
            continue;
        };
        let name = turn.contestant.name();
        let Some((other, expected)) = first else {
            first = Some((name, verdicts));
            continue;
        };
        // xdp-filter does not say which packets no rule matched.
        let is_same = (verdicts.passed, verdicts.dropped) == (expected.passed, expected.dropped)
            && (turn.kind == Kind::XdpFilter || verdicts.unmatched == expected.unmatched);
        ensure!(
            is_same,
            "`{name}` and `{other}` judge otherwise: {verdicts:?}, {expected:?}"
        );
    }
    Ok(())
}
