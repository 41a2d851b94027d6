//! The programs that track the flows of packets out, after these were passed.
//!
//! They are programs of their own, called by those at the egress hook as their last step (`bpf_tail_call`): what they need to
//! know of a packet is read again, which costs less than to keep it while the packet is classified.

#![forbid(unsafe_code)]

use aya_ebpf::{macros::classifier, programs::TcContext};
use firewall_ebpf::{
    flows::{Seen, Transport, says_something, segment_numbers},
    image::Memory as _,
    parse::parse,
    walk::lets_in,
};

use super::{
    flows::{add, establish, knows_incoming, note, seen_out, upper},
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
    if seen == Seen::Accepts as u32 {
        if let Some([sequence, _]) = segment_numbers(&skb, &headers) {
            note(&headers, upper, sequence);
        }
        return;
    }
    if seen == Seen::Begins as u32 {
        add(&headers, upper);
        return;
    }
    if upper.is_tcp() && !says_something(&skb, &headers) {
        return;
    }
    let interface = || skb::interface(ctx);
    if seen == Seen::MayEstablish as u32 {
        establish(&headers, upper);
    } else if !lets_in(&image, &skb, &headers.reversed(&skb), interface) {
        add(&headers, upper);
    } else if upper.is_tcp() && knows_incoming(&image) && !establish(&headers, upper) {
        add(&headers, upper.established());
    }
}
