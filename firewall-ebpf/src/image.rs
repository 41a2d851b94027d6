//! The layout of a table image: one flat, position-independent block of little-endian words in
//! which everything is found by byte offsets from its start.
//!
//! ```text
//! Header            at offset 0
//! Section x 3       IPv4, IPv6, all other EtherTypes; each judged by its own tables
//!   tries           an address or a small field to its class
//!   step tables     the classes of the small fields to one upper-layer class
//!   cells | rows    (source, destination, upper) classes to an entry
//! entries           what a match does
//! metadata          for user space; the XDP program never reads it
//! ```
//!
//! A *class* is a number for all values of a field that the same rules match. A *trie* consumes
//! its key 16 bits a level; a *reference* to a trie is either a leaf, [`LEAF`] | class, or the
//! byte offset of a node. A node starts with `count: u16, kind: u16`:
//!
//! | kind | after the first 4 bytes |
//! | --- | --- |
//! | [`NODE_REFERENCES`] | `count` ascending `u16` bounds, padding to 4, `count + 1` references |
//! | [`NODE_CLASSES`] | `count` ascending `u16` bounds, `count + 1` classes (`u16`), all leaves |
//! | [`NODE_PAIR`] | two references, `count` ascending `u16` bounds; intervals alternate |
//! | [`NODE_DENSE`] | 65,536 references, indexed by the digit |
//!
//! Interval `i` of a node holds the digits from bound `i - 1` (from 0 for the first) up to
//! bound `i`, exclusive.
//!
//! A *row* is a bit vector over the rules of its section: `summaries` words that say which words
//! are not 0, then the words themselves; bit `b` of word `w` is rule `64 w + b`.
//!
//! An *entry* is `slot << 2 | what`, with `what` one of [`PASS`], [`DROP`], [`COUNT`], and
//! [`NO_MATCH`] at the end of a list.

/// Access to the words of an image.
///
/// An offset outside the image, or one that is not a multiple of the word's size, yields some
/// word of the image or 0: no offset is an error, since the program must not branch on it.
pub trait Memory {
    /// The 16-bit word at byte `offset`.
    fn u16(&self, offset: u32) -> u16;
    /// The 32-bit word at byte `offset`.
    fn u32(&self, offset: u32) -> u32;
    /// The 64-bit word at byte `offset`.
    fn u64(&self, offset: u32) -> u64;

    /// Returns `value`, whose origin a verifier cannot follow.
    #[inline(always)]
    fn opaque(&self, value: u64) -> u64 {
        value
    }
}

/// An image in user space.
impl Memory for [u8] {
    #[inline]
    fn u16(&self, offset: u32) -> u16 {
        word(self, offset).map_or(0, u16::from_le_bytes)
    }

    #[inline]
    fn u32(&self, offset: u32) -> u32 {
        word(self, offset).map_or(0, u32::from_le_bytes)
    }

    #[inline]
    fn u64(&self, offset: u32) -> u64 {
        word(self, offset).map_or(0, u64::from_le_bytes)
    }
}

#[inline]
fn word<const N: usize>(bytes: &[u8], offset: u32) -> Option<[u8; N]> {
    bytes.get(offset as usize..)?.first_chunk().copied()
}

/// The first word of every image: "FWI" and the layout's version.
pub const MAGIC: u32 = u32::from_le_bytes([b'F', b'W', b'I', 1]);

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
    /// The offsets of the sections: IPv4, IPv6, other.
    pub sections: [u32; 3],
    /// The offset of the metadata.
    pub metadata: u32,
    /// The length of the metadata in bytes.
    pub metadata_length: u32,
    /// 0, which no verifier knows: what is XORed with it becomes opaque.
    pub zero: u32,
    /// Brings the length to a multiple of 8.
    pub padding: u32,
}

