//! The layout of a table image: one flat, position-independent block of little-endian words in
//! which everything is found by byte offsets from its start.
//!
//! ```text
//! Header            at offset 0
//! Section x 3       right behind it: IPv4, IPv6, all other EtherTypes; each with its own tables
//!   tries           an address or an interface to its class
//!   lookups         a small field to its class
//!   step tables     the classes of the small fields to one upper-layer class
//!   cells | grid | pairs   the three classes to the rule that decides
//!   rows            with a grid or pairs: rules that count, and those that fit no pair
//! metadata          for user space; the XDP program never reads it
//! ```
//!
//! A *class* is a number for all values of a field that the same rules match. A *trie* consumes
//! its key 16 bits a level; a *reference* to a trie is either a leaf, [`LEAF`] | class, or the
//! byte offset of a node, a multiple of 8, plus its kind:
//!
//! | kind | the node |
//! | --- | --- |
//! | [`NODE_REFERENCES`] | head, search tree, a reference for each interval |
//! | [`NODE_PAIR`] | head, two references, search tree; intervals alternate |
//! | [`NODE_PAGES`] | a `u16` for each high byte of the digit, the number of the page of 256 references for the low byte; the pages |
//! | [`NODE_UNIFORM`] and up | like pages, but of the offsets of uniform nodes |
//! | [`NODE_HASH`] | a [`HashNode`], seeds, slots; only as the root of the trie of an address |
//! | [`NODE_MULTIBIT`] | a multibit trie; only as the root of that of an IPv4 address |
//!
//! Interval `i` of a node holds the digits above bound `i - 1` (from 0 for the first) up to
//! bound `i`, inclusive. The head is `count: u16, levels: u16`, the number of bounds and of the
//! levels of their *search tree*, and padding to 8.
//!
//! A search tree is a static B+ tree (Khuong, Morin: Array Layouts for Comparison-Based Searching,
//! 2017) in blocks of [`BLOCK`] bounds. The last level has all bounds, ascending; each level above
//! has the first bound of each block but the first of the level below. The first level is one
//! block, and each but the last is as long as its place in the tree allows, so that levels begin
//! at constant offsets (`tree_level`). Bounds are stored as their complements (`!bound`), for the
//! sake of a comparison of four at once, and missing ones, which no digit is above, as those of
//! 65,535.
//!
//! A search for a key of 32 bits takes different paths through these nodes, and each branch on the
//! way is as random as packets are. A small trie is *uniform* instead: all of its keys are found
//! by the same steps, so that no branch depends on the key. Its root, of the kind
//! `NODE_UNIFORM + levels - 1`, leads to nodes of search trees that all have that many levels,
//! however few bounds there are, and behind each block of the last level are the classes of the
//! intervals that end or begin there: [`UNIFORM_LEAF`] bytes from one such block to the next.
//!
//! Where it is small enough, a trie of IPv4 addresses is a *multibit* trie (Srinivasan, Varghese:
//! Fast Address Lookups Using Controlled Prefix Expansion, 1999): each level takes 8 bits, and has a
//! `u16` for each value of them, the class in the last level and else the number of the node below.
//! Node `n` lies `n` times [`MULTIBIT_NODE`] bytes behind the root, which is node 0.
//! Keys that need no more levels walk through nodes whose entries are all the same.
//!
//! # Hash tables
//!
//! Single addresses lie in a perfect hash table by hash and displace (Belazzougui, Botelho,
//! Dietzfelbinger: Hash, Displace, and Compress, 2009): a key has a bucket ([`hash::spread`](crate::hash::spread)), the
//! bucket a seed, and key and seed together give the slot ([`hash::slot`](crate::hash::slot)). A slot for IPv4 is the address and
//! its reference, two `u32`; one for IPv6 is the address as two `u64`, the most significant first,
//! and its reference as a `u64`. All other addresses, and those whose slot has another address,
//! have the node's *background*: a leaf, or the trie of what are not single addresses. A slot that
//! is not in use has address 0 and the background.
//!
//! # Small fields
//!
//! The lookup of [`Field::Protocol`] is a `u16`, the class, for each key up to [`NO_PROTOCOL`].
//! That of ports and ICMP messages is a `u16` for each high byte of the value, and one more for
//! packets that lack the field, the number of a page of 256 classes (`u16`) for the low byte;
//! behind them, at [`FIELD_PAGES`], are the pages. VLANs, EtherTypes and lengths have the same. The
//! lookups of the hops left and of [`Field::Traffic`] are a `u16` for each value. Those of the
//! interface and of MAC addresses are tries.
//!
//! # Cells
//!
//! An *entry* is `slot << 2 | what`, with `what` one of [`PASS`], [`DROP`], [`COUNT`], and
//! [`NO_MATCH`] at the end of a list. To the slot of a rule that logs, [`LOGS`] is added. One cell for
//! each combination of classes has the offset of a list or, when that is just one entry, the entry
//! and [`DIRECT`].
//!
//! # Grid
//!
//! One cell (`u32`) for each combination of address classes has the offset of a leaf: a `u16` for
//! each [`CHUNK`] upper-layer classes, the number of a chunk. A chunk has a byte for each of these
//! classes, the index of the rule that decides; the number of rule `i` is a `u16` that lies
//! `2 (i + 1)` bytes before the leaf, and its item is found by that number. Rule 0 is item 0,
//! which is [`NONE`]. Equal chunks are stored once.
//!
//! # Pairs
//!
//! Rules that agree in all small fields share a *signature*. An *item* is one rule,
//!
//! | bits | |
//! | --- | --- |
//! | 0-15 | the signature |
//! | 16-17 | what, as in an entry |
//! | 18-39 | the counter slot, and [`LOGS`] |
//! | 40-62 | the rule's place in the order of precedence |
//!
//! so that of two items the smaller one decides; [`NONE`] is larger than every item. A *leaf*
//! stands for a list of items in order. One item stands for itself, and [`EMPTY`], an item with
//! the signature 0, which no packet has, for none. Every other leaf is a word whose `what` is
//! [`LIST`], whose bits 0-15 hold the number of items and whose bits from 18 on hold the offset,
//! in units of 8 bytes, of the items. The number [`TABLE`] says that the offset is that of a `u16`
//! for each upper-layer class, the index of the item that decides; item `i` lies `8 (i + 1)` bytes
//! before the table, and item 0 is [`NONE`].
//!
//! The classes of both addresses lead to four leaves, and the least item of the four decides:
//!
//! - the [`Record`] of the source's class has the rules whose sources are few classes and whose
//!   destinations are many: one leaf, or one for each wide class of the destination;
//! - the record of the destination's class likewise;
//! - a table of wide source classes by wide destination classes has the rules that are wide on
//!   both sides;
//! - a perfect hash table of [`Pair`]s has those whose sources and destinations are few classes.
//!
//! # Rows
//!
//! A *row* is a bit vector over the rules that count and those without a place among the pairs:
//! `summaries` words that say which words are not 0, then the words themselves; bit `b` of word
//! `w` is item `64 w + b` of the rows' items.

