//! References: where a search for a class goes on.

/// Where a search goes on: at a class, which ends it, or at a node of some kind.
///
/// | bits | of a leaf | of a node |
/// | --- | --- | --- |
/// | 0-2 | the class | the kind |
/// | 3-30 | the class | the offset, a multiple of 8 |
/// | 31 | 1 | 0 |
///
/// | kind | the node |
/// | --- | --- |
/// | [`NODE_REFERENCES`] | of a trie: head, search tree, a reference for each interval |
/// | [`NODE_PAIR`] | of a trie: head, two references, search tree; intervals alternate |
/// | [`NODE_PAGES`] | of a trie: the numbers of pages, pages of references |
/// | [`NODE_UNIFORM`] and up | the root of a uniform trie of one level, and a level more with each |
/// | [`NODE_HASH`] | a hash table; only as the root of the trie of an address |
/// | [`NODE_MULTIBIT`] | the root of a multibit trie; only as that of an IPv4 address |
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference(u32);

/// A node with bounds and references.
pub const NODE_REFERENCES: u32 = 0;
/// A node with bounds whose intervals alternate between two references.
pub const NODE_PAIR: u32 = 1;
/// A node with a reference for every digit, equal pages stored once.
pub const NODE_PAGES: u32 = 2;
/// The root of a uniform trie of one level.
pub const NODE_UNIFORM: u32 = 3;
/// A hash table of single addresses.
pub const NODE_HASH: u32 = 6;
/// The root of a multibit trie.
pub const NODE_MULTIBIT: u32 = 7;

impl Reference {
    const LEAF: u32 = 1 << 31;
    const KIND: u32 = 7;

    /// A class.
    #[must_use]
    #[inline(always)]
    pub const fn leaf(class: u32) -> Self {
        Self(Self::LEAF | class)
    }

    /// The node at `offset`, a multiple of 8, of this kind.
    #[must_use]
    #[inline(always)]
    pub const fn node(offset: u32, kind: u32) -> Self {
        Self(offset | kind)
    }

    /// The reference in a word.
    #[must_use]
    #[inline(always)]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The word.
    #[must_use]
    #[inline(always)]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether it ends the search.
    #[must_use]
    #[inline(always)]
    pub const fn is_leaf(self) -> bool {
        self.0 & Self::LEAF != 0
    }

    /// The class of a leaf.
    #[must_use]
    #[inline(always)]
    pub const fn class(self) -> u32 {
        self.0 & !Self::LEAF
    }

    /// The kind of a node.
    #[must_use]
    #[inline(always)]
    pub const fn kind(self) -> u32 {
        self.0 & Self::KIND
    }

    /// The offset of a node.
    #[must_use]
    #[inline(always)]
    pub const fn offset(self) -> u32 {
        self.0 & !Self::KIND
    }

    /// Whether it is a hash table.
    #[must_use]
    #[inline(always)]
    pub const fn is_hash(self) -> bool {
        self.0 & (Self::LEAF | Self::KIND) == NODE_HASH
    }

    /// Whether it is the root of a multibit trie.
    #[must_use]
    #[inline(always)]
    pub const fn is_multibit(self) -> bool {
        self.0 & (Self::LEAF | Self::KIND) == NODE_MULTIBIT
    }

    /// Whether it is the root of a small trie, in which every search takes the same steps, given
    /// that it is not a hash table.
    #[must_use]
    #[inline(always)]
    pub const fn is_small(self) -> bool {
        !self.is_leaf() && self.kind() >= NODE_UNIFORM
    }

    /// Whether it is the root of a uniform trie.
    #[must_use]
    pub const fn is_uniform(self) -> bool {
        self.is_small() && self.kind() < NODE_HASH
    }
}

const _: () = assert!(NODE_HASH < NODE_MULTIBIT && NODE_MULTIBIT <= Reference::KIND);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_a_class_or_a_node_of_one_kind() {
        for class in [0, 7, (1 << 31) - 1] {
            let leaf = Reference::leaf(class);
            assert!(leaf.is_leaf() && !leaf.is_hash() && !leaf.is_small() && !leaf.is_multibit());
            assert_eq!(leaf.class(), class);
        }
        for offset in [0, 8, (1 << 28) - 8] {
            for kind in NODE_REFERENCES..=NODE_MULTIBIT {
                let node = Reference::node(offset, kind);
                assert!(!node.is_leaf());
                assert_eq!((node.offset(), node.kind()), (offset, kind));
                assert_eq!(node.is_hash(), kind == NODE_HASH);
                assert_eq!(node.is_multibit(), kind == NODE_MULTIBIT);
                assert_eq!(node.is_uniform(), (NODE_UNIFORM..NODE_HASH).contains(&kind));
            }
        }
    }
}
