//! The fragmented packets whose first fragment was of a known flow: later fragments have no ports to know their
//! flow by.

use super::{siphash::siphash, table::FlowTable};
use crate::{
    packet::Packet,
    parse::{Headers, present, protocol},
    state::State,
};

/// The fragmented packets that are remembered, a power of two.
pub const FRAGMENTS: u32 = 1 << 12;

/// How long one is remembered, in units of four seconds: Linux waits 30 s for the fragments of an IPv4 packet
/// (`IP_FRAG_TIME`, `include/net/ip.h`).
const TIMEOUT: u32 = 8;

/// The memory of the fragmented packets.
pub trait FragmentTable: FlowTable {
    /// The entry of an index below [`FRAGMENTS`].
    fn fragment(&self, index: u32) -> u64;

    /// Stores an entry.
    fn store_fragment(&self, index: u32, entry: u64);
}

/// A fragment: where its IP header is, in one word.
///
/// | bits | |
/// | --- | --- |
/// | 0-31 | the offset of the IP header |
/// | 32 | whether it is IPv6 |
#[repr(transparent)]
#[derive(Clone, Copy, Debug)]
pub struct Fragment(u64);

impl Fragment {
    /// The fragment that a packet with these headers is, which must have [`present::FRAGMENT`].
    #[must_use]
    #[inline(always)]
    pub fn new(headers: &Headers) -> Self {
        let family = u64::from(headers.bit(present::IPV6)) << 32;
        Self(u64::from(headers.network) | family)
    }

    /// The fragment in a word.
    #[must_use]
    #[inline(always)]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The word.
    #[must_use]
    #[inline(always)]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// What all fragments of one packet share (RFC 791, section 3.2; RFC 8200, section 4.5), and whether this one is
    /// a later one; `None` if the fragment header of IPv6 is behind another extension header.
    #[inline(always)]
    fn read<P: Packet + ?Sized>(self, packet: &P) -> Option<([u64; 5], bool)> {
        let at = packet.opaque(self.0 & 0xffff_ffff) as u32;
        let word = |offset: u32| packet.load(at + offset).map(u64::from_be_bytes);
        if self.0 >> 32 != 0 {
            let [next, _]: [u8; 2] = packet.load(at + 6)?;
            if next != protocol::FRAGMENT {
                return None;
            }
            let extension = word(40)?;
            let addresses = [word(8)?, word(16)?, word(24)?, word(32)?];
            let [a, b, c, d] = addresses;
            let is_later = extension >> 35 & 0x1fff != 0;
            return Some(([a, b, c, d, extension & 0xffff_ffff], is_later));
        }
        let middle = word(4)?;
        let (id, number) = (middle >> 48, middle >> 16 & 0xff);
        let is_later = middle >> 32 & 0x1fff != 0;
        Some(([word(12)?, 0, 0, IPV4, id | number << 16], is_later))
    }
}

/// Tells the words of IPv4 from those of IPv6, of which the first three would be the source and half of the unspecified
/// destination.
const IPV4: u64 = 1 << 63;

/// The state of a fragment, which is `state` by what is known of its flow. The first fragment of an established flow
/// is remembered, and makes later ones `related`.
#[inline(always)]
pub fn see_fragment<T: FragmentTable, P: Packet + ?Sized>(
    table: &T,
    packet: &P,
    fragment: Fragment,
    state: u32,
) -> u32 {
    const NEW: u32 = State::New.number();
    const ESTABLISHED: u32 = State::Established.number();
    let Some((words, is_later)) = fragment.read(packet) else {
        return state;
    };
    let remembers = !is_later && state == ESTABLISHED;
    let asks = is_later && state == NEW;
    if !remembers && !asks {
        return state;
    }
    let [one, other] = siphash([table.key(0), table.key(1)], words);
    let set = packet.opaque(one & u64::from(FRAGMENTS - WAYS)) as u32;
    // 0 is a free entry.
    let identity = other >> 16 | 1;
    let now = table.now() & STAMP;
    let (mut best, mut is_known) = (0, 0);
    for way in 0..WAYS {
        let entry = table.fragment(set + way);
        let age = now.wrapping_sub(entry as u32) & STAMP;
        let is_own = entry >> 16 == identity;
        let rank = if is_own {
            OWN
        } else if entry == 0 {
            FREE
        } else {
            age
        };
        let candidate = rank << 2 | way;
        best = packet.opaque(u64::from(if candidate > best { candidate } else { best })) as u32;
        is_known = packet.opaque(is_known | u64::from(is_own & (age <= TIMEOUT)));
    }
    if remembers {
        let index = set + best % WAYS;
        table.store_fragment(index, identity << 16 | u64::from(now));
        state
    } else if is_known != 0 {
        State::Related.number()
    } else {
        state
    }
}

/// The entries that a packet can have.
const WAYS: u32 = 4;

const STAMP: u32 = 0xffff;

/// What is before the oldest entry when one is chosen for a packet: its own, then a free one.
const OWN: u32 = STAMP + 2;
const FREE: u32 = STAMP + 1;
