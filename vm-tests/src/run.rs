//! One run: fetches, builds, boots and reports.

use std::{fs, path::PathBuf, sync::Mutex, thread, time::Duration};

use anyhow::{Context as _, Result, anyhow};
use vm_tests::{
    report::{Event, Outcome},
    scenarios::{Hardware, Scenario},
};

use crate::{
    accelerator::Accelerator,
    cli::Arguments,
    guest,
    hardware::{self, Terms},
    kernels::{self, Wanted},
    ledger::{Ledger, Programs},
    machine::{self, Ended, System},
    namespace,
    products::Products,
    store::{Kernel, Store},
    table::{Table, grouped},
};

/// The folder of kernels and of the files of guests.
const CACHE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/.cache");

/// Runs everything requested; returns whether all of it passed.
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
        .map(|wanted| {
            let kernel = fetch(&store, &wanted, arguments.offline);
            Trial::new(wanted, kernel)
        })
        .collect();
    for note in trials.iter().filter_map(Trial::not_fetched) {
        eprintln!("{note}");
    }
    let scenarios = scenarios(&arguments.scenarios);
    if trials.iter().any(|trial| trial.kernel.is_ok()) {
        let with_tests = scenarios.contains(&Scenario::Tests);
        let setup = Setup {
            accelerator: Accelerator::of_this_machine(),
            products: Products::build(&arguments.profile, with_tests)?,
            scenarios: &scenarios,
            timeout: arguments.timeout,
            folder: cache.join("runs"),
        };
        let jobs = arguments.jobs.unwrap_or_else(jobs).clamp(1, trials.len());
        eprintln!("{jobs} at a time, with {}", setup.accelerator);
        if scenarios
            .iter()
            .any(|one| one.hardware() == Hardware::Wired)
        {
            namespace::enter()?;
        }
        boot_all(&setup, jobs, &mut trials)?;
    }
    if arguments.renew {
        renew(&mut ledger, &trials)?;
    }
    let mut all_well = true;
    let mut notes = Vec::new();
    let mut table = Table::new(heads(&scenarios));
    for trial in &trials {
        table.row(trial.cells(&scenarios));
        all_well &= trial.tell(&scenarios, &ledger, &mut notes);
    }
    all_well &= tell_skipped(&trials, &mut notes);
    print!("{table}");
    print!("{}", verified(&trials));
    for note in notes {
        println!("{note}");
    }
    Ok(all_well)
}

/// The table of the statistics of the verifier and the JIT; empty if no program was loaded.
fn verified(trials: &[Trial]) -> String {
    let heads = ["KERNEL", "PROGRAM", "VERIFIED", "STATES", "JITED"];
    let mut table = Table::new(heads.map(str::to_owned));
    let mut is_empty = true;
    for trial in trials {
        for (program, verified) in trial.verified() {
            is_empty = false;
            table.row([
                trial.wanted.name.clone(),
                program,
                grouped(verified.instructions),
                grouped(verified.peak_states),
                grouped(verified.jited_bytes),
            ]);
        }
    }
    if is_empty {
        return String::new();
    }
    format!("\n{table}")
}

/// Adds notes about skipped kernels; returns whether any kernel was not skipped.
fn tell_skipped(trials: &[Trial], notes: &mut Vec<String>) -> bool {
    let skipped = trials.iter().filter(|trial| trial.is_skipped());
    let skipped: Vec<_> = skipped.map(|trial| trial.wanted.name.as_str()).collect();
    if !skipped.is_empty() {
        notes.push(format!(
            "SKIPPED: {} of {} kernels were not tested: {}",
            skipped.len(),
            trials.len(),
            skipped.join(", ")
        ));
    }
    if skipped.len() == trials.len() {
        notes.push("FAILED: no kernel was tested".to_owned());
        return false;
    }
    true
}

/// Writes the measured numbers to the ledger.
fn renew(ledger: &mut Ledger, trials: &[Trial]) -> Result<()> {
    for trial in trials {
        let verified = trial.verified();
        if !verified.is_empty() {
            ledger.renew(&trial.wanted.name, verified);
        }
    }
    ledger.write()
}

