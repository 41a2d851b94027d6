//! What the driver's programs and user space agree on.
//!
//! The driver lays the next of a series of packets over a frame, and hands the frame on. A packet
//! is kept as a [`Record`], one cache line: the bytes of its frame after the hardware addresses, up
//! to the end of the longest headers that a measurement needs, IPv6 and TCP.

#![no_std]
#![forbid(unsafe_code)]

/// The bytes `OFFSET..FRAME_LEN` of a frame, as they lie in memory.
pub type Record = [u64; 8];

/// Where in a frame a record begins: after the hardware addresses.
pub const OFFSET: usize = 12;

/// The length of every frame.
pub const FRAME_LEN: usize = OFFSET + size_of::<Record>();

/// The array of [`Record`]s.
pub const PACKETS: &str = "PACKETS";

/// The array of the words of the driver's state, see [`word`].
pub const STATE: &str = "STATE";

/// The program array whose element 0 is the program under test, if that takes frames in one buffer.
pub const TESTED: &str = "TESTED";

/// The same for a program that takes frames in several buffers: an array holds programs of one of
/// the two kinds, that of the program that calls them (Linux 5.18, `bpf_prog_map_compatible`).
pub const TESTED_FRAGS: &str = "TESTED_FRAGS";

/// The places of words in the state.
pub mod word {
    /// The number of the packet that comes next.
    pub const NEXT: usize = 0;
    /// How many packets there are; from the last on the first follows.
    pub const COUNT: usize = 1;
    /// The index of the interface through which frames are sent.
    pub const TARGET: usize = 2;
    /// How many words there are.
    pub const WORDS: usize = 4;
}

/// The names of the programs.
pub mod program {
    /// Writes the next packet and sends it through an interface.
    pub const SEND: &str = "send";
    /// Writes the next packet and drops it: what writing alone costs.
    pub const DISCARD: &str = "discard";
    /// Writes the next packet and calls the program under test.
    pub const CALL: &str = "call";
    /// The same for a program that takes frames in several buffers.
    pub const CALL_FRAGS: &str = "call_frags";
    /// Drops everything.
    pub const DROP: &str = "drop_all";
    /// Passes everything.
    pub const PASS: &str = "pass_all";
    /// Drops, after XDP, what was passed there.
    pub const DROP_PASSED: &str = "drop_passed";
}
