//! The driver: XDP programs that write the next packet into the frame on which they run; and empty
//! programs, which measure the cost of a packet without a filter.

#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod kernel;

use aya_ebpf::{
    bindings::{TC_ACT_SHOT, xdp_action},
    macros::{classifier, xdp},
    programs::{TcContext, XdpContext},
};
use driver_ebpf::word;

/// Writes the next packet and sends it through the target interface.
#[xdp]
fn send(ctx: XdpContext) -> u32 {
    match kernel::write_next(&ctx) {
        Some(state) => kernel::redirect(state[word::TARGET]),
        None => xdp_action::XDP_ABORTED,
    }
}

/// Writes the next packet and drops it.
#[xdp]
fn discard(ctx: XdpContext) -> u32 {
    match kernel::write_next(&ctx) {
        Some(_) => xdp_action::XDP_DROP,
        None => xdp_action::XDP_ABORTED,
    }
}

/// Writes the next packet and calls the program under test.
#[xdp]
fn call(ctx: XdpContext) -> u32 {
    if kernel::write_next(&ctx).is_some() {
        kernel::call_tested(&ctx);
    }
    xdp_action::XDP_ABORTED
}

/// Writes the next packet and calls the program under test, which takes frames in several buffers.
#[xdp(frags)]
fn call_frags(ctx: XdpContext) -> u32 {
    if kernel::write_next(&ctx).is_some() {
        kernel::call_tested_frags(&ctx);
    }
    xdp_action::XDP_ABORTED
}

/// Reads what it takes to find a flow in a table.
#[xdp]
fn read_line(ctx: XdpContext) -> u32 {
    match kernel::read_line(&ctx) {
        Some(()) => xdp_action::XDP_DROP,
        None => xdp_action::XDP_ABORTED,
    }
}

/// Reads what it takes to find that there is none.
#[xdp]
fn read_tags(ctx: XdpContext) -> u32 {
    match kernel::read_tags(&ctx) {
        Some(()) => xdp_action::XDP_DROP,
        None => xdp_action::XDP_ABORTED,
    }
}

/// Drops everything.
#[xdp]
fn drop_all(_ctx: XdpContext) -> u32 {
    xdp_action::XDP_DROP
}

/// Passes everything.
#[xdp]
fn pass_all(_ctx: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}

/// Drops packets that an XDP program has passed, before the network stack processes them.
#[classifier]
fn drop_passed(_ctx: TcContext) -> i32 {
    TC_ACT_SHOT
}
