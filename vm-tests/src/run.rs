//! One run: fetch, build, boot, tell.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Mutex,
    thread,
};

use anyhow::{Context as _, Result, anyhow};
use vm_tests::{
    report::{Event, Outcome, Verified},
    scenarios::Scenario,
};

use crate::{
    accelerator::Accelerator,
    cli::Arguments,
    guest,
    kernels::{self, Wanted},
    ledger::Ledger,
    machine::{self, Ended, MEMORY, Setup},
    products::Products,
    store::{Kernel, Store},
    table::{Table, grouped},
};

/// Where kernels and the files of guests are kept.
const CACHE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/.cache");

/// What QEMU itself takes beside the memory of its guest, in MiB.
const OVERHEAD: u64 = 300;

/// Runs everything that was asked for; whether all went well.
pub(crate) fn run(arguments: &Arguments) -> Result<bool> {
    let mut wanted = kernels::wanted(&arguments.kernels)?;
    for kernel in &mut wanted {
        kernel.is_optional |= arguments.optional;
    }
    let mut ledger = Ledger::read()?;
    machine::require_qemu()?;
    let cache = PathBuf::from(CACHE);
    fs::create_dir_all(&cache).with_context(|| format!("cannot create `{CACHE}`"))?;
    let store = Store::new(cache.clone());
    let mut trials: Vec<Trial> = wanted
        .into_iter()
        .map(|wanted| Trial {
            kernel: fetch(&store, &wanted, arguments.offline),
            wanted,
            ended: None,
        })
        .collect();
    let setup = Setup {
        accelerator: Accelerator::of_this_machine(),
        scenarios: scenarios(&arguments.scenarios),
        timeout: arguments.timeout,
    };
    if trials.iter().any(|trial| trial.kernel.is_ok()) {
        let products = Products::build(setup.scenarios.contains(&Scenario::Tests))?;
        let jobs = arguments.jobs.unwrap_or_else(jobs).clamp(1, trials.len());
        eprintln!("{jobs} at a time, with {}", setup.accelerator);
        boot_all(&setup, &products, &cache.join("runs"), jobs, &mut trials)?;
    }
    if arguments.renew {
        renew(&mut ledger, &trials)?;
    }
    let mut all_well = true;
    let mut notes = Vec::new();
    let mut table = Table::new(heads(&setup.scenarios));
    for trial in &trials {
        table.row(trial.cells(&setup.scenarios));
        all_well &= trial.tell(&setup.scenarios, &ledger, &mut notes);
    }
    print!("{table}");
    for note in notes {
        println!("{note}");
    }
    Ok(all_well)
}

/// Has the ledger say what was measured.
fn renew(ledger: &mut Ledger, trials: &[Trial]) -> Result<()> {
    for trial in trials {
        if let Some(verified) = trial.verified() {
            ledger.renew(&trial.wanted.name, verified);
        }
    }
    ledger.write()
}

/// A kernel and what came of it.
struct Trial {
    wanted: Wanted,
    kernel: Result<Kernel>,
    ended: Option<Result<Ended>>,
}

/// Those asked for, in their own order.
fn scenarios(asked: &[Scenario]) -> Vec<Scenario> {
    let is_asked = |one: &Scenario| asked.is_empty() || asked.contains(one);
    Scenario::ALL.into_iter().filter(is_asked).collect()
}

fn fetch(store: &Store, wanted: &Wanted, offline: bool) -> Result<Kernel> {
    if offline {
        return store.fetched_before(wanted);
    }
    store.fetch(wanted).or_else(|error| {
        let kernel = store
            .fetched_before(wanted)
            .map_err(|_| anyhow!("{error:#}"))?;
        eprintln!(
            "{}: using {}, which was fetched before: {error:#}",
            wanted.name, kernel.release
        );
        Ok(kernel)
    })
}

/// As many guests as there are CPUs and memory for.
fn jobs() -> usize {
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let free_kib = memory.lines().find_map(|line| {
        let value = line.strip_prefix("MemAvailable:")?;
        value.split_whitespace().next()?.parse::<u64>().ok()
    });
    let guests = free_kib.map_or(1, |kib| kib / 1024 / (MEMORY + OVERHEAD));
    cpus.min(usize::try_from(guests).unwrap_or(usize::MAX))
}

fn boot_all(
    setup: &Setup,
    products: &Products,
    folder: &Path,
    jobs: usize,
    trials: &mut [Trial],
) -> Result<()> {
    let queue = Mutex::new(trials.iter_mut());
    let work = || {
        loop {
            let next = queue.lock().ok().and_then(|mut queue| queue.next());
            let Some(trial) = next else {
                break;
            };
            let name = &trial.wanted.name;
            if let Ok(kernel) = &trial.kernel {
                eprintln!("{name}: booting {}", kernel.release);
                let ended = guest::pack(products, kernel)
                    .and_then(|image| machine::boot(setup, kernel, &image, &folder.join(name)));
                eprintln!("{name}: ended");
                trial.ended = Some(ended);
            }
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().map_err(|_| anyhow!("a worker panicked")))
    })
}