/// State shared by the trials of a run.
struct Setup<'a> {
    accelerator: Accelerator,
    products: Products,
    scenarios: &'a [Scenario],
    timeout: Duration,
    folder: PathBuf,
}

/// A kernel and its results.
struct Trial {
    wanted: Wanted,
    kernel: Result<Kernel>,
    /// The guests, in order.
    ended: Vec<Ended>,
    /// Why further guests did not run.
    failure: Option<anyhow::Error>,
}

/// The requested scenarios, in their usual order.
fn scenarios(asked: &[Scenario]) -> Vec<Scenario> {
    let is_asked = |one: &Scenario| asked.is_empty() || asked.contains(one);
    Scenario::all().iter().copied().filter(is_asked).collect()
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

/// The number of guests for which there are CPUs and memory.
fn jobs() -> usize {
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let free_kib = memory.lines().find_map(|line| {
        let value = line.strip_prefix("MemAvailable:")?;
        value.split_whitespace().next()?.parse::<u64>().ok()
    });
    let guests = free_kib.map_or(1, |kib| kib / 1024 / hardware::memory());
    cpus.min(usize::try_from(guests).unwrap_or(usize::MAX))
}

fn boot_all(setup: &Setup<'_>, jobs: usize, trials: &mut [Trial]) -> Result<()> {
    let queue = Mutex::new(trials.iter_mut());
    let work = |number| {
        loop {
            let next = queue.lock().ok().and_then(|mut queue| queue.next());
            let Some(trial) = next else {
                break;
            };
            trial.failure = trial.run(setup, number).err();
        }
    };
    let work = &work;
    thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs)
            .map(|number| scope.spawn(move || work(number)))
            .collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().map_err(|_| anyhow!("a worker panicked")))
    })
}

fn heads(scenarios: &[Scenario]) -> Vec<String> {
    ["KERNEL", "RELEASE"]
        .map(str::to_owned)
        .into_iter()
        .chain(scenarios.iter().map(|scenario| scenario.name()))
        .chain(["SECONDS".to_owned()])
        .map(|head| head.to_uppercase())
        .collect()
}

impl Trial {
    fn new(wanted: Wanted, kernel: Result<Kernel>) -> Self {
        Self {
            wanted,
            kernel,
            ended: Vec::new(),
            failure: None,
        }
    }

    /// Whether it is skipped because its optional kernel cannot be fetched.
    fn is_skipped(&self) -> bool {
        self.kernel.is_err() && self.wanted.is_optional
    }

    /// The message about a kernel that cannot be fetched.
    fn not_fetched(&self) -> Option<String> {
        let error = self.kernel.as_ref().err()?;
        let name = &self.wanted.name;
        Some(if self.wanted.is_optional {
            format!("{name}: SKIPPED: it is optional and cannot be fetched: {error:#}")
        } else {
            format!("{name}: FAILED: it cannot be fetched: {error:#}")
        })
    }

    /// Runs the scenarios, one kind of hardware after the other.
    fn run(&mut self, setup: &Setup<'_>, number: usize) -> Result<()> {
        let Ok(kernel) = &self.kernel else {
            return Ok(());
        };
        let name = &self.wanted.name;
        let folder = setup.folder.join(name);
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create `{}`", folder.display()))?;
        let image = folder.join("guest.cpio");
        fs::write(&image, guest::pack(&setup.products, kernel)?)
            .with_context(|| format!("cannot write `{}`", image.display()))?;
        for hardware in Hardware::ALL {
            let scenarios = setup.scenarios.iter().copied();
            let scenarios: Vec<_> = scenarios.filter(|one| one.hardware() == hardware).collect();
            if scenarios.is_empty() {
                continue;
            }
            let release = &kernel.release;
            let names: Vec<_> = scenarios.iter().map(|one| one.name()).collect();
            eprintln!("{name}: booting {release}: {}", names.join(", "));
            let system = System {
                accelerator: setup.accelerator,
                kernel,
                image: &image,
                folder: &folder,
            };
            let terms = Terms {
                timeout: setup.timeout,
                number,
            };
            let ended = hardware::run(hardware, &scenarios, system, terms)?;
            let seconds: f64 = ended.iter().map(|ended| ended.seconds).sum();
            eprintln!("{name}: ended after {seconds:.0} seconds");
            self.ended.extend(ended);
        }
        Ok(fs::remove_file(&image)?)
    }

