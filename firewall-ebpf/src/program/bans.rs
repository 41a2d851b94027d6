//! The bans, and whom they hit.

use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC,
    btf_maps::{Array, HashMap, PerCpuArray},
    helpers::bpf_ktime_get_boot_ns,
    macros::btf_map,
};
use firewall_ebpf::{
    abi::Counter,
    bans::{self, Ban, FILTER_LINES, Family, Key, LINE_WORDS, Line, REASONS},
    parse::{Headers, present},
};

use super::map_flags::MMAPABLE;

/// Its elements are made one by one, so that memory follows use. No program adds any.
#[btf_map]
static BANS: HashMap<Key, Ban, 1, { BPF_F_NO_PREALLOC as usize }> = HashMap::new();

/// As long as one without a filter, unless user space makes it.
#[btf_map]
static BAN_PREFILTER: Array<Line, { FILTER_LINES as usize }, MMAPABLE> = Array::new();

#[btf_map]
pub(super) static BAN_COUNTERS: PerCpuArray<Counter, { REASONS as usize }> = PerCpuArray::new();

/// The reason of the ban that the source of an IP packet is under.
#[inline(always)]
pub(super) fn ban_of(headers: &Headers) -> Option<u32> {
    // A call costs as much as the rest of the question.
    if !bans::any(&Bans) {
        return None;
    }
    source_ban(headers.present, headers.src_high, headers.src_low).checked_sub(1)
}

/// One more than the reason of the ban that an address is under; 0 when it is under none.
///
/// A function of its own in the kernel, too: one that is global and takes numbers only, which the
/// verifier follows once and not for every path that leads to it (Linux 5.6).
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn source_ban(present: u32, high: u64, low: u64) -> u32 {
    let family = if present & present::IPV4 != 0 {
        Family::V4
    } else if present & present::IPV6 != 0 {
        Family::V6
    } else {
        return 0;
    };
    bans::find(&Bans, family, high, low).map_or(0, |(_, ban)| ban.reason as u32 + 1)
}

/// The bans.
struct Bans;

impl bans::Table for Bans {
    type Line = *const Line;

    #[inline(always)]
    fn line(&self, number: u32) -> Option<*const Line> {
        BAN_PREFILTER.get_ptr(number)
    }

    #[inline(always)]
    fn word(&self, line: *const Line, word: u32) -> u64 {
        let at = (word & (LINE_WORDS - 1)) as usize;
        // SAFETY: the word lies in the line. Volatile, since user space writes meanwhile.
        unsafe { line.cast::<u64>().add(at).read_volatile() }
    }

    #[inline(always)]
    fn ban(&self, key: &Key) -> Option<Ban> {
        // SAFETY: user space replaces elements, and the kernel frees one only after a grace period.
        BANS.get_ptr(key).map(|ban| unsafe { ban.read_volatile() })
    }

    #[inline(always)]
    fn now(&self) -> u64 {
        // SAFETY: the helper (Linux 5.8) takes nothing.
        unsafe { bpf_ktime_get_boot_ns() }
    }
}
