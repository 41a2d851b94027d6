//! The rules for packets in, asked about a packet that another one may answer.

#![forbid(unsafe_code)]

use firewall_ebpf::{
    abi::{Direction, Reason},
    image::{Drops, Header, Memory as _, REVERSE, RuleSlot},
    packet::Packet,
    parse::Headers,
    walk::{Classification, Counts, Hook, classify},
};

use super::image::Image;

/// Whether the rules for packets in let in a packet with these headers, as far as headers tell. `packet` is one that is
/// at hand, and `interface` where it came in or goes out.
#[inline(always)]
pub(super) fn lets_in(
    image: &Image,
    packet: &impl Packet,
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
