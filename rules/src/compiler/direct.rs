//! Direct tries: very small tries of keys of 32 bits, in which a key is found by its digits alone.

use std::collections::HashMap;

use firewall_ebpf::image::{Memory as _, NODE_DIRECT, NODE_KIND, PAGE, PAGE_NUMBERS};

use super::{
    CompileError,
    classes::ClassId,
    lookup::pages,
    trie::{Depths, Key, Trie},
    writer::Writer,
};

/// The most bytes of the nodes of a direct trie, so that the nearest caches hold it.
const MAX_BYTES: usize = 1 << 16;

/// The digits of a level.
const DIGITS: usize = 1 << 16;

/// The nodes of a direct trie.
pub(super) struct Direct {
    /// The different nodes: the class of each second digit.
    nodes: Vec<Vec<u32>>,
    /// The index of the node of each first digit.
    node_of: Vec<u32>,
}

impl Direct {
    /// The trie of intervals as [`super::trie::write`] takes them; `None` when the keys have
    /// another length than 32 bits, or when the trie would be large.
    pub(super) fn new<K: Key>(intervals: &[(K, ClassId)]) -> Option<Self> {
        // Each first digit that bounds lie below has a node, and each node at least a page.
        const MOST: usize = MAX_BYTES / (PAGE_NUMBERS + 4 * PAGE) as usize;
        let groups = || intervals.chunk_by(|a, b| a.0.digit(0) == b.0.digit(0));
        if K::DIGITS != 2 || groups().take(MOST + 1).count() > MOST {
            return None;
        }
        let mut direct = Self {
            nodes: Vec::new(),
            node_of: Vec::with_capacity(DIGITS),
        };
        let mut known = HashMap::new();
        let mut bytes = 0;
        let mut add = |node: Vec<u32>, nodes: &mut Vec<Vec<u32>>| {
            let next = nodes.len() as u32;
            let index = *known.entry(node.clone()).or_insert(next);
            if index == next {
                let (_, pages) = pages(node.chunks(PAGE as usize));
                bytes += PAGE_NUMBERS as usize + pages.len() * 4 * PAGE as usize;
                nodes.push(node);
            }
            (bytes <= MAX_BYTES).then_some(index)
        };
        let mut class = ClassId(0);
        for group in groups() {
            let before = add(vec![class.0; DIGITS], &mut direct.nodes)?;
            direct.node_of.resize(group[0].0.digit(0).into(), before);
            let mut node = Vec::with_capacity(DIGITS);
            for (start, next) in group {
                node.resize(start.digit(1).into(), class.0);
                class = *next;
            }
            node.resize(DIGITS, class.0);
            direct.node_of.push(add(node, &mut direct.nodes)?);
        }
        let last = add(vec![class.0; DIGITS], &mut direct.nodes)?;
        direct.node_of.resize(DIGITS, last);
        Some(direct)
    }

    /// Writes the trie.
    ///
    /// # Errors
    ///
    /// [`CompileError::TooLarge`] when the image has no room for it.
    pub(super) fn write(
        &self,
        depths: &mut Depths,
        writer: &mut Writer,
    ) -> Result<Trie, CompileError> {
        let mut offsets = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            offsets.push(write_node(node, writer)?);
        }
        let offset = |node: &u32| offsets[*node as usize];
        let root: Vec<u32> = self.node_of.iter().map(offset).collect();
        let root = write_node(&root, writer)?;
        // A page's number and its entry, twice.
        let loads = 4;
        depths.note(0, loads);
        Ok(Trie {
            root: root | NODE_DIRECT,
            loads,
            chain: loads,
            nodes: 2,
        })
    }
}

/// Writes what a node has for each digit, and returns its offset.
fn write_node(entries: &[u32], writer: &mut Writer) -> Result<u32, CompileError> {
    writer.align(8)?;
    let node = writer.offset();
    let (numbers, pages) = pages(entries.chunks(PAGE as usize));
    writer.u16s(numbers)?;
    writer.u32s(pages.concat())?;
    Ok(node)
}

/// The first value of each interval of the direct trie at `root`, and its class.
pub(super) fn read<K: Key>(image: &[u8], root: u32) -> Vec<(K, ClassId)> {
    let entry = |node: u32, digit: u16| {
        let page = u32::from(image.u16(node + u32::from(digit >> 8) * 2));
        let index = page * PAGE + u32::from(digit) % PAGE;
        image.u32(node + PAGE_NUMBERS + index * 4)
    };
    let mut known: HashMap<u32, Vec<(u16, ClassId)>> = HashMap::new();
    let mut intervals: Vec<(K, ClassId)> = Vec::new();
    for digit in 0..=u16::MAX {
        let node = entry(root & !NODE_KIND, digit);
        let below = known.entry(node).or_insert_with(|| {
            let classes = (0..=u16::MAX).map(|second| (second, ClassId(entry(node, second))));
            let mut starts: Vec<_> = classes.collect();
            starts.dedup_by_key(|(_, class)| *class);
            starts
        });
        for &(second, class) in below.iter() {
            if intervals.last().is_none_or(|(_, last)| *last != class) {
                intervals.push((K::starting_with(digit, second), class));
            }
        }
    }
    intervals
}
