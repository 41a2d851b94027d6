//! The maps, the frame and the helpers: the only module of this crate with `unsafe` code.

#![expect(unsafe_code, reason = "packet and map memory are raw in BPF")]

use core::arch::asm;

use aya_ebpf::{
    btf_maps::{Array, ProgramArray},
    helpers::bpf_redirect,
    macros::btf_map,
    programs::XdpContext,
};
use driver_ebpf::{FRAME_LEN, OFFSET, Record, SOURCE, TAG_LINES, word};

/// `BPF_F_MMAPABLE` (`include/uapi/linux/bpf.h`), since Linux 5.5. Such a map is page-aligned, so
/// each record is one cache line.
const MMAPABLE: usize = 1 << 10;

type State = [u32; word::WORDS];

/// User space sets the number of elements.
#[btf_map]
static PACKETS: Array<Record, 1, MMAPABLE> = Array::new();

#[btf_map]
static STATE: Array<State, 1> = Array::new();

/// The table that is only read. User space sets the number of elements, also of its tags.
#[btf_map]
static LINES: Array<[u64; 8], 1, MMAPABLE> = Array::new();

#[btf_map]
static TAGS: Array<[u32; TAG_LINES as usize], 1, MMAPABLE> = Array::new();

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

/// Two lines of the table for the source address of a packet, as far apart as chance has them. They depend on what was read
/// for the packet before: a filter has so much to do for each packet that the CPU does not read for the next one meanwhile.
#[inline(always)]
fn lines(ctx: &XdpContext, state: &State) -> Option<[u32; 2]> {
    let frame = ctx.data();
    if frame + FRAME_LEN > ctx.data_end() {
        return None;
    }
    // SAFETY: the address lies inside the frame, aligned for what the kernel asks of BPF programs.
    let source = unsafe { *((frame + SOURCE) as *const [u16; 2]) };
    let source = u64::from(source[0] | state[word::READ] as u16) | u64::from(source[1]) << 16;
    let hash = source.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let hash = (hash ^ hash >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
    let last = state[word::LAST_LINE];
    Some([
        (hash ^ hash >> 32) as u32 & last,
        (hash >> 32) as u32 & last,
    ])
}

/// The tags of a line.
#[inline(always)]
fn tags(line: u32) -> Option<u32> {
    let tags = TAGS.get_ptr(line / TAG_LINES)?.cast::<u32>();
    // SAFETY: the tags of the line lie in the element. Volatile, or else they would not be read.
    Some(unsafe { tags.add((line % TAG_LINES) as usize).read_volatile() })
}

/// Reads the tags of a line, and a word of the line that depends on them.
#[inline(always)]
pub(crate) fn read_line(ctx: &XdpContext) -> Option<()> {
    // SAFETY: one thread at a time runs the driver.
    let state = unsafe { &mut *STATE.get_ptr_mut(0)? };
    let [number, _] = lines(ctx, state)?;
    let tags = tags(number)?;
    let line = LINES.get_ptr(number)?.cast::<u64>();
    // SAFETY: one of the eight words of the line. Volatile as above.
    let word = unsafe { line.add((tags & 7) as usize).read_volatile() };
    state[word::READ] = word as u32;
    Some(())
}

/// Reads the tags of two lines.
#[inline(always)]
pub(crate) fn read_tags(ctx: &XdpContext) -> Option<()> {
    // SAFETY: as above.
    let state = unsafe { &mut *STATE.get_ptr_mut(0)? };
    let [first, second] = lines(ctx, state)?;
    state[word::READ] = tags(first)? | tags(second)?;
    Some(())
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
