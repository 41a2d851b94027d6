//! Writes an image: little-endian words at aligned offsets, up to a maximum size.

use firewall_ebpf::image::{Header, Section};

use super::{
    error::CompileError,
    kind::{PacketKind, SectionKind},
    stage::{Stage, StageTable},
};
use crate::model::Direction;

/// An image under construction.
pub(super) struct Writer {
    bytes: Vec<u8>,
    limit: usize,
    stage: Stage,
    /// The packets and the number of rules of the section.
    section: (SectionKind, usize),
    tell: Box<dyn FnMut(Stage)>,
}

/// The section before any is begun.
const START: SectionKind = SectionKind::of_all_states(Direction::In, PacketKind::Other);

impl Writer {
    /// An empty image of at most `limit` bytes. Offsets have 32 bits, of which the top one marks
    /// leaves, so no image is larger than 2^31 bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            bytes: Vec::new(),
            limit: limit.min(1 << 31),
            stage: Stage::Frame,
            section: (START, 0),
            tell: Box::new(|_| ()),
        }
    }

    /// Makes the writer report each stage when it begins.
    pub(super) fn telling(self, tell: impl FnMut(Stage) + 'static) -> Self {
        Self {
            tell: Box::new(tell),
            ..self
        }
    }

    /// Starts a section with `rules` rules.
    pub(super) fn begin_section(&mut self, packets: SectionKind, rules: usize) {
        self.section = (packets, rules);
    }

    /// Starts a table of the section.
    pub(super) fn begin(&mut self, table: StageTable) {
        let (packets, rules) = self.section;
        self.stage = Stage::Table {
            packets,
            rules,
            table,
        };
        (self.tell)(self.stage);
    }

    /// Starts the parts outside the sections.
    pub(super) fn begin_frame(&mut self) {
        self.stage = Stage::Frame;
        (self.tell)(self.stage);
    }

    /// Continues a copy of `written` with room for `spare` more bytes.
    pub(super) fn resume(written: &[u8], spare: usize, limit: usize) -> Self {
        let mut writer = Self::new(limit);
        writer.bytes.reserve_exact(written.len() + spare);
        writer.bytes.extend_from_slice(written);
        writer
    }

    /// Changes the maximum size of the image, in bytes.
    pub(super) fn set_limit(&mut self, limit: usize) {
        self.limit = limit.min(1 << 31);
    }

    /// The bytes written so far.
    pub(super) fn written(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes written so far, to be changed in place.
    pub(super) fn written_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Moves all bytes from `start` on to `place`, where as many bytes are free.
    pub(super) fn move_last(&mut self, start: usize, place: usize) {
        self.bytes.copy_within(start.., place);
        self.bytes.truncate(start);
    }

    /// The number of bytes written so far.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Removes all but the first `length` bytes.
    pub(super) fn truncate(&mut self, length: usize) {
        self.bytes.truncate(length);
    }

    /// The offset of the next byte.
    pub(super) fn offset(&self) -> u32 {
        // The limit is at most 2^31.
        self.bytes.len() as u32
    }

    /// Fails if `more` bytes would not fit.
    pub(super) fn check(&self, more: usize) -> Result<(), CompileError> {
        let needed = self.bytes.len().saturating_add(more);
        if needed > self.limit {
            return Err(CompileError::TooLarge {
                needed,
                allowed: self.limit,
                stage: self.stage,
                names: String::new(),
            });
        }
        Ok(())
    }

    /// Appends `count` zero bytes and returns the offset of the first.
    pub(super) fn reserve(&mut self, count: usize) -> Result<u32, CompileError> {
        self.check(count)?;
        let offset = self.offset();
        self.bytes.resize(self.bytes.len() + count, 0);
        Ok(offset)
    }

    /// Appends zeros up to a multiple of `unit`.
    pub(super) fn align(&mut self, unit: usize) -> Result<(), CompileError> {
        let gap = self.bytes.len().next_multiple_of(unit) - self.bytes.len();
        self.reserve(gap).map(|_| ())
    }

    /// Appends bytes.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), CompileError> {
        self.check(bytes.len())?;
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Appends 16-bit words; the offset must be even.
    pub(super) fn u16s(
        &mut self,
        words: impl IntoIterator<Item = u16>,
    ) -> Result<(), CompileError> {
        self.bytes
            .extend(words.into_iter().flat_map(u16::to_le_bytes));
        self.check(0)
    }

    /// Appends 32-bit words; the offset must be a multiple of 4.
    pub(super) fn u32s(
        &mut self,
        words: impl IntoIterator<Item = u32>,
    ) -> Result<(), CompileError> {
        self.bytes
            .extend(words.into_iter().flat_map(u32::to_le_bytes));
        self.check(0)
    }

    /// Appends 64-bit words; the offset must be a multiple of 8.
    pub(super) fn u64s(
        &mut self,
        words: impl IntoIterator<Item = u64>,
    ) -> Result<(), CompileError> {
        self.bytes
            .extend(words.into_iter().flat_map(u64::to_le_bytes));
        self.check(0)
    }

    /// Writes the header into the space reserved for it at the start.
    pub(super) fn write_header(&mut self, header: &Header) {
        self.overwrite(0, &header.words());
    }

    /// Writes a section's head into the space reserved for it at `offset`.
    pub(super) fn write_section(&mut self, offset: u32, section: &Section) {
        self.overwrite(offset, &section.words());
    }

    /// Overwrites the words from `offset` on.
    pub(super) fn overwrite(&mut self, offset: u32, words: &[u32]) {
        let start = offset as usize;
        for (slot, word) in self.bytes[start..].chunks_exact_mut(4).zip(words) {
            slot.copy_from_slice(&word.to_le_bytes());
        }
    }

    /// The finished image.
    pub(super) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}
