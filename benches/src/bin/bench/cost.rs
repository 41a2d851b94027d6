//! `bench cost` and `bench compare`.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use benches::{
    cost::{
        case::{Case, Rules},
        drawing::{Drawing, Traffic, any_packets},
        rounds::{self, Setting},
        rule_file,
        sample::Sample,
        subject_kind::SubjectKind,
    },
    interrupt::Interrupt,
    rulesets::{Family, Origin, trace::read_trace},
};
use clap::Args;

use crate::place::Place;

/// `bench cost`.
#[derive(Debug, Args)]
pub(crate) struct CostArgs {
    /// The rule file; the interfaces that it names do not matter
    #[arg(long, value_name = "FILE")]
    rules: PathBuf,
    /// A trace in the format of ClassBench. Default: random packets
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    #[command(flatten)]
    packets: Packets,
    #[command(flatten)]
    common: Common,
}

/// `bench compare`.
#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    #[command(flatten)]
    drawn: Drawn,
    #[command(flatten)]
    common: Common,
}

/// Rules and packets that are drawn.
#[derive(Debug, Args)]
pub(crate) struct Drawn {
    /// The rules: `ten-rules`, `rules:N`, `rules:KIND:N` with a kind of `acl`, `fw` or `ipc`,
    /// `classbench:FILE`, `addresses:N` or `prefixes:N`
    #[arg(long = "case", value_name = "CASE")]
    sample: Sample,
    /// The packets to send: those that rules match or whose sources are listed, others, both, or
    /// those of the trace beside a filter file
    #[arg(long, value_enum, default_value_t)]
    traffic: Traffic,
    /// The family of generated addresses
    #[arg(long, value_enum, default_value = "v4")]
    family: Family,
    #[command(flatten)]
    packets: Packets,
}

#[derive(Debug, Args)]
struct Packets {
    /// The number of packets to draw, all distinct; fewer if the rules do not allow more
    #[arg(long, default_value_t = 1_000_000)]
    packets: usize,
    /// The seed for drawing them
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Debug, Args)]
struct Common {
    /// The duration of the measurement of each firewall
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// The number of rounds, in which firewalls take turns
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    #[command(flatten)]
    place: Place,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The families of random packets.
const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// The timeout for setting up a firewall: lists of a million take some of them minutes.
const PATIENCE: Duration = Duration::from_secs(600);

impl CostArgs {
    /// Measures and prints the figures.
    pub(crate) fn run(&self, interrupt: Interrupt) -> Result<()> {
        let path = self
            .rules
            .canonicalize()
            .with_context(|| format!("there is no rule file `{}`", self.rules.display()))?;
        let folder = path.parent().context("a file has a folder")?;
        let text = fs::read_to_string(&path)
            .with_context(|| format!("cannot read `{}`", path.display()))?;
        let rules = rule_file::retarget(&text, folder)
            .with_context(|| format!("`{}` is no rule file", self.rules.display()))?;
        let (packets, packets_from, description) = match &self.trace {
            Some(path) => (
                read_trace(path)?.iter().map(|entry| entry.tuple).collect(),
                Origin::Given,
                format!("packets of `{}`", path.display()),
            ),
            None => (
                any_packets(&FAMILIES, self.packets.packets, self.packets.seed),
                Origin::Generated,
                "packets at random".to_owned(),
            ),
        };
        let case = Case {
            name: self.rules.display().to_string(),
            description,
            packets,
            packets_from,
            rules: Rules::File(rules),
            rules_from: Origin::Given,
        };
        self.common.measure(&case, &SubjectKind::ALONE, interrupt)
    }
}

impl CompareArgs {
    /// Measures and prints the figures.
    pub(crate) fn run(&self, interrupt: Interrupt) -> Result<()> {
        let case = self.drawn.case()?;
        self.common
            .measure(&case, &SubjectKind::COMPARED, interrupt)
    }
}

impl Drawn {
    /// The case.
    pub(crate) fn case(&self) -> Result<Case> {
        self.sample.case(&Drawing {
            family: self.family,
            traffic: self.traffic,
            packets: self.packets.packets,
            seed: self.packets.seed,
        })
    }
}

/// Converts a number of seconds.
pub(crate) fn seconds(number: f64) -> Result<Duration> {
    Duration::try_from_secs_f64(number)
        .with_context(|| format!("`{number}` is no number of seconds"))
}

impl Common {
    fn measure(&self, case: &Case, kinds: &[SubjectKind], interrupt: Interrupt) -> Result<()> {
        let site = self.place.site(interrupt, PATIENCE)?;
        let setting = Setting {
            rounds: self.rounds,
            time: seconds(self.seconds)?,
            cpu: self.place.cpu()?,
        };
        let tell = |line: &str| eprintln!("bench: {line}");
        let report = rounds::measure(case, kinds, &setting, &site, &tell)?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&report)?);
        } else {
            print!("{report}");
        }
        Ok(())
    }
}
