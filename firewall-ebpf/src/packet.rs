//! Access to the bytes of one packet.

/// The bytes of a packet, from the Ethernet header on.
pub trait Packet {
    /// Reads `N` bytes, a power of two up to 8, at byte `offset`; `None` when the packet ends
    /// before them.
    fn load<const N: usize>(&self, offset: u32) -> Option<[u8; N]>;

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
