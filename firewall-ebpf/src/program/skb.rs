//! The packet that a program at a traffic-control hook is called for.

use core::arch::asm;

use aya_ebpf::{
    EbpfContext as _,
    bindings::{__sk_buff, bpf_hdr_start_off::BPF_HDR_START_NET},
    helpers::{bpf_skb_load_bytes, bpf_skb_load_bytes_relative},
    programs::TcContext,
};
use firewall_ebpf::{
    image::{COUNT, DROP, PASS, RuleSlot},
    packet::{PLAIN, PLAIN_LEN, Packet},
    packet_log::{Event, OUT, SNAP_LEN},
    parse::protocol,
    walk::Counts,
};

use super::{
    counters::{add_banned, add_to_slot},
    drops::{Dropped, is_capturing, is_on, logs},
    frame::{OFFSET_MASK, load_word},
    image::{Image, opaque},
    packet_log::tell,
};

/// The bytes of an Ethernet header.
const ETHERNET: u32 = 14;

/// A field of the context.
macro_rules! field {
    ($ctx:expr, $field:ident) => {{
        let skb = $ctx.skb.skb;
        // SAFETY: the context that the program was called with.
        unsafe { (*skb).$field }
    }};
}

/// A packet buffer of the kernel (`struct sk_buff`).
///
/// `BARE` says whether the interface has no Ethernet header: packets begin with their IP header.
///
/// Only the linear part of a buffer can be read directly; the kernel reads the rest. It is not asked
/// to make that part longer (`bpf_skb_pull_data`): it would copy what the sender's socket still
/// holds, and would need memory.
pub(super) struct Skb<'a, const BARE: bool> {
    pub(super) ctx: &'a TcContext,
    image: &'a Image,
    /// Where the packet begins: always at 0 with an Ethernet header.
    start: u32,
}

impl<'a, const BARE: bool> Skb<'a, BARE> {
    #[inline(always)]
    pub(super) fn new(ctx: &'a TcContext, image: &'a Image) -> Self {
        let start = if BARE {
            network_offset(ctx.as_ptr().cast())
        } else {
            0
        };
        Self { ctx, image, start }
    }

    /// Has the kernel read bytes beyond the linear part, at an offset into the buffer.
    #[inline(always)]
    fn far<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        if offset + N as u32 > self.ctx.len() {
            return None;
        }
        let word = far_word(self.ctx.as_ptr().cast(), offset, N as u32);
        word.to_le_bytes().first_chunk().copied()
    }

    /// The length of the IP header and the one after it, of a packet that the kernel has put together: it takes
    /// those of TCP and UDP, of IPv6 without extension headers.
    #[inline(always)]
    fn header_len(&self, network: u32) -> u32 {
        // Two bytes at a time: the verifier does not follow how the compiler asks whether there is one.
        let pair = |offset| self.load::<2>(offset).unwrap_or_default();
        let [first, _] = pair(network);
        let (ip, protocol) = if first >> 4 == 6 {
            (40, pair(network + 6)[0])
        } else {
            (u32::from(first & 0xf) * 4, pair(network + 8)[1])
        };
        let upper = if protocol == protocol::TCP {
            u32::from(pair(network + ip + 12)[0] >> 4) * 4
        } else {
            8
        };
        ip + upper
    }

    /// The eight bytes at an offset, in network order. The caller has made sure of them.
    #[inline(always)]
    fn plain_word<const OFFSET: usize>(start: usize) -> u64 {
        let word: u64;
        // SAFETY: the word lies inside the linear part, or else the verifier refuses the program.
        unsafe {
            asm!(
                "{word} = *(u64 *)({start} + {offset})",
                start = in(reg) start,
                offset = const OFFSET,
                word = out(reg) word,
                options(nostack, preserves_flags, pure, readonly),
            );
        }
        u64::from_be(word)
    }
}

