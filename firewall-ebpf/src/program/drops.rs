//! Reports dropped packets to captures of drops.
//!
//! While none runs, a drop costs one test of a word. What is done while one runs stands in functions of their own in
//! the kernel, too, like those in `packet_log.rs`.

use core::cell::UnsafeCell;

use aya_ebpf::{
    EbpfContext as _,
    bindings::xdp_md,
    btf_maps::{Array, PerCpuArray, RingBuf},
    helpers::{bpf_get_prandom_u32, bpf_ktime_get_boot_ns},
    macros::btf_map,
    programs::XdpContext,
};
use firewall_ebpf::{
    abi::{Direction, Reason},
    drop_capture::{CAPTURES, DROP_RING_BYTES, DropCounts, DropEvent, DropSettings, LOGS_BANNED},
    image::{DROP, RuleSlot},
    packet_log::{Event, LogLimiter},
};

use super::packet_log::{emit, emit_linear, fill};

/// The only word of its section: see [`abi::DROP_SWITCH`](firewall_ebpf::abi::DROP_SWITCH).
#[unsafe(no_mangle)]
static DROP_SWITCH: Switch = Switch(UnsafeCell::new(0));

/// A word that user space writes.
#[repr(transparent)]
struct Switch(UnsafeCell<u32>);

// SAFETY: it is only read, and volatile.
unsafe impl Sync for Switch {}

#[btf_map]
static DROP_SETTINGS: Array<DropSettings, 1> = Array::new();

#[btf_map]
static DROP_COUNTS: PerCpuArray<DropCounts, 1> = PerCpuArray::new();

#[btf_map]
static DROP_EVENTS: RingBuf<DropEvent, { DROP_RING_BYTES as usize }> = RingBuf::new();

#[inline(always)]
fn switch() -> u32 {
    // SAFETY: a word of a map's value.
    unsafe { DROP_SWITCH.0.get().read_volatile() }
}

/// Whether a drop may have to be reported that its slot does not log.
#[inline(always)]
pub(super) fn is_on() -> bool {
    switch() != 0
}

/// Whether a capture of drops runs.
#[inline(always)]
pub(super) fn is_capturing() -> bool {
    switch() & CAPTURES != 0
}

/// Whether packets that are dropped with this slot are logged. Those of banned sources have no bit for it: their path
/// would have to read the image.
#[inline(always)]
pub(super) fn logs(slot: RuleSlot) -> bool {
    let is_banned = slot.number() == Reason::Banned.slot(Direction::In, true);
    slot.logs() || is_banned && switch() & LOGS_BANNED != 0
}

