//! The interface between the driver's programs and user space.
//!
//! The driver overwrites a frame with the next packet of a series and passes the frame on. A packet
//! is stored as a [`Record`] of one cache line: the bytes of its frame after the hardware
//! addresses, up to the end of the longest headers that measurements need, IPv6 and TCP.

#![no_std]
#![forbid(unsafe_code)]

/// The bytes `OFFSET..FRAME_LEN` of a frame, in memory order.
pub type Record = [u64; 8];

/// The offset of a record in a frame: after the hardware addresses.
pub const OFFSET: usize = 12;

/// The length of every frame.
pub const FRAME_LEN: usize = OFFSET + size_of::<Record>();

/// The array of [`Record`]s.
pub const PACKETS: &str = "PACKETS";

/// The array of lines of a table that is only read, of 64 bytes each.
pub const LINES: &str = "LINES";

/// The tags of these lines, [`TAG_LINES`] words of four tags in each element.
pub const TAGS: &str = "TAGS";

/// The lines whose tags are in one element of [`TAGS`].
pub const TAG_LINES: u32 = 16;

/// The offset of the IPv4 source address in a frame, by which lines are chosen.
pub const SOURCE: usize = 26;

/// The array of the words of the driver's state, see [`word`].
pub const STATE: &str = "STATE";

/// The program array whose element 0 is the program under test, if that takes frames in one buffer.
pub const TESTED: &str = "TESTED";

/// The same for a program that takes frames in several buffers: an array only holds programs of the
/// same kind as the program that calls them (Linux 5.18, `bpf_prog_map_compatible`).
pub const TESTED_FRAGS: &str = "TESTED_FRAGS";

/// The indexes of words in the state.
pub mod word {
    /// The number of the next packet.
    pub const NEXT: usize = 0;
    /// The number of packets; after the last, the first follows again.
    pub const COUNT: usize = 1;
    /// The index of the interface through which frames are sent.
    pub const TARGET: usize = 2;
    /// The number of lines of the table that is read, a power of two, less one.
    pub const LAST_LINE: usize = 3;
    /// What was read of the table last: always 0, but no CPU knows that before it has read it.
    pub const READ: usize = 4;
    /// The number of words.
    pub const WORDS: usize = 6;
}

/// The names of the programs.
pub mod program {
    /// Writes the next packet and sends it through an interface.
    pub const SEND: &str = "send";
    /// Writes the next packet and drops it, which measures the cost of writing alone.
    pub const DISCARD: &str = "discard";
    /// Writes the next packet and calls the program under test.
    pub const CALL: &str = "call";
    /// The same for a program that takes frames in several buffers.
    pub const CALL_FRAGS: &str = "call_frags";
    /// Reads the tags of a line, and then a word of the line, and drops: what finding a flow needs at least.
    pub const READ_LINE: &str = "read_line";
    /// Reads the tags of two lines and drops: what finding none needs at least.
    pub const READ_TAGS: &str = "read_tags";
    /// Drops everything.
    pub const DROP: &str = "drop_all";
    /// Passes everything.
    pub const PASS: &str = "pass_all";
    /// Drops, after XDP, the packets that passed there.
    pub const DROP_PASSED: &str = "drop_passed";
}
