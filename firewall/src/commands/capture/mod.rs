//! `firewall capture`: packets that rules log, as the daemon tells them, for people, programs and
//! the tools that read captures.
//!
//! One task reads what the daemon tells, a thread writes it. Whoever does not read the output holds
//! up the thread alone: the command ends all the same when it is told to.

pub(crate) mod output;
pub(crate) mod pcapng;

use std::{
    io::{self, IsTerminal as _},
    num::NonZeroU64,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    task,
    time::timeout,
};

use crate::{
    commands::capture::output::Output,
    config::Config,
    control::{
        client::Client,
        protocol::{Answer, CaptureFilter, CaptureLine, Request, names_in_words},
    },
    error::{Error, capture::CaptureError},
    logging::lines::tell,
    text::format::{counted, grouped},
};

/// What is captured, and where it goes.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The rules; none for all that log.
    pub(crate) rules: Vec<String>,
    /// In which form.
    pub(crate) form: Form,
    /// After how many packets it ends.
    pub(crate) count: Option<NonZeroU64>,
    /// After which time it ends.
    pub(crate) time: Option<Duration>,
}

/// A form of packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A line of words each, on stdout.
    Text,
    /// A line of JSON each, on stdout.
    Json,
    /// A capture file.
    Pcapng(Target),
}

/// Where a capture file goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// To stdout.
    Stdout,
    /// To a file, in place of what it had.
    File(PathBuf),
}

/// How many lines are read ahead of what is written.
const AHEAD: usize = 64;

/// How long the end waits until what was read is written.
const LAST_LINES: Duration = Duration::from_secs(1);

/// How many packets were written, and how many were missed.
#[derive(Debug, Default)]
struct Tally {
    packets: AtomicU64,
    lost: AtomicU64,
}

/// Why a capture ends.
enum End {
    /// As it was told to.
    Told,
    /// Since nothing more can be written, or is to be.
    Written,
    /// The daemon ends.
    Daemon,
    /// The daemon has closed the connection.
    BrokenOff,
}

/// Captures.
pub(crate) async fn run(config: &Config, options: Options) -> Result<(), Error> {
    if options.form == Form::Pcapng(Target::Stdout) && io::stdout().is_terminal() {
        return Err(CaptureError::Terminal.into());
    }
    let mut client = Client::connect(&config.run, &config.instance).await?;
    let rules = options.rules.into_iter().collect();
    let request = Request::Capture(CaptureFilter { rules });
    let rules = match client.ask(&request).await? {
        Answer::Capturing { rules } => rules,
        Answer::Failed { message } => return Err(Error::Answered(message)),
        Answer::Ending | Answer::Alive { .. } | Answer::Done { .. } | Answer::Bans(_) => {
            return Err(Error::Ending);
        }
    };
    tell("capturing", &begun(&rules));
    let tally = Arc::new(Tally::default());
    let (to_output, lines) = mpsc::channel(AHEAD);
    let output = Output {
        form: options.form,
        count: options.count,
        tally: Arc::clone(&tally),
    };
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Signals)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signals)?;
    let writing = task::spawn_blocking(move || output.write(lines));
    let end = tokio::select! {
        end = read(client, to_output) => end?,
        _ = interrupt.recv() => End::Told,
        _ = terminate.recv() => End::Told,
        () = elapsed(options.time) => End::Told,
    };
    // Nobody may be reading the output, so that the last line is never written.
    if let Ok(written) = timeout(LAST_LINES, writing).await {
        written??;
    }
    if matches!(end, End::Daemon) {
        tell("daemon_ends", "the daemon ends");
    }
    tell("done", &tally.to_string());
    match end {
        End::Told | End::Written | End::Daemon => Ok(()),
        End::BrokenOff => Err(CaptureError::BrokenOff.into()),
    }
}

/// What is captured, in words.
fn begun(rules: &[String]) -> String {
    if rules.is_empty() {
        return "no rule logs yet: add `log = true` to one, and `firewall reload`".to_owned();
    }
    format!("capturing packets of {}", names_in_words(rules))
}

/// Reads what the daemon tells, until it ends or `to_output` takes no more.
async fn read(mut client: Client, to_output: mpsc::Sender<Received>) -> Result<End, Error> {
    loop {
        let text = tokio::select! {
            text = client.receive_line() => text?,
            () = to_output.closed() => return Ok(End::Written),
        };
        let Some(text) = text else {
            return Ok(End::BrokenOff);
        };
        match client.understood(&text)? {
            CaptureLine::Ends(_) => return Ok(End::Daemon),
            line @ (CaptureLine::Packet(_) | CaptureLine::Lost { .. }) => {
                if to_output.send(Received { text, line }).await.is_err() {
                    return Ok(End::Written);
                }
            }
        }
    }
}

/// What the daemon told.
struct Received {
    /// As it came, with its line feed.
    text: String,
    /// What it says.
    line: CaptureLine,
}

async fn elapsed(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let packets = self.packets.load(Ordering::Relaxed);
        let packets = counted(usize::try_from(packets).unwrap_or(usize::MAX), "packet");
        let lost = grouped(self.lost.load(Ordering::Relaxed));
        write!(f, "{packets} captured, {lost} lost")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_and_the_end_are_told_in_words() {
        let names: Vec<String> = (0..22).map(|number| number.to_string()).collect();
        assert_eq!(begun(&names[..2]), "capturing packets of `0`, `1`");
        let many = begun(&names);
        assert!(many.ends_with("`19` and 2 others"), "{many}");
        let tally = Tally::default();
        assert_eq!(tally.to_string(), "0 packets captured, 0 lost");
        tally.packets.store(1, Ordering::Relaxed);
        tally.lost.store(1234, Ordering::Relaxed);
        assert_eq!(tally.to_string(), "1 packet captured, 1,234 lost");
    }
}
