//! Serves requests to add and remove bans, and removes ended bans in the background.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{
    sync::{Notify, watch},
    task,
    time::timeout,
};

use crate::{
    bans::{
        prefix::read_prefixes,
        table::{BanTable, Banned},
        term::Term,
    },
    kernel::{bans::BanMapsError, max_bans::MaxBans, pins::Pins},
    text::{causes::Causes, format::grouped},
};

/// A requested ban.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BanRequest {
    /// The address or prefix.
    pub(crate) prefix: String,
    /// The duration; for good without it.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub(crate) term: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) reason: String,
}

/// A request to remove bans.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "UnbanKeys", into = "UnbanKeys")]
pub(crate) enum UnbanRequest {
    /// Those of these prefixes.
    Prefixes(Vec<String>),
    /// Those with this reason.
    Reason {
        /// The reason.
        reason: String,
        /// Only those that began before this time, in nanoseconds of the clock since boot.
        before: Option<u64>,
    },
    /// All.
    All,
}

/// The keys of [`UnbanRequest`] on the socket.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UnbanKeys {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prefixes: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<u64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    all: bool,
}

impl TryFrom<UnbanKeys> for UnbanRequest {
    type Error = &'static str;

    fn try_from(keys: UnbanKeys) -> Result<Self, Self::Error> {
        match keys {
            UnbanKeys {
                prefixes: Some(prefixes),
                reason: None,
                before: None,
                all: false,
            } => Ok(Self::Prefixes(prefixes)),
            UnbanKeys {
                prefixes: None,
                reason: Some(reason),
                before,
                all: false,
            } => Ok(Self::Reason { reason, before }),
            UnbanKeys {
                prefixes: None,
                reason: None,
                before: None,
                all: true,
            } => Ok(Self::All),
            _ => Err(
                "`unban` takes one of `prefixes`, `reason` and `\"all\":true`; `before` comes with `reason`",
            ),
        }
    }
}

impl From<UnbanRequest> for UnbanKeys {
    fn from(request: UnbanRequest) -> Self {
        let none = Self::default();
        match request {
            UnbanRequest::Prefixes(prefixes) => Self {
                prefixes: Some(prefixes),
                ..none
            },
            UnbanRequest::Reason { reason, before } => Self {
                reason: Some(reason),
                before,
                ..none
            },
            UnbanRequest::All => Self { all: true, ..none },
        }
    }
}

/// The outcome of a request for bans or their removal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BanOutcome {
    /// The number of new bans.
    pub(crate) added: u64,
    /// The number of bans that replaced one of the same prefix.
    pub(crate) renewed: u64,
    /// The number of removed bans.
    pub(crate) removed: u64,
    /// The refused items.
    pub(crate) refused: Vec<Refused>,
}

/// A refused item of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refused {
    /// The index in the request, from 0.
    pub(crate) item: usize,
    /// The reason for the refusal.
    pub(crate) message: String,
    /// Whether it is a removal of a ban that does not exist.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) missing: bool,
}

/// Why a request for bans is not carried out at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BanServiceError {
    /// The bans could not be taken over.
    #[error("{0}")]
    Broken(String),
    /// The daemon starts.
    #[error("the daemon has not brought its first rules into force yet")]
    NotReady,
    /// The daemon ends.
    #[error("the daemon ends")]
    Ending,
}

/// How long a request waits for a daemon that is starting.
const PATIENCE: Duration = Duration::from_secs(5);

/// The interval of checks for ended bans.
const TICK: Duration = Duration::from_secs(1);

/// The service. Clones share one state.
#[derive(Clone)]
pub(crate) struct BanService {
    state: Arc<watch::Sender<ServiceState>>,
    /// Wakes the background task.
    work: Arc<Notify>,
}

enum ServiceState {
    /// The daemon begins.
    Closed,
    Open(Arc<BanTable>),
    /// The bans could not be taken over.
    Broken(String),
    /// The daemon ends.
    Ended,
}

impl BanService {
    /// A service whose requests wait until it is opened.
    pub(crate) fn new() -> Self {
        Self {
            state: Arc::new(watch::Sender::new(ServiceState::Closed)),
            work: Arc::default(),
        }
    }

    /// Takes over the bans of an instance and starts to serve. If that fails, every request is
    /// answered with the error, and existing bans stay in effect.
    pub(crate) fn open(&self, pins: &Pins, wanted: Option<MaxBans>) {
        match BanTable::open(pins) {
            Ok(register) => {
                let (count, maximum) = register.count();
                if count > 0 {
                    tracing::info!(
                        event = "bans_taken_over",
                        count,
                        "{} bans taken over",
                        grouped(count.into())
                    );
                }
                if let Some(wanted) = wanted.filter(|wanted| *wanted != maximum) {
                    tracing::warn!(
                        event = "bans_limit_stays",
                        max_bans = maximum.bans(),
                        asked = wanted.bans(),
                        "there is room for {} bans, as since the first `apply`, not for {}: \
                         `firewall unload` makes way for another number",
                        grouped(maximum.bans().into()),
                        grouped(wanted.bans().into())
                    );
                }
                let register = Arc::new(register);
                let house = Arc::downgrade(&register);
                task::spawn(keep_house(house, Arc::clone(&self.work)));
                self.state.send_replace(ServiceState::Open(register));
            }
            Err(error) => {
                let error = Causes(&error);
                let message = format!("the bans cannot be changed: {error}");
                tracing::error!(event = "bans_unavailable", %error, "{message}");
                self.state.send_replace(ServiceState::Broken(message));
            }
        }
    }

