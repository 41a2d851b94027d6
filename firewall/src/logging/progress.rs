//! Progress of long work, reported while it runs if it takes longer than expected.

use std::time::Duration;

use rules::compiler::Stage;
use tokio::{
    sync::watch,
    time::{Instant, interval_at},
};

use crate::text::format::counted;

/// The time before the first report of progress, and the minimum time between two reports.
const PATIENCE: Duration = Duration::from_secs(1);

/// Logs the current step of the daemon's work.
pub(crate) fn log_progress(what: &str) {
    tracing::info!(event = "progress", "{what}");
}

/// Receives the current step of long work. Reports end when the last clone is dropped.
#[derive(Clone)]
pub(crate) struct Progress(watch::Sender<String>);

impl Progress {
    /// Calls `say` every second with the current step, if it has changed since the last call.
    pub(crate) fn told_to(say: fn(&str)) -> Self {
        let (sender, receiver) = watch::channel(String::new());
        tokio::spawn(report(receiver, say));
        Self(sender)
    }

    /// Sets the current step.
    pub(crate) fn at(&self, what: impl Into<String>) {
        self.0.send_replace(what.into());
    }

    /// Sets the current stage of the compiler as the step.
    pub(crate) fn at_stage(&self, stage: Stage) {
        self.at(match stage {
            Stage::Table {
                packets,
                rules,
                table,
            } => format!(
                "compiling {} for {packets}: {table}",
                counted(rules, "rule")
            ),
            Stage::Frame => "compiling: the names of the rules".into(),
        });
    }
}

async fn report(mut receiver: watch::Receiver<String>, say: fn(&str)) {
    let mut seconds = interval_at(Instant::now() + PATIENCE, PATIENCE);
    let mut reported = String::new();
    loop {
        tokio::select! {
            biased;
            changed = receiver.changed() => if changed.is_err() {
                return;
            },
            _ = seconds.tick() => {
                let now = receiver.borrow().clone();
                if now != reported {
                    say(&now);
                    reported = now;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    static REPORTED: Mutex<Vec<String>> = Mutex::new(Vec::new());

    #[tokio::test(start_paused = true)]
    async fn a_step_of_more_than_a_second_is_reported_once() {
        let progress = Progress::told_to(|what| REPORTED.lock().unwrap().push(what.to_owned()));
        let wait = |milliseconds| tokio::time::sleep(Duration::from_millis(milliseconds));
        progress.at("short");
        wait(500).await;
        progress.at("long");
        wait(3000).await;
        progress.at("longer");
        wait(1000).await;
        progress.at("last");
        drop(progress);
        wait(2000).await;
        assert_eq!(*REPORTED.lock().unwrap(), ["long", "longer"]);
    }
}
