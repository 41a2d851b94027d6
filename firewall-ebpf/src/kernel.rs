//! What the library asks for, in the kernel: the frame, the image in force and the counters.
//!
//! The only module of this crate with `unsafe` code: each access stands behind the bounds check
//! that the verifier demands.

#![expect(unsafe_code, reason = "packet and map memory are raw in BPF")]

use core::ffi::c_void;

use aya_ebpf::{
    Global,
    btf_maps::{Array, ArrayOfMaps, PerCpuArray},
    helpers::bpf_map_lookup_elem,
    macros::btf_map,
    programs::XdpContext,
};
use firewall_ebpf::{
    abi::{Counter, MIN_IMAGE_SIZE},
    image::Memory,
    packet::Packet,
    walk::Counts,
};

/// `BPF_F_MMAPABLE` (`include/uapi/linux/bpf.h`), since Linux 5.5.
const MMAPABLE: usize = 1 << 10;

type ImageMap = Array<[u8; MIN_IMAGE_SIZE as usize], 1, MMAPABLE>;

#[btf_map]
static IMAGES: ArrayOfMaps<ImageMap, 1> = ArrayOfMaps::new();

#[btf_map]
static COUNTERS: PerCpuArray<Counter, 64> = PerCpuArray::new();

#[unsafe(no_mangle)]
static IMAGE_SIZE: Global<u32> = Global::new(MIN_IMAGE_SIZE);

/// The largest offset into a frame that the verifier follows is 2^16
/// (`MAX_PACKET_OFF`, `kernel/bpf/verifier.c`).
const MAX_OFFSET: u32 = 0x7fff;

/// The frame that the program was called for.
pub struct Frame {
    start: usize,
    end: usize,
}

impl Frame {
    #[inline(always)]
    pub fn new(ctx: &XdpContext) -> Self {
        Self {
            start: ctx.data(),
            end: ctx.data_end(),
        }
    }
}

impl Packet for Frame {
    #[inline(always)]
    fn load<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        if offset > MAX_OFFSET {
            return None;
        }
        let at = self.start + offset as usize;
        if at + N > self.end {
            return None;
        }
        // SAFETY: `at..at + N` lies inside the frame, and bytes have no alignment.
        Some(unsafe { *(at as *const [u8; N]) })
    }

    #[inline(always)]
    fn len(&self) -> u32 {
        (self.end - self.start) as u32
    }
}

/// The image in force when the packet arrived; it stays whole until the program ends, even when
/// another one takes its place meanwhile (the map is freed after an RCU grace period).
pub struct Image {
    start: *const u8,
    size: u32,
}

impl Image {
    #[inline(always)]
    pub fn in_force() -> Option<Self> {
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
        Some(Self {
            start: start.cast::<u8>().cast_const(),
            size: IMAGE_SIZE.load(),
        })
    }

    #[inline(always)]
    fn word<T: Copy>(&self, offset: u32) -> T {
        let width = size_of::<T>() as u32;
        let at = (offset & (self.size - width)) as usize;
        // SAFETY: the size is a power of two, so that the mask keeps `at + width` inside the map
        // value and `at` a multiple of the width.
        unsafe { *self.start.add(at).cast::<T>() }
    }
}

impl Memory for Image {
    #[inline(always)]
    fn u16(&self, offset: u32) -> u16 {
        u16::from_le(self.word(offset))
    }

    #[inline(always)]
    fn u32(&self, offset: u32) -> u32 {
        u32::from_le(self.word(offset))
    }

    #[inline(always)]
    fn u64(&self, offset: u32) -> u64 {
        u64::from_le(self.word(offset))
    }
}

/// The counters of this CPU.
pub struct Counters {
    bytes: u64,
}

impl Counters {
    #[inline(always)]
    pub fn new(frame: &Frame) -> Self {
        Self {
            bytes: u64::from(frame.len()),
        }
    }

    /// Adds the packet to `slot`. A slot beyond the map is not counted; user space makes the map
    /// at least as long as the image's highest slot.
    #[inline(always)]
    pub fn add(&self, slot: u32) {
        if let Some(counter) = COUNTERS.get_ptr_mut(slot) {
            // SAFETY: the value of this CPU, which nothing else writes while the program runs.
            unsafe {
                (*counter).packets = (*counter).packets.wrapping_add(1);
                (*counter).bytes = (*counter).bytes.wrapping_add(self.bytes);
            }
        }
    }
}

impl Counts for Counters {
    #[inline(always)]
    fn count(&mut self, slot: u32) {
        self.add(slot);
    }
}
