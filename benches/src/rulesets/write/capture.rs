//! Capture files in the classic format (`draft-ietf-opsawg-pcap`).

/// The link type of Ethernet.
const ETHERNET: u32 = 1;

/// The longest frame.
const MAX_LEN: u32 = 65_535;

/// The capture file of whole Ethernet frames, all taken at the same time.
#[must_use]
pub fn capture(frames: &[Vec<u8>]) -> Vec<u8> {
    let head = [0xa1b2_c3d4, 0x0004_0002, 0, 0, MAX_LEN, ETHERNET];
    let mut bytes = head.map(u32::to_le_bytes).concat();
    for frame in frames {
        // No frame is longer.
        let length = u32::try_from(frame.len()).unwrap_or(MAX_LEN);
        bytes.extend([0, 0, length, length].map(u32::to_le_bytes).concat());
        bytes.extend(frame);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use rules::captures::frames;

    use super::*;
    use crate::packet::Packet;

    #[test]
    fn what_is_written_is_read_back() {
        let udp = Packet::ipv4([192, 0, 2, 2].into(), [192, 0, 2, 1].into()).udp(1, 2);
        let written = [udp.build(), udp.vlan(7).build()];
        let read: Vec<_> = frames(capture(&written).as_slice())
            .unwrap()
            .map(|frame| frame.unwrap().bytes)
            .collect();
        assert_eq!(read, written);
    }
}
