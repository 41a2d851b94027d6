//! Capture files and the fields of the packets in them.

mod tuple;

use std::path::{Path, PathBuf};

pub use self::tuple::tuple;
use rules::captures::{self, CaptureError};

use super::{ReadError, text::read_bytes};

/// Reads the frames of a capture file that carry IPv4 or IPv6, also after VLAN tags, as far as they
/// were captured. The file may be compressed with gzip.
///
/// # Errors
///
/// When the file cannot be read, is not a capture, was not taken on Ethernet, or ends within a
/// frame.
pub fn read_frames(path: &Path) -> Result<Vec<Vec<u8>>, ReadError> {
    parse(&read_bytes(path)?).map_err(|fault| ReadError::Capture {
        path: PathBuf::from(path),
        fault,
    })
}

fn parse(bytes: &[u8]) -> Result<Vec<Vec<u8>>, CaptureError> {
    let frames = captures::frames(bytes)?.map(|frame| Ok(frame?.bytes));
    let carries_ip = |frame: &Result<Vec<u8>, _>| {
        frame
            .as_ref()
            .map_or(true, |frame| tuple::ip(frame).is_some())
    };
    frames.filter(carries_ip).collect()
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
            let cut = CaptureError::Damaged { number: 3 };
            assert_eq!(parse(&bytes[..bytes.len() - 1]), Err(cut));
        }
    }
}
