//! What the library asks for, in the kernel: the frame, the image in force and the counters.
//!
//! With [`events`] the only module of this crate with `unsafe` code: each access stands behind the
//! bounds check that the verifier demands.

#![expect(unsafe_code, reason = "packet and map memory are raw in BPF")]

pub(crate) mod events;

use core::{arch::asm, ffi::c_void, hint::assert_unchecked, mem::offset_of};

use aya_ebpf::{
    Global,
    bindings::BPF_F_NO_PREALLOC,
    btf_maps::{Array, ArrayOfMaps, HashMap, PerCpuArray},
    helpers::{bpf_ktime_get_boot_ns, bpf_map_lookup_elem, bpf_xdp_get_buff_len},
    macros::btf_map,
    programs::XdpContext,
};
use firewall_ebpf::{
    abi::{BLOCK, Counter, CounterBlock, MIN_IMAGE_SIZE, Reason},
    bans::{self, Ban, FILTER_LINES, Family, Key, LINE_WORDS, Line, REASONS},
    headers::{Headers, MAX_EXTENSIONS, MAX_TAGS, present},
    image::{HEAD_MASK, Header, Memory},
    packet::{PLAIN, PLAIN_LEN, Packet},
    walk::Counts,
};

/// `BPF_F_MMAPABLE` (`include/uapi/linux/bpf.h`), since Linux 5.5.
const MMAPABLE: usize = 1 << 10;

type ImageMap = Array<[u8; MIN_IMAGE_SIZE as usize], 1, MMAPABLE>;

#[btf_map]
static IMAGES: ArrayOfMaps<ImageMap, 1> = ArrayOfMaps::new();

#[btf_map]
static COUNTERS: PerCpuArray<CounterBlock, 4> = PerCpuArray::new();

/// Its elements are made one by one, so that memory follows use. No program adds any.
#[btf_map]
static BANS: HashMap<Key, Ban, 1, { BPF_F_NO_PREALLOC as usize }> = HashMap::new();

/// As long as one without a filter, unless user space makes it.
#[btf_map]
static BAN_BOARD: Array<Line, { FILTER_LINES as usize }, MMAPABLE> = Array::new();

#[btf_map]
static BAN_COUNTERS: PerCpuArray<Counter, { REASONS as usize }> = PerCpuArray::new();

#[unsafe(no_mangle)]
static IMAGE_SIZE: Global<u32> = Global::new(MIN_IMAGE_SIZE);

/// Bounds an offset into a frame for the verifier, which follows none beyond 2^16
/// (`MAX_PACKET_OFF`, `kernel/bpf/verifier.c`). The parser stays far below: tags, the IPv6 header
/// and [`headers::MAX_EXTENSIONS`](firewall_ebpf::headers::MAX_EXTENSIONS) extension headers of at
/// most 2,048 bytes each.
const OFFSET_MASK: u32 = 0x7fff;

const _: () = assert!(14 + 4 * MAX_TAGS + 40 + MAX_EXTENSIONS * 2048 + 64 < OFFSET_MASK);

/// Returns `value` XORed with the word of the image that is always 0, out of reach of both the
/// optimizer and the verifier.
#[inline(always)]
fn opaque(image: *const u8, mut value: u64) -> u64 {
    // SAFETY: the word lies in the image's header.
    unsafe {
        asm!(
            "{zero} = *(u64 *)({image} + {offset})",
            "{value} ^= {zero}",
            image = in(reg) image,
            offset = const offset_of!(Header, zero),
            zero = out(reg) _,
            value = inout(reg) value,
            options(nostack, preserves_flags),
        );
    }
    value
}

/// Loads one word of a frame.
macro_rules! load_word {
    ($type:literal, $at:ident, $word:ident) => {
        asm!(
            concat!("{word} = *(", $type, " *)({at} + 0)"),
            at = in(reg) $at,
            word = out(reg) $word,
            options(nostack, preserves_flags, pure, readonly),
        )
    };
}

/// The length of a frame in bytes: of all its buffers, if the program was loaded for several.
#[inline(always)]
pub(crate) fn frame_len<const FRAGS: bool>(ctx: &XdpContext) -> u64 {
    if FRAGS {
        // SAFETY: the context that the program was called with.
        unsafe { bpf_xdp_get_buff_len(ctx.ctx) }
    } else {
        (ctx.data_end() - ctx.data()) as u64
    }
}

/// The frame that the program was called for, of which the first buffer can be read.
///
/// `FRAGS` says whether the program was loaded for frames in several buffers
/// (`BPF_F_XDP_HAS_FRAGS`, Linux 5.18). Else there is but the first one.
pub(crate) struct Frame<'a, const FRAGS: bool> {
    ctx: &'a XdpContext,
    start: usize,
    end: usize,
    image: *const u8,
}

impl<'a, const FRAGS: bool> Frame<'a, FRAGS> {
    #[inline(always)]
    pub(crate) fn new(ctx: &'a XdpContext, image: &Image) -> Self {
        Self {
            ctx,
            start: ctx.data(),
            end: ctx.data_end(),
            image: image.start,
        }
    }
}

