//! What a flow is known by.

use super::{hash::hash, siphash::siphash, slot::Slot, transport::Transport};

/// The secret keys: two of [`siphash`], then those of [`hash`].
pub trait Keys {
    /// The key of an index below [`HASH_KEYS`](super::HASH_KEYS).
    fn key(&self, index: usize) -> u64;

    /// Returns `value`, whose origin neither a verifier nor the compiler can follow.
    #[inline(always)]
    fn opaque(&self, value: u64) -> u64 {
        value
    }
}

/// The addresses, ports and protocol of a packet, in the form that both directions of a flow share:
/// the end with the smaller address and port comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuple {
    /// The words of its slot if the packet begins the flow, as far as the tuple determines them.
    pub(super) slot: Slot,
    /// The two candidate lines, from any number of lines.
    pub(super) lines: [u32; 2],
    /// The tag of its slot, never 0.
    pub(super) tag: u8,
}

impl Tuple {
    /// The tuple of a packet with these addresses, each in two words as in
    /// [`Headers`](crate::parse::Headers).
    #[inline(always)]
    pub fn new(keys: &impl Keys, src: [u64; 2], dst: [u64; 2], upper: Transport) -> Self {
        if upper.is_ipv6() {
            Self::ipv6(keys, src, dst, upper)
        } else {
            Self::ipv4(keys, src[0], dst[0], upper)
        }
    }

    /// The same of an IPv4 packet, of whose addresses the second words are 0.
    #[inline(always)]
    pub fn ipv4(keys: &impl Keys, src: u64, dst: u64, upper: Transport) -> Self {
        let src = src >> 32 << 16 | upper.sport();
        let dst = dst >> 32 << 16 | upper.dport();
        let greater = borrow(keys, dst, src, 0);
        let swap = (src ^ dst) & greater.wrapping_neg();
        let (first, second) = (src ^ swap, dst ^ swap);
        let protocol = upper.protocol();
        let (lines, tag, check) = places_ipv4(keys, first, second, protocol);
        Self {
            slot: Slot::ipv4(first, second, check, protocol).begun_by(greater),
            lines,
            tag,
        }
    }

    /// The same of an IPv6 packet.
    #[inline(always)]
    pub fn ipv6(keys: &impl Keys, src: [u64; 2], dst: [u64; 2], upper: Transport) -> Self {
        let (sport, dport) = (upper.sport(), upper.dport());
        let greater = borrow(keys, dport, sport, 0);
        let greater = borrow(keys, dst[1], src[1], greater);
        let greater = borrow(keys, dst[0], src[0], greater);
        let swap = greater.wrapping_neg();
        let high = (src[0] ^ dst[0]) & swap;
        let low = (src[1] ^ dst[1]) & swap;
        let port = (sport ^ dport) & swap;
        let protocol = upper.protocol();
        let ports = (sport ^ port) | (dport ^ port) << 16 | u64::from(protocol) << 32;
        let words = [
            src[0] ^ high,
            src[1] ^ low,
            dst[0] ^ high,
            dst[1] ^ low,
            ports,
        ];
        let [one, other] = siphash([keys.key(0), keys.key(1)], words);
        let (lines, tag) = places_ipv6(one, other);
        Self {
            slot: Slot::ipv6(one, other, protocol).begun_by(greater),
            lines,
            tag,
        }
    }

    /// The same whose flow begins with this slot, which is one of the tuple.
    #[inline(always)]
    pub(super) const fn beginning(self, slot: Slot) -> Self {
        Self { slot, ..self }
    }

    /// Whether the source of the packet is the second end. A bit of its slot: programs have few registers.
    #[inline(always)]
    pub(super) const fn sent_by_second(&self) -> bool {
        self.slot.began_second()
    }
}

/// The two candidate lines of a flow, from any number of lines, and its tag: for who moves it to another table with the
/// same keys. Of one that is [`Noted`](super::Phase::Noted), they cannot be told from its slot.
#[must_use]
pub fn places(keys: &impl Keys, slot: Slot) -> ([u32; 2], u8) {
    if slot.is_ipv6() {
        return places_ipv6(slot.first, slot.second);
    }
    let [first, second] = [slot.first >> 16, slot.second >> 16];
    let (lines, tag, _) = places_ipv4(keys, first, second, slot.protocol());
    (lines, tag)
}

/// The candidate lines, the tag and the check bits of an IPv4 flow between two ends.
#[inline(always)]
fn places_ipv4(
    keys: &(impl Keys + ?Sized),
    first: u64,
    second: u64,
    protocol: u32,
) -> ([u32; 2], u8, u32) {
    // The first two are those of SipHash.
    const FIRST: usize = 2;
    let words = [
        (first >> 16) as u32,
        (second >> 16) as u32,
        (first & 0xffff | second << 16) as u32,
        protocol,
    ];
    let hash = hash(words, |index| keys.key(FIRST + index));
    let lines = [hash as u32, (hash >> 32) as u32];
    // The upper bits of both, of which the lines of all but the largest tables have none.
    (lines, tag((hash >> 56) as u8), hash as u32 >> 21)
}

/// The candidate lines and the tag of an IPv6 flow with this hash, from the bits of it that a slot has.
#[inline(always)]
const fn places_ipv6(one: u64, other: u64) -> ([u32; 2], u8) {
    (
        [(one >> 5) as u32, (other >> 32) as u32],
        tag((other >> 24) as u8),
    )
}

/// 0 is the tag of a free slot.
#[inline(always)]
const fn tag(bits: u8) -> u8 {
    if bits == 0 { 1 } else { bits }
}

/// 1 if `one - other - before` borrows, which is at most 1, else 0 (Hacker's Delight, section 2-16). Which end comes first is as
/// random as addresses are: a branch would be mispredicted, and be two paths for a verifier.
#[inline(always)]
fn borrow(keys: &(impl Keys + ?Sized), one: u64, other: u64, before: u64) -> u64 {
    let difference = one.wrapping_sub(other).wrapping_sub(before);
    // Opaque, or else the compiler would see the comparison in it, and make a branch.
    keys.opaque(!one & other | !(one ^ other) & difference) >> 63
}
