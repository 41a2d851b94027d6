//! Capture files (`draft-ietf-opsawg-pcap`) and the fields of the packets in them.

mod tuple;

use std::path::{Path, PathBuf};

pub use self::tuple::tuple;
use super::{ReadError, error::CaptureFault, text::read_bytes};

const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;
/// The link type of Ethernet.
const ETHERNET: u32 = 1;
/// The bits of the link type; those above say how long the frame check sequence is.
const LINK_TYPE: u32 = 0x0fff_ffff;

/// Reads the frames of a capture file that carry IPv4 or IPv6, perhaps behind VLAN tags, as far
/// as they were captured. The file may be compressed with gzip.
///
/// # Errors
///
/// When the file cannot be read, is not a capture of the classic form (pcapng is not), was not
/// taken on Ethernet, or ends within a frame.
pub fn read_frames(path: &Path) -> Result<Vec<Vec<u8>>, ReadError> {
    parse(&read_bytes(path)?).map_err(|fault| ReadError::Capture {
        path: PathBuf::from(path),
        fault,
    })
}

fn parse(bytes: &[u8]) -> Result<Vec<Vec<u8>>, CaptureFault> {
    let (header, mut rest) = bytes
        .split_at_checked(FILE_HEADER)
        .ok_or(CaptureFault::NoCapture)?;
    let word: fn([u8; 4]) -> u32 = match header {
        // With times in microseconds or nanoseconds.
        [0xa1, 0xb2, 0xc3, 0xd4, ..] | [0xa1, 0xb2, 0x3c, 0x4d, ..] => u32::from_be_bytes,
        [0xd4, 0xc3, 0xb2, 0xa1, ..] | [0x4d, 0x3c, 0xb2, 0xa1, ..] => u32::from_le_bytes,
        _ => return Err(CaptureFault::NoCapture),
    };
    let word_at = |bytes: &[u8], at: usize| {
        let found = bytes.get(at..).and_then(|rest| rest.first_chunk());
        found.map(|bytes| word(*bytes))
    };
    let link = word_at(header, 20).ok_or(CaptureFault::NoCapture)? & LINK_TYPE;
    if link != ETHERNET {
        return Err(CaptureFault::NotEthernet(link));
    }
    let mut frames = Vec::new();
    while !rest.is_empty() {
        let cut = CaptureFault::Cut {
            offset: bytes.len() - rest.len(),
        };
        let (record, behind) = rest.split_at_checked(RECORD_HEADER).ok_or(cut)?;
        let length = word_at(record, 8).and_then(|length| usize::try_from(length).ok());
        let (frame, behind) = length
            .and_then(|length| behind.split_at_checked(length))
            .ok_or(cut)?;
        if tuple::ip(frame).is_some() {
            frames.push(frame.to_vec());
        }
        rest = behind;
    }
    Ok(frames)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Packet;

    fn capture(word: fn(u32) -> [u8; 4], link: u32, frames: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = [0xa1b2_c3d4, 0x0002_0004, 0, 0, 65_535, link]
            .map(word)
            .concat();
        for frame in frames {
            let length = frame.len() as u32;
            bytes.extend([0, 0, length, length].map(word).concat());
            bytes.extend(frame);
        }
        bytes
    }

    #[test]
    fn frames_that_carry_ip_are_read_in_either_byte_order() {
        let src = [192, 0, 2, 2].into();
        let udp = Packet::ipv4(src, [192, 0, 2, 1].into()).udp(1, 2);
        let frames = [
            udp.build(),
            Packet::arp(src, [192, 0, 2, 1].into()).build(),
            Packet::ethertype(0x88cc).vlan(1).build(),
            udp.service_vlan(1).vlan(2).build(),
        ];
        for word in [u32::to_be_bytes, u32::to_le_bytes] {
            let bytes = capture(word, 1, &frames);
            let ip = [frames[0].clone(), frames[3].clone()];
            assert_eq!(parse(&bytes), Ok(ip.to_vec()));
            let cut = CaptureFault::Cut {
                offset: bytes.len() - frames[3].len() - RECORD_HEADER,
            };
            assert_eq!(parse(&bytes[..bytes.len() - 1]), Err(cut));
        }
    }

    #[test]
    fn other_files_are_refused() {
        assert_eq!(parse(b"# text"), Err(CaptureFault::NoCapture));
        let raw = capture(u32::to_be_bytes, 101, &[]);
        assert_eq!(parse(&raw), Err(CaptureFault::NotEthernet(101)));
    }
}
