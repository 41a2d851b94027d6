//! The frame that the program was called for.

use core::arch::asm;

use aya_ebpf::{bindings::xdp_md, helpers::bpf_xdp_get_buff_len, programs::XdpContext};
use firewall_ebpf::{
    packet::{PLAIN, PLAIN_LEN, Packet},
    parse::{MAX_EXTENSIONS, MAX_TAGS},
};

use super::image::{Image, opaque};

/// Bounds an offset into a frame for the verifier, which follows none beyond 2^16
/// (`MAX_PACKET_OFF`, `kernel/bpf/verifier.c`). The parser stays far below: tags, the IPv6 header
/// and [`MAX_EXTENSIONS`](firewall_ebpf::parse::MAX_EXTENSIONS) extension headers of at
/// most 2,048 bytes each.
pub(super) const OFFSET_MASK: u32 = 0x7fff;

const _: () = assert!(14 + 4 * MAX_TAGS + 40 + MAX_EXTENSIONS * 2048 + 64 < OFFSET_MASK);

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

pub(super) use load_word;

/// The length of a frame in bytes: of all its buffers, if the program was loaded for several.
#[inline(always)]
pub(super) fn frame_len<const FRAGS: bool>(ctx: &XdpContext) -> u64 {
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
pub(super) struct Frame<'a, const FRAGS: bool> {
    ctx: &'a XdpContext,
    start: usize,
    end: usize,
    image: *const u8,
}

impl<'a, const FRAGS: bool> Frame<'a, FRAGS> {
    #[inline(always)]
    pub(super) fn new(ctx: &'a XdpContext, image: &Image) -> Self {
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
            // Opaque like that of `LateFrame`.
            self.opaque((self.end - self.start) as u64) as u32
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
pub(super) struct LateFrame<'a, const FRAGS: bool> {
    ctx: &'a XdpContext,
    image: &'a Image,
}

impl<'a, const FRAGS: bool> LateFrame<'a, FRAGS> {
    #[inline(always)]
    pub(super) fn new(ctx: &'a XdpContext, image: &'a Image) -> Self {
        Self { ctx, image }
    }

    /// The context, for a function of its own.
    #[inline(always)]
    pub(super) fn context(&self) -> *mut xdp_md {
        self.ctx.ctx
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
