//! Captures packets that rules log, as the daemon passes them on.
//!
//! One task reads from the daemon, a thread writes the output. A reader that does not read the output
//! blocks the thread alone: the command still ends when it is asked to.

use std::{
    io::{self, IsTerminal as _},
    num::NonZeroU64,
    sync::Arc,
    time::Duration,
};

use clap::{
    Args,
    builder::{PathBufValueParser, TypedValueParser as _},
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    task,
    time::timeout,
};

use crate::{
    commands::capture::{
        error::CaptureError,
        form::{Form, Target},
        lines::{Received, Tally},
        output::Output,
    },
    config::Config,
    control::{
        client::Client,
        protocol::{Answer, CaptureFilter, CaptureLine, Request, names_in_words},
    },
    error::Error,
    logging::lines::tell,
};

/// Show packets of rules that log, as they arrive
///
/// A rule logs with `log = true`, or with `log = { rate = ..., burst = ... }`, which limits how many
/// packets. Requires a running daemon. Ctrl-C ends the capture and prints how many packets were
/// captured, and how many were lost because they came faster than they were read.
#[derive(Debug, Args)]
pub(crate) struct CaptureArgs {
    /// Only packets of this rule; may be repeated
    #[arg(long = "rule", value_name = "NAME")]
    rules: Vec<String>,
    /// Write a capture file (pcapng); `-` is stdout, as in `--write - | tcpdump -r -`
    #[arg(long, value_name = "FILE", value_parser = PathBufValueParser::new().map(Target::new))]
    write: Option<Target>,
    /// Print JSON
    #[arg(long, conflicts_with = "write")]
    json: bool,
    /// Stop after this many packets
    #[arg(long, value_name = "NUMBER")]
    count: Option<NonZeroU64>,
    /// Stop after this time, such as 30s or 5min
    #[arg(long = "for", value_name = "TIME", value_parser = length_of_time)]
    time: Option<Duration>,
}

impl CaptureArgs {
    /// The form of the output.
    fn form(&self) -> Form {
        match &self.write {
            Some(target) => Form::Pcapng(target.clone()),
            None if self.json => Form::Json,
            None => Form::Text,
        }
    }
}

fn length_of_time(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        Ok(_) | Err(_) => Err("expected a time, such as `30s` or `5min`".into()),
    }
}

/// How many lines are read ahead of what is written.
const AHEAD: usize = 64;

/// How long the end waits until what was read is written.
const LAST_LINES: Duration = Duration::from_secs(1);

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
pub(crate) async fn run(config: &Config, args: CaptureArgs) -> Result<(), Error> {
    let form = args.form();
    if form == Form::Pcapng(Target::Stdout) && io::stdout().is_terminal() {
        return Err(CaptureError::Terminal.into());
    }
    let mut client = Client::connect(config).await?;
    let rules = args.rules.into_iter().collect();
    let request = Request::Capture(CaptureFilter { rules });
    let rules = match client.ask(&request).await? {
        Answer::Capturing { rules } => rules,
        Answer::Failed(failure) => return Err(failure.into()),
        Answer::Ending
        | Answer::Alive { .. }
        | Answer::Done { .. }
        | Answer::Bans(_)
        | Answer::Addresses(_)
        | Answer::Report { .. } => {
            return Err(Error::Ending);
        }
    };
    tell("capturing", &begun(&rules));
    let tally = Arc::new(Tally::default());
    let (to_output, lines) = mpsc::channel(AHEAD);
    let output = Output {
        form,
        count: args.count,
        tally: Arc::clone(&tally),
    };
    let mut interrupt =
        signal(SignalKind::interrupt()).map_err(Error::system("cannot receive signals"))?;
    let mut terminate =
        signal(SignalKind::terminate()).map_err(Error::system("cannot receive signals"))?;
    let writing = task::spawn_blocking(move || output.write(lines));
    let end = tokio::select! {
        end = read(client, to_output) => end?,
        _ = interrupt.recv() => End::Told,
        _ = terminate.recv() => End::Told,
        () = elapsed(args.time) => End::Told,
    };
    // Nobody may be reading the output, so that the last line is never written.
    if let Ok(written) = timeout(LAST_LINES, writing).await {
        written??;
    }
    if matches!(end, End::Daemon) {
        tell("daemon_ends", "the daemon has stopped");
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
        return "no rule logs yet: add `log = true` to one and run `firewall reload`".to_owned();
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

async fn elapsed(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

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

    #[test]
    fn a_capture_has_one_form_and_may_have_ends() {
        #[derive(Debug, clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: CaptureArgs,
        }
        let read = |words: &[&str]| {
            let words = ["capture"].iter().chain(words);
            <Line as clap::Parser>::try_parse_from(words).map(|line| line.args)
        };
        let plain = read(&[]).unwrap();
        assert_eq!(
            (plain.form(), plain.count, plain.time),
            (Form::Text, None, None)
        );
        assert!(plain.rules.is_empty());
        let some = read(&["--rule", "a", "--rule", "b", "--json", "--for", "30s"]).unwrap();
        assert_eq!(some.rules, ["a", "b"]);
        assert_eq!(some.form(), Form::Json);
        assert_eq!(some.time, Some(Duration::from_secs(30)));
        let piped = read(&["--write", "-", "--count", "7"]).unwrap();
        assert_eq!(piped.form(), Form::Pcapng(Target::Stdout));
        assert_eq!(piped.count, NonZeroU64::new(7));
        let file = read(&["--write", "a.pcapng"]).unwrap();
        assert_eq!(file.form(), Form::Pcapng(Target::File("a.pcapng".into())));
        for words in [
            &["--count", "0"] as &[_],
            &["--for", "0s"],
            &["--for", "30"],
            &["--json", "--write", "-"],
        ] {
            assert!(read(words).is_err(), "{words:?}");
        }
    }
}
