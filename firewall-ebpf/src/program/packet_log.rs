//! Events, told over a ring buffer.
//!
//! What is done for a packet of a rule that logs stands in functions of their own in the kernel,
//! too: global ones, which the verifier follows once and not for every path that leads to them
//! (Linux 5.6). There is one of each for both programs, since the helpers that know of frames in
//! several buffers are newer than the oldest kernel.

use core::arch::asm;

use aya_ebpf::{
    EbpfContext as _,
    bindings::{BPF_F_NO_PREALLOC, xdp_md},
    btf_maps::{HashMap, RingBuf},
    helpers::{bpf_ktime_get_boot_ns, bpf_xdp_load_bytes},
    programs::XdpContext,
};
use firewall_ebpf::{
    image::{COUNT, PASS, RuleSlot},
    packet_log::{Event, LogLimiter, MAX_LIMITERS, RING_BYTES, SNAP_LEN},
    walk::Counts,
};

use super::{
    counters::{Counters, add_to_slot},
    frame::frame_len,
};

/// Its elements are made one by one, so that memory follows use. No program adds any.
#[aya_ebpf::macros::btf_map]
static LOG_LIMITERS: HashMap<
    u32,
    LogLimiter,
    { MAX_LIMITERS as usize },
    { BPF_F_NO_PREALLOC as usize },
> = HashMap::new();

#[aya_ebpf::macros::btf_map]
static EVENTS: RingBuf<Event, { RING_BYTES as usize }> = RingBuf::new();

/// Emits an event for a packet that was passed, if its slot logs.
#[inline(always)]
pub(super) fn passed<const FRAGS: bool>(ctx: &XdpContext, slot: RuleSlot) {
    if !slot.logs() {
        return;
    }
    let ctx = ctx.as_ptr().cast();
    if FRAGS {
        emit(ctx, slot.number(), PASS);
    } else {
        emit_linear(ctx, slot.number(), PASS);
    }
}

impl<const FRAGS: bool> Counts for Counters<'_, FRAGS> {
    #[inline(always)]
    fn count(&mut self, slot: RuleSlot) {
        counted::<FRAGS>(self.ctx, slot, self.bytes);
    }
}

/// Counts a packet of `bytes` bytes for a rule that counts, and emits an event if the rule logs.
#[inline(always)]
fn counted<const FRAGS: bool>(ctx: &XdpContext, slot: RuleSlot, bytes: u64) {
    let ctx = ctx.as_ptr().cast();
    if FRAGS {
        count(ctx, slot.bits(), bytes);
    } else {
        count_linear(ctx, slot.bits(), bytes);
    }
}

#[unsafe(no_mangle)]
#[inline(never)]
pub(super) extern "C" fn emit(ctx: *mut xdp_md, slot: u32, what: u32) -> u32 {
    report::<true>(&XdpContext::new(ctx), slot, what)
}

