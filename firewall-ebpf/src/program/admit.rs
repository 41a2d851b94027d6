//! The programs that admit the flows of packets in that passed as `new`, and find out whether one proves an answer.
//!
//! They are programs of their own (`bpf_tail_call`), like those that judge ICMP errors: few packets begin a flow or acknowledge
//! its answer. Before a proof, the program that filters leaves them the [`Case`], and they go back to it; after a verdict they end
//! with the action that passes the packet.

#![forbid(unsafe_code)]

use aya_ebpf::{
    bindings::{TC_ACT_SHOT, xdp_action},
    macros::{classifier, xdp},
    programs::{TcContext, XdpContext},
};
use firewall_ebpf::{
    flows::{Transport, segment_numbers},
    image::Memory as _,
    parse::parse,
    state::State,
};

use super::{
    flows::{Case, Received, admit, go_back_to_bare_ingress, go_back_to_xdp, prove, upper},
    frame::LateFrame,
    image::Image,
    skb::Skb,
    tc::NEXT,
};

/// Admits the flow of a packet, or finds out what it proves.
#[xdp(frags)]
#[inline(always)]
fn firewall_admit(ctx: XdpContext) -> u32 {
    received::<true>(&ctx)
}

/// Likewise in one buffer, for kernels older than 5.18.
#[xdp]
#[inline(always)]
fn admit_linear(ctx: XdpContext) -> u32 {
    received::<false>(&ctx)
}

/// Likewise of a packet that an interface without Ethernet header has received.
#[classifier]
#[inline(always)]
fn bare_admit(ctx: TcContext) -> i32 {
    let Some(image) = Image::in_force() else {
        return NEXT;
    };
    if !follow(&image, &Skb::<true>::new(&ctx, &image)) {
        return NEXT;
    }
    go_back_to_bare_ingress(&ctx);
    TC_ACT_SHOT as i32
}

#[inline(always)]
fn received<const FRAGS: bool>(ctx: &XdpContext) -> u32 {
    let Some(image) = Image::in_force() else {
        return xdp_action::XDP_PASS;
    };
    if !follow(&image, &LateFrame::<FRAGS>::new(ctx, &image)) {
        return xdp_action::XDP_PASS;
    }
    go_back_to_xdp(ctx);
    xdp_action::XDP_DROP
}

/// Admits the flow of a packet, which has its verdict then; or finds out whether it proves an answer, which it returns.
#[inline(always)]
fn follow(image: &Image, packet: &(impl Received + firewall_ebpf::packet::Packet)) -> bool {
    let Ok(headers) = parse(packet) else {
        return false;
    };
    let upper = Transport::from_bits(image.opaque(upper(packet, &headers).bits()));
    let case = Case::open().filter(|case| case.asks_for_proof(&headers, upper));
    let Some(case) = case else {
        admit(&headers, upper);
        return false;
    };
    let numbers = segment_numbers(packet, &headers);
    if numbers.is_some_and(|[_, number]| prove(&headers, upper, number)) {
        case.close();
    } else {
        case.decide(State::New);
    }
    true
}
