//! How the words of an image are reached, in the kernel and in user space.

use super::section::HEAD_MASK;

/// Access to the words of an image.
///
/// An offset that is not a multiple of the word's size is rounded down to one, and one outside
/// the image yields some word of it or 0: no offset is an error, since the program must not branch
/// on it.
pub trait Memory {
    /// Where a section begins.
    type Head: Copy;

    /// The section at `offset`.
    fn head(&self, offset: u32) -> Self::Head;
    /// The field that lies `field` bytes behind the start of a section.
    fn field(&self, head: Self::Head, field: usize) -> u32;
    /// The byte at `offset`.
    fn u8(&self, offset: u32) -> u8;
    /// The 16-bit word at byte `offset`.
    fn u16(&self, offset: u32) -> u16;
    /// The 32-bit word at byte `offset`.
    fn u32(&self, offset: u32) -> u32;
    /// The 64-bit word at byte `offset`.
    fn u64(&self, offset: u32) -> u64;

    /// Returns `value`, whose origin a verifier cannot follow.
    #[inline(always)]
    fn opaque(&self, value: u64) -> u64 {
        value
    }

    /// The same for a number of 32 bits.
    #[inline(always)]
    fn opaque_u32(&self, value: u32) -> u32 {
        self.opaque(value.into()) as u32
    }

    /// Two neighboring words of 32 bits, of which the first lies `field` bytes behind `start`, at a
    /// multiple of 8.
    #[inline(always)]
    fn two_u32(&self, start: u32, field: usize) -> (u32, u32) {
        let both = self.u64(start.wrapping_add(field as u32));
        (both as u32, (both >> 32) as u32)
    }
}

/// An image in user space.
impl Memory for [u8] {
    type Head = u32;

    #[inline]
    fn head(&self, offset: u32) -> u32 {
        offset & HEAD_MASK
    }

    #[inline]
    fn field(&self, head: u32, field: usize) -> u32 {
        self.u32(head.wrapping_add(field as u32))
    }

    #[inline]
    fn u8(&self, offset: u32) -> u8 {
        word(self, offset).map_or(0, u8::from_le_bytes)
    }

    #[inline]
    fn u16(&self, offset: u32) -> u16 {
        word(self, offset).map_or(0, u16::from_le_bytes)
    }

    #[inline]
    fn u32(&self, offset: u32) -> u32 {
        word(self, offset).map_or(0, u32::from_le_bytes)
    }

    #[inline]
    fn u64(&self, offset: u32) -> u64 {
        word(self, offset).map_or(0, u64::from_le_bytes)
    }
}

#[inline]
fn word<const N: usize>(bytes: &[u8], offset: u32) -> Option<[u8; N]> {
    // Aligned as in the kernel, where a mask keeps offsets inside the image.
    let start = offset as usize & !(N - 1);
    bytes.get(start..)?.first_chunk().copied()
}
