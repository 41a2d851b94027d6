//! An image that records the loads from it.

use std::cell::RefCell;

use firewall_ebpf::image::Memory;

/// An image, and the offset and the length in bytes of each load from it.
pub(crate) struct Recorder<'a> {
    image: &'a [u8],
    loads: RefCell<Vec<(usize, usize)>>,
}

impl<'a> Recorder<'a> {
    pub(crate) fn new(image: &'a [u8]) -> Self {
        Self {
            image,
            loads: RefCell::default(),
        }
    }

    /// The loads in the order in which they were made.
    pub(crate) fn loads(self) -> Vec<(usize, usize)> {
        self.loads.into_inner()
    }

    fn note(&self, offset: u32, bytes: usize) {
        self.loads.borrow_mut().push((offset as usize, bytes));
    }
}

impl Memory for Recorder<'_> {
    type Head = u32;

    fn head(&self, offset: u32) -> u32 {
        self.image.head(offset)
    }

    fn field(&self, head: u32, field: usize) -> u32 {
        self.u32(head + field as u32)
    }

    fn u8(&self, offset: u32) -> u8 {
        self.note(offset, 1);
        self.image.u8(offset)
    }

    fn u16(&self, offset: u32) -> u16 {
        self.note(offset, 2);
        self.image.u16(offset)
    }

    fn u32(&self, offset: u32) -> u32 {
        self.note(offset, 4);
        self.image.u32(offset)
    }

    fn u64(&self, offset: u32) -> u64 {
        self.note(offset, 8);
        self.image.u64(offset)
    }
}
