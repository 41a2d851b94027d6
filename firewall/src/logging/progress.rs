//! What long work is at: told while it goes on, when it takes longer than one expects.

use std::time::Duration;

use rules::compiler::Stage;
use tokio::{
    sync::watch,
    time::{Instant, interval_at},
};

use crate::text::format::counted;

/// How long work goes on before it is told what it is at, and how often after that at most.
const PATIENCE: Duration = Duration::from_secs(1);

/// Logs what the daemon's work is at.
pub(crate) fn log_progress(what: &str) {
    tracing::info!(event = "progress", "{what}");
}

/// Where work says what it is at. The telling ends with the last clone.
#[derive(Clone)]
pub(crate) struct Progress(watch::Sender<String>);

impl Progress {
    /// From now on `say` is told, each second, what the work has come to since it was last told.
    pub(crate) fn told_to(say: fn(&str)) -> Self {
        let (sender, receiver) = watch::channel(String::new());
        tokio::spawn(tell(receiver, say));
        Self(sender)
    }

    /// The work is at this.
    pub(crate) fn at(&self, what: impl Into<String>) {
        self.0.send_replace(what.into());
    }

    /// The compiler is at this.
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

async fn tell(mut receiver: watch::Receiver<String>, say: fn(&str)) {
    let mut seconds = interval_at(Instant::now() + PATIENCE, PATIENCE);
    let mut told = String::new();
    loop {
        tokio::select! {
            biased;
            changed = receiver.changed() => if changed.is_err() {
                return;
            },
            _ = seconds.tick() => {
                let now = receiver.borrow().clone();
                if now != told {
                    say(&now);
                    told = now;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    static TOLD: Mutex<Vec<String>> = Mutex::new(Vec::new());

    #[tokio::test(start_paused = true)]
    async fn what_takes_more_than_a_second_is_told_once() {
        let progress = Progress::told_to(|what| TOLD.lock().unwrap().push(what.to_owned()));
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
        assert_eq!(*TOLD.lock().unwrap(), ["long", "longer"]);
    }
}
