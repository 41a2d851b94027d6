//! The programs in the kernel, and what they give to the library: the frame, the image in force,
//! the counters, the bans.
//!
//! The only room of this package with `unsafe` code: each access stands behind the bounds check
//! that the verifier demands.

#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]
#![expect(unsafe_code, reason = "packet and map memory are raw in BPF")]

mod bans;
mod counters;
mod drops;
mod errors;
mod flows;
mod frame;
mod image;
mod map_flags;
mod packet_log;
mod skb;
mod tc;
mod track;
mod xdp;

/// The kernel lends helpers marked GPL-only to programs whose licence it knows as compatible.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