#[unsafe(no_mangle)]
#[inline(never)]
pub(super) extern "C" fn emit_linear(ctx: *mut xdp_md, slot: u32, what: u32) -> u32 {
    report::<false>(&XdpContext::new(ctx), slot, what)
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn count(ctx: *mut xdp_md, slot: u32, bytes: u64) -> u32 {
    let slot = RuleSlot::from_bits(slot);
    add_to_slot(slot.number(), 1, bytes);
    if !slot.logs() {
        return 0;
    }
    emit(ctx, slot.number(), COUNT)
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn count_linear(ctx: *mut xdp_md, slot: u32, bytes: u64) -> u32 {
    let slot = RuleSlot::from_bits(slot);
    add_to_slot(slot.number(), 1, bytes);
    if !slot.logs() {
        return 0;
    }
    emit_linear(ctx, slot.number(), COUNT)
}

/// Tells of a packet that was received, unless it comes too early.
#[inline(always)]
fn report<const FRAGS: bool>(ctx: &XdpContext, slot: u32, what: u32) -> u32 {
    // SAFETY: what was reserved, which nobody reads before it is submitted.
    tell(slot, |event| unsafe { fill::<FRAGS>(ctx, event, what) })
}

/// Writes what is of a packet that was received.
#[inline(always)]
pub(super) unsafe fn fill<const FRAGS: bool>(ctx: &XdpContext, event: *mut Event, what: u32) {
    // SAFETY: what the caller has reserved.
    unsafe {
        (*event).what = what;
        (*event).interface = ctx.ingress_ifindex() as u32;
        (*event).queue = ctx.rx_queue_index();
        (*event).length = frame_len::<FRAGS>(ctx) as u32;
        let bytes = (&raw mut (*event).bytes).cast();
        (*event).captured = if FRAGS {
            load(ctx, bytes)
        } else {
            copy(ctx, bytes)
        };
    }
}

/// Tells of a packet for the rule with this slot, unless it comes too early; `fill` writes what is
/// of the packet. Returns 0: the kernel has no functions without a result.
#[inline(always)]
pub(super) fn tell(slot: u32, fill: impl FnOnce(*mut Event)) -> u32 {
    let Some(limiter) = LOG_LIMITERS.get_ptr_mut(&slot) else {
        return 0;
    };
    // SAFETY: the helper (Linux 5.8) takes nothing.
    let now = unsafe { bpf_ktime_get_boot_ns() };
    // SAFETY: user space replaces elements, and the kernel frees one only after a grace period.
    // Volatile, since other CPUs write meanwhile.
    let (interval, tolerance, due) = unsafe {
        (
            (&raw const (*limiter).interval).read_volatile(),
            (&raw const (*limiter).tolerance).read_volatile(),
            (&raw const (*limiter).due).read_volatile(),
        )
    };
    let Some(next) = LogLimiter::admit(interval, tolerance, due, now) else {
        // SAFETY: as above.
        increment(unsafe { &raw mut (*limiter).suppressed });
        return 0;
    };
    // SAFETY: as above.
    unsafe { (&raw mut (*limiter).due).write_volatile(next) };
    let Some(mut entry) = EVENTS.reserve(0) else {
        // SAFETY: as above.
        increment(unsafe { &raw mut (*limiter).lost });
        return 0;
    };
    let event = entry.as_mut_ptr();
    // SAFETY: what was reserved, which nobody reads before it is submitted.
    unsafe {
        (*event).time = now;
        (*event).slot = slot;
    }
    fill(event);
    // SAFETY: as above.
    unsafe { increment(&raw mut (*limiter).emitted) };
    entry.submit(0);
    0
}

/// Adds 1, as one step for all CPUs.
#[inline(always)]
fn increment(word: *mut u64) {
    // SAFETY: a word of a map's value. In assembly, since the instruction that also fetches the
    // word is newer than the oldest kernel (Linux 5.12).
    unsafe {
        asm!(
            "lock *(u64 *)({word} + 0) += {one}",
            word = in(reg) word,
            one = in(reg) 1_u64,
            options(nostack, preserves_flags),
        );
    }
}

/// Has the kernel copy the beginning of a frame, whichever buffers it is in (Linux 5.18). Returns
/// how many bytes that are.
#[inline(always)]
unsafe fn load(ctx: &XdpContext, bytes: *mut u8) -> u32 {
    let mut length = frame_len::<true>(ctx) as u32;
    if length > SNAP_LEN {
        length = SNAP_LEN;
    }
    // What the verifier demands: neither 0 nor more than there is room for.
    length = (length.wrapping_sub(1) & (SNAP_LEN - 1)) + 1;
    // SAFETY: there is room for `length` bytes.
    let answer = unsafe { bpf_xdp_load_bytes(ctx.ctx, 0, bytes.cast(), length) };
    if answer < 0 { 0 } else { length }
}

/// Copies the beginning of a frame in one buffer. Returns how many bytes that are.
#[inline(always)]
unsafe fn copy(ctx: &XdpContext, bytes: *mut u8) -> u32 {
    let start = ctx.data();
    let end = ctx.data_end();
    let mut at = 0;
    // SAFETY: each word lies inside the frame, or else the verifier refuses the program, and inside
    // the room for it. Volatile, or else the loops would become a call of a function that is not
    // there.
    unsafe {
        while at < SNAP_LEN as usize && start + at + 8 <= end {
            let word = ((start + at) as *const u64).read_unaligned();
            bytes.add(at).cast::<u64>().write_volatile(word);
            at += 8;
        }
        for _ in 0..7 {
            let past = one_past(start + at);
            if at >= SNAP_LEN as usize || past > end {
                break;
            }
            bytes
                .add(at)
                .write_volatile(((start + at) as *const u8).read_volatile());
            at += 1;
        }
    }
    at as u32
}

/// The address behind this one. In assembly, since the compiler would compare the address itself,
/// from which the verifiers before Linux 5.17 do not learn that its byte lies inside the frame.
#[inline(always)]
fn one_past(address: usize) -> usize {
    let past;
    // SAFETY: arithmetic.
    unsafe {
        asm!(
            "{past} += 1",
            past = inout(reg) address => past,
            options(nostack, preserves_flags, pure, nomem),
        );
    }
    past
}