fn heads(scenarios: &[Scenario]) -> Vec<String> {
    ["KERNEL", "RELEASE", "VERIFIED", "STATES", "JITED"]
        .into_iter()
        .chain(scenarios.iter().map(|scenario| scenario.name()))
        .chain(["SECONDS"])
        .map(str::to_uppercase)
        .collect()
}

impl Trial {
    fn ended(&self) -> Option<&Ended> {
        self.ended.as_ref()?.as_ref().ok()
    }

    fn verified(&self) -> Option<Verified> {
        self.ended()?.events.iter().find_map(|event| match event {
            Event::Verified(verified) => Some(*verified),
            Event::Booted { .. } | Event::Began { .. } | Event::Ended { .. } => None,
        })
    }

    /// How a scenario ended, after how many seconds.
    fn outcome(&self, of: Scenario) -> Option<(&Outcome, f64)> {
        self.ended()?.events.iter().find_map(|event| match event {
            Event::Ended {
                scenario,
                outcome,
                seconds,
            } if *scenario == of => Some((outcome, *seconds)),
            Event::Verified(_)
            | Event::Booted { .. }
            | Event::Began { .. }
            | Event::Ended { .. } => None,
        })
    }

    /// The row of the table.
    fn cells(&self, scenarios: &[Scenario]) -> Vec<String> {
        let none = || "-".to_owned();
        let release = match &self.kernel {
            Ok(kernel) => kernel.release.clone(),
            Err(_) => none(),
        };
        let number = |of: fn(&Verified) -> u64| {
            self.verified()
                .map_or_else(none, |verified| grouped(of(&verified)))
        };
        let mut cells = vec![
            self.wanted.name.clone(),
            release,
            number(|verified| verified.instructions),
            number(|verified| verified.peak_states),
            number(|verified| verified.jited_bytes),
        ];
        cells.extend(
            scenarios
                .iter()
                .map(|&scenario| match self.outcome(scenario) {
                    Some((Outcome::Passed, seconds)) => format!("ok {seconds:.0}"),
                    Some((Outcome::Lacking(_), seconds)) => format!("less {seconds:.0}"),
                    Some((Outcome::Failed(_), seconds)) => format!("FAILED {seconds:.0}"),
                    None => none(),
                }),
        );
        let seconds = self.ended().map(|ended| format!("{:.0}", ended.seconds));
        cells.push(seconds.unwrap_or_else(none));
        cells
    }

    /// Adds what there is to say; whether all went well.
    fn tell(&self, scenarios: &[Scenario], ledger: &Ledger, notes: &mut Vec<String>) -> bool {
        let name = &self.wanted.name;
        let ended = match (&self.kernel, &self.ended) {
            (Err(error), _) => {
                let optional = if self.wanted.is_optional {
                    " (optional)"
                } else {
                    ""
                };
                notes.push(format!("{name}: not tried{optional}: {error:#}"));
                return self.wanted.is_optional;
            }
            (Ok(_), Some(Ok(ended))) => ended,
            (Ok(_), Some(Err(error))) => {
                notes.push(format!("{name}: not booted: {error:#}"));
                return false;
            }
            (Ok(_), None) => return false,
        };
        let mut faults = Vec::new();
        if let Some(fault) = &ended.fault {
            faults.push(match self.unfinished() {
                Some(scenario) => format!("{scenario}: {fault}"),
                None => fault.clone(),
            });
        }
        for &scenario in scenarios {
            match self.outcome(scenario).map(|(outcome, _)| outcome) {
                Some(Outcome::Passed) => {}
                Some(Outcome::Lacking(what)) => notes.push(format!("{name}: {scenario}: {what}")),
                Some(Outcome::Failed(why)) => faults.push(format!("{scenario}: {why}")),
                None if ended.fault.is_none() => faults.push(format!("{scenario}: not run")),
                None => {}
            }
        }
        if let Some(verified) = self.verified() {
            faults.extend(ledger.faults(name, verified));
        }
        let all_well = faults.is_empty();
        notes.extend(
            faults
                .iter()
                .map(|fault| format!("{name}: FAILED: {fault}")),
        );
        if !all_well {
            notes.push(format!(
                "{name}: the console is in `{}`",
                ended.console.display()
            ));
        }
        all_well
    }

    /// The scenario that began and did not end.
    fn unfinished(&self) -> Option<Scenario> {
        let mut running = None;
        for event in &self.ended()?.events {
            match event {
                Event::Began { scenario } => running = Some(*scenario),
                Event::Ended { .. } => running = None,
                Event::Booted { .. } | Event::Verified(_) => {}
            }
        }
        running
    }
}
