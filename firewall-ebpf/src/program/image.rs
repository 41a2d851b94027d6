//! The image in force.

use core::{arch::asm, ffi::c_void, hint::assert_unchecked, mem::offset_of};

use aya_ebpf::{
    Global,
    btf_maps::{Array, ArrayOfMaps},
    helpers::bpf_map_lookup_elem,
    macros::btf_map,
};
use firewall_ebpf::{
    abi::MIN_IMAGE_SIZE,
    image::{HEAD_MASK, Header, Memory},
};

use super::map_flags::MMAPABLE;

type ImageMap = Array<[u8; MIN_IMAGE_SIZE as usize], 1, MMAPABLE>;

#[btf_map]
static IMAGES: ArrayOfMaps<ImageMap, 1> = ArrayOfMaps::new();

#[unsafe(no_mangle)]
static IMAGE_SIZE: Global<u32> = Global::new(MIN_IMAGE_SIZE);

/// Returns `value` XORed with the word of the image that is always 0, out of reach of both the
/// optimizer and the verifier.
#[inline(always)]
pub(super) fn opaque(image: *const u8, mut value: u64) -> u64 {
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

/// The image in force when the packet arrived; it stays whole until the program ends, even when
/// another one takes its place meanwhile (the map is freed after an RCU grace period).
pub(super) struct Image {
    pub(super) start: *const u8,
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
    pub(super) fn in_force() -> Option<Self> {
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