/// The tables for one kind of packet.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// How classes lead to an entry: [`MODE_CELLS`] or [`MODE_ROWS`].
    pub mode: u32,
    /// The trie of source addresses.
    pub src: u32,
    /// The trie of destination addresses.
    pub dst: u32,
    /// Bit `f` is set when step `f` is in use.
    pub steps_used: u32,
    /// The steps that make the upper-layer class, one for each field.
    pub steps: [Step; FIELDS],
    /// Cells: the number of destination classes.
    pub dst_classes: u32,
    /// Cells: the number of upper-layer classes.
    pub upper_classes: u32,
    /// Cells: the offset of a `u32` for each `(src * dst_classes + dst) * upper_classes + upper`,
    /// the offset of the first entry of a list that ends with the first entry that does not count.
    pub cells: u32,
    /// Rows: the offset of the row of source class 0.
    pub src_rows: u32,
    /// Rows: the offset of the row of destination class 0.
    pub dst_rows: u32,
    /// Rows: the offset of the row of upper-layer class 0.
    pub upper_rows: u32,
    /// Rows: the bytes of one row.
    pub stride: u32,
    /// Rows: the summary words of one row.
    pub summaries: u32,
    /// Rows: the offset of the entries, a `u32` for each rule of the section.
    pub entries: u32,
}

/// One field's part in the upper-layer class.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// The trie of the field.
    pub trie: u32,
    /// The class of packets that lack the field.
    pub absent: u32,
    /// The number of classes of the field.
    pub classes: u32,
    /// The offset of a `u16` for each `fused * classes + class`: the fused class so far.
    pub table: u32,
}

/// The index of [`Header::sections`] for IPv4.
pub const SECTION_IPV4: usize = 0;
/// The index of [`Header::sections`] for IPv6.
pub const SECTION_IPV6: usize = 1;
/// The index of [`Header::sections`] for all other EtherTypes.
pub const SECTION_OTHER: usize = 2;

/// [`Section::mode`]: a table of cells.
pub const MODE_CELLS: u32 = 0;
/// [`Section::mode`]: rows, ANDed.
pub const MODE_ROWS: u32 = 1;

/// The number of fields that make the upper-layer class.
pub const FIELDS: usize = 6;

/// A field of the upper-layer class, in the order of [`Section::steps`].
#[repr(usize)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// The protocol number; one digit.
    Protocol = 0,
    /// The source port; one digit.
    Sport = 1,
    /// The destination port; one digit.
    Dport = 2,
    /// The TCP flags; one digit.
    TcpFlags = 3,
    /// The ICMP message, `type << 8 | code`; one digit.
    Icmp = 4,
    /// The index of the receiving interface; two digits.
    Interface = 5,
}

impl Field {
    /// Every field, in step order.
    pub const ALL: [Self; FIELDS] = [
        Self::Protocol,
        Self::Sport,
        Self::Dport,
        Self::TcpFlags,
        Self::Icmp,
        Self::Interface,
    ];
}

/// The bit that makes a reference a leaf; the other bits are the class.
pub const LEAF: u32 = 1 << 31;

/// A node with bounds and references.
pub const NODE_REFERENCES: u16 = 0;
/// A node with bounds and classes.
pub const NODE_CLASSES: u16 = 1;
/// A node with bounds whose intervals alternate between two references.
pub const NODE_PAIR: u16 = 2;
/// A node with a reference for every digit.
pub const NODE_DENSE: u16 = 3;

/// The most bounds of a node.
pub const MAX_BOUNDS: u32 = 65_535;

/// An entry that passes the packet.
pub const PASS: u32 = 0;
/// An entry that drops the packet.
pub const DROP: u32 = 1;
/// An entry that counts the packet and goes on.
pub const COUNT: u32 = 2;
/// An entry that says that no rule matches.
pub const NO_MATCH: u32 = 3;

/// The most words, summary words and `count` matches that one walk over rows may visit.
pub const MAX_WALK: u32 = 320;

/// The most `count` entries in one list of a cell.
pub const MAX_COUNTS: u32 = 64;

const _: () = assert!(size_of::<Header>() == 40);
const _: () = assert!(size_of::<Step>() == 16);
const _: () = assert!(size_of::<Section>() == 16 + 16 * FIELDS + 36);