mod memory;

use core::mem::offset_of;

pub use memory::Memory;

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

/// The tables for one kind of packet.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// The trie of source addresses.
    pub src: u32,
    /// The trie of destination addresses.
    pub dst: u32,
    /// How classes lead to a rule: [`MODE_CELLS`], [`MODE_GRID`] or [`MODE_PAIRS`].
    pub mode: u32,
    /// Bit `f` is set when step `f` is in use.
    pub steps_used: u32,
    /// The steps that make the upper-layer class, one for each field.
    pub steps: [Step; FIELDS],
    /// Cells: the number of upper-layer classes.
    pub upper_classes: u32,
    /// Cells: the offset of a `u32` for each `(src * dst_classes + dst) * upper_classes + upper`,
    /// an entry with [`DIRECT`], or the offset of the first entry of a list that ends with the first
    /// entry that does not count.
    pub cells: u32,
    /// Cells and grid: the number of destination classes.
    pub dst_classes: u32,
    /// Grid: the offset of the items by number.
    pub grid_items: u32,
    /// Grid: the offset of a `u32` for each `src * dst_classes + dst`, the offset of a leaf.
    pub grid: u32,
    /// Grid: the offset of the chunks.
    pub chunks: u32,
    /// Pairs: the records of the source classes.
    pub src_records: Records,
    /// Pairs: the records of the destination classes.
    pub dst_records: Records,
    /// Pairs: the offset of the signatures that upper-layer class 0 has, a bit each; no class has
    /// signature 0.
    pub signatures: u32,
    /// Pairs: the bytes from the signatures of one upper-layer class to those of the next.
    pub signature_stride: u32,
    /// Pairs: the offset of a leaf for each `src * wide_columns + dst` of the wide classes.
    pub wide: u32,
    /// Pairs: the number of wide destination classes.
    pub wide_columns: u32,
    /// Pairs: the offset of a `u16` for each bucket, the seed that its pairs are placed by.
    pub pair_seeds: u32,
    /// Pairs: the number of buckets.
    pub pair_buckets: u32,
    /// Pairs: the offset of the first [`Pair`].
    pub pairs: u32,
    /// Pairs: the number of pairs, those that no classes have included.
    pub pair_slots: u32,
    /// Rows: the offset of the row of source row class 0.
    pub src_rows: u32,
    /// Rows: the offset of the row of destination row class 0.
    pub dst_rows: u32,
    /// Rows: the offset of the row of upper-layer class 0.
    pub upper_rows: u32,
    /// Rows: the bytes of one row.
    pub stride: u32,
    /// Rows: the summary words of one row; 0 when the section has no rows.
    pub summaries: u32,
    /// Rows: the offset of the items.
    pub items: u32,
}

