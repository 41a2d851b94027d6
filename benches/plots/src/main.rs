//! Plots the results of `bench all`: reads `report.json`, and writes `*.svg` beside it.

mod chart;

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};
use benches::{
    cost::{report::Figures, subject_kind::SubjectKind},
    suite::{plan::Group, results::Results},
};
use clap::Parser;

use chart::{Chart, Line};

/// Draws the figures of a run.
#[derive(Debug, Parser)]
#[command(name = "plots", version)]
struct Arguments {
    /// The folder with `report.json`
    folder: PathBuf,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("plots: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let path = arguments.folder.join("report.json");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let results: Results = serde_json::from_str(&text)
        .with_context(|| format!("`{}` is no report", path.display()))?;
    for (name, chart) in charts(&results) {
        let path = arguments.folder.join(name);
        // Perhaps only some of the cases were measured.
        if chart.is_empty() {
            eprintln!("plots: no figures for `{}`", path.display());
        } else {
            chart.draw(&path)?;
            eprintln!("plots: wrote `{}`", path.display());
        }
    }
    Ok(())
}

fn charts(results: &Results) -> [(&'static str, Chart); 4] {
    let cost = |figures: &Figures| figures.on_the_way.nanoseconds.median;
    [
        (
            "cost-by-rules.svg",
            Chart {
                title: "CPU time of a packet by number of rules",
                across: "rules",
                up: "ns",
                lines: lines(results, Group::Growing, cost),
            },
        ),
        (
            "cost-by-addresses.svg",
            Chart {
                title: "CPU time of a packet by number of listed addresses",
                across: "addresses",
                up: "ns",
                lines: lines(results, Group::Addresses, cost),
            },
        ),
        (
            "load-by-addresses.svg",
            Chart {
                title: "CPU time of loading by number of listed addresses",
                across: "addresses",
                up: "s",
                lines: lines(results, Group::Addresses, |figures| {
                    figures.loading.cpu_seconds
                }),
            },
        ),
        (
            "memory-by-addresses.svg",
            Chart {
                title: "Memory by number of listed addresses",
                across: "addresses",
                up: "MB",
                lines: lines(results, Group::Addresses, |figures| {
                    figures.loading.memory() as f64 / 1e6
                }),
            },
        ),
    ]
}

/// A line for each subject that took part in cases of a group.
fn lines(results: &Results, group: Group, value: fn(&Figures) -> f64) -> Vec<Line> {
    let lines = SubjectKind::COMPARED.iter().map(|kind| {
        let points = results.of(group).filter_map(|measured| {
            let figures = measured.figures(*kind)?;
            Some((measured.size as f64, value(figures)))
        });
        Line {
            name: kind.name(),
            // Zero has no logarithm.
            points: points.filter(|(_, value)| *value > 0.0).collect(),
        }
    });
    lines.filter(|line| !line.points.is_empty()).collect()
}
