//! The daemon: brings rule files into force, one after the other, and unloads at the end.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use rules::{compiler::Compiled, diagnostics::Diagnostic};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, oneshot, watch},
    task,
};

use crate::{
    budget::Budget,
    candidate::{self, Candidate},
    changes::{Before, Changes},
    cli::Config,
    control::{self, Answer, Order, Request, Server},
    error::{Causes, Error},
    filter::{Filter, Timing},
    found::Found,
    generation::Generation,
    interfaces::{self, Interface},
    kernel::{info, program::Object},
    lock::Lock,
    plan::{self, PlanError, Present, Wanted},
    progress::Progress,
    rule_tests,
    source::{self, RuleFile},
    text::{bytes, counted},
    times::{InForce, Times},
    unload,
};

/// Brings `file` into force, serves signals and requests until told to end, and unloads.
///
/// # Errors
///
/// When the first rules cannot be brought into force, in which case nothing stays that was not
/// there before; or when something could not be unloaded at the end.
pub(crate) async fn run(
    config: &Config,
    lock: Lock,
    file: PathBuf,
    budget: Budget,
    object: Object,
) -> Result<(), Error> {
    let in_force = watch::Sender::new(None);
    let mut events = Events::receive(config, in_force.subscribe())?;
    let mut daemon = Daemon {
        config: config.clone(),
        object,
        file,
        budget,
        filter: None,
        compiled: None,
        ending: events.ending.clone(),
        in_force,
    };
    let first = daemon.file.clone();
    let ending = match daemon.bring_into_force(first, budget).await {
        Ok(outcome) => {
            tracing::info!("{outcome}");
            daemon.serve(&mut events).await
        }
        Err(error) => {
            drop(lock);
            drop(events.orders);
            events.server.end().await;
            return Err(error);
        }
    };
    let ended = daemon.end(lock);
    if let Some(answer) = ending {
        let message = match &ended {
            Ok(message) => Answer::Done {
                message: message.clone(),
            },
            Err(error) => Answer::Failed {
                message: error.report(),
            },
        };
        // A client that has gone away misses its answer.
        let _ = answer.send(message);
    }
    drop(events.orders);
    events.server.end().await;
    ended.map(drop)
}

/// What the daemon reacts to.
struct Events {
    hangup: Signal,
    orders: mpsc::Receiver<Order>,
    ending: watch::Receiver<bool>,
    server: Server,
}

impl Events {
    fn receive(config: &Config, in_force: watch::Receiver<Option<InForce>>) -> Result<Self, Error> {
        let receive = |kind| signal(kind).map_err(Error::Signals);
        let hangup = receive(SignalKind::hangup())?;
        let mut terminate = receive(SignalKind::terminate())?;
        let mut interrupt = receive(SignalKind::interrupt())?;
        let (end, ending) = watch::channel(false);
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            end.send_replace(true);
            // The channel stays open, for `wait_for` to tell the end from a defect.
            end.closed().await;
        });
        let listener = control::listen(&config.run).map_err(Error::Socket)?;
        let (sender, orders) = mpsc::channel(1);
        Ok(Self {
            hangup,
            orders,
            ending,
            server: Server::begin(listener, sender, in_force),
        })
    }
}

struct Daemon {
    config: Config,
    object: Object,
    file: PathBuf,
    budget: Budget,
    filter: Option<Filter>,
    /// What is in force, when this process compiled it.
    compiled: Option<Arc<Compiled>>,
    ending: watch::Receiver<bool>,
    in_force: watch::Sender<Option<InForce>>,
}

impl Daemon {
    /// Serves until told to end; where an answer goes once everything is unloaded.
    async fn serve(&mut self, events: &mut Events) -> Option<oneshot::Sender<Answer>> {
        loop {
            tokio::select! {
                _ = events.ending.wait_for(|&ending| ending) => return None,
                Some(()) = events.hangup.recv() => {
                    self.reload().await;
                }
                Some(order) = events.orders.recv() => {
                    let answer = match order.request {
                        Request::Unload => return Some(order.answer),
                        Request::Apply { file, max_memory } => {
                            self.change(file, max_memory.unwrap_or(self.budget)).await
                        }
                        Request::Reload => self.reload().await,
                        Request::Ping => Answer::alive(*self.in_force.borrow()),
                    };
                    // A client that has gone away misses its answer.
                    let _ = order.answer.send(answer);
                }
            }
        }
    }

    /// Brings the file in force into force again.
    async fn reload(&mut self) -> Answer {
        self.change(self.file.clone(), self.budget).await
    }

