//! Captures packets that rules log, or that are dropped, as the daemon passes them on.
//!
//! One task reads from the daemon, a thread writes the output. A reader that does not read the output
//! blocks the thread alone: the command still ends when it is asked to.

use std::{
    collections::BTreeSet,
    io::{self, IsTerminal as _},
    num::{NonZeroU32, NonZeroU64},
    sync::Arc,
    time::Duration,
};

use clap::{
    Args,
    builder::{PathBufValueParser, TypedValueParser as _},
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{Notify, mpsc},
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
    packet_log::drop_filter::DropFilter,
};

/// Show packets of rules that log, or all packets that are dropped, as they arrive
///
/// A rule logs with `log = true`, or with `log = { rate = ..., burst = ... }`, which limits how many
/// packets. With `--drops`, packets that a rule, the policy, the parser or a ban drops are shown with the
/// reason, whether or not rules log. Requires a running daemon. Ctrl-C ends the capture and prints how many
/// packets were captured, and how many were lost because they came faster than they were read.
#[derive(Debug, Args)]
pub(crate) struct CaptureArgs {
    /// Only packets of this rule; may be repeated
    #[arg(long = "rule", value_name = "NAME")]
    rules: Vec<String>,
    /// Show packets that are dropped, with the reason, without a change of rules
    #[arg(long)]
    drops: bool,
    /// Only packets dropped for this reason: `policy`, `parser`, `banned`, `rule` or another of the counters;
    /// may be repeated
    #[arg(long = "reason", value_name = "REASON", requires = "drops")]
    reasons: Vec<String>,
    /// Only packets `in` or `out`
    #[arg(long, value_name = "DIRECTION", requires = "drops")]
    direction: Option<String>,
    /// Only packets of this interface
    #[arg(long, value_name = "NAME", requires = "drops")]
    interface: Option<String>,
    /// Only packets from or to this address, prefix or range; may be repeated
    #[arg(long = "address", value_name = "ADDRESS", requires = "drops")]
    addresses: Vec<String>,
    /// Only packets from this address, prefix or range; may be repeated
    #[arg(long, value_name = "ADDRESS", requires = "drops")]
    src: Vec<String>,
    /// Only packets to this address, prefix or range; may be repeated
    #[arg(long, value_name = "ADDRESS", requires = "drops")]
    dst: Vec<String>,
    /// Only packets of this protocol, by its name or number; may be repeated
    #[arg(long, value_name = "PROTOCOL", requires = "drops")]
    proto: Vec<String>,
    /// Only packets from or to this port; may be repeated
    #[arg(long = "port", value_name = "PORT", requires = "drops")]
    ports: Vec<u16>,
    /// Show one of so many dropped packets, chosen at random
    #[arg(long, value_name = "NUMBER", requires = "drops")]
    sample: Option<NonZeroU32>,
    /// Show at most so many dropped packets per second [default: 1000]
    #[arg(long, value_name = "NUMBER", requires = "drops")]
    rate: Option<NonZeroU32>,
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
    /// What the daemon is asked for.
    fn filter(&self) -> CaptureFilter {
        let rules = self.rules.iter().cloned().collect();
        if !self.drops {
            return CaptureFilter { rules, drops: None };
        }
        CaptureFilter {
            rules: BTreeSet::new(),
            drops: Some(Box::new(DropFilter {
                rules,
                reasons: self.reasons.iter().cloned().collect(),
                direction: self.direction.clone(),
                interface: self.interface.clone(),
                addresses: self.addresses.clone(),
                src: self.src.clone(),
                dst: self.dst.clone(),
                proto: self.proto.clone(),
                ports: self.ports.clone(),
                sample: self.sample,
                rate: self.rate,
            })),
        }
    }

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
    let request = Request::Capture(args.filter());
    let (rules, reasons) = match client.ask(&request).await? {
        Answer::Capturing { rules, reasons } => (rules, reasons),
        Answer::Failed(failure) => return Err(failure.into()),
        Answer::Ending
        | Answer::Alive { .. }
        | Answer::Done { .. }
        | Answer::Bans(_)
        | Answer::Addresses(_) => {
            return Err(Error::Ending);
        }
    };
    tell("capturing", &begun(&rules, &reasons, args.drops));
    let tally = Arc::new(Tally::default());
    let (to_output, lines) = mpsc::channel(AHEAD);
    let full = Arc::new(Notify::new());
    let output = Output {
        form,
        count: args.count,
        tally: Arc::clone(&tally),
        full: args.drops.then(|| Arc::clone(&full)),
    };
    let writing_side = client
        .writing_side()
        .map_err(Error::system("cannot end a capture"))?;
    let mut interrupt =
        signal(SignalKind::interrupt()).map_err(Error::system("cannot receive signals"))?;
    let mut terminate =
        signal(SignalKind::terminate()).map_err(Error::system("cannot receive signals"))?;
    let writing = task::spawn_blocking(move || output.write(lines));
    let end = {
        let reading = read(client, to_output);
        tokio::pin!(reading);
        let end = tokio::select! {
            end = &mut reading => end?,
            _ = interrupt.recv() => End::Told,
            _ = terminate.recv() => End::Told,
            () = elapsed(args.time) => End::Told,
            () = full.notified() => End::Told,
        };
        if args.drops && matches!(end, End::Told) {
            writing_side.close();
            // The last packets, and what became of the others.
            let _ = timeout(LAST_LINES, reading).await;
        }
        end
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
fn begun(rules: &[String], reasons: &[String], drops: bool) -> String {
    let what = if drops { "dropped packets" } else { "packets" };
    if rules.is_empty() && reasons.is_empty() {
        return if drops {
            format!("capturing {what}")
        } else {
            "no rule logs yet: add `log = true` to one and run `firewall reload`".to_owned()
        };
    }
    let rules = (!rules.is_empty()).then(|| names_in_words(rules));
    let reasons = (!reasons.is_empty()).then(|| match reasons {
        [reason] => format!("the reason `{reason}`"),
        _ => format!("the reasons {}", names_in_words(reasons)),
    });
    let both: Vec<String> = [rules, reasons].into_iter().flatten().collect();
    format!("capturing {what} of {}", both.join(" and of "))
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
            line @ (CaptureLine::Packet(_)
            | CaptureLine::Lost { .. }
            | CaptureLine::Tally { .. }) => {
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
    use crate::packet_log::drop_captures::DropTally;

    #[test]
    fn the_beginning_and_the_end_are_told_in_words() {
        let names: Vec<String> = (0..22).map(|number| number.to_string()).collect();
        assert_eq!(
            begun(&names[..2], &[], false),
            "capturing packets of `0`, `1`"
        );
        let many = begun(&names, &[], false);
        assert!(many.ends_with("`19` and 2 others"), "{many}");
        let tally = Tally::default();
        assert_eq!(tally.to_string(), "0 packets captured, 0 lost");
        tally.packets.store(1, Ordering::Relaxed);
        tally.lost.store(1234, Ordering::Relaxed);
        assert_eq!(tally.to_string(), "1 packet captured, 1,234 lost");
        assert_eq!(
            begun(&names[..1], &["policy".into()], true),
            "capturing dropped packets of `0` and of the reason `policy`"
        );
        let drops = DropTally {
            dropped: 41_001,
            emitted: 1,
            suppressed: 1000,
            not_sampled: 40_000,
            ..DropTally::default()
        };
        tally.drops.set(drops).unwrap();
        assert_eq!(
            tally.to_string(),
            "1 packet captured, 1,234 lost; 41,001 packets dropped meanwhile: 1 emitted, 1,000 suppressed, \
             40,000 not sampled"
        );
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
        let drops = read(&["--drops", "--rule", "a", "--port", "22", "--sample", "10"]).unwrap();
        let filter = drops.filter();
        assert!(filter.rules.is_empty());
        let drops = filter.drops.unwrap();
        assert_eq!((drops.rules.len(), drops.ports), (1, vec![22]));
        for words in [
            &["--sample", "10"] as &[_],
            &["--drops", "--sample", "0"],
            &["--count", "0"],
            &["--for", "0s"],
            &["--for", "30"],
            &["--json", "--write", "-"],
        ] {
            assert!(read(words).is_err(), "{words:?}");
        }
    }
}
