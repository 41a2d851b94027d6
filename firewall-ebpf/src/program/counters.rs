//! The counters of packets and bytes.

use aya_ebpf::{btf_maps::PerCpuArray, macros::btf_map, programs::XdpContext};
use firewall_ebpf::{
    abi::{BLOCK, Counter, CounterBlock, Reason},
    parse::{Headers, present},
};

use super::{bans::BAN_COUNTERS, frame::frame_len};

#[btf_map]
static COUNTERS: PerCpuArray<CounterBlock, 4> = PerCpuArray::new();

/// The counters of this CPU.
pub(super) struct Counters<'a, const FRAGS: bool> {
    pub(super) ctx: &'a XdpContext,
    pub(super) bytes: u64,
}

impl<'a, const FRAGS: bool> Counters<'a, FRAGS> {
    /// Counters for a frame in one buffer. To be made before the parser runs: bounds of the frame
    /// that are needed after it keep its paths apart for the verifier.
    #[inline(always)]
    pub(super) fn new(ctx: &'a XdpContext) -> Self {
        Self {
            ctx,
            bytes: frame_len::<false>(ctx),
        }
    }

    /// Counts all buffers of a frame with these headers. Asking the kernel for its length costs as
    /// much as an address search, so that it is not asked about a frame whose IP packet ends in the
    /// first buffer.
    #[inline(always)]
    pub(super) fn measure(&mut self, headers: Result<&Headers, Reason>) {
        let ctx = self.ctx;
        if FRAGS {
            let in_first = headers.is_ok_and(|headers| headers.has(present::IN_FIRST_BUFFER));
            // Measured again in the first case, too: the verifier takes longer to follow a length
            // that is kept from before the parser.
            self.bytes = if in_first {
                frame_len::<false>(ctx)
            } else {
                frame_len::<true>(ctx)
            };
        }
    }

    /// Adds the packet to `slot`. A slot beyond the map is not counted; user space makes the map
    /// at least as long as the image's highest slot.
    #[inline(always)]
    pub(super) fn add(&self, slot: u32) {
        add_to_slot(slot, 1, self.bytes);
    }

    /// Adds the packet to those dropped for a ban with this reason.
    #[inline(always)]
    pub(super) fn add_banned(&self, reason: u32) {
        add_banned(reason, 1, self.bytes);
    }
}

/// Adds packets to those dropped for a ban with this reason.
#[inline(always)]
pub(super) fn add_banned(reason: u32, packets: u64, bytes: u64) {
    add_to(BAN_COUNTERS.get_ptr_mut(reason), packets, bytes);
}

/// Adds packets to a slot, unless it lies beyond the map.
#[inline(always)]
pub(super) fn add_to_slot(slot: u32, packets: u64, bytes: u64) {
    let block = COUNTERS.get_ptr_mut(slot / BLOCK);
    let at = (slot % BLOCK) as usize;
    // SAFETY: the counter lies in the block.
    add_to(
        block.map(|block| unsafe { block.cast::<Counter>().add(at) }),
        packets,
        bytes,
    );
}

#[inline(always)]
fn add_to(counter: Option<*mut Counter>, packets: u64, bytes: u64) {
    if let Some(counter) = counter {
        // SAFETY: the value of this CPU, which nothing else writes while the program runs.
        unsafe {
            (*counter).packets = (*counter).packets.wrapping_add(packets);
            (*counter).bytes = (*counter).bytes.wrapping_add(bytes);
        }
    }
}