    /// Brings a file into force, and logs what came of it.
    async fn change(&mut self, file: PathBuf, budget: Budget) -> Answer {
        match self.bring_into_force(file, budget).await {
            Ok(outcome) => {
                tracing::info!("{outcome}");
                Answer::Done {
                    message: source::render(&outcome.warnings) + &outcome.to_string(),
                }
            }
            Err(Error::Ending) => Answer::Ending,
            Err(error) => {
                for diagnostic in error.diagnostics() {
                    tracing::error!("{}", source::in_one_line(diagnostic));
                }
                let generation = self
                    .filter
                    .as_ref()
                    .map(|filter| filter.metadata().generation);
                tracing::error!(
                    "{}; {} in force",
                    Causes(&error),
                    generation
                        .map_or_else(|| "nothing is".into(), |g| format!("generation {g} stays"))
                );
                Answer::Failed {
                    message: error.report(),
                }
            }
        }
    }

    async fn bring_into_force(&mut self, path: PathBuf, budget: Budget) -> Result<Outcome, Error> {
        let progress = Progress::told_to(|what| tracing::info!("{what}"));
        let file = self.load(path, progress.clone()).await?;
        for warning in &file.warnings {
            tracing::warn!("{}", source::in_one_line(warning));
        }
        let interfaces = interfaces::list().await?;
        let selected: Vec<Interface> =
            interfaces::select(&file.ruleset.settings.interfaces, &interfaces)?
                .into_iter()
                .cloned()
                .collect();
        let means = Means {
            interfaces: selected,
            budget,
            progress,
        };
        let (outcome, candidate) = match self.filter.take() {
            Some(mut filter) => {
                let changed = self.change_filter(&mut filter, file, &means).await;
                self.filter = Some(filter);
                changed?
            }
            None => self.start_filter(file, &means).await?,
        };
        self.file = candidate.metadata.file.clone();
        self.budget = budget;
        self.compiled = Some(candidate.compiled);
        self.in_force.send_replace(Some(InForce {
            generation: outcome.generation,
            times: outcome.times,
        }));
        Ok(outcome)
    }

    async fn change_filter(
        &self,
        filter: &mut Filter,
        mut file: RuleFile,
        means: &Means,
    ) -> Result<(Outcome, Candidate), Error> {
        let before = filter.metadata();
        let (generation, slots) = (before.generation.next(), before.slots());
        let stages = Stages::of(&mut file);
        let candidate = self.compile(file, means, generation, slots).await?;
        let names = before.rules.iter().map(|rule| rule.name.as_str()).collect();
        let changes = self.changes(names, &candidate);
        let plan = plan(&filter.present()?, &candidate, means)?;
        means.progress.at(LOADING);
        let timing = task::block_in_place(|| filter.change(&self.object, &candidate, &plan))?;
        Ok((
            Outcome::new(&candidate, Some(changes), stages, timing),
            candidate,
        ))
    }

    async fn start_filter(
        &mut self,
        mut file: RuleFile,
        means: &Means,
    ) -> Result<(Outcome, Candidate), Error> {
        let pins = self.config.pins.clone();
        let found = Found::open(&pins)?;
        if !found.is_empty() {
            tracing::info!("taking over what is loaded");
        }
        let stages = Stages::of(&mut file);
        let (generation, slots) = (found.next_generation(), found.slots().clone());
        let candidate = self.compile(file, means, generation, slots).await?;
        let changes = found.metadata.first().map(|metadata| {
            let names = metadata
                .rules
                .iter()
                .map(|rule| rule.name.as_str())
                .collect();
            self.changes(names, &candidate)
        });
        let plan = plan(&found.present()?, &candidate, means)?;
        means.progress.at(LOADING);
        let (filter, timing) =
            task::block_in_place(|| Filter::start(pins, &self.object, found, &candidate, &plan))?;
        self.filter = Some(filter);
        Ok((Outcome::new(&candidate, changes, stages, timing), candidate))
    }

    fn changes(&self, names: Vec<&str>, candidate: &Candidate) -> Changes {
        let before = Before {
            names,
            ruleset: self.compiled.as_ref().map(|before| &**before.ruleset()),
        };
        Changes::between(&before, candidate.ruleset())
    }

    async fn load(&self, path: PathBuf, progress: Progress) -> Result<RuleFile, Error> {
        let load = move || source::load(&path, &progress);
        let loaded = self.unless_ending(load).await?;
        Ok(loaded?)
    }

