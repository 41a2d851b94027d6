//! The packets that are to be explained, from the command line or a capture file.

use std::{path::PathBuf, sync::Arc, time::Duration};

use rules::{
    Context,
    compiler::InterfaceIndex,
    diagnostics::{Code, Diagnostic, Source},
    field::{InterfacePattern, State},
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
#[derive(Clone)]
pub(super) struct Packet {
    pub(super) frame: Vec<u8>,
    /// How many bytes it had on the wire.
    pub(super) length: usize,
    /// As written, or by its number.
    pub(super) origin: String,
    pub(super) context: Context<Option<String>>,
}

impl Packet {
    /// Its context with the names of its interfaces.
    pub(super) fn named(&self) -> Context<Option<&str>> {
        self.context.as_ref().map(Option::as_deref)
    }

    /// Whether all of it is there.
    pub(super) const fn is_whole(&self) -> bool {
        self.frame.len() >= self.length
    }
}

/// A packet, and those that came before it.
#[derive(Clone)]
pub(super) struct WrittenSequence {
    /// They must pass.
    pub(super) given: Vec<Packet>,
    /// The time between the last of these and the packet.
    pub(super) after: Duration,
    pub(super) packet: Packet,
    /// The state of the packet, if that was said.
    pub(super) state: Option<State>,
}

impl WrittenSequence {
    /// All in their order.
    pub(super) fn all(&self) -> impl Iterator<Item = &Packet> {
        self.given.iter().chain([&self.packet])
    }
}

/// Checks the name of an interface on which packets are to arrive.
pub(super) fn check_interface(name: Option<&str>) -> Result<(), ExplainError> {
    match name {
        Some(name) if InterfacePattern::parse(name).is_none_or(|pattern| pattern.is_glob()) => {
            Err(ExplainError::Interface(name.to_owned()))
        }
        Some(_) | None => Ok(()),
    }
}

/// Reads a packet in the notation, which is on `interface` unless it names another one.
pub(super) fn written(text: &str, interface: Option<&str>) -> Result<Packet, ExplainError> {
    let packet = notation::read(text).map_err(|fault| {
        let source = Arc::new(Source::new("<packet>", text));
        let mut diagnostic =
            Diagnostic::new(Code::InvalidPacket, &source, fault.at.into(), fault.message);
        diagnostic.help = fault.help;
        ExplainError::Packet(Box::new(diagnostic))
    })?;
    Ok(Packet {
        length: packet.frame.len(),
        frame: packet.frame,
        origin: text.to_owned(),
        context: Context {
            interface: packet.context.interface.or(interface.map(str::to_owned)),
            ..packet.context
        },
    })
}

/// The number of an interface that exists.
pub(super) fn index_of(interfaces: &[list::Interface], name: &str) -> Option<InterfaceIndex> {
    let mut known = interfaces.iter();
    known
        .find(|interface| interface.name == name)
        .map(|interface| interface.index)
}