impl<const FRAGS: bool> Frame<'_, FRAGS> {
    /// The eight bytes at an offset, in network order. The caller has made sure of them.
    #[inline(always)]
    fn plain_word<const OFFSET: usize>(&self) -> u64 {
        let word: u64;
        // SAFETY: the word lies inside the frame, or else the verifier refuses the program. In
        // assembly for the same reason as in `load`.
        unsafe {
            asm!(
                "{word} = *(u64 *)({start} + {offset})",
                start = in(reg) self.start,
                offset = const OFFSET,
                word = out(reg) word,
                options(nostack, preserves_flags, pure, readonly),
            );
        }
        u64::from_be(word)
    }
}

impl<const FRAGS: bool> Packet for Frame<'_, FRAGS> {
    #[inline(always)]
    fn load<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        let at = self.start + (offset & OFFSET_MASK) as usize;
        if at + N > self.end {
            return None;
        }
        let word: u64;
        // SAFETY: `at..at + N` lies inside the frame. In assembly, since the compiler would take
        // a word of unknown alignment apart into bytes; the kernel allows BPF programs unaligned
        // loads from a frame where the machine has them, and else the verifier refuses.
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
        if self.start + PLAIN_LEN as usize > self.end {
            return None;
        }
        Some([
            self.plain_word::<{ PLAIN[0] }>(),
            self.plain_word::<{ PLAIN[1] }>(),
            self.plain_word::<{ PLAIN[2] }>(),
            self.plain_word::<{ PLAIN[3] }>(),
            self.plain_word::<{ PLAIN[4] }>(),
        ])
    }

    #[inline(always)]
    fn opaque(&self, value: u64) -> u64 {
        opaque(self.image, value)
    }

    #[inline(always)]
    fn len(&self) -> u32 {
        if FRAGS {
            frame_len::<FRAGS>(self.ctx) as u32
        } else {
            (self.end - self.start) as u32
        }
    }

    #[inline(always)]
    fn first_len(&self) -> u32 {
        (self.end - self.start) as u32
    }

    #[inline(always)]
    fn holds(&self, len: u32) -> bool {
        len <= self.first_len() || FRAGS && len <= self.len()
    }
}

/// The frame, for what is read of it after its headers.
///
/// Its bounds are taken from the context anew at each load: what the verifier knows of those that
/// the parser has compared with differs between the paths through it, and would keep them apart.
pub(crate) struct LateFrame<'a, const FRAGS: bool> {
    ctx: &'a XdpContext,
    image: &'a Image,
}

impl<'a, const FRAGS: bool> LateFrame<'a, FRAGS> {
    #[inline(always)]
    pub(crate) fn new(ctx: &'a XdpContext, image: &'a Image) -> Self {
        Self { ctx, image }
    }
}

impl<const FRAGS: bool> Packet for LateFrame<'_, FRAGS> {
    #[inline(always)]
    fn load<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        Frame::<FRAGS>::new(self.ctx, self.image).load(offset)
    }

    #[inline(always)]
    fn opaque(&self, value: u64) -> u64 {
        opaque(self.image.start, value)
    }

    #[inline(always)]
    fn len(&self) -> u32 {
        // Opaque, or else the compiler would go on with halves of pointers, which no program may.
        self.opaque(frame_len::<FRAGS>(self.ctx)) as u32
    }
}

/// The image in force when the packet arrived; it stays whole until the program ends, even when
/// another one takes its place meanwhile (the map is freed after an RCU grace period).
pub(crate) struct Image {
    start: *const u8,
    /// For words of 8, 4, 2 and 1 bytes: what keeps an offset aligned and inside the map value.
    masks: [u64; 4],
}

/// Loads the word of the image at an offset. In assembly, since the compiler would make each mask
/// of the size anew, and copy the start for each sum.
macro_rules! load_image {
    ($type:literal, $most:expr, $image:ident, $offset:ident, $mask:expr) => {{
        let word: u64;
        // SAFETY: the size is a power of two, so that the mask, the size less the word's width,
        // keeps the word inside the map value.
        unsafe {
            asm!(
                "{at} &= {mask}",
                "{at} += {start}",
                concat!("{at} = *(", $type, " *)({at} + 0)"),
                at = inout(reg) u64::from($offset) => word,
                mask = in(reg) $mask,
                start = in(reg) $image.start,
                options(nostack, preserves_flags, pure, readonly),
            );
            // The load clears the bits above the word.
            assert_unchecked(word <= $most);
        }
        word
    }};
}

impl Image {
    #[inline(always)]
    pub(crate) fn in_force() -> Option<Self> {
        let zero = 0_u32;
        let key = core::ptr::from_ref(&zero).cast::<c_void>();
        let images = (&raw const IMAGES).cast_mut().cast::<c_void>();
        // SAFETY: a map and a key of its type; the kernel answers with the inner map or null.
        let map = unsafe { bpf_map_lookup_elem(images, key) };
        if map.is_null() {
            return None;
        }
        // SAFETY: the inner map is an array with `u32` keys.
        let start = unsafe { bpf_map_lookup_elem(map, key) };
        if start.is_null() {
            return None;
        }
        let size = u64::from(IMAGE_SIZE.load());
        Some(Self {
            start: start.cast::<u8>().cast_const(),
            masks: [
                mask::<8>(size),
                mask::<4>(size),
                mask::<2>(size),
                mask::<1>(size),
            ],
        })
    }
}

