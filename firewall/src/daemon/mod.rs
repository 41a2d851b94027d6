//! The daemon: brings rule files into force, one after the other, and unloads at the end.

pub(crate) mod follow;
pub(crate) mod guard;
pub(crate) mod outcome;
pub(crate) mod privileges;
pub(crate) mod rollback;
pub(crate) mod sd_notify;
pub(crate) mod trigger;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rules::{
    compiler::{self, Compiled, InterfaceIndex},
    ruleset::{Mode, Ruleset},
};
use serde::Serialize;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, watch},
    task::{self, JoinHandle},
    time::{Instant, timeout},
};

pub(crate) use crate::daemon::guard::Asked;
use crate::{
    bans::desk::Desk,
    candidate::{
        budget::Budget,
        changes::{Before, Changes},
        compile::{self, Candidate, Predecessor},
        rule_tests,
    },
    config::Config,
    control::{
        in_force::InForce,
        lock::Lock,
        protocol::{Answer, Request},
        server::{self, Server},
        service::Order,
    },
    daemon::{
        outcome::{Failure, Outcome, Stages},
        trigger::{Cause, Occasion},
    },
    doctor::Examined,
    error::Error,
    filter::{
        error::FilterError,
        plan::{self, Occupied, Present, Target, Wanted},
        takeover::Found,
        transaction::Filter,
        unload,
    },
    generation::{
        confirmation::{Condition, ConfirmationError, Waiting},
        deadline::Deadline,
        loadable::Ready,
        pinned,
        succession::{Succession, Terms},
    },
    interfaces::{
        link_events::LinkEvents, list::Interface, selection::Accepted, unattached::Refusal,
    },
    kernel::{generation::Generation, info, max_bans::MaxBans, program::Object},
    logging::{
        lines::Fields,
        progress::{Progress, log_progress},
    },
    packet_log::relay::Teller,
    rule_file::load::{self, RuleFile},
};

/// How long the end waits until the packets that were logged before it are told.
const LAST_PACKETS: Duration = Duration::from_secs(1);

/// A rule file that is to come into force.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// The file.
    pub(crate) file: PathBuf,
    /// Whether to wait for names of interfaces that are not there.
    pub(crate) wait: bool,
    /// The most memory for an image map.
    pub(crate) budget: Budget,
    /// Within which time it must be confirmed, if at all.
    pub(crate) confirm: Option<Duration>,
    /// Who asks for it.
    pub(crate) asked: Asked,
}

/// What a daemon begins with.
pub(crate) struct Beginning {
    /// The right to be the daemon.
    pub(crate) lock: Lock,
    /// What an earlier process left.
    pub(crate) found: Found,
    /// The first rule file.
    pub(crate) first: Change,
    /// The most bans, where it was said.
    pub(crate) max_bans: Option<MaxBans>,
    /// The programs.
    pub(crate) object: Object,
}

/// Brings the first rules into force, serves signals and requests until told to end, and unloads.
///
/// # Errors
///
/// When the first rules cannot be brought into force, in which case nothing stays that was not
/// there before; or when something could not be unloaded at the end.
pub(crate) async fn run(config: &Config, beginning: Beginning) -> Result<(), Error> {
    let occasion = Occasion::now(Cause::Start);
    let Beginning {
        lock,
        found,
        first,
        max_bans,
        object,
    } = beginning;
    let in_force = watch::Sender::new(None);
    let bans = Desk::new();
    let teller = Teller::new();
    let mut events = Events::receive(config, in_force.subscribe(), bans.clone(), teller.clone())?;
    let mut daemon = Daemon {
        config: config.clone(),
        object,
        file: first.file.clone(),
        budget: first.budget,
        max_bans,
        bans,
        teller,
        telling: None,
        found: Some(found),
        filter: None,
        rules: None,
        previous: None,
        confirm_by: None,
        known: Vec::new(),
        refusals: Vec::new(),
        compile_again: None,
        ending: events.ending.clone(),
        in_force,
    };
    let end = match daemon.begin(first).await {
        Ok(outcome) => {
            daemon.report(&outcome, occasion);
            sd_notify::ready();
            daemon.serve(&mut events).await
        }
        Err(error) => {
            drop(lock);
            drop(events.orders);
            events.server.end().await;
            return Err(error);
        }
    };
    sd_notify::stopping();
    let ended = daemon.end(lock, end.cause()).await;
    let outcome = match end {
        End::Told => Ok(()),
        End::Asked(order) => {
            let message = match &ended {
                Ok(message) => Answer::Done {
                    message: message.clone(),
                },
                Err(error) => Answer::Failed {
                    message: error.report(),
                },
            };
            // A client that has gone away misses its answer.
            let _ = order.answer.send(message);
            Ok(())
        }
        End::Expired(generation) => Err(ConfirmationError::Expired(generation).into()),
    };
    drop(events.orders);
    events.server.end().await;
    ended.and(outcome)
}

