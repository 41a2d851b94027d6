//! The maps, the frame and the helpers: the only module of this crate with `unsafe` code.

#![expect(unsafe_code, reason = "packet and map memory are raw in BPF")]

use core::arch::asm;

use aya_ebpf::{
    btf_maps::{Array, ProgramArray},
    helpers::bpf_redirect,
    macros::btf_map,
    programs::XdpContext,
};
use driver_ebpf::{FRAME_LEN, OFFSET, Record, word};

/// `BPF_F_MMAPABLE` (`include/uapi/linux/bpf.h`), since Linux 5.5. Such a map is page-aligned, so
/// each record is one cache line.
const MMAPABLE: usize = 1 << 10;

type State = [u32; word::WORDS];

/// User space sets the number of elements.
#[btf_map]
static PACKETS: Array<Record, 1, MMAPABLE> = Array::new();

#[btf_map]
static STATE: Array<State, 1> = Array::new();

#[btf_map]
static TESTED: ProgramArray<1> = ProgramArray::new();

#[btf_map]
static TESTED_FRAGS: ProgramArray<1> = ProgramArray::new();

/// Writes the next packet over the frame; `None` when there is none or the frame is too short.
#[inline(always)]
pub(crate) fn write_next(ctx: &XdpContext) -> Option<&'static mut State> {
    // SAFETY: the map lives as long as the program, and one thread at a time runs the driver.
    let state = unsafe { &mut *STATE.get_ptr_mut(0)? };
    let number = state[word::NEXT];
    let record = PACKETS.get(number)?;
    let next = number + 1;
    state[word::NEXT] = if next < state[word::COUNT] { next } else { 0 };
    let frame = ctx.data();
    if frame + FRAME_LEN > ctx.data_end() {
        return None;
    }
    macro_rules! store {
        ($($index:literal)*) => {$(
            // SAFETY: the word lies inside the frame. In assembly, since the compiler would take a
            // word of unknown alignment apart into bytes; the kernel allows BPF programs unaligned
            // stores to a frame where the machine has them, and else the verifier refuses.
            unsafe {
                asm!(
                    "*(u64 *)({frame} + {offset}) = {word}",
                    frame = in(reg) frame,
                    offset = const OFFSET + $index * size_of::<u64>(),
                    word = in(reg) record[$index],
                    options(nostack, preserves_flags),
                );
            }
        )*};
    }
    store!(0 1 2 3 4 5 6 7);
    Some(state)
}

/// Makes the kernel send the frame through an interface.
#[inline(always)]
pub(crate) fn redirect(interface: u32) -> u32 {
    // SAFETY: the helper takes any numbers.
    unsafe { bpf_redirect(interface, 0) as u32 }
}

/// Tail-calls the program under test; returns if there is none.
#[inline(always)]
pub(crate) fn call_tested(ctx: &XdpContext) {
    // SAFETY: no caller has anything that waits to be dropped.
    unsafe { TESTED.tail_call(ctx, 0) };
}

/// The same for a program under test that takes frames in several buffers.
#[inline(always)]
pub(crate) fn call_tested_frags(ctx: &XdpContext) {
    // SAFETY: no caller has anything that waits to be dropped.
    unsafe { TESTED_FRAGS.tail_call(ctx, 0) };
}

/// The kernel allows GPL-only helpers for programs whose licence it knows as compatible.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