/// The records of one address's classes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// The offset of the [`Record`] of class 0.
    pub offset: u32,
    /// The number of the last record, which all classes from this number on share.
    pub last: u32,
}

/// What an address class contributes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Record {
    /// The wide class that the class is part of.
    pub wide: u32,
    /// The row class that the class is part of.
    pub row: u32,
    /// The offset of the leaves.
    pub leaves: u32,
    /// [`BY_WIDE`] and [`PAIRED`].
    pub flags: u32,
}

/// [`Record::flags`]: there is a leaf for each wide class of the other address, not just one.
pub const BY_WIDE: u32 = 1;
/// [`Record::flags`]: some [`Pair`] has the class.
pub const PAIRED: u32 = 2;

/// The rules for one source class and one destination class.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pair {
    /// The source class.
    pub src: u32,
    /// The destination class.
    pub dst: u32,
    /// The leaf.
    pub leaf: u64,
}

/// One field's part in the upper-layer class.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// The lookup of the field; for the interface a reference to its trie.
    pub lookup: u32,
    /// The number of classes of the field.
    pub classes: u32,
    /// The offset of a `u16` for each `fused * classes + class`: the fused class so far. 0 for the
    /// first step in use, whose classes are the fused classes.
    pub table: u32,
    /// Brings the length to a multiple of 8.
    pub padding: u32,
}

/// The offset of the section for IPv4.
pub const SECTION_IPV4: u32 = size_of::<Header>() as u32;
/// The offset of the section for IPv6.
pub const SECTION_IPV6: u32 = SECTION_IPV4 + size_of::<Section>() as u32;
/// The offset of the section for all other EtherTypes.
pub const SECTION_OTHER: u32 = SECTION_IPV6 + size_of::<Section>() as u32;

/// The bits of the offset of a section.
pub const HEAD_MASK: u32 = 0x3f8;

const _: () = assert!(
    SECTION_IPV4 & HEAD_MASK == SECTION_IPV4
        && SECTION_IPV6 & HEAD_MASK == SECTION_IPV6
        && SECTION_OTHER & HEAD_MASK == SECTION_OTHER
        && HEAD_MASK as usize + size_of::<Section>() <= crate::abi::MIN_IMAGE_SIZE as usize
);

/// [`Section::mode`]: a table of cells.
pub const MODE_CELLS: u32 = 0;
/// [`Section::mode`]: leaves for pairs of classes, and rows.
pub const MODE_PAIRS: u32 = 1;
/// [`Section::mode`]: a table of pairs of classes, and rows.
pub const MODE_GRID: u32 = 2;

/// The number of fields that make the upper-layer class.
pub const FIELDS: usize = 12;

