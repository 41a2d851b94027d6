//! Rounds in which all subjects take turns.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use aya::programs::ProgramFd;

use super::{
    case::Case,
    clock::Clock,
    data::Data,
    driver::{Driver, Run},
    machine::Machine,
    registry,
    report::{Cost, Figures, Report},
    site::Site,
    statistics::Spread,
    subject::{Cause, Entry, Subject},
    subject_kind::SubjectKind,
    testbed::Testbed,
    tool::TooSlow,
    verdicts::Verdicts,
};

/// The number of packets of the series that each subject classifies for the check.
const CHECKED: u32 = 10_000;

/// The number of packets with which an estimate begins, and its minimum duration.
const ESTIMATED: u32 = 2_000;
const ESTIMATING: Duration = Duration::from_millis(20);

/// The minimum and maximum number of packets of one turn.
const TURN: std::ops::RangeInclusive<f64> = 2_000.0..=1e9;

/// The distance in the series between the starts of rounds: coprime to powers of ten.
const STRIDE: u32 = 1_299_709;

/// The parameters of a measurement.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The number of rounds.
    pub rounds: u32,
    /// The total time of the turns of one subject.
    pub time: Duration,
    /// The CPU.
    pub cpu: usize,
}

/// Measures the cost of a packet of a case for subjects. `tell` is called with a line about each
/// step.
///
/// # Errors
///
/// If a subject that can take part fails, packets do not reach it or are not classified, two
/// subjects disagree, or the process is asked to end.
pub fn measure(
    case: &Case,
    kinds: &[SubjectKind],
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
        match set_up(*kind, case, site)? {
            Entry::Ready(subject) => present.push((*kind, subject)),
            Entry::Absent(reason) => absent.push(reason),
        }
    }
    tell(&format!("preparing {} packets", case.packets.len()));
    let generator = Testbed::new()?;
    let mut driver = Driver::load(&case.packets, &generator)?;
    let mut turns = Vec::new();
    for (kind, subject) in present {
        site.interrupt.check()?;
        let turn = Turn::prepare(kind, subject, &mut driver, &clock, setting)?;
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
    let baselines = Baselines::of(&turns)?;
    let subjects: Vec<_> = turns.iter().map(|turn| turn.figures(&baselines)).collect();
    Ok(Report {
        case: case.name.clone(),
        description: case.description.clone(),
        data: Data::of(case),
        on_cpu: clock.cpu(),
        machine,
        noise: Spread::of(&baselines.dropping.on_the_way).noise(),
        generator: Spread::of(&made),
        subjects,
        absent,
    })
}

/// Sets a subject up; one that takes too long does not take part, nor does another firewall that
/// fails.
fn set_up(kind: SubjectKind, case: &Case, site: &Site) -> Result<Entry> {
    let error = match registry::set_up(kind, case, site) {
        Ok(entry) => return Ok(entry),
        Err(error) => error,
    };
    site.interrupt.check()?;
    if let Some(slow) = error.downcast_ref::<TooSlow>() {
        return Ok(Entry::unable(kind, slow.to_string()));
    }
    if kind.is_essential() {
        return Err(error).with_context(|| format!("`{}` cannot be set up", kind.name()));
    }
    Ok(Entry::absent(kind, Cause::Failed, format!("{error:#}")))
}

/// A subject and its measurements.
struct Turn {
    kind: SubjectKind,
    subject: Box<dyn Subject>,
    program: Option<ProgramFd>,
    /// Its verdicts on the packets of the check.
    verdicts: Option<Verdicts>,
    /// Its counts before the first round.
    counted: Option<Verdicts>,
    /// The number of packets that it gets in a turn through the kernel, and alone.
    packets: (u32, u32),
    samples: Samples,
    sent: u64,
    received: u64,
    /// The number of packets with which the driver called its program.
    called: u64,
}

/// Nanoseconds per packet, one sample per round.
#[derive(Clone, Default)]
struct Samples {
    on_the_way: Vec<f64>,
    alone: Vec<f64>,
}

