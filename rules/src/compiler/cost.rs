//! The expected cost of a walk, in nanoseconds: an estimate for orders of magnitude.
//!
//! Instructions are nearly free compared with loads whose address depends on the result of the
//! previous load. The cost of such a *dependent* load follows from the size of the structure that
//! it reads, because that determines how much of it the caches hold ([`LATENCIES`]). All but the
//! first of these costs were measured on a virtual machine with two cores, 1 MiB of second-level
//! and 32 MiB of third-level cache, with addresses drawn at random over the whole structure.
//! Traffic in which some flows are frequent costs less; a machine whose caches other programs fill
//! costs more.
//!
//! The loads of a packet form chains, and chains that do not depend on each other overlap:
//!
//! | chain | its dependent loads |
//! | --- | --- |
//! | an address | the nodes from the root down; in a node, its head, a block for each level of its search tree, and the reference |
//! | the narrow fields | the longest search of a field, then a cell of each reduction table |
//! | cells | the cell and the entry |
//! | grid | the cell, the number of a chunk, its byte and the number of a rule |
//! | pairs | record and leaf, or seed and pair; then two loads to resolve the leaf |
//! | rows | a summary word, a word and an item |
//!
//! Both addresses and the narrow fields overlap, and so do the four lists of pairs; the lookups by
//! class follow them, and rows come last. The words of the section are in the first-level cache and
//! cost [`HEAD`] in total for each part. The root of a trie, and any load from the same node as the
//! previous load, counts as a structure of at most 256 KiB.
//!
//! The estimate leaves out receiving the packet, entering the program, and parsing the headers.

/// Pairs of a maximum structure size in bytes and the nanoseconds of a dependent load from such a
/// structure.
pub const LATENCIES: [(usize, u32); 4] = [(NEAR, HEAD), (NODE, 6), (1 << 20, 15), (4 << 20, 80)];

/// The size of a first-level cache in bytes; a load from a smaller structure costs as much as one
/// from the section.
const NEAR: usize = 32 << 10;

/// The approximate maximum size of a trie node in bytes: 65,536 references.
const NODE: usize = 256 << 10;

/// The nanoseconds of a dependent load from a structure beyond [`LATENCIES`].
pub const FAR: u32 = 170;

/// The nanoseconds for the words of the section that a part begins with.
pub const HEAD: u32 = 2;

/// The nanoseconds of a dependent load from a structure of `bytes` bytes.
#[must_use]
pub fn load(bytes: usize) -> u32 {
    let fits = |(size, _): &&(usize, u32)| bytes <= *size;
    LATENCIES
        .iter()
        .find(fits)
        .map_or(FAR, |(_, nanoseconds)| *nanoseconds)
}

/// The nanoseconds of a search in a trie of `bytes` bytes whose longest path has `nodes` nodes and
/// `chain` dependent loads.
pub(super) fn search(bytes: usize, nodes: u32, chain: u32) -> u32 {
    let below_root = nodes.saturating_sub(1);
    let within = chain.saturating_sub(below_root);
    below_root * load(bytes) + within * load(bytes.min(NODE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_costs_what_the_size_says() {
        for (bytes, nanoseconds) in [
            (0, 2),
            (32 << 10, 2),
            ((32 << 10) + 1, 6),
            (256 << 10, 6),
            ((256 << 10) + 1, 15),
            (1 << 20, 15),
            (4 << 20, 80),
            ((4 << 20) + 1, 170),
        ] {
            assert_eq!(load(bytes), nanoseconds, "{bytes}");
        }
    }

    #[test]
    fn the_root_of_a_trie_is_near_and_other_nodes_are_as_far_as_it_is_large() {
        assert_eq!(search(0, 0, 0), 0);
        assert_eq!(search(300, 8, 24), 48);
        assert_eq!(search(1 << 18, 1, 2), 12);
        assert_eq!(search(1 << 22, 2, 6), 80 + 5 * 6);
    }
}