/// The mask for words of `WIDTH` bytes in an image of `size` bytes. In assembly, or else the
/// compiler would make it anew for each word.
#[inline(always)]
fn mask<const WIDTH: i32>(size: u64) -> u64 {
    let mask;
    // SAFETY: arithmetic.
    unsafe {
        asm!(
            "{mask} += {width}",
            mask = inout(reg) size => mask,
            width = const -WIDTH,
            options(nostack, preserves_flags, pure, nomem),
        );
    }
    mask
}

impl Memory for Image {
    type Head = *const u8;

    #[inline(always)]
    fn u8(&self, offset: u32) -> u8 {
        load_image!("u8", 0xff, self, offset, self.masks[3]) as u8
    }

    #[inline(always)]
    fn u16(&self, offset: u32) -> u16 {
        u16::from_le(load_image!("u16", 0xffff, self, offset, self.masks[2]) as u16)
    }

    #[inline(always)]
    fn u32(&self, offset: u32) -> u32 {
        u32::from_le(load_image!("u32", 0xffff_ffff, self, offset, self.masks[1]) as u32)
    }

    #[inline(always)]
    fn u64(&self, offset: u32) -> u64 {
        u64::from_le(load_image!("u64", u64::MAX, self, offset, self.masks[0]))
    }

    #[inline(always)]
    fn head(&self, offset: u32) -> *const u8 {
        let offset = (offset & HEAD_MASK) as usize;
        let head;
        // SAFETY: no image map is smaller than what the mask reaches and a section behind it. In
        // assembly, or else the compiler would make the sum anew for each field.
        unsafe {
            asm!(
                "{head} += {start}",
                head = inout(reg) offset => head,
                start = in(reg) self.start,
                options(nostack, preserves_flags, pure, nomem),
            );
        }
        head
    }

    #[inline(always)]
    fn field(&self, head: *const u8, field: usize) -> u32 {
        // SAFETY: a field of a section, see `head`.
        u32::from_le(unsafe { *head.add(field).cast::<u32>() })
    }

    #[inline(always)]
    fn opaque(&self, value: u64) -> u64 {
        opaque(self.start, value)
    }
}

/// The counters of this CPU.
pub(crate) struct Counters<'a, const FRAGS: bool> {
    ctx: &'a XdpContext,
    bytes: u64,
}

impl<'a, const FRAGS: bool> Counters<'a, FRAGS> {
    /// Counters for a frame in one buffer. To be made before the parser runs: bounds of the frame
    /// that are needed after it keep its paths apart for the verifier.
    #[inline(always)]
    pub(crate) fn new(ctx: &'a XdpContext) -> Self {
        Self {
            ctx,
            bytes: frame_len::<false>(ctx),
        }
    }

    /// Counts all buffers of a frame with these headers. Asking the kernel for its length costs as
    /// much as an address search, so that it is not asked about a frame whose IP packet ends in the
    /// first buffer.
    #[inline(always)]
    pub(crate) fn measure(&mut self, headers: Result<&Headers, Reason>) {
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
    pub(crate) fn add(&self, slot: u32) {
        add_to_slot(slot, self.bytes);
    }

    /// Adds the packet to those dropped for a ban with this reason.
    #[inline(always)]
    pub(crate) fn add_banned(&self, reason: u32) {
        add_to(BAN_COUNTERS.get_ptr_mut(reason), self.bytes);
    }
}

#[inline(always)]
fn add_to_slot(slot: u32, bytes: u64) {
    let block = COUNTERS.get_ptr_mut(slot / BLOCK);
    let at = (slot % BLOCK) as usize;
    // SAFETY: the counter lies in the block.
    add_to(
        block.map(|block| unsafe { block.cast::<Counter>().add(at) }),
        bytes,
    );
}

#[inline(always)]
fn add_to(counter: Option<*mut Counter>, bytes: u64) {
    if let Some(counter) = counter {
        // SAFETY: the value of this CPU, which nothing else writes while the program runs.
        unsafe {
            (*counter).packets = (*counter).packets.wrapping_add(1);
            (*counter).bytes = (*counter).bytes.wrapping_add(bytes);
        }
    }
}

/// The reason of the ban that the source of an IP packet is under.
#[inline(always)]
pub(crate) fn ban_of(headers: &Headers) -> Option<u32> {
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
        BAN_BOARD.get_ptr(number)
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

impl<const FRAGS: bool> Counts for Counters<'_, FRAGS> {
    #[inline(always)]
    fn count(&mut self, slot: u32) {
        events::counted::<FRAGS>(self.ctx, slot, self.bytes);
    }
}

/// The kernel lends helpers marked GPL-only to programs whose licence it knows as compatible.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
