//! Access to the bytes of one packet.

/// Where the words of [`Packet::plain`] begin.
pub const PLAIN: [usize; 5] = [12, 20, 26, 34, 40];

/// The bytes that [`Packet::plain`] needs: up to the TCP flags behind an IPv4 header without
/// options.
pub const PLAIN_LEN: u32 = 48;

/// The bytes of a packet, from the Ethernet header on, or from the IP header on where
/// [`Packet::bare_ethertype`] is known.
pub trait Packet {
    /// Reads `N` bytes, a power of two up to 8, at byte `offset`; `None` when the packet ends
    /// before them.
    fn load<const N: usize>(&self, offset: u32) -> Option<[u8; N]>;

    /// Reads eight bytes, in network order, at each offset of [`PLAIN`]; `None` when the first
    /// buffer has fewer than [`PLAIN_LEN`] bytes.
    #[inline(always)]
    fn plain(&self) -> Option<[u64; PLAIN.len()]> {
        let mut words = [0; PLAIN.len()];
        for (word, offset) in words.iter_mut().zip(PLAIN) {
            *word = u64::from_be_bytes(self.load(offset as u32)?);
        }
        Some(words)
    }

    /// The length in bytes, all buffers together.
    fn len(&self) -> u32;

    /// The bytes of the first buffer, which are those that can be read.
    #[inline(always)]
    fn first_len(&self) -> u32 {
        self.len()
    }

    /// Whether the packet has at least `len` bytes.
    #[inline(always)]
    fn holds(&self, len: u32) -> bool {
        len <= self.first_len() || len <= self.len()
    }

    /// The EtherType of a packet without Ethernet header.
    #[inline(always)]
    fn bare_ethertype(&self) -> Option<u16> {
        None
    }

    /// The outermost VLAN tag, of which the packet consists in addition to its bytes.
    #[inline(always)]
    fn outer_tag(&self) -> Option<u16> {
        None
    }

    /// The length of the IP packets that this one, whose IP header is at `network`, is still to be cut
    /// into; `None` unless there are several.
    #[inline(always)]
    fn segment_len(&self, network: u32) -> Option<u32> {
        let _ = network;
        None
    }

    /// Returns `value`, whose origin a verifier cannot follow: paths on which it was a different
    /// constant become one path.
    #[inline(always)]
    fn opaque(&self, value: u64) -> u64 {
        value
    }

    /// Whether the packet has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A packet in user space.
impl Packet for [u8] {
    fn load<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        let start = usize::try_from(offset).ok()?;
        self.get(start..)?.first_chunk().copied()
    }

    fn len(&self) -> u32 {
        u32::try_from(<[u8]>::len(self)).unwrap_or(u32::MAX)
    }
}

const _: () = assert!(PLAIN[PLAIN.len() - 1] + 8 == PLAIN_LEN as usize);
