//! Signals as a flag.
//!
//! A program that is asked to end must first undo its changes to the machine. So SIGINT, SIGTERM
//! and SIGHUP only set a flag; code that waits or loops checks it and returns early, and values
//! clean up as they are dropped.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use tokio::signal::unix::{SignalKind, signal};

/// The interval between two checks of the flag.
const STEP: Duration = Duration::from_millis(20);

/// Whether the process was asked to end.
#[derive(Clone, Debug)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Handles SIGINT, SIGTERM and SIGHUP from now on.
    ///
    /// # Errors
    ///
    /// If the handlers cannot be installed.
    pub fn watch() -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .context("cannot start a runtime for signals")?;
        let mut signals = {
            let _entered = runtime.enter();
            [
                signal(SignalKind::interrupt())?,
                signal(SignalKind::terminate())?,
                signal(SignalKind::hangup())?,
            ]
        };
        let flag = Arc::new(AtomicBool::new(false));
        let interrupt = Self(Arc::clone(&flag));
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    let any = signals.iter_mut().map(|signal| Box::pin(signal.recv()));
                    futures::future::select_all(any).await;
                });
                flag.store(true, Ordering::Relaxed);
            })
            .context("cannot start a thread")?;
        Ok(interrupt)
    }

    /// The flag, for loops that take a stop flag.
    #[must_use]
    pub fn flag(&self) -> &AtomicBool {
        &self.0
    }

    /// Fails if the process was asked to end.
    ///
    /// # Errors
    ///
    /// If it was.
    pub fn check(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) {
            bail!("interrupted");
        }
        Ok(())
    }

    /// Sleeps, and wakes early if the process is asked to end.
    ///
    /// # Errors
    ///
    /// If it is.
    pub fn sleep(&self, time: Duration) -> Result<()> {
        self.wait_for(time, || Ok(None::<()>)).map(drop)
    }

    /// Calls `done` repeatedly until it has an answer, for at most `time`; `None` if it had none by
    /// then.
    ///
    /// # Errors
    ///
    /// If the process is asked to end, or `done` fails.
    pub fn wait_for<T>(
        &self,
        time: Duration,
        mut done: impl FnMut() -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let deadline = Instant::now() + time;
        loop {
            self.check()?;
            if let Some(answer) = done()? {
                return Ok(Some(answer));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            thread::sleep(left.min(STEP));
        }
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::{Signal, raise};

    use super::*;

    #[test]
    fn a_signal_ends_every_wait() {
        let interrupt = Interrupt::watch().unwrap();
        interrupt.check().unwrap();
        interrupt.sleep(Duration::from_millis(30)).unwrap();
        assert_eq!(
            interrupt
                .wait_for(Duration::from_millis(30), || Ok(None::<()>))
                .unwrap(),
            None
        );
        raise(Signal::SIGHUP).unwrap();
        let began = Instant::now();
        interrupt.sleep(Duration::from_secs(30)).unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(10));
        interrupt.check().unwrap_err();
    }
}
