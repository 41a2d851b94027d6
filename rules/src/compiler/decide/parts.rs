//! The parts of a section, collected as it is compiled.

use firewall_ebpf::image::Section;

use crate::compiler::{
    address::{Address, Side, search},
    error::CompileError,
    plan::Part,
    stage::StageTable,
    writer::Writer,
};

/// The parts of a section, collected as it is compiled.
#[derive(Debug, Default)]
pub(crate) struct Parts(Vec<Part>);

impl Parts {
    pub(crate) fn push(&mut self, part: Part) {
        self.0.push(part);
    }

    /// Writes the tries of both addresses.
    ///
    /// # Errors
    ///
    /// [`CompileError::TooLarge`].
    pub(crate) fn tries<'a, A: Address>(
        &mut self,
        src: &mut Side<'a, A>,
        dst: &mut Side<'a, A>,
        section: &mut Section,
        writer: &mut Writer,
    ) -> Result<(), CompileError> {
        for (at, (field, side)) in [("src", src), ("dst", dst)].into_iter().enumerate() {
            writer.begin(if at == 0 {
                StageTable::Source
            } else {
                StageTable::Destination
            });
            let start = writer.len();
            let (trie, form) = search::write(&side.classes.intervals, &mut side.depths, writer)?;
            let root = if at == 0 {
                &mut section.src
            } else {
                &mut section.dst
            };
            *root = trie.root;
            let part = Part::Address {
                field,
                form,
                classes: side.classes.len(),
                intervals: side.classes.intervals.len(),
                bytes: writer.len() - start,
                loads: trie.loads,
                chain: trie.chain,
                nodes: trie.nodes,
            };
            self.0.insert(at, part);
        }
        Ok(())
    }

    /// Inserts the narrow fields after the addresses.
    pub(crate) fn insert_upper(&mut self, part: Part) {
        self.0.insert(2, part);
    }

    /// All parts.
    pub(crate) fn finish(self) -> Vec<Part> {
        self.0
    }
}