    /// Refuses all further requests.
    pub(crate) fn close(&self) {
        self.state.send_replace(ServiceState::Ended);
        self.work.notify_one();
    }

    /// Adds bans.
    pub(crate) async fn ban(&self, asked: &[BanRequest]) -> Result<BanOutcome, BanServiceError> {
        self.serve(asked, |register, asked, outcome| {
            ban(register, asked, outcome)
        })
        .await
    }

    /// Removes bans.
    pub(crate) async fn unban(&self, asked: &UnbanRequest) -> Result<BanOutcome, BanServiceError> {
        let (reason, before) = match asked {
            UnbanRequest::Prefixes(prefixes) => return self.unban_prefixes(prefixes).await,
            UnbanRequest::Reason { reason, before } => (Some(reason.as_str()), *before),
            UnbanRequest::All => (None, None),
        };
        self.serve(&[()], |register, (), outcome| {
            let removed = register.unban_all(reason, before.unwrap_or(u64::MAX));
            outcome.removed = removed.map_err(|error| (Causes(&error).to_string(), false))?;
            match reason {
                Some(reason) if before.is_none() && outcome.removed == 0 => {
                    Err((format!("no ban has the reason `{reason}`"), true))
                }
                Some(_) | None => Ok(()),
            }
        })
        .await
    }

    async fn unban_prefixes(&self, prefixes: &[String]) -> Result<BanOutcome, BanServiceError> {
        self.serve(prefixes, |register, prefix, outcome| {
            let prefixes = read_prefixes(prefix).map_err(|error| (error, false))?;
            let mut missing = None;
            let removed = outcome.removed;
            for prefix in prefixes {
                match register.unban(prefix) {
                    Ok(()) => outcome.removed += 1,
                    Err(error) if error.is_missing() => {
                        missing = Some((Causes(&error).to_string(), true));
                    }
                    Err(error) => return Err((Causes(&error).to_string(), false)),
                }
            }
            // Of a range, those that are there.
            match missing {
                Some(missing) if outcome.removed == removed => Err(missing),
                Some(_) | None => Ok(()),
            }
        })
        .await
    }

    async fn serve<T>(
        &self,
        items: &[T],
        mut one: impl FnMut(&BanTable, &T, &mut BanOutcome) -> Result<(), (String, bool)>,
    ) -> Result<BanOutcome, BanServiceError> {
        let mut state = self.state.subscribe();
        let opened = state.wait_for(|state| !matches!(state, ServiceState::Closed));
        let register = match timeout(PATIENCE, opened).await {
            Ok(Ok(state)) => match &*state {
                ServiceState::Open(register) => Arc::clone(register),
                ServiceState::Broken(message) => {
                    return Err(BanServiceError::Broken(message.clone()));
                }
                ServiceState::Closed | ServiceState::Ended => return Err(BanServiceError::Ending),
            },
            Ok(Err(_)) => return Err(BanServiceError::Ending),
            Err(_elapsed) => return Err(BanServiceError::NotReady),
        };
        let mut outcome = BanOutcome::default();
        // Making room in a full map takes a while.
        task::block_in_place(|| {
            for (item, asked) in items.iter().enumerate() {
                if let Err((message, missing)) = one(&register, asked, &mut outcome) {
                    outcome.refused.push(Refused {
                        item,
                        message,
                        missing,
                    });
                }
            }
        });
        if register.wants_filter() || outcome.added > 0 {
            self.work.notify_one();
        }
        Ok(outcome)
    }
}

fn ban(
    register: &BanTable,
    asked: &BanRequest,
    outcome: &mut BanOutcome,
) -> Result<(), (String, bool)> {
    let prefixes = read_prefixes(&asked.prefix).map_err(|error| (error, false))?;
    let term = match &asked.term {
        Some(term) => Term::parse(term).map_err(|message| (message, false))?,
        None => Term::Forever,
    };
    for prefix in prefixes {
        let banned = register.ban(prefix, term, &asked.reason);
        match banned.map_err(|error| (Causes(&error).to_string(), false))? {
            Banned::Added => outcome.added += 1,
            Banned::Renewed => outcome.renewed += 1,
        }
    }
    Ok(())
}

/// Does maintenance as it becomes due, for as long as the service exists.
async fn keep_house(house: Weak<BanTable>, work: Arc<Notify>) {
    loop {
        let Some(register) = house.upgrade() else {
            return;
        };
        let (count, _) = register.count();
        let wants_filter = register.wants_filter();
        let kept = task::spawn_blocking(move || register.keep_house()).await;
        match kept {
            Ok(Ok(())) => {}
            Ok(Err(error)) => log(&error),
            Err(_gone) => return,
        }
        if wants_filter {
            // Others may have been added meanwhile.
            continue;
        }
        if count == 0 {
            work.notified().await;
        } else {
            let _ = timeout(TICK, work.notified()).await;
        }
    }
}

fn log(error: &BanMapsError) {
    tracing::error!(
        event = "bans_not_kept",
        error = error as &dyn std::error::Error,
        "ended bans could not be removed, or the filter could not be rebuilt"
    );
}
