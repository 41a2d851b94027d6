//! The life of the daemon: start, events, end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde::Serialize;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, watch},
    task::{self, JoinHandle},
    time::{Instant, sleep_until, timeout},
};

use crate::{
    bans::service::BanService,
    config::Config,
    control::{
        in_force::InForce,
        lock::Lock,
        protocol::{Answer, Request, RulesResult},
        reports::Reports,
        server::{self, Server},
        service::Order,
    },
    daemon::{
        background::Background,
        current::Current,
        decisions::BackOff,
        findings::{Findings, OwnershipError},
        keeping::Keeping,
        reports::Reporter,
        request::{ApplyRequest, Requester},
        sd_notify,
        state::Daemon,
        sweeping::Sweeping,
        trigger::{Cause, Trigger},
    },
    error::Error,
    filter::{takeover::Takeover, unload},
    generation::{confirmation::ConfirmationError, deadline::Deadline},
    interfaces::link_events::{LinkEvents, Scope},
    kernel::{generation::Generation, link, max_bans::MaxBans, program::ObjectFile},
    logging::{lines::Fields, output},
    packet_log::relay::Relay,
    rule_file::input::RuleInput,
    rule_file::last_good::Store,
    text::causes::Causes,
};

/// How long the shutdown waits until the packets logged before it are emitted.
const LAST_PACKETS: Duration = Duration::from_secs(1);

/// The inputs of a daemon.
pub(crate) struct Startup {
    /// The right to be the daemon.
    pub(crate) lock: Lock,
    /// The objects that an earlier process left.
    pub(crate) found: Takeover,
    /// The first rule file.
    pub(crate) first: ApplyRequest,
    /// The maximum number of bans, if it was given.
    pub(crate) max_bans: Option<MaxBans>,
    /// The programs.
    pub(crate) object: ObjectFile,
    /// Where copies of the rule file and its lists are kept.
    pub(crate) store: Option<Store>,
    /// Whether the first rules may be the last good copy.
    pub(crate) boots: bool,
    /// The caller to report to, if the daemon is in the background.
    pub(crate) background: Option<Background>,
    /// Reports to the caller that the first rules are in force.
    pub(crate) announce: Box<dyn FnOnce(RulesResult) + Send>,
}

/// Brings the first rules into force, serves signals and requests until stopped, and unloads, unless SIGUSR1 ends it.
///
/// # Errors
///
/// When the first rules cannot be brought into force, in which case the previous state is restored,
/// or when something could not be unloaded at the end.
pub(crate) async fn run(config: &Config, startup: Startup) -> Result<(), Error> {
    let occasion = Trigger::now(Cause::Start);
    let Startup {
        mut lock,
        found,
        first,
        max_bans,
        object,
        store,
        boots,
        background,
        announce,
    } = startup;
    let in_force = watch::Sender::new(None);
    let bans = BanService::new();
    let relay = Relay::new();
    let mut events = Events::receive(
        config,
        boots,
        in_force.subscribe(),
        bans.clone(),
        relay.clone(),
    )?;
    // A socket that cannot be made may not be removed either, and is of a process that was killed.
    if events.listens {
        lock.listens();
    }
    let mut daemon = Daemon {
        lock,
        listeners: events.server.listeners(),
        config: config.clone(),
        object,
        keeping: store.map(Keeping::begin),
        boots,
        input: first.input.clone(),
        budget: first.budget,
        max_bans,
        bans,
        relay,
        relaying: None,
        current: Current::Left(Box::new(found)),
        rules: None,
        previous: None,
        confirm_by: None,
        known: Vec::new(),
        refusals: Vec::new(),
        findings: Findings::none(),
        sweeping: Sweeping::new(),
        returning: BackOff::default(),
        back_off: BackOff::default(),
        resting_until: None,
        compile_again: None,
        ending: events.ending.clone(),
        in_force,
    };
    let end = match daemon.open(first).await {
        Ok(outcome) => {
            daemon.report(&outcome, occasion);
            if let Some(last_good) = daemon.last_good() {
                sd_notify::status(&last_good.to_string());
            }
            sd_notify::ready();
            announce(daemon.result(&outcome));
            if let Some(background) = background {
                background.report();
            }
            output::lose_lines_rather_than_wait();
            daemon.serve(&mut events).await
        }
        Err(error) => {
            drop(daemon);
            drop(events.orders);
            events.server.end().await;
            return Err(error);
        }
    };
    sd_notify::stopping();
    let ended = match end {
        Ending::Leaves => Ok(daemon.leave().await),
        Ending::Told | Ending::Asked(_) | Ending::Expired(_) => daemon.end(end.cause()).await,
    };
    let outcome = match end {
        Ending::Told | Ending::Leaves => Ok(()),
        Ending::Asked(order) => {
            let message = match &ended {
                Ok(message) => Answer::Done {
                    message: message.clone(),
                    rules: None,
                },
                Err(error) => Answer::failed(error),
            };
            // A client that has gone away misses its answer.
            let _ = order.answer.send(message);
            Ok(())
        }
        Ending::Expired(generation) => Err(ConfirmationError::Expired(generation).into()),
    };
    drop(events.orders);
    events.server.end().await;
    ended.and(outcome)
}