/// Why a daemon ends.
enum End {
    /// A signal told it to.
    Told,
    /// A client did with this order, which is answered once everything is unloaded.
    Asked(Order),
    /// The first rules, these, were not confirmed in time.
    Expired(Generation),
}

impl End {
    fn cause(&self) -> Cause {
        match self {
            Self::Told => Cause::Signal,
            Self::Asked(order) => order.cause(),
            Self::Expired(_) => Cause::Timeout,
        }
    }
}

impl Order {
    fn cause(&self) -> Cause {
        Cause::Socket { uid: self.user }
    }
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
        teller: Teller,
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
        let listener = server::listen(&config.run).map_err(Error::Socket)?;
        let (sender, orders) = mpsc::channel(1);
        Ok(Self {
            hangup,
            links,
            orders,
            ending,
            server: Server::begin(listener, sender, in_force, bans, teller),
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
    /// Who tells of packets that rules log.
    teller: Teller,
    /// Its work, once there is something to tell.
    telling: Option<JoinHandle<()>>,
    /// What an earlier process left, until rules are in force.
    found: Option<Found>,
    filter: Option<Filter>,
    /// What is in force, when this process read it.
    rules: Option<Rules>,
    /// The same of the generation before, as long as that is kept.
    previous: Option<Rules>,
    /// Until when what is in force must be confirmed, if it still must.
    confirm_by: Option<Deadline>,
    /// The interfaces that the rules in force are for.
    known: Vec<(InterfaceIndex, String)>,
    /// Those that are to be filtered and cannot be.
    refusals: Vec<Refusal>,
    /// When rules are compiled again that could not be compiled for the interfaces that there are.
    compile_again: Option<Instant>,
    ending: watch::Receiver<bool>,
    in_force: watch::Sender<Option<InForce>>,
}

/// A rule file that was read and compiled.
#[derive(Clone)]
struct Rules {
    /// What it was compiled to.
    compiled: Arc<Compiled>,
    /// The interfaces that it was compiled for.
    interfaces: Vec<(InterfaceIndex, String)>,
    /// The file, as it was when it was read.
    source: RuleFile,
}

impl Daemon {
    /// Serves until told to end.
    async fn serve(&mut self, events: &mut Events) -> End {
        loop {
            tokio::select! {
                _ = events.ending.wait_for(|&ending| ending) => return End::Told,
                // Also what a vanishing terminal sends: it never confirms anything.
                Some(()) = events.hangup.recv() => {
                    self.reload(Asked::default(), Occasion::now(Cause::Signal)).await;
                }
                () = Deadline::wait(self.confirm_by) => {
                    if let Some(expired) = self.expire().await {
                        return End::Expired(expired);
                    }
                }
                touched = events.links.wait(self.retry()) => {
                    let begin = Instant::now();
                    self.follow(&touched).await;
                    events.links.handled(begin.elapsed());
                }
                Some(order) = events.orders.recv() => {
                    let occasion = Occasion::now(order.cause());
                    let answer = match order.request {
                        Request::Unload => return End::Asked(order),
                        Request::Apply { file, max_memory, wait, confirm_ms, force, caller } => {
                            let change = Change {
                                file,
                                wait,
                                budget: max_memory.unwrap_or(self.budget),
                                confirm: confirm_ms.map(Duration::from_millis),
                                asked: Asked { caller, force },
                            };
                            self.change(change, occasion).await
                        }
                        Request::Reload { force, caller } => {
                            self.reload(Asked { caller, force }, occasion).await
                        }
                        Request::Confirm => self.confirm(occasion),
                        Request::Rollback { .. } if self.is_first() => return End::Asked(order),
                        Request::Rollback { force, caller } => {
                            self.roll_back(Asked { caller, force }, occasion).await
                        }
                        Request::Ping => Answer::alive(self.in_force.borrow().as_ref()),
                        Request::Ban { bans } => self.bans.ban(&bans).await,
                        Request::Unban { prefixes } => self.bans.unban(&prefixes).await,
                        Request::Capture(_) => Answer::Failed {
                            message: "error: a capture is no order".to_owned(),
                        },
                    };
                    // A client that has gone away misses its answer.
                    let _ = order.answer.send(answer);
                }
            }
        }
    }

    /// Brings the file in force into force again.
    async fn reload(&mut self, asked: Asked, occasion: Occasion) -> Answer {
        let change = Change {
            file: self.file.clone(),
            wait: false,
            budget: self.budget,
            confirm: None,
            asked,
        };
        self.change(change, occasion).await
    }

    /// Brings a file into force, and logs what came of it.
    async fn change(&mut self, change: Change, occasion: Occasion) -> Answer {
        sd_notify::reloading();
        let file = change.file.clone();
        let changed = self.bring_into_force(change).await;
        let answer = self.answer(changed, Some(&file), occasion);
        sd_notify::ready();
        answer
    }

    /// Logs what came of a change to the rules of `file`, or to those before, for an answer.
    fn answer(
        &self,
        changed: Result<Outcome, Error>,
        file: Option<&Path>,
        occasion: Occasion,
    ) -> Answer {
        match changed {
            Ok(outcome) => Answer::Done {
                message: load::render(&outcome.warnings) + &self.report(&outcome, occasion),
            },
            Err(Error::Ending) => Answer::Ending,
            Err(error) => {
                let failure = Failure {
                    error: &error,
                    file,
                    stays: self.generation(),
                };
                failure.log(occasion);
                sd_notify::status(&failure.to_string());
                Answer::Failed {
                    message: error.report(),
                }
            }
        }
    }

    /// The generation in force.
    fn generation(&self) -> Option<Generation> {
        let filter = self.filter.as_ref();
        filter.map(|filter| filter.metadata().generation)
    }

    /// Logs what has come into force, and on which condition; the same for whoever asked for it.
    fn report(&self, outcome: &Outcome, occasion: Occasion) -> String {
        outcome.log(occasion, &self.file);
        sd_notify::status(&outcome.in_short());
        let mut told = outcome.to_string();
        if let Some(deadline) = self.confirm_by {
            let waiting = Waiting {
                generation: outcome.generation,
                previous: self
                    .filter
                    .as_ref()
                    .and_then(Filter::previous)
                    .map(|previous| previous.generation),
                left: deadline.remaining(),
            };
            waiting.log();
            told = format!("{told}\n{waiting}");
        }
        told
    }

    /// Reads a file and brings it into force.
    async fn bring_into_force(&mut self, change: Change) -> Result<Outcome, Error> {
        self.require_confirmed()?;
        let progress = Progress::told_to(log_progress);
        let file = self.load(change.file, progress.clone()).await?;
        load::log(&file.warnings);
        let found = self.found.take();
        let accepted = self
            .accepted(&file, found.as_ref())
            .with_absent(change.wait);
        let demand = Demand {
            budget: change.budget,
            condition: change.confirm.map(Condition::Within),
            asked: Some(change.asked),
        };
        self.switch(file, found, &accepted, demand, progress).await
    }

    /// Brings a file into force that was read.
    async fn switch(
        &mut self,
        file: RuleFile,
        found: Option<Found>,
        accepted: &Accepted,
        demand: Demand,
        progress: Progress,
    ) -> Result<Outcome, Error> {
        let patterns = &file.ruleset.settings.interfaces;
        let selection = self.select(patterns, accepted).await?;
        let mut source = file.clone();
        source.warnings.clear();
        let means = Means {
            optional: selection.optional(accepted),
            interfaces: selection.interfaces.clone(),
            demand,
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
        self.budget = demand.budget;
        let file = candidate.metadata.file.clone();
        let rules = Rules {
            compiled: candidate.compiled,
            interfaces: follow::names(&selection),
            source,
        };
        self.note(file, Some(rules), &outcome);
        self.record(selection, occupied, &BTreeSet::new()).await;
        Ok(outcome)
    }

    /// From now on other rules are in force.
    fn note(&mut self, file: PathBuf, rules: Option<Rules>, outcome: &Outcome) {
        self.file = file;
        let before = std::mem::replace(&mut self.rules, rules);
        self.previous = outcome.succession.previous(before, self.previous.take());
        self.confirm_by = outcome.confirm_by;
        if let Some(filter) = &self.filter {
            self.teller.follow(filter.metadata(), filter.previous());
        }
        self.in_force.send_replace(Some(InForce {
            generation: outcome.generation,
            times: outcome.times,
            unattached: Vec::new(),
        }));
    }

    async fn change_filter(
        &self,
        filter: &mut Filter,
        mut file: RuleFile,
        means: &Means,
    ) -> Result<(Outcome, Candidate, Vec<Occupied>), Error> {
        let before = filter.metadata();
        let predecessor = Predecessor {
            slots: before.slots(),
            held: filter.held(),
            compiled: self.rules.as_ref().map(|rules| Arc::clone(&rules.compiled)),
        };
        let stages = Stages::of(&mut file);
        let generation = before.generation.next();
        let candidate = self.compile(file, means, generation, predecessor).await?;
        let names = before.rules.iter().map(|rule| rule.name.as_str()).collect();
        let changes = self.changes(names, &candidate);
        let mode = candidate.ruleset().settings.mode;
        let present = filter.present()?;
        let plan = plan(
            &present,
            &candidate.ready(),
            mode,
            &means.at_present().await?,
        )?;
        let in_force = guard::Before {
            image: Some(filter.image()),
            present: &present,
        };
        self.guard(guard::of_file(&candidate), in_force, means)
            .await?;
        self.teller.expect(&candidate.metadata);
        means.progress.at(LOADING);
        let examined = examine(&plan, candidate.ruleset()).await;
        let ready = candidate.ready();
        let is_same = match &self.rules {
            Some(before) => compiler::is_same(before.compiled.image().bytes(), ready.image),
            None => pinned::judges_as(filter.image(), ready.image),
        };
        let terms = means.demand.terms(is_same);
        let timing = task::block_in_place(|| filter.change(&self.object, &ready, &plan, terms))
            .map_err(|error| explained(error, &examined))?;
        let outcome = Outcome::new(&candidate, Some(changes), stages, (terms, timing));
        Ok((outcome, candidate, plan.occupied))
    }

    async fn start_filter(
        &mut self,
        mut file: RuleFile,
        found: Found,
        means: &Means,
    ) -> Result<(Outcome, Candidate, Vec<Occupied>), Error> {
        let pins = self.config.pins.clone();
        if !found.is_empty() {
            tracing::info!(event = "taking_over", "taking over what is loaded");
        }
        let stages = Stages::of(&mut file);
        let predecessor = Predecessor {
            slots: found.slots().clone(),
            held: found.held().clone(),
            compiled: None,
        };
        let generation = found.next_generation();
        let candidate = self.compile(file, means, generation, predecessor).await?;
        let changes = found.in_force.as_ref().map(|in_force| {
            let rules = in_force.metadata.rules.iter();
            self.changes(rules.map(|rule| rule.name.as_str()).collect(), &candidate)
        });
        let mode = candidate.ruleset().settings.mode;
        let present = found.present()?;
        let plan = plan(
            &present,
            &candidate.ready(),
            mode,
            &means.at_present().await?,
        )?;
        let in_force = guard::Before {
            image: found.in_force.as_ref().map(|found| &found.image),
            present: &present,
        };
        self.guard(guard::of_file(&candidate), in_force, means)
            .await?;
        self.teller.expect(&candidate.metadata);
        means.progress.at(LOADING);
        let examined = examine(&plan, candidate.ruleset()).await;
        let ready = candidate.ready();
        let in_force = found.in_force.as_ref();
        let is_same = in_force.is_some_and(|found| pinned::judges_as(&found.image, ready.image));
        let terms = means.demand.terms(is_same);
        let most = self.most_bans();
        let (filter, timing) = task::block_in_place(|| {
            Filter::start(pins, &self.object, found, &ready, &plan, terms, most)
        })
        .map_err(|error| explained(error, &examined))?;
        task::block_in_place(|| self.bans.open(&self.config.pins, self.max_bans));
        self.telling = self.teller.open(&self.config.pins);
        self.filter = Some(filter);
        let outcome = Outcome::new(&candidate, changes, stages, (terms, timing));
        Ok((outcome, candidate, plan.occupied))
    }

    fn changes(&self, names: Vec<&str>, candidate: &Candidate) -> Changes {
        let before = Before {
            names,
            ruleset: self
                .rules
                .as_ref()
                .map(|before| &**before.compiled.ruleset()),
        };
        Changes::between(&before, candidate.ruleset())
    }

    async fn load(&self, path: PathBuf, progress: Progress) -> Result<RuleFile, Error> {
        let load = move || load::load(&path, &progress);
        let loaded = self.unless_ending(load).await?;
        Ok(loaded?)
    }

    async fn compile(
        &self,
        file: RuleFile,
        means: &Means,
        generation: Generation,
        before: Predecessor,
    ) -> Result<Candidate, Error> {
        let Means {
            interfaces,
            demand,
            progress,
            optional: _,
        } = means.clone();
        let interfaces = rule_tests::with_absent(interfaces, rule_tests::named(&file.tests));
        let compile = move || {
            let budget = demand.budget;
            compile::compile(&file, &interfaces, generation, &before, budget, &progress)
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

    /// The most bans, where there is no map of them yet.
    fn most_bans(&self) -> MaxBans {
        self.max_bans.unwrap_or(MaxBans::DEFAULT)
    }

    /// Unloads everything and gives the instance up.
    async fn end(self, lock: Lock, cause: Cause) -> Result<String, Error> {
        #[derive(Serialize)]
        struct Unloaded<'a> {
            interfaces: &'a [String],
            #[serde(flatten)]
            cause: Cause,
        }
        drop(self.filter);
        self.bans.close();
        let unloaded = task::block_in_place(|| unload::unload(&self.config.pins));
        self.teller.end();
        if let Some(telling) = self.telling {
            // A listener to the log that does not listen holds nothing up.
            let _ = timeout(LAST_PACKETS, telling).await;
        }
        drop(lock);
        let interfaces = unloaded?;
        let message = unload::describe(interfaces.as_deref());
        let fields = Fields::of(&Unloaded {
            interfaces: interfaces.as_deref().unwrap_or_default(),
            cause,
        });
        tracing::info!(event = "unloaded", fields = fields.as_value(), "{message}");
        Ok(message)
    }
}

fn plan(
    present: &Present,
    ready: &Ready<'_>,
    mode: Mode,
    means: &Means,
) -> Result<plan::Plan, Error> {
    let interfaces: Vec<&Interface> = means.interfaces.iter().collect();
    let wanted = Wanted {
        size: ready.size,
        most: means.demand.budget.largest_map(),
        capacity: ready.assignment.capacity,
        mode,
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
    examined.log_warnings(target.modes, ask_for_tags);
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
        program: info::program_words(occupied.program),
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
    demand: Demand,
    progress: Progress,
}

/// On which terms rules are to come into force.
#[derive(Clone, Copy)]
struct Demand {
    budget: Budget,
    condition: Option<Condition>,
    /// Who asks for them; `None` when nobody does, and those in force come again.
    asked: Option<Asked>,
}

impl Demand {
    /// The terms for rules that judge every packet as those before or not.
    fn terms(&self, is_same: bool) -> Terms {
        // What changes nothing leaves the way back as it was.
        let renews = self.asked.is_none() || is_same && self.condition.is_none();
        Terms {
            succession: if renews {
                Succession::Renews
            } else {
                Succession::Follows
            },
            condition: self.condition,
        }
    }
}