impl<const BARE: bool> Packet for Skb<'_, BARE> {
    #[inline(always)]
    fn load<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        let offset = self.start + offset & OFFSET_MASK;
        let at = field!(self.ctx, data) as usize + offset as usize;
        if at + N > field!(self.ctx, data_end) as usize {
            return self.far(offset);
        }
        let word: u64;
        // SAFETY: `at..at + N` lies inside the linear part. In assembly as in `frame.rs`.
        unsafe {
            match N {
                8 => load_word!("u64", at, word),
                4 => load_word!("u32", at, word),
                2 => load_word!("u16", at, word),
                _ => load_word!("u8", at, word),
            }
        }
        word.to_le_bytes().first_chunk().copied()
    }

    #[inline(always)]
    fn plain(&self) -> Option<[u64; PLAIN.len()]> {
        let start = field!(self.ctx, data) as usize;
        if start + PLAIN_LEN as usize > field!(self.ctx, data_end) as usize {
            return None;
        }
        Some([
            Self::plain_word::<{ PLAIN[0] }>(start),
            Self::plain_word::<{ PLAIN[1] }>(start),
            Self::plain_word::<{ PLAIN[2] }>(start),
            Self::plain_word::<{ PLAIN[3] }>(start),
            Self::plain_word::<{ PLAIN[4] }>(start),
        ])
    }

    #[inline(always)]
    fn opaque(&self, value: u64) -> u64 {
        opaque(self.image.start, value)
    }

    /// Opaque, or else the verifier would keep what the parser has compared with it.
    #[inline(always)]
    fn len(&self) -> u32 {
        self.opaque(u64::from(self.ctx.len().wrapping_sub(self.start))) as u32
    }

    #[inline(always)]
    fn holds(&self, len: u32) -> bool {
        len <= self.len()
    }

    #[inline(always)]
    fn bare_ethertype(&self) -> Option<u16> {
        // By a mask: a branch would be one path more for the verifier.
        let is_known = (self.start.wrapping_sub(UNKNOWN) as i32 >> 31) as u16;
        BARE.then(|| u16::from_be(field!(self.ctx, protocol) as u16) & is_known)
    }

    #[inline(always)]
    fn outer_tag(&self) -> Option<u16> {
        (field!(self.ctx, vlan_present) != 0).then(|| field!(self.ctx, vlan_tci) as u16)
    }

    /// The kernel adds the headers of all segments but the first to the length
    /// (`qdisc_pkt_len_init`, `net/core/dev.c`). It does not where packets are received, which it has put
    /// together: their headers are read.
    #[inline(always)]
    fn segment_len(&self, network: u32) -> Option<u32> {
        let size = field!(self.ctx, gso_size);
        let others = field!(self.ctx, gso_segs).saturating_sub(1);
        if size == 0 || others == 0 {
            return None;
        }
        let added = field!(self.ctx, wire_len).wrapping_sub(self.ctx.len());
        if BARE && added as i32 <= 0 {
            return Some(self.header_len(network).wrapping_add(size));
        }
        let headers = added.checked_div(others)?;
        Some(headers.wrapping_sub(network).wrapping_add(size))
    }
}

/// Has the kernel read a word of a packet, 1, 2, 4 or 8 bytes in the order of the packet, which the
/// packet must have.
///
/// A function of its own in the kernel, too: one that is global and takes numbers only, which the
/// verifier follows once and not for every path that leads to it (Linux 5.6).
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn far_word(ctx: *mut __sk_buff, offset: u32, width: u32) -> u64 {
    let mut word = 0_u64;
    let to = (&raw mut word).cast();
    // What the verifier demands: neither 0 nor more than there is room for.
    let width = (width.wrapping_sub(1) & 7) + 1;
    // SAFETY: there is room for `width` bytes; what the kernel cannot read, it leaves 0.
    unsafe { bpf_skb_load_bytes(ctx.cast(), offset, to, width) };
    word
}

/// What [`network_offset`] is less than, and answers if it cannot tell: the packet then counts as one of an
/// unknown EtherType.
const UNKNOWN: u32 = 255;

