//! The programs that judge ICMP errors about packets of no known flow: those that may have answered what rules let in are
//! `related`, others are not.
//!
//! They are programs of their own (`bpf_tail_call`), since few packets need them, and a second walk in the programs
//! that filter would double what the verifier has to follow. The program that filters leaves them the [`Case`], and they go
//! back to it with their decision.

#![forbid(unsafe_code)]

use aya_ebpf::{
    bindings::{TC_ACT_SHOT, xdp_action},
    macros::{classifier, xdp},
    programs::{TcContext, XdpContext},
};
use firewall_ebpf::{packet::Packet, state::State, walk::lets_in};

use super::{
    flows::{Case, go_back_to_bare_ingress, go_back_to_xdp},
    frame::LateFrame,
    image::Image,
    skb::{self, Skb},
};

/// Judges an error.
#[xdp(frags)]
#[inline(always)]
fn firewall_errors(ctx: XdpContext) -> u32 {
    received::<true>(&ctx)
}

/// Judges an error in one buffer, for kernels older than 5.18.
#[xdp]
#[inline(always)]
fn errors_linear(ctx: XdpContext) -> u32 {
    received::<false>(&ctx)
}

/// Judges an error that an interface without Ethernet header has received.
#[classifier]
#[inline(always)]
fn bare_errors(ctx: TcContext) -> i32 {
    if let Some(image) = Image::in_force() {
        judge(&image, &Skb::<true>::new(&ctx, &image), || {
            skb::interface(&ctx)
        });
    }
    go_back_to_bare_ingress(&ctx);
    TC_ACT_SHOT as i32
}

#[inline(always)]
fn received<const FRAGS: bool>(ctx: &XdpContext) -> u32 {
    if let Some(image) = Image::in_force() {
        let frame = LateFrame::<FRAGS>::new(ctx, &image);
        judge(&image, &frame, || ctx.ingress_ifindex() as u32);
    }
    go_back_to_xdp(ctx);
    xdp_action::XDP_DROP
}

#[inline(always)]
fn judge(image: &Image, packet: &impl Packet, interface: impl Fn() -> u32) {
    let Some(case) = Case::open() else {
        return;
    };
    let answered = case.invoking_packet().answered(packet);
    let is_related = answered.is_some_and(|answered| lets_in(image, packet, &answered, interface));
    case.decide(if is_related {
        State::Related
    } else {
        State::Invalid
    });
}
