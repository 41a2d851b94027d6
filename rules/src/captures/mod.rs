//! Capture files, of the classic form and pcapng, and the frames in them.
//!
//! This module knows the file formats, through `pcap-parser`, but not the contents of frames. A file
//! is read block by block, as frames are asked for.

mod error;
mod frame;
mod link;
mod source;
#[cfg(test)]
mod tests;

use std::{io::Read, sync::Arc};

use pcap_parser::{
    Block, Linktype, OptionCode, PcapBlockOwned, PcapError, PcapNGOption, create_reader,
    traits::{PcapNGPacketBlock as _, PcapReaderIterator},
};

pub use self::{error::CaptureError, frame::Frame};
use self::{
    link::LinkLayer,
    source::{CaptureSource, Failure},
};

/// The initial buffer in bytes; each block must fit into the buffer.
const MIN_BUFFER: usize = 1 << 17;

/// The maximum buffer; longer blocks count as damage.
const MAX_BUFFER: usize = 1 << 26;

/// The frames of a capture file, which is read as they are asked for.
///
/// A packet that cannot be read as an Ethernet frame yields an error in its place; any other error
/// ends the iteration. An empty file has no frames.
///
/// # Errors
///
/// [`CaptureError::NoCapture`] if the bytes are not a capture file, [`CaptureError::Unreadable`]
/// if the file cannot be read.
pub fn frames<'a>(file: impl Read + Send + 'a) -> Result<Frames<'a>, CaptureError> {
    let (source, start, failure) = CaptureSource::begin(file)?;
    let reader = if start == 0 {
        None
    } else {
        let reader = create_reader(MIN_BUFFER.max(2 * start), source);
        Some(reader.map_err(|_| failure.take(0).unwrap_or(CaptureError::NoCapture))?)
    };
    Ok(Frames {
        reader,
        failure,
        interfaces: Vec::new(),
        number: 0,
        buffer: MIN_BUFFER.max(2 * start),
    })
}

/// The frames of a capture file in order; see [`frames`].
pub struct Frames<'a> {
    /// Nothing after the end.
    reader: Option<Box<dyn PcapReaderIterator + Send + 'a>>,
    failure: Failure,
    interfaces: Vec<Interface>,
    number: usize,
    /// The bytes of the reader's buffer.
    buffer: usize,
}

/// Where packets were captured.
#[derive(Clone)]
struct Interface {
    /// Its name (`if_name`), which only pcapng has.
    name: Option<Arc<str>>,
    link: Linktype,
    /// The bytes of the frame check sequence after each packet.
    trailer: usize,
}

impl Interface {
    /// What the header of a classic file says: in the lower half the link type, and if this bit is
    /// set, in the uppermost how many pairs of bytes the frame check sequence has
    /// (`draft-ietf-opsawg-pcap`).
    const fn of_file(Linktype(field): Linktype) -> Self {
        const WITH_TRAILER: i32 = 0x0400_0000;
        let pairs = if field & WITH_TRAILER == 0 {
            0
        } else {
            field.cast_unsigned() >> 28
        };
        Self {
            name: None,
            link: Linktype(field & 0xffff),
            trailer: pairs as usize * 2,
        }
    }
}

impl Iterator for Frames<'_> {
    type Item = Result<Frame, CaptureError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let error = match self.step()? {
                Step::Found(found) => return Some(found),
                Step::Nothing => continue,
                Step::Incomplete if self.refill() => continue,
                Step::TooLong if self.grow() && self.refill() => continue,
                Step::Incomplete | Step::TooLong => CaptureError::Damaged {
                    number: self.number,
                },
                Step::Broken(error) => error,
            };
            self.reader = None;
            return Some(Err(self.failure.take(self.number).unwrap_or(error)));
        }
    }
}

/// What a block is.
enum Step {
    /// It has a frame, or what is in its place.
    Found(Result<Frame, CaptureError>),
    /// It has none.
    Nothing,
    /// More of it must be read.
    Incomplete,
    /// It is longer than the buffer.
    TooLong,
    /// It is not what it should be.
    Broken(CaptureError),
}

