//! What the library asks for, in the kernel: the frame, the image in force, the counters, the bans.
//!
//! The only module of this crate with `unsafe` code: each access stands behind the bounds check
//! that the verifier demands.

#![expect(unsafe_code, reason = "packet and map memory are raw in BPF")]

mod bans;
mod counters;
pub(crate) mod events;
mod frame;
mod image;

pub(crate) use bans::ban_of;
pub(crate) use counters::Counters;
pub(crate) use frame::{Frame, LateFrame, frame_len};
pub(crate) use image::Image;

/// `BPF_F_MMAPABLE` (`include/uapi/linux/bpf.h`), since Linux 5.5.
const MMAPABLE: usize = 1 << 10;

/// The kernel lends helpers marked GPL-only to programs whose licence it knows as compatible.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