    async fn compile(
        &self,
        file: RuleFile,
        means: &Means,
        generation: Generation,
        slots: std::collections::BTreeMap<String, crate::slots::Slot>,
    ) -> Result<Candidate, Error> {
        let Means {
            interfaces,
            budget,
            progress,
        } = means.clone();
        let before = self.compiled.clone();
        let interfaces = rule_tests::with_absent(interfaces, rule_tests::named(&file.tests));
        let compile = move || {
            candidate::compile(
                &file,
                &interfaces,
                generation,
                &slots,
                before.as_deref(),
                budget,
                &progress,
            )
        };
        let candidate = self.unless_ending(compile).await??;
        self.test(&candidate, means)?;
        Ok(candidate)
    }

    /// Runs the tests of a candidate, in user space and in the kernel.
    fn test(&self, candidate: &Candidate, means: &Means) -> Result<(), Error> {
        if candidate.tests.is_empty() {
            return Ok(());
        }
        means.progress.at(TESTING);
        task::block_in_place(|| {
            rule_tests::run(candidate)?;
            rule_tests::run_in_kernel(candidate, &self.object, &self.config.pins)
        })?;
        Ok(())
    }

    /// Does long work beside the control socket; gives it up when the daemon is told to end.
    async fn unless_ending<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let mut ending = self.ending.clone();
        tokio::select! {
            done = task::spawn_blocking(work) => Ok(done?),
            _ = ending.wait_for(|&ending| ending) => Err(Error::Ending),
        }
    }

    /// Unloads everything and gives the instance up.
    fn end(self, lock: Lock) -> Result<String, Error> {
        drop(self.filter);
        let unloaded = task::block_in_place(|| unload::unload(&self.config.pins));
        drop(lock);
        let message = unload::describe(unloaded?.as_deref());
        tracing::info!("{message}");
        Ok(message)
    }
}

fn plan(present: &Present, candidate: &Candidate, means: &Means) -> Result<plan::Plan, Error> {
    let interfaces: Vec<&Interface> = means.interfaces.iter().collect();
    let wanted = Wanted {
        size: candidate.size,
        most: means.budget.largest_map(),
        capacity: candidate.assignment.capacity,
        mode: candidate.ruleset().settings.mode,
        interfaces: &interfaces,
    };
    plan::plan(present, &wanted).map_err(|plan| {
        let PlanError::Occupied { program: id, .. } = plan;
        Error::Occupied {
            plan,
            name: info::program_name(id).unwrap_or_else(|| "?".into()),
            id,
        }
    })
}

/// What long work in the kernel is at.
const LOADING: &str = "loading the image and, if needed, the program";

/// What the tests of a rule file are.
const TESTING: &str = "running the tests of the rule file";

/// What rules are compiled for and with.
#[derive(Clone)]
struct Means {
    interfaces: Vec<Interface>,
    budget: Budget,
    progress: Progress,
}

/// What the stages before the kernel found, and how long they took.
struct Stages {
    warnings: Vec<Diagnostic>,
    read: Duration,
    parse: Duration,
}

impl Stages {
    /// Takes the warnings out of the file, which ends with its compilation.
    fn of(file: &mut RuleFile) -> Self {
        Self {
            warnings: std::mem::take(&mut file.warnings),
            read: file.read,
            parse: file.parse,
        }
    }
}

/// What came of bringing a file into force.
struct Outcome {
    generation: Generation,
    rules: usize,
    image: usize,
    changes: Option<Changes>,
    warnings: Vec<Diagnostic>,
    times: Times,
}

impl Outcome {
    fn new(
        candidate: &Candidate,
        changes: Option<Changes>,
        stages: Stages,
        timing: Timing,
    ) -> Self {
        Self {
            generation: candidate.metadata.generation,
            rules: candidate.ruleset().rules.len(),
            image: candidate.image().bytes().len(),
            changes,
            warnings: stages.warnings,
            times: Times {
                read_ms: stages.read.into(),
                parse_ms: stages.parse.into(),
                compile_ms: candidate.compile.into(),
                incremental: candidate.is_incremental(),
                load_ms: timing.load.into(),
                switch_ms: timing.switch.into(),
            },
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "generation {} in force: {}, image {}",
            self.generation,
            counted(self.rules, "rule"),
            bytes(self.image as u64)
        )?;
        if let Some(changes) = &self.changes {
            write!(f, "; {changes}")?;
        }
        write!(f, " ({})", self.times)
    }
}