/// Why a daemon ends.
enum Ending {
    /// A signal.
    Told,
    /// A signal after which the rules stay in force.
    Leaves,
    /// An order of a client, which is answered once everything is unloaded.
    Asked(Order),
    /// The first rules, these, were not confirmed in time.
    Expired(Generation),
}

impl Ending {
    fn cause(&self) -> Cause {
        match self {
            Self::Told | Self::Leaves => Cause::Signal,
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

/// The sources of events.
struct Events {
    hangup: Signal,
    links: LinkEvents,
    orders: mpsc::Receiver<Order>,
    ending: watch::Receiver<bool>,
    /// Whether what is loaded stays at the end.
    leaves: Arc<AtomicBool>,
    server: Server,
    /// Whether there is a socket.
    listens: bool,
}

impl Events {
    /// Without a socket where `boots`, if there can be none: the daemon tries again.
    fn receive(
        config: &Config,
        boots: bool,
        in_force: watch::Receiver<Option<InForce>>,
        bans: BanService,
        relay: Relay,
    ) -> Result<Self, Error> {
        let receive = |kind| signal(kind).map_err(Error::system("cannot receive signals"));
        let hangup = receive(SignalKind::hangup())?;
        let mut terminate = receive(SignalKind::terminate())?;
        let mut interrupt = receive(SignalKind::interrupt())?;
        let mut leave = receive(SignalKind::user_defined1())?;
        let (end, ending) = watch::channel(false);
        let leaves = Arc::new(AtomicBool::new(false));
        let stays = Arc::clone(&leaves);
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                _ = leave.recv() => stays.store(true, Ordering::Release),
            }
            end.send_replace(true);
            // The channel stays open so that `wait_for` can distinguish the end from a defect.
            end.closed().await;
        });
        let scope = if link::uses_filters() {
            Scope::WithFilters
        } else {
            Scope::Interfaces
        };
        let links = LinkEvents::receive(scope)
            .map_err(Error::system("cannot follow changes of network interfaces"))?;
        let listener = match server::listen(&config.run) {
            Ok(listener) => Some(listener),
            Err(error) if boots => {
                let error = Causes(&error).to_string();
                tracing::error!(
                    event = "unreachable",
                    error,
                    "commands do not reach this daemon, which goes on: {error}"
                );
                None
            }
            Err(error) => return Err(error.into()),
        };
        let (sender, orders) = mpsc::channel(1);
        let reports = Reporter {
            config: config.clone(),
            in_force: in_force.clone(),
        };
        let readers: (_, Arc<dyn Reports>) = (config.run.readers, Arc::new(reports));
        Ok(Self {
            hangup,
            links,
            orders,
            ending,
            leaves,
            listens: listener.is_some(),
            server: Server::begin(listener, sender, in_force, bans, relay, readers),
        })
    }
}

