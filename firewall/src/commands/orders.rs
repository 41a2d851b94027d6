//! Orders to the daemon of an instance, or the right to take its place.

use std::time::{Duration, Instant};

use crate::{
    config::Config,
    control::{
        client::{Client, ControlError},
        lock::{Acquired, Folders, Lock, LockError},
        protocol::{Answer, Request, RulesResult},
    },
    error::Error,
    logging::lines::tell,
};

/// How long a daemon that begins or ends may leave its lock taken and its socket silent.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a daemon that ends may still hold what is pinned, and one whose run folder was removed may be without
/// its lock there.
const ENDING: Duration = Duration::from_secs(3);

pub(super) enum Reached {
    /// There was no daemon: this process may be it.
    Lock(Lock),
    /// There was one, and this is its answer, for the user and for programs.
    Daemon(String, Option<RulesResult>),
}

/// Takes the instance's lock, or has its daemon answer. A daemon that begins, ends or dies
/// meanwhile answers nothing; then it is tried again, unless it was asked to apply a file: that
/// command would become the daemon in place of one that somebody stopped, or that the file killed.
/// A service, which `is_service`, is there to be the daemon.
pub(super) async fn lock_or_answer(
    config: &Config,
    request: &Request,
    is_service: bool,
) -> Result<Reached, Error> {
    let begin = Instant::now();
    let is_apply = matches!(request, Request::Apply { .. });
    let is_asked_once = is_apply && !is_service;
    let folders = match (is_apply, is_service) {
        (false, _) => Folders::Found,
        (true, false) => Folders::Made,
        (true, true) => Folders::PinsAlone,
    };
    loop {
        match Lock::acquire(&config.run, &config.pins, folders) {
            Ok(Acquired::Lock(lock)) => return Ok(Reached::Lock(lock)),
            Ok(Acquired::RunFolderBusy) => {}
            // One that ends has both locks for a moment more.
            Err(LockError::StateBusy { .. }) if begin.elapsed() < ENDING => {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
            Err(error) => return Err(error.into()),
        }
        let connected = Client::connect(config).await;
        let is_connected = connected.is_ok();
        if let Ok(daemon) = &connected {
            tell_of_namespaces(daemon);
        }
        let answer = match connected {
            Ok(mut daemon) => daemon.ask(request).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(Answer::Done { message, rules }) => return Ok(Reached::Daemon(message, rules)),
            Ok(Answer::Failed(failure)) => return Err(failure.into()),
            Ok(Answer::Ending) if is_asked_once => return Err(Error::Ending),
            Err(error) if is_asked_once && is_connected => return Err(error.into()),
            Err(error @ ControlError::Unreachable { .. }) => return Err(error.into()),
            Ok(
                Answer::Ending
                | Answer::Alive { .. }
                | Answer::Bans(_)
                | Answer::Capturing { .. }
                | Answer::Addresses(_)
                | Answer::Report { .. },
            )
            | Err(_)
                if begin.elapsed() < PATIENCE =>
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok(
                Answer::Ending
                | Answer::Alive { .. }
                | Answer::Bans(_)
                | Answer::Capturing { .. }
                | Answer::Addresses(_)
                | Answer::Report { .. },
            )
            | Err(_) => {
                return Err(ControlError::hangs(config).into());
            }
        }
    }
}

/// Tells whose interfaces are meant when the daemon is in another network namespace.
fn tell_of_namespaces(daemon: &Client) {
    if let Some((daemon, own)) = daemon.namespaces() {
        let message = format!(
            "the daemon runs in the network namespace {daemon}, this command in {own}: interfaces are those of \
             the daemon"
        );
        tell("other_namespace", &message);
    }
}

/// Has the daemon carry out an order, and reports what it did.
pub(super) async fn have_done(
    config: &Config,
    request: &Request,
) -> Result<Option<RulesResult>, Error> {
    let mut daemon = Client::connect(config).await?;
    tell_of_namespaces(&daemon);
    match daemon.ask(request).await? {
        Answer::Done { message, rules } => {
            tell("done", &message);
            Ok(rules)
        }
        Answer::Failed(failure) => Err(failure.into()),
        Answer::Ending
        | Answer::Alive { .. }
        | Answer::Bans(_)
        | Answer::Capturing { .. }
        | Answer::Addresses(_)
        | Answer::Report { .. } => Err(Error::Ending),
    }
}
