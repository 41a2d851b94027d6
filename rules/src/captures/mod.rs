//! Capture files, of the classic form and pcapng, and the frames in them.
//!
//! This module knows the file formats, through `pcap-parser`, but not the contents of frames.

use pcap_parser::{
    Block, Linktype, PcapBlockOwned, PcapError, create_reader,
    traits::{PcapNGPacketBlock as _, PcapReaderIterator},
};

/// The minimum buffer for a file, in bytes; each of its blocks must fit into it.
const MIN_BUFFER: usize = 1 << 16;

/// The bits of the link type in a classic file; the bits above give the length of the frame check
/// sequence.
const LINK_TYPE: i32 = 0x0fff_ffff;

/// A captured frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its number in the file, counted from 1.
    pub number: usize,
    /// The bytes that were captured, from the Ethernet header on.
    pub bytes: Vec<u8>,
    /// The length of the frame on the wire, in bytes.
    pub length: usize,
}

impl Frame {
    /// Whether the whole frame was captured.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.bytes.len() >= self.length
    }
}

/// Why a capture file, or a frame of it, cannot be read.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum CaptureError {
    /// It does not begin like a capture file.
    #[error("it is no capture file, neither pcap nor pcapng")]
    NoCapture,
    /// A frame was captured on a link that is not Ethernet.
    #[error("packet {number} was captured on a link of type {link}, which is not Ethernet")]
    NotEthernet {
        /// The number of the frame in the file, counted from 1.
        number: usize,
        /// The number of the link type.
        link: i32,
    },
    /// A part of the file is damaged or missing.
    #[error("it is damaged or cut off behind packet {number}")]
    Damaged {
        /// The number of the last frame that could be read; 0 for none.
        number: usize,
    },
}

/// The frames of a capture file.
///
/// A frame from a link other than Ethernet yields an error in its place; any other error ends the
/// iteration.
///
/// # Errors
///
/// [`CaptureError::NoCapture`] if the bytes are not a capture file.
pub fn frames(bytes: &[u8]) -> Result<Frames<'_>, CaptureError> {
    let reader = create_reader(bytes.len().max(MIN_BUFFER), bytes);
    Ok(Frames {
        reader: reader.map_err(|_| CaptureError::NoCapture)?,
        links: Vec::new(),
        number: 0,
        may_refill: true,
        has_ended: false,
    })
}

/// The frames of a capture file in order; see [`frames`].
pub struct Frames<'a> {
    reader: Box<dyn PcapReaderIterator + Send + 'a>,
    /// The link types of the interfaces that the file has named.
    links: Vec<Linktype>,
    number: usize,
    may_refill: bool,
    has_ended: bool,
}

impl Iterator for Frames<'_> {
    type Item = Result<Frame, CaptureError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.has_ended {
            match self.reader.next() {
                Ok((offset, block)) => {
                    let found = frame(&block, &mut self.links, &mut self.number);
                    self.reader.consume(offset);
                    if found.is_some() {
                        return found;
                    }
                }
                Err(PcapError::Incomplete(_)) if self.may_refill => {
                    self.may_refill =
                        self.reader.refill().is_ok() && !self.reader.reader_exhausted();
                }
                Err(error) => {
                    self.has_ended = true;
                    let number = self.number;
                    return (error != PcapError::Eof)
                        .then_some(Err(CaptureError::Damaged { number }));
                }
            }
        }
        None
    }
}

/// The frame in a block, if it has one.
fn frame(
    block: &PcapBlockOwned<'_>,
    links: &mut Vec<Linktype>,
    frames: &mut usize,
) -> Option<Result<Frame, CaptureError>> {
    let (interface, bytes, length) = match block {
        PcapBlockOwned::LegacyHeader(header) => {
            links.push(Linktype(header.network.0 & LINK_TYPE));
            return None;
        }
        PcapBlockOwned::Legacy(packet) => (0, packet.data, packet.origlen),
        PcapBlockOwned::NG(Block::SectionHeader(_)) => {
            links.clear();
            return None;
        }
        PcapBlockOwned::NG(Block::InterfaceDescription(interface)) => {
            links.push(interface.linktype);
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
    let link = interface.and_then(|interface| links.get(interface).copied());
    Some(match link {
        Some(Linktype::ETHERNET) => Ok(Frame {
            number,
            bytes: bytes.to_vec(),
            length: usize::try_from(length).unwrap_or(usize::MAX),
        }),
        Some(Linktype(link)) => Err(CaptureError::NotEthernet { number, link }),
        None => Err(CaptureError::Damaged { number: number - 1 }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A classic file with these frames, of which as many bytes as that were captured.
    fn classic(word: fn(u32) -> [u8; 4], link: u32, frames: &[(&[u8], u32)]) -> Vec<u8> {
        let magic_and_version = if word(1) == [0, 0, 0, 1] {
            [0xa1b2_c3d4, 0x0002_0004]
        } else {
            [0xa1b2_c3d4, 0x0004_0002]
        };
        let head = [magic_and_version.as_slice(), &[0, 0, 65_535, link]].concat();
        let mut bytes: Vec<u8> = head.into_iter().flat_map(word).collect();
        for (frame, length) in frames {
            let captured = frame.len() as u32;
            bytes.extend([0, 0, captured, *length].map(word).concat());
            bytes.extend(*frame);
        }
        bytes
    }

    fn read(bytes: &[u8]) -> Vec<Result<Frame, CaptureError>> {
        frames(bytes).map_or_else(|error| vec![Err(error)], Iterator::collect)
    }

    #[test]
    fn frames_are_read_in_either_byte_order() {
        for word in [u32::to_be_bytes, u32::to_le_bytes] {
            let bytes = classic(word, 1, &[(b"first frame", 11), (b"second", 60)]);
            let [Ok(first), Ok(second)] = &read(&bytes)[..] else {
                panic!("{:?}", read(&bytes));
            };
            assert_eq!((first.number, &first.bytes[..]), (1, &b"first frame"[..]));
            assert!(first.is_whole() && !second.is_whole());
            let cut = &bytes[..bytes.len() - 1];
            assert_eq!(
                read(cut).pop(),
                Some(Err(CaptureError::Damaged { number: 1 }))
            );
        }
    }

    #[test]
    fn blocks_of_pcapng_are_read() {
        let section = [0x0a0d_0d0a_u32, 28, 0x1a2b_3c4d, 1, u32::MAX, u32::MAX, 28];
        let interface = [1, 20, 1, 0, 20];
        let packet = [6, 36, 0, 0, 0, 4, 4, u32::from_le_bytes(*b"abcd"), 36];
        let words = [&section[..], &interface, &packet].concat();
        let bytes: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
        let frame = Frame {
            number: 1,
            bytes: b"abcd".to_vec(),
            length: 4,
        };
        assert_eq!(read(&bytes), [Ok(frame)]);
    }

    #[test]
    fn other_files_and_links_are_told() {
        assert_eq!(
            read(b"# text, and not little of it"),
            [Err(CaptureError::NoCapture)]
        );
        assert_eq!(read(b""), [Err(CaptureError::NoCapture)]);
        let raw = classic(u32::to_le_bytes, 101, &[(b"ip", 2)]);
        let not_ethernet = CaptureError::NotEthernet {
            number: 1,
            link: 101,
        };
        assert_eq!(read(&raw), [Err(not_ethernet)]);
    }
}
