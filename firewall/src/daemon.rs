//! The daemon: brings rule files into force, one after the other, and unloads at the end.

mod interfaces;

use std::{collections::BTreeSet, fmt, path::PathBuf, sync::Arc, time::Duration};

use rules::{
    compiler::{Compiled, InterfaceIndex},
    diagnostics::Diagnostic,
    ruleset::Ruleset,
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, oneshot, watch},
    task,
    time::Instant,
};

use crate::{
    bans::{MaxBans, desk::Desk},
    budget::Budget,
    candidate::{self, Candidate},
    changes::{Before, Changes},
    cli::Config,
    control::{self, Answer, Order, Request, Server},
    doctor::Examined,
    error::{Causes, Error},
    filter::{Filter, FilterError, Timing},
    found::Found,
    generation::Generation,
    interfaces::Interface,
    kernel::{info, program::Object},
    link_events::LinkEvents,
    lock::Lock,
    plan::{self, Occupied, Present, Target, Wanted},
    progress::Progress,
    rule_tests,
    selection::Accepted,
    source::{self, RuleFile},
    text::{bytes, counted},
    times::{InForce, Times},
    unattached::Refusal,
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
    wait: bool,
    budget: Budget,
    max_bans: Option<MaxBans>,
    object: Object,
) -> Result<(), Error> {
    let in_force = watch::Sender::new(None);
    let bans = Desk::new();
    let mut events = Events::receive(config, in_force.subscribe(), bans.clone())?;
    let mut daemon = Daemon {
        config: config.clone(),
        object,
        file,
        budget,
        max_bans,
        bans,
        filter: None,
        compiled: None,
        source: None,
        known: Vec::new(),
        refusals: Vec::new(),
        compile_again: None,
        ending: events.ending.clone(),
        in_force,
    };
    let first = daemon.file.clone();
    let ending = match daemon.bring_into_force(first, wait, budget).await {
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
    links: LinkEvents,
    orders: mpsc::Receiver<Order>,
    ending: watch::Receiver<bool>,
    server: Server,
}

impl Events {
    fn receive(
        config: &Config,
        in_force: watch::Receiver<Option<InForce>>,
        bans: Desk,
    ) -> Result<Self, Error> {
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
        let links = LinkEvents::receive().map_err(Error::LinkEvents)?;
        let listener = control::listen(&config.run).map_err(Error::Socket)?;
        let (sender, orders) = mpsc::channel(1);
        Ok(Self {
            hangup,
            links,
            orders,
            ending,
            server: Server::begin(listener, sender, in_force, bans),
        })
    }
}

struct Daemon {
    config: Config,
    object: Object,
    file: PathBuf,
    budget: Budget,
    max_bans: Option<MaxBans>,
    bans: Desk,
    filter: Option<Filter>,
    /// What is in force, when this process compiled it.
    compiled: Option<Arc<Compiled>>,
    /// The rule file in force, as it was when it was read.
    source: Option<RuleFile>,
    /// The interfaces that the rules in force are for.
    known: Vec<(InterfaceIndex, String)>,
    /// Those that are to be filtered and cannot be.
    refusals: Vec<Refusal>,
    /// When rules are compiled again that could not be compiled for the interfaces that there are.
    compile_again: Option<Instant>,
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
                touched = events.links.wait(self.retry()) => {
                    let begin = Instant::now();
                    self.follow(&touched).await;
                    events.links.handled(begin.elapsed());
                }
                Some(order) = events.orders.recv() => {
                    let answer = match order.request {
                        Request::Unload => return Some(order.answer),
                        Request::Apply { file, max_memory, wait } => {
                            self.change(file, wait, max_memory.unwrap_or(self.budget)).await
                        }
                        Request::Reload => self.reload().await,
                        Request::Ping => Answer::alive(self.in_force.borrow().as_ref()),
                        Request::Ban { bans } => self.bans.ban(&bans).await,
                        Request::Unban { prefixes } => self.bans.unban(&prefixes).await,
                    };
                    // A client that has gone away misses its answer.
                    let _ = order.answer.send(answer);
                }
            }
        }
    }

    /// Brings the file in force into force again.
    async fn reload(&mut self) -> Answer {
        self.change(self.file.clone(), false, self.budget).await
    }

    /// Brings a file into force, and logs what came of it.
    async fn change(&mut self, file: PathBuf, wait: bool, budget: Budget) -> Answer {
        match self.bring_into_force(file, wait, budget).await {
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

    /// Reads a file and brings it into force; `wait` for names of interfaces that are not there.
    async fn bring_into_force(
        &mut self,
        path: PathBuf,
        wait: bool,
        budget: Budget,
    ) -> Result<Outcome, Error> {
        let progress = Progress::told_to(|what| tracing::info!("{what}"));
        let file = self.load(path, progress.clone()).await?;
        for warning in &file.warnings {
            tracing::warn!("{}", source::in_one_line(warning));
        }
        let found = match &self.filter {
            Some(_) => None,
            None => Some(Found::open(&self.config.pins)?),
        };
        let accepted = self.accepted(&file, found.as_ref()).with_absent(wait);
        self.switch(file, found, &accepted, budget, progress).await
    }

    /// Brings a file into force that was read.
    async fn switch(
        &mut self,
        file: RuleFile,
        found: Option<Found>,
        accepted: &Accepted,
        budget: Budget,
        progress: Progress,
    ) -> Result<Outcome, Error> {
        let selection = self.select(&file, accepted).await?;
        let mut source = file.clone();
        source.warnings.clear();
        let means = Means {
            optional: selection.optional(accepted),
            interfaces: selection.interfaces.clone(),
            budget,
            progress,
        };
        let (outcome, candidate, occupied) = match (self.filter.take(), found) {
            (Some(mut filter), _) => {
                let changed = self.change_filter(&mut filter, file, &means).await;
                self.filter = Some(filter);
                changed?
            }
            (None, found) => {
                self.start_filter(file, found.unwrap_or_default(), &means)
                    .await?
            }
        };
        self.file = candidate.metadata.file.clone();
        self.budget = budget;
        self.compiled = Some(candidate.compiled);
        self.source = Some(source);
        self.in_force.send_replace(Some(InForce {
            generation: outcome.generation,
            times: outcome.times,
            unattached: Vec::new(),
        }));
        self.record(selection, occupied, &BTreeSet::new()).await;
        Ok(outcome)
    }

    async fn change_filter(
        &self,
        filter: &mut Filter,
        mut file: RuleFile,
        means: &Means,
    ) -> Result<(Outcome, Candidate, Vec<Occupied>), Error> {
        let before = filter.metadata();
        let (generation, slots) = (before.generation.next(), before.slots());
        let stages = Stages::of(&mut file);
        let candidate = self.compile(file, means, generation, slots).await?;
        let names = before.rules.iter().map(|rule| rule.name.as_str()).collect();
        let changes = self.changes(names, &candidate);
        let plan = plan(&filter.present()?, &candidate, &means.at_present().await?)?;
        means.progress.at(LOADING);
        let examined = examine(&plan, candidate.ruleset()).await;
        let timing = task::block_in_place(|| filter.change(&self.object, &candidate, &plan))
            .map_err(|error| explained(error, &examined))?;
        Ok((
            Outcome::new(&candidate, Some(changes), stages, timing),
            candidate,
            plan.occupied,
        ))
    }

    async fn start_filter(
        &mut self,
        mut file: RuleFile,
        found: Found,
        means: &Means,
    ) -> Result<(Outcome, Candidate, Vec<Occupied>), Error> {
        let pins = self.config.pins.clone();
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
        let plan = plan(&found.present()?, &candidate, &means.at_present().await?)?;
        means.progress.at(LOADING);
        let examined = examine(&plan, candidate.ruleset()).await;
        let most = self.max_bans.unwrap_or(MaxBans::DEFAULT);
        let (filter, timing) = task::block_in_place(|| {
            Filter::start(pins, &self.object, found, &candidate, &plan, most)
        })
        .map_err(|error| explained(error, &examined))?;
        task::block_in_place(|| self.bans.open(&self.config.pins, self.max_bans));
        self.filter = Some(filter);
        let outcome = Outcome::new(&candidate, changes, stages, timing);
        Ok((outcome, candidate, plan.occupied))
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
            optional: _,
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
        self.bans.close();
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
        optional: &means.optional,
    };
    plan::plan(present, &wanted).map_err(occupied_by)
}

/// Examines the interfaces that are to be attached to, and warns of what is not as it should be.
async fn examine(plan: &plan::Plan, ruleset: &Ruleset) -> Examined {
    let targets: Vec<&Target> = plan.targets().collect();
    let Some(target) = targets.first() else {
        return Examined::default();
    };
    let names: Vec<&str> = targets.iter().map(|target| &*target.name).collect();
    let examined = Examined::of(&names).await;
    let mut rules = ruleset.rules.iter();
    let ask_for_tags = rules.any(|rule| rule.matches.vlan.is_some());
    for warning in examined.warnings(target.modes, ask_for_tags) {
        tracing::warn!("{warning}");
    }
    examined
}

/// The error with what was found about the interface.
fn explained(error: FilterError, examined: &Examined) -> Error {
    let obstacles = error
        .unsuitable()
        .and_then(|interface| examined.obstacles(interface));
    match obstacles {
        Some(obstacles) => Error::Unsuitable { error, obstacles },
        None => Error::Filter(error),
    }
}

fn occupied_by(occupied: Occupied) -> Error {
    Error::Occupied {
        name: info::program_name(occupied.program).unwrap_or_else(|| "?".into()),
        occupied,
    }
}

/// What long work in the kernel is at.
const LOADING: &str = "loading the image and, if needed, the program";

/// What the tests of a rule file are.
const TESTING: &str = "running the tests of the rule file";

/// What rules are compiled for and with.
#[derive(Clone)]
struct Means {
    interfaces: Vec<Interface>,
    /// Those of them that may refuse.
    optional: BTreeSet<InterfaceIndex>,
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
