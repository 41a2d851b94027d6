//! Reaches the daemon of an instance, or takes its place.

use std::time::{Duration, Instant};

use crate::{
    config::Config,
    control::{
        client,
        lock::{self, Lock},
        protocol::{Answer, Request},
    },
    error::Error,
};

/// How long a daemon that begins or ends may leave its lock taken and its socket silent.
const PATIENCE: Duration = Duration::from_secs(10);

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
    loop {
        if let Some(lock) = Lock::acquire(&config.run)? {
            return Ok(Reached::Lock(lock));
        }
        match client::ask(&config.run, &config.instance, request).await {
            Ok(Answer::Done { message }) => return Ok(Reached::Daemon(message)),
            Ok(Answer::Failed { message }) => return Err(Error::Answered(message)),
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
                return Err(Error::Hangs {
                    instance: config.instance.clone(),
                    holder: lock::holder(&config.run),
                });
            }
        }
    }
}
