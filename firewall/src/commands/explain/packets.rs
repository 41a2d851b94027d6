//! The packets that are to be explained, from the command line or a capture file.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use rules::{
    captures::{self, Frame},
    compiler::InterfaceIndex,
    diagnostics::{Code, Diagnostic, Source},
    field::InterfacePattern,
    notation,
};

use crate::{commands::explain::error::ExplainError, interfaces::list};

/// Where packets come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PacketSource {
    /// One in the notation.
    Written(String),
    /// Those of a capture file, or the one with this number.
    Captured(PathBuf, Option<usize>),
}

/// A packet.
pub(super) struct Packet {
    pub(super) frame: Vec<u8>,
    /// As written, or by its number.
    pub(super) origin: String,
    pub(super) interface: Option<String>,
}

/// Reads packets, which arrive on `interface` unless they name another one.
pub(super) fn read(
    source: PacketSource,
    interface: Option<&str>,
) -> Result<Vec<Packet>, ExplainError> {
    if let Some(name) = interface
        && InterfacePattern::parse(name).is_none_or(|pattern| pattern.is_glob())
    {
        return Err(ExplainError::Interface(name.to_owned()));
    }
    match source {
        PacketSource::Written(text) => written(&text, interface),
        PacketSource::Captured(path, index) => captured(&path, index, interface),
    }
}

fn written(text: &str, interface: Option<&str>) -> Result<Vec<Packet>, ExplainError> {
    let packet = notation::read(text).map_err(|fault| {
        let source = Arc::new(Source::new("<packet>", text));
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

/// Has the packets that name no interface arrive on the usual one.
pub(super) fn on_usual_interface(mut packets: Vec<Packet>, usual: Option<&str>) -> Vec<Packet> {
    for packet in &mut packets {
        if packet.interface.is_none() {
            packet.interface = usual.map(str::to_owned);
        }
    }
    packets
}

/// The number of an interface that exists.
pub(super) fn index_of(
    interfaces: &[list::Interface],
    name: Option<&str>,
) -> Option<InterfaceIndex> {
    let mut known = interfaces.iter();
    known
        .find(|interface| Some(interface.name.as_str()) == name)
        .map(|interface| interface.index)
}
