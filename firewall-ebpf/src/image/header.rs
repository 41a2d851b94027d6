//! The head of an image.

use core::mem::offset_of;

/// The first word of every image: "FWI" and the layout's version.
pub const MAGIC: u32 = u32::from_le_bytes([b'F', b'W', b'I', 7]);

/// The head of an image.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// [`MAGIC`].
    pub magic: u32,
    /// The bytes of the image in use.
    pub length: u32,
    /// Bit `r` is set when packets judged for [`crate::abi::Reason`] `r` are dropped.
    pub drops: u32,
    /// The offset of the metadata.
    pub metadata: u32,
    /// The length of the metadata in bytes.
    pub metadata_length: u32,
    /// Brings the next field to a multiple of 8.
    pub padding: u32,
    /// 0, which no verifier knows: what is XORed with it becomes opaque.
    pub zero: u64,
}

const _: () = assert!(size_of::<Header>() == 32);
const _: () = assert!(offset_of!(Header, zero).is_multiple_of(8));