/// Reports a packet in that was dropped with this slot: to captures of drops, if one runs, and as one that is logged, if the
/// slot says so.
///
/// Both by one call: a slot that is kept across a call for the next one triples the verifier's work.
#[inline(always)]
pub(super) fn dropped<const FRAGS: bool>(ctx: &XdpContext, slot: RuleSlot) {
    if !slot.logs() && !is_on() {
        return;
    }
    let ctx = ctx.as_ptr().cast();
    if FRAGS {
        drop_frame(ctx, slot.bits());
    } else {
        drop_linear(ctx, slot.bits());
    }
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn drop_frame(ctx: *mut xdp_md, slot: u32) -> u32 {
    let slot = RuleSlot::from_bits(slot);
    if logs(slot) {
        emit(ctx, slot.number(), DROP);
    }
    capture::<true>(&XdpContext::new(ctx), slot.number())
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn drop_linear(ctx: *mut xdp_md, slot: u32) -> u32 {
    let slot = RuleSlot::from_bits(slot);
    if logs(slot) {
        emit_linear(ctx, slot.number(), DROP);
    }
    capture::<false>(&XdpContext::new(ctx), slot.number())
}

#[inline(always)]
fn capture<const FRAGS: bool>(ctx: &XdpContext, slot: u32) -> u32 {
    if !is_capturing() {
        return 0;
    }
    let dropped = Dropped {
        slot,
        direction: 0,
        interface: ctx.ingress_ifindex() as u32,
        packets: 1,
    };
    // SAFETY: what was reserved, which nobody reads before it is submitted.
    dropped.report(|event| unsafe { fill::<FRAGS>(ctx, event, DROP) })
}

/// A packet that was dropped.
pub(super) struct Dropped {
    pub(super) slot: u32,
    /// 0 for in, 1 for out.
    pub(super) direction: u32,
    pub(super) interface: u32,
    pub(super) packets: u32,
}

impl Dropped {
    /// Emits an event, if a capture asks for the packet, it is sampled and does not come too early; `fill` writes what
    /// is of the packet. Returns 0: the kernel has no functions without a result.
    #[inline(always)]
    pub(super) fn report(&self, fill: impl FnOnce(*mut Event)) -> u32 {
        let (Some(settings), Some(counts)) =
            (DROP_SETTINGS.get_ptr_mut(0), DROP_COUNTS.get_ptr_mut(0))
        else {
            return 0;
        };
        // SAFETY: the only element. Volatile, since user space writes meanwhile.
        let settings_causes = unsafe {
            let [causes_in, causes_out] = (&raw const (*settings).causes).read_volatile();
            if self.direction == 0 {
                causes_in
            } else {
                causes_out
            }
        };
        // SAFETY: as above.
        let (only_slot, only_interface, one_in) = unsafe {
            (
                (&raw const (*settings).slot).read_volatile(),
                (&raw const (*settings).interface).read_volatile(),
                (&raw const (*settings).one_in).read_volatile(),
            )
        };
        let is_chosen = DropSettings::ask_for(
            settings_causes,
            only_slot,
            only_interface,
            self.slot,
            self.interface,
        );
        if !is_chosen {
            // SAFETY: the value of this CPU.
            self.count(unsafe { &raw mut (*counts).not_chosen });
            return 0;
        }
        // SAFETY: the helper (Linux 4.1) takes nothing.
        if one_in > 1 && !DropSettings::chooses(one_in, unsafe { bpf_get_prandom_u32() }) {
            // SAFETY: as above.
            self.count(unsafe { &raw mut (*counts).not_sampled });
            return 0;
        }
        // SAFETY: the helper (Linux 5.8) takes nothing.
        let now = unsafe { bpf_ktime_get_boot_ns() };
        // SAFETY: the only element. Volatile, since other CPUs write meanwhile.
        let (interval, tolerance, due) = unsafe {
            (
                (&raw const (*settings).interval).read_volatile(),
                (&raw const (*settings).tolerance).read_volatile(),
                (&raw const (*settings).due).read_volatile(),
            )
        };
        let Some(next) = LogLimiter::admit(interval, tolerance, due, now) else {
            // SAFETY: as above.
            self.count(unsafe { &raw mut (*counts).suppressed });
            return 0;
        };
        // SAFETY: as above.
        unsafe { (&raw mut (*settings).due).write_volatile(next) };
        let Some(mut entry) = DROP_EVENTS.reserve(0) else {
            // SAFETY: as above.
            self.count(unsafe { &raw mut (*counts).lost });
            return 0;
        };
        let event: *mut DropEvent = entry.as_mut_ptr();
        // SAFETY: what was reserved, which nobody reads before it is submitted.
        unsafe {
            (*event).event.time = now;
            (*event).event.slot = self.slot;
            (*event).packets = self.packets;
            (*event).one_in = one_in;
        }
        // SAFETY: as above.
        fill(unsafe { &raw mut (*event).event });
        // SAFETY: as above.
        self.count(unsafe { &raw mut (*counts).emitted });
        entry.submit(0);
        0
    }

    /// Adds the packets to a count of this CPU.
    #[inline(always)]
    fn count(&self, word: *mut u64) {
        // SAFETY: a word of the value of this CPU, which nothing else writes while the program runs.
        unsafe { *word = (*word).wrapping_add(u64::from(self.packets)) }
    }
}