impl Turn {
    /// Sends the packets of the check to the subject, and estimates the cost of one.
    fn prepare(
        kind: SubjectKind,
        subject: Box<dyn Subject>,
        driver: &mut Driver,
        clock: &Clock,
        setting: &Setting,
    ) -> Result<Self> {
        let testbed = subject.testbed();
        let checked = CHECKED.min(driver.count());
        let before = subject.verdicts()?;
        let received = testbed.received()?;
        driver.send(testbed, 0, checked, clock)?;
        let received = testbed.received()? - received;
        let name = subject.name();
        ensure!(
            received == u64::from(checked),
            "of {checked} packets, {received} reached `{name}`"
        );
        let verdicts = match (before, subject.verdicts()?) {
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
        let on_the_way =
            size_of_a_turn(setting, |packets| driver.send(testbed, 0, packets, clock))?;
        let program = subject.program()?;
        let alone = match &program {
            Some(program) => {
                let call = |packets| driver.call(program, testbed, 0, packets, clock);
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
            counted: subject.verdicts()?,
            subject,
        })
    }

    fn take(&mut self, driver: &mut Driver, from: u32, clock: &Clock) -> Result<()> {
        let testbed = self.subject.testbed();
        let (on_the_way, alone) = self.packets;
        let before = testbed.received()?;
        let run = driver.send(testbed, from, on_the_way, clock)?;
        let received = testbed.received()? - before;
        let share = received as f64 / f64::from(on_the_way);
        ensure!(
            share > 0.99,
            "of {on_the_way} packets, {received} reached `{}`",
            self.subject.name()
        );
        self.sent += u64::from(on_the_way);
        self.received += received;
        self.samples.on_the_way.push(run.nanoseconds());
        if let Some(program) = &self.program {
            let run = driver.call(program, testbed, from, alone, clock)?;
            self.called += u64::from(alone);
            self.samples.alone.push(run.nanoseconds());
        }
        Ok(())
    }

    /// Fails unless the subject classified each packet that reached it in the rounds.
    fn check_all_judged(&self) -> Result<()> {
        let (Some(before), Some(after)) = (self.counted, self.subject.verdicts()?) else {
            return Ok(());
        };
        let (judged, expected) = (after.since(before).total(), self.received + self.called);
        ensure!(
            judged == expected,
            "of {expected} packets, `{}` judged {judged}",
            self.subject.name()
        );
        Ok(())
    }

    fn figures(&self, baselines: &Baselines) -> Figures {
        let baseline = baselines.under(self);
        Figures {
            name: self.subject.name().to_owned(),
            version: self.subject.version().to_owned(),
            loading: self.subject.loading(),
            sent: self.sent,
            received: self.received,
            verdicts: self.verdicts,
            on_the_way: Cost::of(&self.samples.on_the_way, &baseline.on_the_way),
            alone: (!self.samples.alone.is_empty())
                .then(|| Cost::of(&self.samples.alone, &baseline.alone)),
        }
    }

    /// The share of packets that it passes.
    fn passes(&self) -> f64 {
        match (self.kind, self.verdicts) {
            (SubjectKind::PassingBaseline, _) => 1.0,
            (_, Some(verdicts)) => verdicts.passed as f64 / verdicts.total().max(1) as f64,
            (_, None) => 0.0,
        }
    }
}

/// The measurements of the empty programs.
struct Baselines {
    dropping: Samples,
    passing: Samples,
}

impl Baselines {
    fn of(turns: &[Turn]) -> Result<Self> {
        let samples = |kind| {
            let turn = turns.iter().find(|turn| turn.kind == kind);
            turn.map(|turn| turn.samples.clone())
        };
        let dropping =
            samples(SubjectKind::Baseline).context("there is no baseline among the subjects")?;
        Ok(Self {
            passing: samples(SubjectKind::PassingBaseline).unwrap_or_else(|| dropping.clone()),
            dropping,
        })
    }

    /// The baseline of a subject: a packet that passes costs the kernel more after the hook, so the
    /// baselines for passing and dropping are weighted by its verdicts.
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

/// The number of packets that fill the time of a turn.
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

/// Fails if two subjects disagree on the packets of the check.
fn check_agreement(turns: &[Turn]) -> Result<()> {
    let mut first: Option<(&str, Verdicts)> = None;
    for turn in turns {
        let Some(verdicts) = turn.verdicts else {
            continue;
        };
        let name = turn.subject.name();
        let Some((other, expected)) = first else {
            first = Some((name, verdicts));
            continue;
        };
        // xdp-filter does not report the packets that no rule matched.
        let is_same = (verdicts.passed, verdicts.dropped) == (expected.passed, expected.dropped)
            && (turn.kind == SubjectKind::XdpFilter || verdicts.unmatched == expected.unmatched);
        ensure!(
            is_same,
            "`{name}` and `{other}` judge otherwise: {verdicts:?}, {expected:?}"
        );
    }
    Ok(())
}
