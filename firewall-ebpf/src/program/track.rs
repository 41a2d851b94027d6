//! The programs that track the flows of packets out, after these were passed.
//!
//! They are programs of their own, called by those at the egress hook as their last step (`bpf_tail_call`): what they need to
//! know of a packet is read again, which costs less than to keep it while the packet is classified.

#![forbid(unsafe_code)]

use aya_ebpf::{macros::classifier, programs::TcContext};
use firewall_ebpf::{
    abi::{Direction, Reason},
    flows::{Seen, Transport, says_something},
    image::{Drops, Header, Memory as _, REVERSE, RuleSlot},
    parse::{Headers, parse},
    walk::{Classification, Counts, Hook, classify},
};

use super::{
    flows::{add, seen_out, upper},
    image::Image,
    skb::{self, Skb},
    tc::NEXT,
};

/// Tracks the flow of a packet that leaves.
#[classifier]
#[inline(always)]
fn firewall_track(ctx: TcContext) -> i32 {
    sent::<false>(&ctx);
    NEXT
}

/// Tracks the flow of a packet that leaves through an interface without Ethernet header.
#[classifier]
#[inline(always)]
fn firewall_bare_track(ctx: TcContext) -> i32 {
    sent::<true>(&ctx);
    NEXT
}

#[inline(always)]
fn sent<const BARE: bool>(ctx: &TcContext) {
    let Some(image) = Image::in_force() else {
        return;
    };
    let skb = Skb::<BARE>::new(ctx, &image);
    let Ok(headers) = parse(&skb) else {
        return;
    };
    // Opaque, or else the verifier would follow the walk once for each protocol.
    let upper = Transport::from_bits(image.opaque(upper(&skb, &headers).bits()));
    if !upper.has_flow() {
        return;
    }
    let seen = seen_out(&headers, upper);
    if seen == Seen::Done as u32 {
        return;
    }
    if seen == Seen::MayBegin as u32 {
        let is_silent = upper.is_tcp() && !says_something(&skb, &headers);
        if is_silent || lets_in(ctx, &image, &skb, &headers) {
            return;
        }
    }
    add(&headers, upper);
}

/// Whether the rules for packets in let in what a packet out may be an answer to.
#[inline(always)]
fn lets_in<const BARE: bool>(
    ctx: &TcContext,
    image: &Image,
    skb: &Skb<'_, BARE>,
    headers: &Headers,
) -> bool {
    let classification = classify(
        image,
        skb,
        &headers.reversed(skb),
        &Reverse(ctx),
        &mut Uncounted,
    );
    match classification {
        Classification::Pass(_) => true,
        Classification::Drop(_) => false,
        Classification::NoRule(_) => {
            let drops = Drops::from_bits(image.u32(Header::drops_at(Direction::In)));
            !drops.has(Reason::Policy)
        }
    }
}

/// What is known of a packet in that a packet out may be an answer to.
struct Reverse<'a>(&'a TcContext);

impl Hook for Reverse<'_> {
    #[inline(always)]
    fn direction(&self) -> Direction {
        Direction::In
    }

    #[inline(always)]
    fn interface(&self) -> u32 {
        skb::interface(self.0)
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
