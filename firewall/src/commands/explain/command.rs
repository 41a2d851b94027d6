//! Explains packets by a rule file or by the rules in force.
//!
//! The verdict is the walker's; the reasons are the reference evaluator's. If they do not agree, both
//! are shown, as a defect.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, builder::PossibleValuesParser};
use rules::{compiler::InterfaceIndex, field::State, model::Direction, text::duration};
use tokio::task;

use crate::{
    candidate::{
        budget::Budget,
        compile::{self, Candidate, Predecessor},
        rule_tests,
    },
    commands::{
        args::whole_number,
        explain::{
            asked::{Asked, Asking},
            capture::{CaptureReport, ReportForm},
            error::ExplainError,
            explained::Explained,
            explainer::Explainer,
            live,
            packets::{self, PacketSource, WrittenSequence},
        },
    },
    config::Config,
    error::Error,
    interfaces::list,
    kernel::generation::Generation,
    logging::{lines::tell_progress, progress::Progress},
    rule_file::{
        input::RuleInput,
        load::{self, RuleFile},
    },
};

/// Explain the verdict on a packet
///
/// The packet is written as in 'tcp 203.0.113.9:4444 > 192.0.2.1:22 syn', in quotes, because the shell has
/// another use for `>`; docs/packets.md describes the notation. Needs no privileges, except for `--live`.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The rule file, unless `--live` is given, and the packet, unless `--pcap` is given
    #[arg(value_names = ["FILE", "PACKET"], num_args = 0..)]
    operands: Vec<String>,
    /// Explain each packet of a capture file (pcap or pcapng, also compressed with gzip; `-` for
    /// standard input) in a line, with a summary by rule
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// Only the packet with this number, counted from 1, in full
    #[arg(
        long,
        value_name = "NUMBER",
        requires = "pcap",
        value_parser = whole_number::<usize>(1)
    )]
    index: Option<usize>,
    /// With all rules for each packet of a capture
    #[arg(long, requires = "pcap")]
    full: bool,
    /// Use the rules in force
    #[arg(long)]
    live: bool,
    /// Interface on which packets arrive that do not name one, and all packets of a capture
    /// [default: the one that the capture names, or else the first that the rules name]
    #[arg(long, value_name = "NAME")]
    interface: Option<String>,
    /// A packet that came before, in the same notation; may be given several times, in order. Each must pass
    #[arg(long, value_name = "PACKET", conflicts_with_all = ["pcap", "live", "state"])]
    given: Vec<String>,
    /// Time between the last packet of `--given` and the packet [default: 0]
    #[arg(long, value_name = "TIME", requires = "given", value_parser = time)]
    after: Option<Duration>,
    /// What the packet is to the flows that are known, which must come in [default: what the packets of
    /// `--given`, or with `--live` the flows in the table, make of it]
    #[arg(
        long,
        value_name = "STATE",
        conflicts_with = "pcap",
        value_parser = PossibleValuesParser::new(State::ALL.map(State::as_str))
    )]
    state: Option<String>,
    /// Print JSON; of a capture a line for each packet
    #[arg(long)]
    json: bool,
}

fn time(text: &str) -> Result<Duration, String> {
    duration(text)
        .ok_or_else(|| "expected a time such as `2s`, `1h30m` or `90`, which is seconds".to_owned())
}

/// The rules that decide about the packets.
#[derive(Clone, Debug, PartialEq, Eq)]
enum RuleSource {
    /// Those of a file.
    File(PathBuf),
    /// Those in force.
    Live,
}

/// Explains packets.
pub(crate) async fn run(config: &Config, args: ExplainArgs) -> Result<(), Error> {
    let form = ReportForm {
        full: args.full,
        json: args.json,
    };
    let interface = args.interface.clone();
    let states = State::ALL.into_iter();
    let state = args.state.as_deref();
    let state = state.and_then(|word| states.clone().find(|state| state.as_str() == word));
    let (given, after) = (args.given.clone(), args.after.unwrap_or_default());
    let (rules, source) = args.sources()?;
    packets::check_interface(interface.as_deref())?;
    let source = match source {
        PacketSource::Written(text) => {
            let read = |text: &String| packets::written(text, interface.as_deref());
            let packet = read(&text)?;
            if state.is_some() && packet.context.direction == Direction::Out {
                return Err(ExplainError::StateOfOut.into());
            }
            Asking::Written(WrittenSequence {
                given: given.iter().map(read).collect::<Result<_, _>>()?,
                after,
                packet,
                state,
            })
        }
        PacketSource::Captured(path, index) => {
            Asking::Captured(CaptureReport::new(path, index, interface.is_none()))
        }
    };
    let asked = Asked {
        source,
        interface,
        form,
    };
    let is_defect = match &rules {
        RuleSource::File(path) => by_file(path, asked).await?,
        RuleSource::Live => live::explain(config, asked).await?,
    };
    if is_defect {
        return Err(ExplainError::Disagreement.into());
    }
    Ok(())
}