    fn events(&self) -> impl Iterator<Item = &Event> {
        self.ended.iter().flat_map(|ended| &ended.events)
    }

    /// The statistics of each program.
    fn verified(&self) -> Programs {
        let programs = self.events().filter_map(|event| match event {
            Event::Verified { program, verified } => Some((program.clone(), *verified)),
            Event::Booted { .. } | Event::Began { .. } | Event::Ended { .. } => None,
        });
        programs.collect()
    }

    /// The outcome of a scenario, and its duration in seconds.
    fn outcome(&self, of: Scenario) -> Option<(&Outcome, f64)> {
        self.events().find_map(|event| match event {
            Event::Ended {
                scenario,
                outcome,
                seconds,
            } if *scenario == of => Some((outcome, *seconds)),
            Event::Verified { .. }
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
            Err(_) if self.wanted.is_optional => "SKIPPED".to_owned(),
            Err(_) => none(),
        };
        let mut cells = vec![self.wanted.name.clone(), release];
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
        let seconds = self.ended.iter().fold(0.0, |sum, one| sum + one.seconds);
        cells.push(format!("{seconds:.0}"));
        cells
    }

    /// Adds notes about the trial; returns whether everything passed.
    fn tell(&self, scenarios: &[Scenario], ledger: &Ledger, notes: &mut Vec<String>) -> bool {
        if let Some(note) = self.not_fetched() {
            notes.push(note);
            return self.is_skipped();
        }
        let name = &self.wanted.name;
        let mut faults = Vec::new();
        let mut consoles = Vec::new();
        faults.extend(self.failure.iter().map(|error| format!("{error:#}")));
        for ended in &self.ended {
            let before = faults.len();
            if let Some(fault) = &ended.fault {
                faults.push(match ended.unfinished() {
                    Some(scenario) => format!("{scenario}: {fault}"),
                    None => fault.clone(),
                });
            }
            for event in &ended.events {
                if let Event::Ended {
                    scenario,
                    outcome: Outcome::Failed(why),
                    ..
                } = event
                {
                    faults.push(format!("{scenario}: {why}"));
                }
            }
            if faults.len() > before {
                consoles.push(&ended.console);
            }
        }
        for &scenario in scenarios {
            match self.outcome(scenario).map(|(outcome, _)| outcome) {
                Some(Outcome::Passed | Outcome::Failed(_)) => {}
                Some(Outcome::Lacking(what)) => notes.push(format!("{name}: {scenario}: {what}")),
                None => faults.push(format!("{scenario}: has no result")),
            }
        }
        let verified = self.verified();
        if !verified.is_empty() {
            faults.extend(ledger.faults(name, &verified));
        }
        let all_well = faults.is_empty();
        notes.extend(
            faults
                .iter()
                .map(|fault| format!("{name}: FAILED: {fault}")),
        );
        for console in consoles {
            notes.push(format!("{name}: the console is in `{}`", console.display()));
        }
        all_well
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A trial whose guest reported these events and ended like this.
    fn trial(events: Vec<Event>, fault: Option<&str>) -> Trial {
        let kernel = Kernel {
            release: "6.1.0".into(),
            image: "image".into(),
            modules: "modules".into(),
        };
        let mut trial = Trial::new(wanted("6.1"), Ok(kernel));
        trial.ended.push(Ended {
            events,
            end: None,
            fault: fault.map(str::to_owned),
            seconds: 1.0,
            console: "plain.console.log".into(),
        });
        trial
    }

    /// A kernel of kernels.toml.
    fn wanted(name: &str) -> Wanted {
        kernels::wanted(&[name.to_owned()]).unwrap().remove(0)
    }

    /// A trial of a kernel that the mirror does not have.
    fn missing(name: &str) -> Trial {
        Trial::new(wanted(name), Err(anyhow!("the suite is gone")))
    }

    fn told(trial: &Trial, scenarios: &[Scenario]) -> (bool, String) {
        let mut notes = Vec::new();
        let all_well = trial.tell(scenarios, &Ledger::read().unwrap(), &mut notes);
        (all_well, notes.join("\n"))
    }

    fn ended(outcome: Outcome) -> Event {
        Event::Ended {
            scenario: Scenario::Killed,
            outcome,
            seconds: 2.0,
        }
    }

    #[test]
    fn a_guest_that_hangs_is_told_with_its_scenario_and_its_console() {
        let began = |scenario| Event::Began { scenario };
        let events = vec![
            began(Scenario::Killed),
            ended(Outcome::Passed),
            began(Scenario::Large),
        ];
        let trial = trial(events, Some("stopped after 5 seconds"));
        let expected = "6.1: FAILED: large: stopped after 5 seconds\n\
                        6.1: FAILED: large: has no result\n\
                        6.1: the console is in `plain.console.log`";
        let scenarios = [Scenario::Killed, Scenario::Large];
        assert_eq!(told(&trial, &scenarios), (false, expected.into()));
    }

    #[test]
    fn what_a_kernel_lacks_is_told_and_is_no_failure() {
        let trial = trial(vec![ended(Outcome::Lacking("less".into()))], None);
        let scenarios = [Scenario::Killed];
        assert_eq!(told(&trial, &scenarios), (true, "6.1: killed: less".into()));
    }

    #[test]
    fn an_optional_kernel_that_cannot_be_fetched_is_skipped_loudly() {
        let trial = missing("5.10");
        let note = "5.10: SKIPPED: it is optional and cannot be fetched: the suite is gone";
        assert_eq!(told(&trial, &[Scenario::Killed]), (true, note.into()));
        assert_eq!(trial.cells(&[Scenario::Killed])[..2], ["5.10", "SKIPPED"]);
    }

    #[test]
    fn any_other_kernel_that_cannot_be_fetched_is_a_failure() {
        for name in ["6.1", "6.12", "newest"] {
            let note = format!("{name}: FAILED: it cannot be fetched: the suite is gone");
            assert_eq!(told(&missing(name), &[Scenario::Killed]), (false, note));
        }
    }

    #[test]
    fn the_run_ends_with_the_kernels_that_it_skipped() {
        let summary = |trials: &[Trial]| {
            let mut notes = Vec::new();
            (tell_skipped(trials, &mut notes), notes.join("\n"))
        };
        let tested = || trial(vec![ended(Outcome::Passed)], None);
        let two = [missing("5.10"), tested(), missing("6.18")];
        let note = "SKIPPED: 2 of 3 kernels were not tested: 5.10, 6.18";
        assert_eq!(summary(&two), (true, note.into()));
        assert_eq!(summary(&[tested()]), (true, String::new()));
        // A required kernel is not skipped, and fails.
        assert_eq!(summary(&[missing("6.1")]), (true, String::new()));
        let (all_well, notes) = summary(&[missing("5.10")]);
        assert!(!all_well);
        assert!(notes.ends_with("FAILED: no kernel was tested"), "{notes}");
    }

    #[test]
    fn a_scenario_that_fails_or_was_not_run_is_a_failure() {
        let trial = trial(vec![ended(Outcome::Failed("why".into()))], None);
        let (all_well, notes) = told(&trial, &[Scenario::Killed, Scenario::Large]);
        assert!(!all_well);
        assert!(notes.contains("killed: why"), "{notes}");
        assert!(notes.contains("large: has no result"), "{notes}");
    }
}
