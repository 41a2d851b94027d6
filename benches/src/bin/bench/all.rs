//! `bench all`.

use std::{fs, path::PathBuf, time::Instant};

use anyhow::{Context as _, Result, ensure};
use benches::{
    cost::{
        bans,
        drawing::Drawing,
        machine::Machine,
        reload,
        report::Report,
        rounds::{self, Setting},
        state, switch_time,
    },
    interrupt::Interrupt,
    suite::{
        markdown,
        plan::{Plan, Planned},
        results::{Measured, Results},
        targets::targets,
    },
};
use clap::Args;

use crate::place::Place;

/// The number of rounds in which packets are measured with bans.
const BAN_ROUNDS: u32 = 30;

/// `bench all`.
#[derive(Debug, Args)]
pub(crate) struct AllArgs {
    /// The folder for `report.json` and `report.md`
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Measure less, in less time
    #[arg(long)]
    quick: bool,
    /// Fail if a target is missed
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    place: Place,
}

impl AllArgs {
    /// Measures everything, writes the results and compares them with the targets.
    pub(crate) fn run(&self, interrupt: Interrupt) -> Result<()> {
        let plan = if self.quick {
            Plan::quick()
        } else {
            Plan::full()
        };
        let site = self.place.site(interrupt, plan.patience)?;
        let setting = Setting {
            rounds: plan.rounds,
            time: plan.time,
            cpu: self.place.cpu()?,
        };
        let mut results = Results {
            machine: Machine::read()?,
            seconds: 0.0,
            measured: Vec::new(),
            reload: None,
            switch_times: Vec::new(),
            bans: None,
            state: None,
            failures: Vec::new(),
        };
        let began = Instant::now();
        for (number, planned) in (1..).zip(&plan.cases) {
            let drawing = Drawing {
                family: planned.group.family(),
                traffic: planned.traffic,
                packets: plan.packets,
                seed: 1,
            };
            let measured = measure(planned, &drawing, |case| {
                eprintln!(
                    "bench: {number} of {}, {:.0} s: {}",
                    plan.cases.len(),
                    began.elapsed().as_secs_f64(),
                    case.name
                );
                rounds::measure(case, planned.kinds, &setting, &site, &|_| {})
            });
            site.interrupt.check()?;
            match measured {
                Ok(measured) => results.measured.push(measured),
                Err(error) => results.failures.push(told(&error, planned)),
            }
        }
        eprintln!("bench: reloads under traffic");
        match reload::measure(plan.reloaded, plan.reloads, setting.cpu, &site) {
            Ok(reload) => results.reload = Some(reload),
            Err(error) => results.failures.push(format!("reloads: {error:#}")),
        }
        site.interrupt.check()?;
        eprintln!("bench: reloads of large rule files");
        match switch_time::measure(plan.reloads, &site) {
            Ok(times) => results.switch_times = times,
            Err(error) => results.failures.push(format!("large reloads: {error:#}")),
        }
        site.interrupt.check()?;
        eprintln!("bench: bans");
        match bans::measure(plan.bans, BAN_ROUNDS, setting.cpu, &site) {
            Ok(bans) => results.bans = Some(bans),
            Err(error) => results.failures.push(format!("bans: {error:#}")),
        }
        site.interrupt.check()?;
        eprintln!("bench: states");
        match state::measure(plan.packets, plan.rounds, setting.cpu, &site) {
            Ok(cost) => results.state = Some(cost),
            Err(error) => results.failures.push(format!("states: {error:#}")),
        }
        site.interrupt.check()?;
        results.seconds = began.elapsed().as_secs_f64();
        self.write(&results)?;
        print!("{}", markdown::target_table(&results));
        for (measured, message) in results.refusals() {
            println!("\n{} is refused: {message}", measured.report.case);
        }
        ensure!(
            results.failures.is_empty(),
            "not all was measured: {}",
            results.failures.join("; ")
        );
        if self.strict {
            let targets = targets(&results).into_iter();
            let missed = targets.filter(|target| target.is_met() == Some(false));
            let missed: Vec<_> = missed.map(|target| target.what).collect();
            ensure!(missed.is_empty(), "missed: {}", missed.join("; "));
        }
        Ok(())
    }

    fn write(&self, results: &Results) -> Result<()> {
        fs::create_dir_all(&self.out)
            .with_context(|| format!("cannot make the folder `{}`", self.out.display()))?;
        let json = serde_json::to_string_pretty(results)? + "\n";
        for (name, text) in [
            ("report.json", json),
            ("report.md", markdown::page(results)),
        ] {
            let path = self.out.join(name);
            fs::write(&path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
            eprintln!("bench: wrote `{}`", path.display());
        }
        Ok(())
    }
}

fn measure(
    planned: &Planned,
    drawing: &Drawing,
    measure: impl FnOnce(&benches::cost::case::Case) -> Result<Report>,
) -> Result<Measured> {
    let case = planned.sample.case(drawing)?;
    Ok(Measured {
        group: planned.group,
        size: planned.size,
        report: measure(&case)?,
    })
}

fn told(error: &anyhow::Error, planned: &Planned) -> String {
    let failure = format!("{:?}: {error:#}", planned.sample);
    eprintln!("bench: {failure}");
    failure
}
