//! The layout of a table image: one flat, position-independent block of little-endian words in
//! which everything is found by byte offsets from its start.
//!
//! ```text
//! Header            at offset 0
//! Section x 3       follow it: IPv4, IPv6, all other EtherTypes; each with its own tables
//!   tries             an address or an interface to its class
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
mod pairs;
mod records;
mod reduction;
mod reference;
mod rows;
mod search_tree;
mod section;
mod trie;
mod uniform;

pub use direct_table::{DIRECT, MAX_COUNTS};
pub use entry::{COUNT, DROP, LOGS, NO_MATCH, PASS, SLOT_LIMIT};
pub use grid::CHUNK;
pub use hash::HashNode;
pub use header::{Header, MAGIC};
pub use item::{MAX_SIGNATURES, NONE, ORDER_LIMIT, item};
pub use leaves::{EMPTY, LIST, MAX_LIST, TABLE, leaf};
pub use lookup::{FIELD_PAGES, NO_PAGE, PAGE};
pub use memory::Memory;
pub use multibit::{MULTIBIT_LEVELS, MULTIBIT_NODE, multibit_below};
pub use pairs::Pair;
pub use records::{BY_WIDE, PAIRED, Record, Records};
pub use reduction::Step;
pub use reference::{
    LEAF, NODE_HASH, NODE_KIND, NODE_MULTIBIT, NODE_PAGES, NODE_PAIR, NODE_REFERENCES, NODE_UNIFORM,
};
pub use rows::MAX_WALK;
pub use search_tree::{BLOCK, MAX_LEVELS, tree_level};
pub use section::{
    HEAD_MASK, MODE_DIRECT_TABLE, MODE_GRID, MODE_PAIRS, SECTION_IPV4, SECTION_IPV6, SECTION_OTHER,
    Section,
};
pub use trie::PAGE_NUMBERS;
pub use uniform::{MAX_UNIFORM_LEVELS, UNIFORM_LEAF};
