//! Orders to the daemon of an instance, or the right to take its place.

use std::time::{Duration, Instant};

use crate::{
    config::Config,
    control::{
        client::{self, ControlError},
        lock::{Acquired, Lock, LockError},
        protocol::{Answer, Request},
    },
    error::Error,
    logging::lines::tell,
};

/// How long a daemon that begins or ends may leave its lock taken and its socket silent.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a daemon that ends may still hold what is pinned.
const ENDING: Duration = Duration::from_secs(1);

pub(super) enum Reached {
    /// There was no daemon: this process may be it.
    Lock(Lock),
    /// There was one, and this is its answer.
    Daemon(String),
}

/// Takes the instance's lock, or has its daemon answer. A daemon that begins, ends or dies
/// meanwhile answers nothing; then it is tried again.
pub(super) async fn lock_or_answer(config: &Config, request: &Request) -> Result<Reached, Error> {
    let begin = Instant::now();
    let is_apply = matches!(request, Request::Apply { .. });
    loop {
        match Lock::acquire(&config.run, &config.pins, is_apply) {
            Ok(Acquired::Lock(lock)) => return Ok(Reached::Lock(lock)),
            Ok(Acquired::RunFolderBusy) => {}
            // One that ends has both locks for a moment more.
            Err(LockError::StateBusy { .. }) if begin.elapsed() < ENDING => {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
            Err(error) => return Err(error.into()),
        }
        match client::ask(&config.run, &config.instance, request).await {
            Ok(Answer::Done { message }) => return Ok(Reached::Daemon(message)),
            Ok(Answer::Failed { message, status }) => {
                return Err(Error::Answered {
                    report: message,
                    status,
                });
            }
            Ok(
                Answer::Ending | Answer::Alive { .. } | Answer::Bans(_) | Answer::Capturing { .. },
            )
            | Err(_)
                if begin.elapsed() < PATIENCE =>
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok(
                Answer::Ending | Answer::Alive { .. } | Answer::Bans(_) | Answer::Capturing { .. },
            )
            | Err(_) => {
                return Err(ControlError::hangs(&config.instance, &config.run).into());
            }
        }
    }
}

/// Has the daemon carry out an order, and reports what it did.
pub(super) async fn have_done(config: &Config, request: &Request) -> Result<(), Error> {
    match client::ask(&config.run, &config.instance, request).await? {
        Answer::Done { message } => {
            tell("done", &message);
            Ok(())
        }
        Answer::Failed { message, status } => Err(Error::Answered {
            report: message,
            status,
        }),
        Answer::Ending | Answer::Alive { .. } | Answer::Bans(_) | Answer::Capturing { .. } => {
            Err(Error::Ending)
        }
    }
}
