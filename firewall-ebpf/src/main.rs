//! The XDP program: a verdict table over the library. The only place where a judgement becomes
//! an action of the kernel.

#![no_std]
#![no_main]

mod kernel;

use aya_ebpf::{bindings::xdp_action, macros::xdp, programs::XdpContext};
use firewall_ebpf::{
    abi::Reason,
    headers,
    image::{Header, Memory as _},
    walk::{Judgement, judge},
};
use kernel::{Counters, Frame, Image};

/// Judges one packet.
#[xdp]
pub fn firewall(ctx: XdpContext) -> u32 {
    let frame = Frame::new(&ctx);
    let mut counters = Counters::new(&frame);
    let Some(image) = Image::in_force() else {
        counters.add(Reason::NoImage.slot());
        return xdp_action::XDP_PASS;
    };
    let judgement = match headers::parse(&frame) {
        Ok(headers) => judge(&image, &headers, ctx.ingress_ifindex() as u32, &mut counters),
        Err(reason) => Judgement::NoRule(reason),
    };
    let (slot, action) = match judgement {
        Judgement::Pass(slot) => (slot, xdp_action::XDP_PASS),
        Judgement::Drop(slot) => (slot, xdp_action::XDP_DROP),
        Judgement::NoRule(reason) => {
            let drops = image.u32(core::mem::offset_of!(Header, drops) as u32);
            let dropped = drops & (1 << reason.slot()) != 0;
            let action = if dropped {
                xdp_action::XDP_DROP
            } else {
                xdp_action::XDP_PASS
            };
            (reason.slot(), action)
        }
    };
    counters.add(slot);
    action
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
