//! `firewall explain`: what becomes of a packet, and why.
//!
//! The verdict is the walker's; the reasons are the reference evaluator's. Should the two not
//! agree, both are told, as a defect.

pub(crate) mod live;
pub(crate) mod report;

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use rules::{
    captures::{self, Frame},
    compiler::InterfaceIndex,
    diagnostics::{Code, Diagnostic, Source},
    field::InterfacePattern,
    notation,
};
use tokio::task;

use crate::{
    candidate::{
        budget::Budget,
        compile::{self, Candidate, Predecessor},
        rule_tests,
    },
    commands::explain::report::{Report, Shown},
    config::Config,
    error::{Error, explain::ExplainError},
    interfaces::list,
    kernel::generation::Generation,
    logging::{lines::tell_progress, progress::Progress},
    rule_file::load::{self, RuleFile},
};

/// What is to be explained.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    /// By which rules.
    pub(crate) rules: Rules,
    /// Which packets.
    pub(crate) packets: Packets,
    /// The interface on which they arrive, when they do not say it.
    pub(crate) interface: Option<String>,
    /// Whether as JSON.
    pub(crate) json: bool,
}

/// The rules that a packet is to meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rules {
    /// Those of a file.
    File(PathBuf),
    /// Those in force.
    Live,
}

/// The packets to be explained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Packets {
    /// One in the notation.
    Written(String),
    /// Those of a capture file, or the one of this number.
    Captured(PathBuf, Option<usize>),
}

/// A packet.
pub(crate) struct Packet {
    frame: Vec<u8>,
    /// As written, or by its number.
    origin: String,
    interface: Option<String>,
}

/// Explains packets.
pub(crate) async fn run(config: &Config, question: Question) -> Result<(), Error> {
    let packets = packets(&question)?;
    let shown = match &question.rules {
        Rules::File(path) => by_file(path, packets).await?,
        Rules::Live => live::explain(config, packets).await?,
    };
    let disagree = shown.iter().any(Shown::is_defect);
    let report = Report { packets: shown };
    let text = if question.json {
        report.to_json()?
    } else {
        report.to_text()
    };
    io::stdout()
        .write_all(text.as_bytes())
        .map_err(Error::Output)?;
    if disagree {
        return Err(ExplainError::Disagreement.into());
    }
    Ok(())
}

async fn by_file(path: &Path, packets: Vec<Packet>) -> Result<Vec<Shown>, Error> {
    let progress = Progress::told_to(tell_progress);
    let (place, at) = (path.to_owned(), progress.clone());
    let file = task::spawn_blocking(move || load::load(&place, &at)).await??;
    let usual = file.ruleset.settings.usual_interface().map(str::to_owned);
    let packets = on_usual_interface(packets, usual.as_deref());
    let candidate = compile(file, &packets, progress).await?;
    let classifier = candidate.classifier();
    let shown = packets.into_iter().map(|packet| {
        let index = candidate.interface(packet.interface.as_deref());
        let verdict = classifier.classify(&packet.frame, index);
        let file = candidate.metadata.file.display().to_string();
        Shown::explained(candidate.ruleset(), &file, packet, verdict, true)
    });
    Ok(shown.collect())
}

/// Gives the packets that do not say where they arrive the usual interface.
fn on_usual_interface(mut packets: Vec<Packet>, usual: Option<&str>) -> Vec<Packet> {
    for packet in &mut packets {
        if packet.interface.is_none() {
            packet.interface = usual.map(str::to_owned);
        }
    }
    packets
}

/// Compiles a rule file for the interfaces that packets arrive on.
async fn compile(
    file: RuleFile,
    packets: &[Packet],
    progress: Progress,
) -> Result<Candidate, Error> {
    let named = packets
        .iter()
        .filter_map(|packet| packet.interface.as_deref());
    let interfaces = rule_tests::with_absent(list::list().await?, named);
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

fn packets(question: &Question) -> Result<Vec<Packet>, ExplainError> {
    if let Some(name) = &question.interface
        && InterfacePattern::parse(name).is_none_or(|pattern| pattern.is_glob())
    {
        return Err(ExplainError::Interface(name.clone()));
    }
    match &question.packets {
        Packets::Written(text) => written(text, question.interface.as_deref()),
        Packets::Captured(path, index) => captured(path, *index, question.interface.as_deref()),
    }
}

fn written(text: &str, interface: Option<&str>) -> Result<Vec<Packet>, ExplainError> {
    let packet = notation::read(text).map_err(|fault| {
        let source = std::sync::Arc::new(Source::new("<packet>", text));
        let mut diagnostic =
            Diagnostic::new(Code::InvalidPacket, &source, fault.at.into(), fault.message);
        diagnostic.help = fault.help;
        ExplainError::Packet(Box::new(diagnostic))
    })?;
    Ok(vec![Packet {
        frame: packet.frame,
        origin: text.to_owned(),
        interface: packet.interface.or(interface.map(str::to_owned)),
    }])
}

fn captured(
    path: &Path,
    index: Option<usize>,
    interface: Option<&str>,
) -> Result<Vec<Packet>, ExplainError> {
    let bytes = fs::read(path).map_err(|source| ExplainError::Read {
        path: path.to_owned(),
        source,
    })?;
    let frames: Result<Vec<Frame>, _> = captures::frames(&bytes).and_then(Iterator::collect);
    let frames = frames.map_err(|source| ExplainError::Capture {
        path: path.to_owned(),
        source,
    })?;
    let count = frames.len();
    let packets: Vec<Packet> = frames
        .into_iter()
        .filter(|frame| index.is_none_or(|index| index == frame.number))
        .map(|frame| {
            let part = if frame.is_whole() {
                ""
            } else {
                ", captured in part"
            };
            Packet {
                origin: format!("packet {} of {}{part}", frame.number, path.display()),
                frame: frame.bytes,
                interface: interface.map(str::to_owned),
            }
        })
        .collect();
    if packets.is_empty() {
        return Err(ExplainError::NoPacket {
            path: path.to_owned(),
            count,
        });
    }
    Ok(packets)
}

/// The number of an interface that is there.
fn index_of(interfaces: &[list::Interface], name: Option<&str>) -> Option<InterfaceIndex> {
    let mut known = interfaces.iter();
    known
        .find(|interface| Some(interface.name.as_str()) == name)
        .map(|interface| interface.index)
}
