//! References: where a search for a class goes on.
//!
//! A *reference* is either a leaf, [`LEAF`] | class, or the byte offset of a node, a multiple of 8,
//! plus its kind:
//!
//! | kind | the node |
//! | --- | --- |
//! | [`NODE_REFERENCES`] | of a trie: head, search tree, a reference for each interval |
//! | [`NODE_PAIR`] | of a trie: head, two references, search tree; intervals alternate |
//! | [`NODE_PAGES`] | of a trie: a `u16` for each high byte of the digit, the number of the page of 256 references for the low byte; the pages |
//! | [`NODE_UNIFORM`] and up | the root of a uniform trie |
//! | [`NODE_HASH`] | a hash table; only as the root of the trie of an address |
//! | [`NODE_MULTIBIT`] | a multibit trie; only as the root of that of an IPv4 address |

/// The bit that makes a reference a leaf; the other bits are the class.
pub const LEAF: u32 = 1 << 31;

/// The bits of a reference that hold the kind of a node.
pub const NODE_KIND: u32 = 7;
/// A node with bounds and references.
pub const NODE_REFERENCES: u32 = 0;
/// A node with bounds whose intervals alternate between two references.
pub const NODE_PAIR: u32 = 1;
/// A node with a reference for every digit, equal pages stored once.
pub const NODE_PAGES: u32 = 2;
/// The root of a uniform trie of one level; a level more is a kind more.
pub const NODE_UNIFORM: u32 = 3;
/// A hash table of single addresses.
pub const NODE_HASH: u32 = 6;
/// The root of a multibit trie.
pub const NODE_MULTIBIT: u32 = 7;

const _: () = assert!(NODE_HASH < NODE_MULTIBIT && NODE_MULTIBIT <= NODE_KIND);
