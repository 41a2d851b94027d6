//! Everything that a run measured.

use serde::{Deserialize, Serialize};

use super::plan::Group;
use crate::cost::{
    bans::Bans,
    machine::Machine,
    reload::Reload,
    report::{Figures, Report},
    state::StateCost,
    statistics::Spread,
    subject::{Absent, Cause},
    subject_kind::SubjectKind,
    switch_time::SwitchTime,
};

/// The figures of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// The machine at the start of the run.
    pub machine: Machine,
    /// The duration of the run, in seconds.
    pub seconds: f64,
    /// The cases, in the order in which they were measured.
    pub measured: Vec<Measured>,
    /// Reloads under traffic.
    pub reload: Option<Reload>,
    /// Reloads of large rule files, without traffic.
    #[serde(default)]
    pub switch_times: Vec<SwitchTime>,
    /// Bans.
    #[serde(default)]
    pub bans: Option<Bans>,
    /// States.
    #[serde(default)]
    pub state: Option<StateCost>,
    /// Measurements that failed, and why.
    pub failures: Vec<String>,
}

/// The figures of a case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Its group.
    pub group: Group,
    /// The approximate number of rules or members.
    pub size: usize,
    /// The figures.
    pub report: Report,
}

impl Results {
    /// The cases, without those whose rules are also measured with other packets.
    pub fn rules(&self) -> impl Iterator<Item = &Measured> {
        let measured = self.measured.iter();
        measured.filter(|measured| measured.group != Group::Traces)
    }

    /// The cases of a group, in order.
    pub fn of(&self, group: Group) -> impl Iterator<Item = &Measured> {
        let measured = self.measured.iter();
        measured.filter(move |measured| measured.group == group)
    }

    /// The figures of `firewall` in the cases of a group and a size.
    pub fn own(&self, group: Group, size: usize) -> impl Iterator<Item = &Figures> {
        self.of(group)
            .filter(move |measured| measured.size == size)
            .filter_map(|measured| measured.figures(SubjectKind::Firewall))
    }

    /// The cases whose rules `firewall` refuses, and why.
    pub fn refusals(&self) -> impl Iterator<Item = (&Measured, &str)> {
        let measured = self.measured.iter();
        measured.filter_map(|measured| Some((measured, measured.refusal()?)))
    }

    /// The noise of the baseline over all cases.
    #[must_use]
    pub fn noise(&self) -> Spread {
        self.over(|report| report.noise)
    }

    /// The cost of generating a packet in nanoseconds, over all cases.
    #[must_use]
    pub fn generator(&self) -> Spread {
        self.over(|report| report.generator.median)
    }

    /// The baseline in nanoseconds, over the cases.
    #[must_use]
    pub fn baseline(&self) -> Spread {
        let baselines = self.measured.iter().filter_map(|measured| {
            let baseline = measured.figures(SubjectKind::Baseline)?;
            Some(baseline.on_the_way.nanoseconds.median)
        });
        Spread::of(&baselines.collect::<Vec<_>>())
    }

    fn over(&self, value: impl Fn(&Report) -> f64) -> Spread {
        let values = self.measured.iter().map(|measured| value(&measured.report));
        Spread::of(&values.collect::<Vec<_>>())
    }
}

impl Measured {
    /// Why `firewall` refuses the rules, if it does.
    #[must_use]
    pub fn refusal(&self) -> Option<&str> {
        let absent = self.absent(SubjectKind::Firewall)?;
        match absent.cause {
            Cause::Refused => Some(&absent.reason),
            Cause::Unable | Cause::Failed => None,
        }
    }

    /// Why a subject did not take part, if it did not.
    #[must_use]
    pub fn absent(&self, kind: SubjectKind) -> Option<&Absent> {
        let mut absent = self.report.absent.iter();
        absent.find(|absent| absent.name == kind.name())
    }

    /// The figures of a subject, if it took part.
    #[must_use]
    pub fn figures(&self, kind: SubjectKind) -> Option<&Figures> {
        let mut subjects = self.report.subjects.iter();
        subjects.find(|figures| figures.name == kind.name())
    }
}
