//! The layout of a table image: one flat, position-independent block of little-endian words in
//! which everything is found by byte offsets from its start.
//!
//! ```text
//! Header            at offset 0
//! Section x 6       follow it: for packets in and packets out IPv4, IPv6, all other EtherTypes; each
//!                   with its own tables
//! Section x 24      if rules ask for states, the same for each further state of a packet, and for what
//!                   packets out answer; sections of the same rules share their tables
//!   tries             an address, an interface or a mark to its class
//!   lookups           a narrow field to its class
//!   reduction tables  the classes of the narrow fields to one L4 class
//!   direct table | grid | pairs   the three classes to the rule that decides
//!   rows              with a grid or pairs: rules that count, and those that fit no pair
//! metadata          for user space; the XDP program never reads it
//! ```
//!
//! A *class* is a number for all values of a field that the same rules match. Each structure has a
//! file here that describes its bytes; what writes it in the compiler and what reads it in the
//! walker are in files of the same name.
//!
//! This room knows neither how images are made nor how they are walked.

mod direct_table;
mod entry;
mod grid;
mod hash;
mod header;
mod item;
mod leaves;
mod lookup;
mod memory;
mod multibit;
mod pages;
mod pairs;
mod records;
mod reduction;
mod reference;
mod rows;
mod search_tree;
mod section;
mod trie;
mod uniform;

pub use direct_table::{Cell, MAX_COUNTS};
pub use entry::{COUNT, DROP, Entry, NO_MATCH, PASS, RuleSlot, SLOT_LIMIT};
pub use grid::{CHUNK, chunk_index_at, chunk_number_at, rule_number_at};
pub use hash::{HashNode, Ipv4Slot, Ipv6Slot};
pub use header::{Drops, Header, MAGIC, Tracking, is_magic};
pub use item::{Item, MAX_SIGNATURES, ORDER_LIMIT, Signature};
pub use leaves::{Leaf, MAX_LIST, table_index_at, table_item_at};
pub use lookup::{
    FIELD_PAGES, direct_class_at, field_page_at, option_class_at, option_group_at, paged_class_at,
};
pub use memory::Memory;
pub use multibit::{MULTIBIT_LEVELS, multibit_below, multibit_entry_at};
pub use pages::{PAGE, page_index, page_number_at};
pub use pairs::Pair;
pub use records::{Record, RecordFlags, Records};
pub use reduction::{Step, fused_class_at};
pub use reference::{
    NODE_HASH, NODE_MULTIBIT, NODE_PAGES, NODE_PAIR, NODE_REFERENCES, NODE_UNIFORM, Reference,
};
pub use rows::MAX_WALK;
pub use search_tree::{BLOCK, BLOCK_BYTES, MAX_LEVELS, level_bytes, stored_bound, tree_level};
pub use section::{
    HEAD_MASK, MODE_DIRECT_TABLE, MODE_GRID, MODE_PAIRS, REVERSE, SECTION_IPV4, SECTION_IPV6,
    SECTION_OTHER, SECTIONS_END, STATE_SECTIONS_END, Section, section_offset, state_offset,
};
pub use trie::{AFTER_HEAD, AFTER_PAIR, NodeHead, PAGE_NUMBERS, paged_reference_at, reference_at};
pub use uniform::{
    MAX_UNIFORM_LEVELS, UNIFORM_LEAF, uniform_above_last, uniform_class_at, uniform_root,
};
