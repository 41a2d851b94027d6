//! Flows: which packets have gone out, so that their answers are known, and which came in before.
//!
//! This room owns how the table of flows lies in memory, how a packet's flow is found in it, and how
//! packets change it. It knows nothing of rules, nor of who reads the table besides.
//!
//! A flow is known by its *tuple*: addresses, ports and protocol, the same for both directions
//! ([`tuple`](Tuple)). The table consists of lines of four slots, and of the tags of the slots, which are apart: 8 bits
//! of a keyed hash each, so that a packet of no flow seldom costs more than two words ([`FlowTable`]). A tuple
//! has two candidate lines. Nothing is locked, and no operation needs a value back from an atomic
//! instruction: a slot is two words, and a pair of words that were not written together is no flow
//! ([`Slot`]).
//!
//! ```text
//! transport what else a tuple and a change need of a packet, in one word
//! tuple     from a packet to what its flow is known by
//! hash      the keyed hash of IPv4 tuples; siphash that of IPv6
//! slot      the two words of a flow
//! phase     what a flow has come to, and what a packet makes of it
//! stamp     when a flow was last seen, and how long it is kept
//! settings  what user space decides, and the offsets of it
//! strength  which flow gives way to another
//! table     finding, changing and adding flows
//! admit     flows that packets in begin, and the proof that they were answered
//! segment   the numbers of a TCP segment, which are that proof
//! enter     adding flows that began before the table
//! fragments  which fragmented packets belong to a flow
//! fields    how the numbers above are read from a packet
//! ```

mod admit;
mod enter;
mod fields;
mod fragments;
mod hash;
mod phase;
mod segment;
mod settings;
mod siphash;
mod slot;
mod stamp;
mod strength;
mod table;
mod transport;
mod tuple;

pub use admit::{admit, establish, note, prove};
pub use enter::{Entered, FlowOrigin, FlowProgress, SharedTable, enter};
pub use fields::{InvokingPacket, Message, says_something, transport_of};
pub use fragments::{FRAGMENTS, Fragment, FragmentTable, see_fragment};
pub use phase::Phase;
pub use segment::segment_numbers;
pub use settings::{
    HASH_KEYS, LINE_BYTES, LINE_SLOTS, SETTINGS_WORDS, Settings, TAG_LINES, TIMEOUTS,
};
pub use slot::{Addresses, Slot};
pub use stamp::{FINE_UNIT, TCP_UNIT, age, phase_of, timeout_index, unit};
pub use table::{
    FlowEvent, FlowTable, FoundFlow, Placed, Seen, find, has_expired, record, see_error, see_in,
    see_out, see_tuple_in, state_out,
};
pub use transport::{Protocol, Transport};
pub use tuple::{Keys, Tuple, places};