/// The offset of the IP header in a buffer of an interface without Ethernet header.
///
/// It is 0 but where the kernel has the program see what precedes it, as if it were a link-layer header: the
/// outer headers of a tunnel (GRE and IP in IP before Linux 5.14, GRE without a fixed peer ever since), which
/// say nothing of the packet. No field of the context has the offset. The kernel reads at an offset from the
/// IP header, but nothing beyond the linear part: from what it refuses follows where that part ends, seen from
/// the IP header. One read shows that it is 0.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn network_offset(ctx: *mut __sk_buff) -> u32 {
    let context = TcContext::new(ctx);
    let linear = (field!(context, data_end) as usize - field!(context, data) as usize) as u32;
    if linear == 0 || is_beyond(ctx, linear - 1) == 0 {
        return 0;
    }
    let mut offset = 0;
    // Without branches, each of which would be two paths for the verifier.
    for step in [128, 64, 32, 16, 8, 4, 2, 1] {
        let last = linear as i32 - (offset + step) as i32;
        let last = last & !(last >> 31);
        offset += step * is_beyond(ctx, last as u32);
    }
    offset
}

/// 1 if the byte at an offset from the IP header is beyond the linear part, else 0.
#[inline(always)]
fn is_beyond(ctx: *mut __sk_buff, offset: u32) -> u32 {
    let mut byte = 0_u8;
    let to = (&raw mut byte).cast();
    // SAFETY: there is room for a byte.
    let answer =
        unsafe { bpf_skb_load_bytes_relative(ctx.cast(), offset, to, 1, BPF_HDR_START_NET) };
    (answer as u64 >> 63) as u32
}

/// The index of the interface.
#[inline(always)]
pub(super) fn interface(ctx: &TcContext) -> u32 {
    field!(ctx, ifindex)
}

/// The index of the interface by which a packet came in; 0 of the machine's own.
#[inline(always)]
pub(super) fn in_interface(ctx: &TcContext) -> u32 {
    field!(ctx, ingress_ifindex)
}

/// The mark of a packet.
#[inline(always)]
pub(super) fn mark(ctx: &TcContext) -> u32 {
    field!(ctx, mark)
}

/// The counters of this CPU, for a packet buffer: it counts as the packets that it is cut into.
pub(super) struct Sent<'a, const BARE: bool, const LEAVES: bool> {
    pub(super) ctx: &'a TcContext,
}

impl<const BARE: bool, const LEAVES: bool> Sent<'_, BARE, LEAVES> {
    /// Adds the packets to `slot`.
    #[inline(always)]
    pub(super) fn add(&self, slot: u32) {
        add_to_slot(slot, packets(self.ctx), bytes(self.ctx));
    }

    /// Adds the packets to those dropped for a ban with this reason.
    #[inline(always)]
    pub(super) fn add_banned(&self, reason: u32) {
        add_banned(reason, packets(self.ctx), bytes(self.ctx));
    }

    /// Reports a packet that was dropped with this slot: to captures of drops, if one runs, and as one that is logged, if the
    /// slot says so.
    #[inline(always)]
    pub(super) fn dropped(&self, slot: RuleSlot) {
        if slot.logs() || is_on() {
            let ctx = self.ctx.as_ptr().cast();
            drop_skb(ctx, slot.bits(), Kind::<BARE, LEAVES>::of(DROP));
        }
    }

    /// Emits an event for a packet that was passed, if its slot logs.
    #[inline(always)]
    pub(super) fn passed(&self, slot: RuleSlot) {
        if slot.logs() {
            let ctx = self.ctx.as_ptr().cast();
            emit_skb(ctx, slot.number(), Kind::<BARE, LEAVES>::of(PASS));
        }
    }
}

impl<const BARE: bool, const LEAVES: bool> Counts for Sent<'_, BARE, LEAVES> {
    #[inline(always)]
    fn count(&mut self, slot: RuleSlot) {
        let ctx = self.ctx.as_ptr().cast();
        count_skb(ctx, slot.bits(), Kind::<BARE, LEAVES>::of(COUNT));
    }
}

/// What the functions below need to know of the program that calls them.
struct Kind<const BARE: bool, const LEAVES: bool>;

/// The bit of [`Kind::of`] for packets without Ethernet header, which no event has.
const WITHOUT_ETHERNET: u32 = 1 << 16;

impl<const BARE: bool, const LEAVES: bool> Kind<BARE, LEAVES> {
    #[inline(always)]
    const fn of(what: u32) -> u32 {
        let out = if LEAVES { OUT } else { 0 };
        let bare = if BARE { WITHOUT_ETHERNET } else { 0 };
        what | out | bare
    }
}