impl Daemon {
    /// Serves until the end.
    async fn serve(&mut self, events: &mut Events) -> Ending {
        loop {
            tokio::select! {
                _ = events.ending.wait_for(|&ending| ending) => {
                    let leaves = events.leaves.load(Ordering::Acquire);
                    return if leaves { Ending::Leaves } else { Ending::Told };
                }
                // A vanishing terminal sends this, too: it never confirms anything.
                Some(()) = events.hangup.recv() => {
                    self.reload(Requester::default(), Trigger::now(Cause::Signal)).await;
                }
                () = Deadline::wait(self.confirm_by) => {
                    if let Some(expired) = self.expire().await {
                        return Ending::Expired(expired);
                    }
                }
                () = sleep_until(self.findings.audit_at) => self.audit().await,
                () = sleep_until(self.sweeping.at) => {
                    let flows = match &self.current {
                        Current::Running(filter) => filter.flows(),
                        Current::Left(_) => None,
                    };
                    self.sweeping.sweep(flows);
                }
                touched = events.links.wait(self.retry()) => {
                    let begin = Instant::now();
                    self.follow(&touched).await;
                    events.links.handled(begin.elapsed().max(self.rest()));
                }
                Some(order) = events.orders.recv() => {
                    if order.is_abandoned() {
                        tracing::warn!(
                            event = "order_dropped",
                            uid = order.user,
                            "an order is not carried out: its client is gone"
                        );
                        continue;
                    }
                    let occasion = Trigger::now(order.cause());
                    let answer = match order.request {
                        Request::Unload {} => return Ending::Asked(order),
                        Request::Apply { file, folder, max_memory, wait, confirm_ms, force, caller } => {
                            let request = ApplyRequest {
                                input: match folder {
                                    Some(folder) => RuleInput::Copy { file, folder },
                                    None => RuleInput::File(file),
                                },
                                wait,
                                budget: max_memory.unwrap_or(self.budget),
                                confirm: confirm_ms.map(Duration::from_millis),
                                requester: Requester { caller, force },
                            };
                            self.apply(request, occasion).await
                        }
                        Request::Reload { force, caller } => {
                            self.reload(Requester { caller, force }, occasion).await
                        }
                        Request::Confirm {} => self.confirm(occasion),
                        Request::Rollback { .. } if self.is_first() => return Ending::Asked(order),
                        Request::Rollback { force, caller } => {
                            self.roll_back(Requester { caller, force }, occasion).await
                        }
                        Request::Ping {} => Answer::alive(self.in_force.borrow().as_ref()),
                        Request::Ban { bans } => self.bans.ban(&bans).await.into(),
                        Request::Unban(asked) => self.bans.unban(&asked).await.into(),
                        Request::Capture(_) | Request::Addresses {} | Request::Report(_) => {
                            Answer::refused("error: this is no order".to_owned())
                        }
                    };
                    // A client that has gone away misses its answer.
                    let _ = order.answer.send(answer);
                }
            }
        }
    }

    /// Unloads everything and gives the instance up.
    async fn end(mut self, cause: Cause) -> Result<String, Error> {
        #[derive(Serialize)]
        struct Unloaded<'a> {
            interfaces: &'a [String],
            #[serde(flatten)]
            cause: Cause,
        }
        let owned = self.require_own();
        if let (Current::Running(filter), Err(_)) = (&self.current, &owned) {
            // What is pinned may belong to another process by now; what this one attached does not.
            filter.detach_held();
        }
        drop(self.current);
        self.bans.close();
        let unloaded = match owned {
            Err(error @ (OwnershipError::Locked { .. } | OwnershipError::Foreign(_))) => {
                Err(error.into())
            }
            Ok(())
            | Err(
                OwnershipError::Pin(_) | OwnershipError::Links(_) | OwnershipError::Unreachable(_),
            ) => task::block_in_place(|| unload::unload(&self.config.pins)).map_err(Error::from),
        };
        self.relay.end();
        finish(self.keeping, self.relaying).await;
        drop(self.lock);
        let interfaces = unloaded?;
        let message = unload::describe(interfaces.as_deref());
        let fields = Fields::of(&Unloaded {
            interfaces: interfaces.as_deref().unwrap_or_default(),
            cause,
        });
        tracing::info!(event = "unloaded", fields = fields.as_value(), "{message}");
        Ok(message)
    }
    /// Gives the instance up and leaves what is loaded, for the next daemon to take over; returns the message.
    async fn leave(self) -> String {
        #[derive(Serialize)]
        struct Left {
            generation: Option<Generation>,
            cause: Cause,
        }
        let generation = self.generation();
        drop(self.current);
        self.bans.close();
        self.relay.end();
        finish(self.keeping, self.relaying).await;
        drop(self.lock);
        let message = match generation {
            Some(generation) => format!("the daemon ends, generation {generation} stays in force"),
            None => "the daemon ends".to_owned(),
        };
        let cause = Cause::Signal;
        let fields = Fields::of(&Left { generation, cause });
        tracing::info!(event = "left", fields = fields.as_value(), "{message}");
        message
    }
}

/// Waits until copies are kept, and the packets logged before the end emitted.
async fn finish(keeping: Option<Keeping>, relaying: Option<JoinHandle<()>>) {
    if let Some(keeping) = keeping {
        keeping.end().await;
    }
    if let Some(relaying) = relaying {
        // A reader of the log that stalls does not block the end.
        let _ = timeout(LAST_PACKETS, relaying).await;
    }
}