impl ExplainArgs {
    /// Which operand is what: a rule file unless `--live`, and a packet unless `--pcap`.
    fn sources(self) -> Result<(RuleSource, PacketSource), ExplainError> {
        let mut operands = self.operands.into_iter();
        let rules = if self.live {
            RuleSource::Live
        } else {
            let file = operands.next().ok_or(ExplainError::NoRules)?;
            RuleSource::File(file.into())
        };
        if let Some(file) = self.pcap {
            return match operands.next() {
                None => Ok((rules, PacketSource::Captured(file, self.index))),
                Some(operand) => Err(ExplainError::Surplus(operand)),
            };
        }
        let operands: Vec<String> = operands.collect();
        match operands.as_slice() {
            [] => Err(ExplainError::NoPackets),
            [packet] => Ok((rules, PacketSource::Written(packet.clone()))),
            [first, ..] if operands.iter().any(|operand| operand.contains(' ')) => {
                Err(ExplainError::Surplus(first.clone()))
            }
            // The words of a packet without quotes, of which the shell takes `>` and the next word.
            [first, ..] => {
                let packet = operands.join(" ");
                if packet.contains('>') || matches!(first.as_str(), "ethertype" | "hex") {
                    Ok((rules, PacketSource::Written(packet)))
                } else {
                    Err(ExplainError::Unquoted(packet))
                }
            }
        }
    }
}

async fn by_file(path: &Path, asked: Asked) -> Result<bool, Error> {
    let progress = Progress::told_to(tell_progress);
    let (place, at) = (path.to_owned(), progress.clone());
    let load = move || load::load(&RuleInput::of_argument(&place)?, &at);
    let file = task::spawn_blocking(load).await??;
    let mut asked = asked.on_usual_interface(file.ruleset.settings.usual_interface());
    let mut named: Vec<String> = asked.interfaces().map(str::to_owned).collect();
    loop {
        let candidate = compile(file.clone(), &named, progress.clone()).await?;
        let outcome = asked.print(&Explainer {
            classifier: candidate.classifier(),
            metadata: &candidate.metadata,
            ruleset: Some(candidate.ruleset()),
            is_certain: true,
            index_of: Box::new(|name| stand_in(&candidate, name)),
            learns_interfaces: true,
            pins: None,
        })?;
        match outcome {
            Explained::Done => return Ok(false),
            Explained::Defect => return Ok(true),
            Explained::Unknown(name) => named.push(name),
        }
    }
}

/// The index of an interface for which the rules were compiled and which they do not tell from the one of
/// this name: a capture from a machine with many interfaces does not need as many compilations.
fn stand_in(candidate: &Candidate, name: &str) -> Option<InterfaceIndex> {
    let all = &candidate.interfaces;
    let rules = &candidate.ruleset().rules;
    let is_same = |known: &str| {
        let mut named = rules
            .iter()
            .filter_map(|rule| rule.matches.interface.as_ref());
        named.all(|interface| interface.matches(known) == interface.matches(name))
    };
    let itself = all.iter().find(|(_, known)| *known == name);
    let found = itself.or_else(|| all.iter().find(|(_, known)| is_same(known)));
    found.map(|(index, _)| *index)
}

/// Compiles a rule file for the interfaces that packets arrive on.
async fn compile(file: RuleFile, named: &[String], progress: Progress) -> Result<Candidate, Error> {
    let interfaces = rule_tests::with_absent(list::list().await?, named.iter().map(String::as_str));
    let compile = move || {
        let (before, budget) = (Predecessor::default(), Budget::DEFAULT);
        compile::compile(
            &file,
            &interfaces,
            Generation::FIRST,
            &before,
            budget,
            &progress,
        )
    };
    Ok(task::spawn_blocking(compile).await??)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_explained_is_named_once() {
        let asked = |words: &[&str], live, pcap: Option<&str>| {
            let args = ExplainArgs {
                operands: words.iter().map(|word| (*word).to_owned()).collect(),
                pcap: pcap.map(PathBuf::from),
                index: None,
                state: None,
                given: Vec::new(),
                after: None,
                full: false,
                live,
                interface: None,
                json: false,
            };
            args.sources().map_err(|error| error.to_string())
        };
        let file = RuleSource::File("f".into());
        let written = PacketSource::Written("p".into());
        let captured = PacketSource::Captured("c".into(), None);
        assert_eq!(
            asked(&["f", "p"], false, None),
            Ok((file.clone(), written.clone()))
        );
        assert_eq!(
            asked(&["f"], false, Some("c")),
            Ok((file.clone(), captured.clone()))
        );
        assert_eq!(asked(&["p"], true, None), Ok((RuleSource::Live, written)));
        assert_eq!(
            asked(&[], true, Some("c")),
            Ok((RuleSource::Live, captured))
        );
        let words = |words: &[&str]| asked(words, false, None);
        let joined = |packet: &str| Ok((file.clone(), PacketSource::Written(packet.into())));
        assert_eq!(
            words(&["f", "tcp", "a", ">", "b", "syn"]),
            joined("tcp a > b syn")
        );
        assert_eq!(words(&["f", "hex", "00", "01"]), joined("hex 00 01"));
        // As the shell passes on `tcp a > b syn`.
        let unquoted = words(&["f", "tcp", "a", "syn"]).unwrap_err();
        assert_eq!(unquoted, "the packet `tcp a syn` has no `>`");
        let surplus = words(&["f", "g", "tcp a > b"]).unwrap_err();
        assert!(surplus.contains("unexpected `g`"), "{surplus}");
        assert!(asked(&["f"], false, None).is_err());
        assert!(asked(&["f", "p"], true, None).is_err());
        assert!(asked(&["f", "p"], false, Some("c")).is_err());
        assert!(asked(&[], false, None).is_err());
    }
}
