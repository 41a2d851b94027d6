//! The programs that track the flows of packets out, after these were passed.
//!
//! They are programs of their own, called by those at the egress hook as their last step (`bpf_tail_call`): what they need to
//! know of a packet is read again, which costs less than to keep it while the packet is classified.

#![forbid(unsafe_code)]

use aya_ebpf::{macros::classifier, programs::TcContext};
use firewall_ebpf::{
    flows::{Seen, Transport, says_something},
    image::Memory as _,
    parse::parse,
    walk::lets_in,
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
        let interface = || skb::interface(ctx);
        if is_silent || lets_in(&image, &skb, &headers.reversed(&skb), interface) {
            return;
        }
    }
    add(&headers, upper);
}