/// The packets that a buffer is cut into.
#[inline(always)]
fn packets(ctx: &TcContext) -> u64 {
    let segments = field!(ctx, gso_segs);
    u64::from(if segments == 0 { 1 } else { segments })
}

/// The bytes of all of them, with their headers.
#[inline(always)]
fn bytes(ctx: &TcContext) -> u64 {
    u64::from(field!(ctx, wire_len))
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn emit_skb(ctx: *mut __sk_buff, slot: u32, kind: u32) -> u32 {
    report(&TcContext::new(ctx), slot, kind)
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn drop_skb(ctx: *mut __sk_buff, slot: u32, kind: u32) -> u32 {
    let slot = RuleSlot::from_bits(slot);
    if logs(slot) {
        emit_skb(ctx, slot.number(), kind);
    }
    if !is_capturing() {
        return 0;
    }
    let ctx = TcContext::new(ctx);
    let dropped = Dropped {
        slot: slot.number(),
        direction: u32::from(kind & OUT != 0),
        interface: interface(&ctx),
        packets: packets(&ctx) as u32,
    };
    // SAFETY: what was reserved, which nobody reads before it is submitted.
    dropped.report(|event| unsafe { fill(&ctx, event, kind) })
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn count_skb(ctx: *mut __sk_buff, slot: u32, kind: u32) -> u32 {
    let slot = RuleSlot::from_bits(slot);
    let context = TcContext::new(ctx);
    add_to_slot(slot.number(), packets(&context), bytes(&context));
    if !slot.logs() {
        return 0;
    }
    emit_skb(ctx, slot.number(), kind)
}

/// Tells of a packet, unless it comes too early.
#[inline(always)]
fn report(ctx: &TcContext, slot: u32, kind: u32) -> u32 {
    // SAFETY: what was reserved, which nobody reads before it is submitted.
    tell(slot, |event| unsafe { fill(ctx, event, kind) })
}

/// Writes what is of a packet. One without Ethernet header gets one, without addresses: readers expect it.
#[inline(always)]
unsafe fn fill(ctx: &TcContext, event: *mut Event, kind: u32) {
    let is_bare = kind & WITHOUT_ETHERNET != 0;
    let len = ctx.len();
    let interface = field!(ctx, ifindex);
    let ethertype = field!(ctx, protocol) as u16;
    // SAFETY: what the caller has reserved.
    unsafe {
        (*event).what = kind & !WITHOUT_ETHERNET;
        (*event).interface = interface;
        (*event).queue = 0;
        let start = (&raw mut (*event).bytes).cast::<u8>();
        if is_bare {
            start.cast::<u64>().write_volatile(0);
            start.add(8).cast::<u32>().write_volatile(0);
            start.add(12).cast::<u16>().write_volatile(ethertype);
            let network = network_offset(ctx.as_ptr().cast());
            let len = len.wrapping_sub(network);
            (*event).length = len + ETHERNET;
            const ROOM: u32 = SNAP_LEN / 2;
            let to = start.add(ETHERNET as usize);
            (*event).captured = ETHERNET + copy::<ROOM>(ctx, network, to, len);
        } else {
            (*event).length = len;
            (*event).captured = copy::<SNAP_LEN>(ctx, 0, start, len);
        }
    }
}

/// Copies the beginning of a packet of `len` bytes, which is at an offset, at most `ROOM`, a power of two.
/// Returns how many bytes that are.
#[inline(always)]
unsafe fn copy<const ROOM: u32>(ctx: &TcContext, offset: u32, to: *mut u8, len: u32) -> u32 {
    let len = if len > ROOM { ROOM } else { len };
    // What the verifier demands: neither 0 nor more than there is room for.
    let len = (len.wrapping_sub(1) & (ROOM - 1)) + 1;
    // SAFETY: there is room for `len` bytes.
    let answer = unsafe { bpf_skb_load_bytes(ctx.as_ptr(), offset, to.cast(), len) };
    if answer < 0 { 0 } else { len }
}