/// A field of the upper-layer class, and its place in [`Section::steps`].
#[repr(usize)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// The protocol number, or [`WITH_FLAGS`] and the TCP flags, or [`NO_PROTOCOL`].
    Protocol = 0,
    /// The source port.
    Sport = 1,
    /// The destination port.
    Dport = 2,
    /// The ICMP message, `type << 8 | code`.
    Icmp = 3,
    /// The index of the receiving interface.
    Interface = 4,
    /// The source MAC address.
    SrcMac = 5,
    /// The destination MAC address.
    DstMac = 6,
    /// The identifier in the outermost VLAN tag, or [`UNTAGGED`].
    Vlan = 7,
    /// The EtherType behind all VLAN tags.
    Ethertype = 8,
    /// The length of the IP packet, at most 65,535.
    Length = 9,
    /// The IPv4 time to live or the IPv6 hop limit.
    Ttl = 10,
    /// The code point for differentiated services, and [`FRAGMENT`].
    Traffic = 11,
}

impl Field {
    /// Every field, in the order of the steps: the longest searches first, where the verifier has
    /// the fewest paths.
    pub const ALL: [Self; FIELDS] = [
        Self::SrcMac,
        Self::DstMac,
        Self::Protocol,
        Self::Sport,
        Self::Dport,
        Self::Icmp,
        Self::Interface,
        Self::Vlan,
        Self::Ethertype,
        Self::Length,
        Self::Ttl,
        Self::Traffic,
    ];
}

/// The bits of [`Section::steps_used`] for the fields of [`crate::details`], which few rules name:
/// [`Field::SrcMac`] and those behind it.
pub const DETAILS: u32 = !0 << Field::SrcMac as u32;

/// [`Field::Protocol`]: the bit of TCP packets whose flags are known; the flags are the low byte.
pub const WITH_FLAGS: u32 = 1 << 8;
/// [`Field::Protocol`]: the packet is not IP.
pub const NO_PROTOCOL: u32 = 1 << 9;

/// [`Field::Vlan`]: the frame has no tag. All identifiers are smaller.
pub const UNTAGGED: u16 = 1 << 12;
/// [`Field::Traffic`]: the bit of fragments, above those of the code point.
pub const FRAGMENT: u32 = 1 << 6;
/// The number of values of [`Field::Ttl`].
pub const TTLS: u32 = 1 << 8;
/// The number of values of [`Field::Traffic`].
pub const TRAFFICS: u32 = FRAGMENT << 1;

/// The number of the page of packets that lack a port or message, among the page numbers.
pub const NO_PAGE: u32 = 256;
/// The offset of the pages of a port or message from the start of its lookup.
pub const FIELD_PAGES: u32 = 2 * (NO_PAGE + 1) + 6;

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
/// The levels of a multibit trie, each of which takes 8 bits of the key.
pub const MULTIBIT_LEVELS: u32 = 4;
/// The bytes of a node of a multibit trie.
pub const MULTIBIT_NODE: u32 = PAGE * 2;
/// The most levels of the search trees of a uniform trie: room for 8 * 73 bounds.
pub const MAX_UNIFORM_LEVELS: u32 = 3;
/// The bytes from one block of the last level of a uniform node to the next: eight bounds and
/// nine classes.
pub const UNIFORM_LEAF: u32 = 16 + 9 * 4 + 4;

/// The head of a hash table of addresses. A `u16` for each bucket, its seed, lies behind it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HashNode {
    /// The number of buckets.
    pub buckets: u32,
    /// The number of slots.
    pub slots: u32,
    /// The reference for all addresses that have no slot.
    pub background: u32,
    /// The offset of the slots.
    pub table: u32,
}

/// The bits of a key below those that the levels of a multibit trie up to this one take.
#[must_use]
pub const fn multibit_below(level: u32) -> u32 {
    8 * (MULTIBIT_LEVELS - 1 - level)
}

/// The digits, or values of a small field, of a page.
pub const PAGE: u32 = 256;
/// The bytes of the page numbers of a node.
pub const PAGE_NUMBERS: u32 = 512;

/// The bounds of a block of a search tree: two words of four.
pub const BLOCK: u32 = 8;

/// The most levels of a search tree: the sixth has room for 8 * 37,449 bounds.
pub const MAX_LEVELS: u32 = 6;

/// The number of blocks in a level that is as long as it can be; the first is level 0.
#[must_use]
pub const fn tree_level(level: u32) -> u32 {
    let mut blocks = 1;
    let mut above = 0;
    while above < level {
        blocks = blocks * BLOCK + 1;
        above += 1;
    }
    blocks
}

