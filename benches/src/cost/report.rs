//! The figures of a measurement, as data and as text.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    data::Data,
    loading::Loading,
    machine::Machine,
    statistics::Spread,
    subject::{Absent, Cause},
    verdicts::Verdicts,
};

/// The cost of a case for each subject.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The name of the case.
    pub case: String,
    /// Its description.
    pub description: String,
    /// The rules and the packets.
    pub data: Data,
    /// The CPU on which it was measured.
    pub on_cpu: usize,
    /// The machine.
    pub machine: Machine,
    /// The typical relative deviation of a measurement of the baseline: half its interquartile
    /// range.
    pub noise: f64,
    /// The cost of generating a packet with its frame, in nanoseconds.
    pub generator: Spread,
    /// The subjects, in the order in which they took turns.
    pub subjects: Vec<Figures>,
    /// The subjects that did not take part.
    pub absent: Vec<Absent>,
}

/// The cost of a packet for one subject.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The cost of setting it up.
    pub loading: Loading,
    /// The number of packets sent to it for the measurement.
    pub sent: u64,
    /// The number of them that reached it.
    pub received: u64,
    /// Its verdicts on the packets of the check, which are the same for all subjects; `None` if it
    /// does not count.
    pub verdicts: Option<Verdicts>,
    /// The cost including the path of the packet through the kernel: generated, sent through a veth
    /// pair, classified.
    pub on_the_way: Cost,
    /// The cost of the program alone, called by the driver with each packet; for XDP programs.
    pub alone: Option<Cost>,
}

/// The cost of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// CPU time per packet in nanoseconds, one sample per round.
    pub nanoseconds: Spread,
    /// The same minus the baseline of the same round: an empty XDP program that gives the packet
    /// the same action.
    pub over_baseline: Spread,
    /// The ratio to the baseline of the same round.
    pub times_baseline: Spread,
}

impl Cost {
    /// Compares the samples of a subject with those of the baseline in the same rounds.
    #[must_use]
    pub fn of(samples: &[f64], baseline: &[f64]) -> Self {
        let compared = |compare: fn(f64, f64) -> f64| {
            let pairs = samples.iter().zip(baseline);
            let compared: Vec<_> = pairs
                .map(|(&own, &baseline)| compare(own, baseline))
                .collect();
            Spread::of(&compared)
        };
        Self {
            nanoseconds: Spread::of(samples),
            over_baseline: compared(|own, baseline| own - baseline),
            times_baseline: compared(|own, baseline| own / baseline),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine {
            cpu,
            cpus,
            kernel,
            load_average,
            ..
        } = &self.machine;
        writeln!(f, "{}: {}", self.case, self.description)?;
        writeln!(
            f,
            "{cpu}, {cpus} CPUs, Linux {kernel}, load average {load_average}; one core; {}",
            self.data
        )?;
        writeln!(f)?;
        let mut rows = vec![
            [
                "",
                "ns/packet",
                "quartiles",
                "Mpps",
                "over baseline",
                "x baseline",
                "alone",
                "over baseline",
                "load s",
                "memory MB",
            ]
            .map(str::to_owned),
        ];
        rows.extend(self.subjects.iter().map(Figures::row));
        let mut widths = [0; 10];
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        for row in &rows {
            let mut line = String::new();
            for (place, (cell, width)) in row.iter().zip(widths).enumerate() {
                match place {
                    0 => line += &format!("{cell:<width$}"),
                    _ => line += &format!("  {cell:>width$}"),
                }
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        writeln!(f)?;
        writeln!(
            f,
            "a packet that is made and dropped before it is sent: {:.1} ns; noise of the baseline: \
             {:.1}%",
            self.generator.median,
            self.noise * 100.0
        )?;
        for figures in &self.subjects {
            if let Some(verdicts) = figures.verdicts {
                writeln!(
                    f,
                    "{}: {} passed, {} dropped, of them {} without a matching rule",
                    figures.name, verdicts.passed, verdicts.dropped, verdicts.unmatched
                )?;
            }
            if figures.received < figures.sent {
                writeln!(
                    f,
                    "{}: {} of {} packets were lost on the way",
                    figures.name,
                    figures.sent - figures.received,
                    figures.sent
                )?;
            }
        }
        for Absent {
            name,
            cause,
            reason,
        } in &self.absent
        {
            let word = match cause {
                Cause::Unable => "not measured",
                Cause::Refused | Cause::Failed => cause.word(),
            };
            writeln!(f, "{name}: {word}: {reason}")?;
        }
        Ok(())
    }
}

impl Figures {
    fn row(&self) -> [String; 10] {
        let way = &self.on_the_way;
        let alone = |value: fn(&Cost) -> f64| match &self.alone {
            Some(cost) => format!("{:.1}", value(cost)),
            None => String::new(),
        };
        let Spread {
            median,
            lower_quartile,
            upper_quartile,
            ..
        } = way.nanoseconds;
        [
            self.name.clone(),
            format!("{median:.1}"),
            format!("{lower_quartile:.1}-{upper_quartile:.1}"),
            format!("{:.2}", 1000.0 / median),
            format!("{:.1}", way.over_baseline.median),
            format!("{:.2}", way.times_baseline.median),
            alone(|cost| cost.nanoseconds.median),
            alone(|cost| cost.over_baseline.median),
            format!("{:.3}", self.loading.seconds),
            format!("{:.1}", self.loading.kernel_bytes as f64 / 1e6),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cost_is_compared_round_by_round() {
        let cost = Cost::of(&[30.0, 300.0, 40.0], &[10.0, 280.0, 20.0]);
        assert_eq!(cost.nanoseconds.median, 40.0);
        assert_eq!(cost.over_baseline.median, 20.0);
        assert_eq!(cost.over_baseline.max, 20.0);
        assert_eq!(cost.times_baseline.median, 2.0);
    }
}
