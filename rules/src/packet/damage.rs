//! Deliberately damaged frames.

use super::{layout::Layout, upper::write};

/// One kind of damage to a frame. Damage to a part that the frame does not have is not applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Only this many octets of the frame are kept.
    Keep(usize),
    /// The frame ends this many octets into its network header.
    KeepOfNetwork(usize),
    /// The frame ends this many octets into its L4 header.
    KeepOfUpper(usize),
    /// The version field of the IP header.
    Version(u8),
    /// The header length field of IPv4, in words of four octets.
    HeaderLength(u8),
    /// The length field of the IP header: the total length of IPv4, the payload length of IPv6.
    Length(u16),
    /// The length field of UDP, the checksum coverage of UDP-Lite.
    UdpLength(u16),
    /// The data offset field of TCP, in words of four octets.
    DataOffset(u8),
    /// The octet at this offset from the network header.
    NetworkOctet(usize, u8),
    /// The octet at this offset from the L4 header.
    UpperOctet(usize, u8),
}

impl Damage {
    pub(super) fn apply(self, layout: &mut Layout) {
        let Layout {
            bytes,
            network,
            upper,
        } = layout;
        let is_ipv4 = bytes.get(*network).is_some_and(|byte| byte >> 4 == 4);
        match self {
            Self::Keep(len) => bytes.truncate(len),
            Self::KeepOfNetwork(len) => bytes.truncate(*network + len),
            Self::KeepOfUpper(len) => bytes.truncate(*upper + len),
            Self::Version(version) => set_high(bytes, *network, version),
            Self::HeaderLength(words) => {
                if let Some(byte) = bytes.get_mut(*network) {
                    *byte = *byte & 0xf0 | words & 0x0f;
                }
            }
            Self::Length(len) => {
                let offset = if is_ipv4 { 2 } else { 4 };
                write(bytes, *network + offset, &len.to_be_bytes());
            }
            Self::UdpLength(len) => write(bytes, *upper + 4, &len.to_be_bytes()),
            Self::DataOffset(words) => set_high(bytes, *upper + 12, words),
            Self::NetworkOctet(offset, value) => write(bytes, *network + offset, &[value]),
            Self::UpperOctet(offset, value) => write(bytes, *upper + offset, &[value]),
        }
    }
}

/// Sets the upper four bits of an octet.
fn set_high(bytes: &mut [u8], offset: usize, value: u8) {
    if let Some(byte) = bytes.get_mut(offset) {
        *byte = *byte & 0x0f | value << 4;
    }
}
