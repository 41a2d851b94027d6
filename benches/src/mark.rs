//! The mark at the end of a payload, by which a frame is recognized at the far end.
//!
//! The mark comes last, so it is found whatever headers precede it and whatever the kernel has
//! removed from them, such as VLAN tags.

/// The contents of a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The number of the flow.
    pub flow: u32,
    /// The number of the packet in its flow, from 0.
    pub sequence: u32,
}

/// The length of a mark in octets.
pub const LEN: usize = 16;

const MAGIC: [u8; 4] = *b"fwmk";

impl Mark {
    /// The octets of the mark: magic, flow, sequence, and the complement of sequence.
    ///
    /// Sequence and complement always have the same one's complement sum, so the checksum of the
    /// packet is correct for every sequence number, and [`Self::renumber`] does not have to change
    /// any other octet. The CRC of SCTP is the exception.
    #[must_use]
    pub fn encode(self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        let fields = [
            MAGIC,
            self.flow.to_be_bytes(),
            self.sequence.to_be_bytes(),
            (!self.sequence).to_be_bytes(),
        ];
        for (place, field) in bytes.chunks_exact_mut(4).zip(fields) {
            place.copy_from_slice(&field);
        }
        bytes
    }

    /// Reads the mark at the end of `frame`, if there is one.
    #[must_use]
    pub fn decode(frame: &[u8]) -> Option<Self> {
        let mark: &[u8; LEN] = frame.last_chunk()?;
        let &[
            m0,
            m1,
            m2,
            m3,
            f0,
            f1,
            f2,
            f3,
            s0,
            s1,
            s2,
            s3,
            c0,
            c1,
            c2,
            c3,
        ] = mark;
        let sequence = u32::from_be_bytes([s0, s1, s2, s3]);
        let complement = u32::from_be_bytes([c0, c1, c2, c3]);
        (MAGIC == [m0, m1, m2, m3] && complement == !sequence).then(|| Self {
            flow: u32::from_be_bytes([f0, f1, f2, f3]),
            sequence,
        })
    }

    /// Writes another sequence number into the mark at the end of `frame`.
    pub fn renumber(frame: &mut [u8], sequence: u32) {
        if let Some(mark) = frame.last_chunk_mut::<LEN>()
            && let Some(numbers) = mark.last_chunk_mut::<8>()
        {
            let both = u64::from(sequence) << 32 | u64::from(!sequence);
            *numbers = both.to_be_bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use pnet::packet::{Packet as _, ethernet::EthernetPacket, ipv6::Ipv6Packet, udp};

    use super::*;
    use crate::packet::Packet;

    #[test]
    fn a_mark_is_read_back_from_the_end_of_a_frame() {
        let mark = Mark {
            flow: 7,
            sequence: 0x0102_0304,
        };
        let mut frame = b"headers".to_vec();
        frame.extend(mark.encode());
        assert_eq!(Mark::decode(&frame), Some(mark));
        Mark::renumber(&mut frame, 9);
        assert_eq!(
            Mark::decode(&frame),
            Some(Mark {
                flow: 7,
                sequence: 9
            })
        );
        assert_eq!(&frame[..7], b"headers");
    }

    #[test]
    fn no_mark_is_read_from_other_frames() {
        assert_eq!(Mark::decode(&[]), None);
        assert_eq!(Mark::decode(&[0; 60]), None);
        let mut frame = Mark {
            flow: 1,
            sequence: 2,
        }
        .encode();
        frame[15] ^= 1;
        assert_eq!(Mark::decode(&frame), None);
    }

    #[test]
    fn renumbering_keeps_the_checksum_right_at_even_and_odd_places() {
        for padding in [&b""[..], b"x"] {
            let src = "2001:db8::2".parse().unwrap();
            let dst = "2001:db8::1".parse().unwrap();
            let mark = Mark {
                flow: 3,
                sequence: 0,
            };
            let mut frame = Packet::ipv6(src, dst)
                .udp(1000, 2000)
                .payload(padding)
                .payload(&mark.encode())
                .build();
            for sequence in [0, 1, 255, 256, 0xffff, 0x1_0000, 0xdead_beef, u32::MAX] {
                Mark::renumber(&mut frame, sequence);
                let ethernet = EthernetPacket::new(&frame).unwrap();
                let ip = Ipv6Packet::new(ethernet.payload()).unwrap();
                let datagram = udp::UdpPacket::new(ip.payload()).unwrap();
                assert_eq!(
                    datagram.get_checksum(),
                    udp::ipv6_checksum(&datagram, &src, &dst)
                );
            }
        }
    }
}