impl Frames<'_> {
    /// Looks at the next block; nothing at the end.
    fn step(&mut self) -> Option<Step> {
        let reader = self.reader.as_mut()?;
        Some(match reader.next() {
            Ok((offset, block)) => {
                let found = frame(&block, &mut self.interfaces, &mut self.number);
                reader.consume(offset);
                match found {
                    None => Step::Nothing,
                    Some(Err(error @ CaptureError::Damaged { .. })) => Step::Broken(error),
                    Some(found) => Step::Found(found),
                }
            }
            Err(PcapError::Incomplete(_)) => Step::Incomplete,
            Err(PcapError::BufferTooSmall) => Step::TooLong,
            Err(PcapError::Eof) => {
                self.reader = None;
                return None;
            }
            Err(_) => Step::Broken(CaptureError::Damaged {
                number: self.number,
            }),
        })
    }

    /// Reads more of the file; whether that was possible.
    fn refill(&mut self) -> bool {
        let Some(reader) = &mut self.reader else {
            return false;
        };
        let before = reader.data().len();
        let is_read = reader.refill().is_ok();
        let has_more = reader.data().len() > before || reader.reader_exhausted();
        is_read && (has_more || self.grow())
    }

    /// Makes more room for a block; whether there may be more.
    fn grow(&mut self) -> bool {
        self.buffer *= 2;
        let buffer = self.buffer;
        let reader = self.reader.as_mut();
        buffer <= MAX_BUFFER && reader.is_some_and(|reader| reader.grow(buffer))
    }
}

/// The frame in a block, if it has one.
fn frame(
    block: &PcapBlockOwned<'_>,
    interfaces: &mut Vec<Interface>,
    frames: &mut usize,
) -> Option<Result<Frame, CaptureError>> {
    let (interface, bytes, length) = match block {
        PcapBlockOwned::LegacyHeader(header) => {
            interfaces.push(Interface::of_file(header.network));
            return None;
        }
        PcapBlockOwned::Legacy(packet) => (0, packet.data, packet.origlen),
        PcapBlockOwned::NG(Block::SectionHeader(_)) => {
            interfaces.clear();
            return None;
        }
        PcapBlockOwned::NG(Block::InterfaceDescription(interface)) => {
            interfaces.push(Interface {
                name: name(&interface.options),
                link: interface.linktype,
                trailer: 0,
            });
            return None;
        }
        PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
            (packet.if_id, packet.packet_data(), packet.origlen)
        }
        PcapBlockOwned::NG(Block::SimplePacket(packet)) => {
            (0, packet.packet_data(), packet.origlen)
        }
        PcapBlockOwned::NG(
            Block::NameResolution(_)
            | Block::InterfaceStatistics(_)
            | Block::SystemdJournalExport(_)
            | Block::DecryptionSecrets(_)
            | Block::ProcessInformation(_)
            | Block::Custom(_)
            | Block::Unknown(_),
        ) => return None,
    };
    *frames += 1;
    let number = *frames;
    let interface = usize::try_from(interface).ok();
    let Some(interface) = interface.and_then(|interface| interfaces.get(interface)) else {
        *frames -= 1;
        return Some(Err(CaptureError::Damaged { number: *frames }));
    };
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    Some(interface.frame(number, bytes, length))
}

/// The name of an interface among its options (`draft-ietf-opsawg-pcapng`, section 4.2), without zero
/// bytes, with which some writers end it.
fn name(options: &[PcapNGOption<'_>]) -> Option<Arc<str>> {
    let option = options
        .iter()
        .find(|option| option.code == OptionCode::IfName)?;
    let name = str::from_utf8(option.as_bytes().ok()?).ok()?;
    let name = name.trim_end_matches('\0');
    (!name.is_empty()).then(|| name.into())
}

impl Interface {
    /// The Ethernet frame of a packet that had `length` bytes.
    fn frame(&self, number: usize, bytes: &[u8], length: usize) -> Result<Frame, CaptureError> {
        let Linktype(link) = self.link;
        let foreign = CaptureError::NotEthernet { number, link };
        let layer = LinkLayer::of(link).ok_or(foreign.clone())?;
        let length = length.saturating_sub(self.trailer);
        let bytes = bytes.get(..length).unwrap_or(bytes);
        Ok(Frame {
            number,
            bytes: layer.frame(bytes).ok_or(foreign)?,
            length: layer.frame_len(length),
            interface: self.name.clone(),
        })
    }
}
