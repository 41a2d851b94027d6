//! The rules for packets in, asked about a packet that another one may answer.

use super::{
    classify::{Classification, classify},
    counts::Counts,
    hook::Hook,
};
use crate::{
    abi::{Direction, Reason},
    image::{Drops, Header, Memory, REVERSE, RuleSlot},
    packet::Packet,
    parse::Headers,
};

/// Whether the rules for packets in let in a packet with these headers, as far as headers tell. `packet` is one that is
/// at hand, and `interface` where it came in or goes out. The image must be one whose rules ask for states.
#[inline(always)]
pub fn lets_in<M: Memory + ?Sized, P: Packet + ?Sized>(
    image: &M,
    packet: &P,
    headers: &Headers,
    interface: impl Fn() -> u32,
) -> bool {
    let classification = classify(image, packet, headers, &Reverse(interface), &mut Uncounted);
    match classification {
        Classification::Pass(_) => true,
        Classification::Drop(_) => false,
        Classification::NoRule(_) => {
            let drops = Drops::from_bits(image.u32(Header::drops_at(Direction::In)));
            !drops.has(Reason::Policy)
        }
    }
}

/// What is known of a packet in that has not come in now: its interface.
struct Reverse<I>(I);

impl<I: Fn() -> u32> Hook for Reverse<I> {
    #[inline(always)]
    fn direction(&self) -> Direction {
        Direction::In
    }

    #[inline(always)]
    fn interface(&self) -> u32 {
        (self.0)()
    }

    #[inline(always)]
    fn state(&self) -> u32 {
        REVERSE
    }
}

/// Counts nothing: no packet has come in.
struct Uncounted;

impl Counts for Uncounted {
    #[inline(always)]
    fn count(&mut self, _slot: RuleSlot) {}
}