/// An entry that passes the packet.
pub const PASS: u32 = 0;
/// An entry that drops the packet.
pub const DROP: u32 = 1;
/// An entry that counts the packet and goes on.
pub const COUNT: u32 = 2;
/// An entry that says that no rule matches.
pub const NO_MATCH: u32 = 3;

/// The bit of a cell that has an entry, and not the offset of a list.
pub const DIRECT: u32 = 1 << 31;

/// The `what` of a leaf that is not an item.
pub const LIST: u32 = 3;
/// The number of items that says that a leaf is a table.
pub const TABLE: u32 = 0xffff;
/// The leaf without items.
pub const EMPTY: u64 = 0;
/// No item: larger than all of them, and not negative as a signed number.
pub const NONE: u64 = u64::MAX >> 1;

/// The upper-layer classes of a chunk of a grid.
pub const CHUNK: u32 = 64;

/// The most signatures of a section.
pub const MAX_SIGNATURES: usize = 1 << 16;
/// The first counter slot that no rule can have.
pub const SLOT_LIMIT: u32 = 1 << 21;
/// The bit beside a counter slot that says that the rule logs.
pub const LOGS: u32 = SLOT_LIMIT;
/// The first place in the order of precedence that no item can have.
pub const ORDER_LIMIT: u32 = (1 << 23) - 1;

/// The item of a rule.
#[must_use]
pub const fn item(order: u32, slot: u32, what: u32, signature: u32) -> u64 {
    (order as u64) << 40 | (slot as u64) << 18 | (what as u64) << 16 | signature as u64
}

/// The leaf with `count` items at `offset`, a multiple of 8.
#[must_use]
pub const fn leaf(offset: u32, count: u32) -> u64 {
    (offset as u64 >> 3) << 18 | (LIST as u64) << 16 | count as u64
}

/// The most words, summary words and `count` matches that one walk over rows may visit.
pub const MAX_WALK: u32 = 128;

/// The most items in the list of a leaf.
pub const MAX_LIST: u32 = 64;

/// The most `count` entries in one list of a cell.
pub const MAX_COUNTS: u32 = 64;

const _: () = assert!(size_of::<Header>() == 32);
const _: () = assert!(size_of::<Step>() == 16);
const _: () = assert!(size_of::<Record>() == 16);
const _: () = assert!(size_of::<Pair>() == 16);
const _: () = assert!(NODE_UNIFORM + MAX_UNIFORM_LEVELS <= NODE_HASH);
const _: () = assert!(NODE_HASH < NODE_MULTIBIT && NODE_MULTIBIT <= NODE_KIND);
const _: () = assert!(1 << (multibit_below(0) / (MULTIBIT_LEVELS - 1)) == PAGE);
const _: () = assert!(size_of::<HashNode>() == 16);
const _: () = assert!(UNIFORM_LEAF.is_multiple_of(8));
const _: () = assert!(MAX_LEVELS == 6 && tree_level(5) * BLOCK >= 0xffff);
const _: () = assert!(FIELD_PAGES.is_multiple_of(8));
// What the walker loads two words at a time.
const _: () = {
    let starts = [
        SECTION_IPV4 as usize,
        SECTION_IPV6 as usize,
        SECTION_OTHER as usize,
        offset_of!(Section, src),
        offset_of!(Section, mode),
        offset_of!(Section, steps),
        offset_of!(Section, upper_classes),
        offset_of!(Section, dst_classes),
        offset_of!(Section, grid),
        offset_of!(Section, src_records),
        offset_of!(Section, dst_records),
        offset_of!(Section, signatures),
        offset_of!(Section, wide),
        offset_of!(Section, pair_seeds),
        offset_of!(Section, pairs),
        offset_of!(Record, wide),
        offset_of!(Record, leaves),
        offset_of!(Pair, src),
        offset_of!(Pair, leaf),
        offset_of!(Step, lookup),
        offset_of!(Header, zero),
        offset_of!(HashNode, buckets),
        offset_of!(HashNode, background),
    ];
    let mut index = 0;
    while index < starts.len() {
        assert!(starts[index].is_multiple_of(8));
        index += 1;
    }
};
const _: () = assert!(size_of::<Section>() == 16 + 16 * FIELDS + 24 + 16 + 32 + 24);
