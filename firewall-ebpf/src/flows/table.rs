//! Finding, changing and adding flows.

use super::{
    phase::{Phase, Role, is_kept_by_packets_in, next},
    settings::LINE_SLOTS,
    slot::Slot,
    stamp::{age, life, phase_of, timeout_index},
    strength::{RANK_OUTSIDE, RANK_STRONG, best},
    transport::{Protocol, Transport},
    tuple::{Keys, Tuple},
};
use crate::state::State;

/// The memory of a table: lines of slots, their tags, settings and a clock.
pub trait FlowTable: Keys {
    /// A line.
    type Line: Copy;
    /// The tags of a line.
    type Tags: Copy;

    /// The number of lines, a power of two, less one.
    fn last_line(&self) -> u32;

    /// A line.
    fn line(&self, number: u32) -> Option<Self::Line>;

    /// A word of a line, below 8: those of the slots, one slot after the other.
    fn word(&self, line: Self::Line, index: u32) -> u64;

    /// Stores a word of a line.
    fn store(&self, line: Self::Line, index: u32, word: u64);

    /// The tags of a line.
    fn tags(&self, number: u32) -> Option<Self::Tags>;

    /// The four tags, that of the first slot in the lowest byte.
    fn load_tags(&self, tags: Self::Tags) -> u32;

    /// Stores the tag of a slot; 0 frees it.
    fn store_tag(&self, tags: Self::Tags, slot: u32, tag: u8);

    /// A timeout, in units of its stamp.
    fn timeout(&self, index: u32) -> u32;

    /// The time in units of four seconds.
    fn now(&self) -> u32;

    /// Counts an event.
    fn count(&self, event: FlowEvent);
}

/// What happens to flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowEvent {
    /// A flow was added.
    Added = 0,
    /// A flow that was not answered, or over, gave way to another.
    EvictedWeak = 1,
    /// An answered flow gave way to another.
    EvictedAnswered = 2,
    /// A flow was not stored at once, since another CPU stored in the same slot.
    Lost = 3,
}

impl FlowEvent {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 4] = [
        Self::Added,
        Self::EvictedWeak,
        Self::EvictedAnswered,
        Self::Lost,
    ];
}

/// What a packet out is to the flows that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Its flow is known, or it is of none that the table should know.
    Done = 0,
    /// It begins a flow.
    Begins = 1,
    /// It begins a flow, unless it answers one that rules let in, or is a TCP segment that does not say anything.
    MayBegin = 2,
    /// It answers the SYN of a packet in: its sequence number is to be [noted](super::note).
    Accepts = 3,
    /// It is a segment of a TCP connection that a packet in began. If it says something, it shows that the connection is
    /// [established](super::establish).
    MayEstablish = 4,
}

/// A flow that was found.
pub struct FoundFlow<T: FlowTable + ?Sized> {
    pub(super) line: T::Line,
    pub(super) index: u32,
    /// When it was looked for.
    pub(super) now: u32,
    /// Its words.
    pub slot: Slot,
}

/// Where a flow was stored.
pub struct Placed {
    /// The number of its slot in the whole table.
    pub slot: u32,
    /// Whether the source is the second end of the tuple.
    pub from_second: bool,
}

/// Finds the flow of a tuple that has not expired.
#[inline(always)]
pub fn find<T: FlowTable + ?Sized>(table: &T, tuple: &Tuple) -> Option<FoundFlow<T>> {
    find_at(table, tuple, table.now())
}

/// The same at a time, which is best asked for before the tuple is made: the call costs a program all numbers in registers.
#[inline(always)]
pub(super) fn find_at<T: FlowTable + ?Sized>(
    table: &T,
    tuple: &Tuple,
    now: u32,
) -> Option<FoundFlow<T>> {
    let lately = life_lately(tuple, now);
    let last = table.last_line();
    let [first, second] = tuple.lines.map(|line| line & last);
    // The tags of both lines are asked for at once: if neither is in the cache, the CPU waits once.
    let tags = [table.tags(first)?, table.tags(second)?].map(|tags| table.load_tags(tags));
    let mut left = matching(u64::from(tags[1]) << 32 | u64::from(tags[0]), tuple.tag);
    for _ in 0..2 * LINE_SLOTS {
        if left == 0 {
            break;
        }
        let place = lowest(left);
        left &= left - 1;
        let line = table.line(if place < LINE_SLOTS { first } else { second })?;
        let index = place % LINE_SLOTS * 2;
        let slot = Slot {
            first: table.word(line, index),
            second: table.word(line, index + 1),
        };
        if slot.is_of(tuple.slot) && (slot.life() == lately || !has_expired(table, slot, now)) {
            return Some(FoundFlow {
                line,
                index,
                now,
                slot,
            });
        }
    }
    None
}

/// The life that most flows have when a packet comes: answered, and seen in this unit of the stamp. Nothing changes it but a TCP
/// segment with [`Transport::FIN`] or [`Transport::RST`].
#[inline(always)]
fn life_lately(tuple: &Tuple, now: u32) -> u16 {
    life(tuple.slot.protocol(), Phase::Answered.number(), now)
}

/// A bit for each byte of `tags` that is `tag`, the highest of the byte, and for no other byte: a slot that is free may still
/// have the words of a flow.
#[inline(always)]
const fn matching(tags: u64, tag: u8) -> u64 {
    // Bytes that are 0, without carries between bytes (Hacker's Delight, section 6-1).
    const ONES: u64 = 0x0101_0101_0101_0101;
    const LOW: u64 = ONES * 0x7f;
    let differs = tags ^ (tag as u64).wrapping_mul(ONES);
    !((differs & LOW).wrapping_add(LOW) | differs | LOW)
}

/// The number of the lowest byte in what [`matching`] returns.
#[inline(always)]
const fn lowest(matching: u64) -> u32 {
    let bit = (matching & matching.wrapping_neg()) >> 7;
    // 2^8k times the constant has `k` in its top byte.
    (bit.wrapping_mul(0x0001_0203_0405_0607) >> 56) as u32 & 7
}

/// Whether a flow is kept no longer: the table finds it no more, and its slot is as good as free.
#[inline(always)]
pub fn has_expired<T: FlowTable + ?Sized>(table: &T, slot: Slot, now: u32) -> bool {
    let protocol = slot.protocol();
    let timeout = table.timeout(timeout_index(protocol, phase_of(slot.life())));
    age(protocol, slot.life(), now) > timeout
}

/// The state of an ICMP error that is about a packet with these addresses and this rest.
#[inline(always)]
pub fn see_error<T: FlowTable>(table: &T, src: [u64; 2], dst: [u64; 2], upper: Transport) -> State {
    let now = table.now();
    let tuple = Tuple::new(table, src, dst, upper);
    if find_at(table, &tuple, now).is_some() {
        State::Related
    } else {
        State::Invalid
    }
}

/// The state of a packet that has come in, whose flow it changes; `None` if it is `new` unless it is
/// [proved](super::prove) to acknowledge an answer.
#[inline(always)]
pub fn see_in<T: FlowTable>(
    table: &T,
    src: [u64; 2],
    dst: [u64; 2],
    upper: Transport,
) -> Option<State> {
    see_tuple_in(table, upper, || Tuple::new(table, src, dst, upper))
}

/// The same for who knows the family of the packet, whose tuple `tuple` makes.
#[inline(always)]
pub fn see_tuple_in<T: FlowTable>(
    table: &T,
    upper: Transport,
    tuple: impl FnOnce() -> Tuple,
) -> Option<State> {
    if !upper.has_flow() {
        return Some(State::New);
    }
    if upper.is_invalid() {
        return Some(State::Invalid);
    }
    let now = table.now();
    let tuple = tuple();
    let Some(found) = find_at(table, &tuple, now) else {
        return Some(State::New);
    };
    let slot = found.slot;
    let ends = Transport::FIN | Transport::RST;
    if slot.life() == life_lately(&tuple, found.now) && !upper.has_any(ends) {
        return Some(State::Established);
    }
    let phase = phase_of(slot.life());
    let step = Role {
        is_out: false,
        from_second: tuple.sent_by_second(),
        from_beginner: tuple.sent_by_second() == slot.began_second(),
    };
    if Phase::waits(phase) {
        let may_prove = phase == Phase::Noted.number() && upper.acknowledges();
        return (!(may_prove & step.from_beginner)).then_some(State::New);
    }
    let is_unanswered = phase == Phase::Unanswered.number();
    let is_closed = phase == Phase::Closed.number();
    if is_unanswered & step.from_beginner | is_closed & upper.opens() {
        return Some(State::New);
    }
    let phase_after = next(phase, upper, step);
    if phase_after != phase || is_kept_by_packets_in(phase) {
        keep(table, &tuple, &found, phase_after);
    }
    Some(State::Established)
}

/// The state of a packet that goes out, whose flow stays as it is.
#[inline(always)]
pub fn state_out<T: FlowTable>(table: &T, src: [u64; 2], dst: [u64; 2], upper: Transport) -> State {
    if !upper.has_flow() {
        return State::New;
    }
    if upper.is_invalid() {
        return State::Invalid;
    }
    let now = table.now();
    let tuple = Tuple::new(table, src, dst, upper);
    let Some(found) = find_at(table, &tuple, now) else {
        return State::New;
    };
    let phase = phase_of(found.slot.life());
    let from_beginner = tuple.sent_by_second() == found.slot.began_second();
    let is_unanswered = phase == Phase::Unanswered.number() || Phase::waits(phase);
    if upper.opens() || is_unanswered & from_beginner {
        State::New
    } else {
        State::Established
    }
}

/// Changes the flow of a packet that goes out; says whether it begins one.
#[inline(always)]
pub fn see_out<T: FlowTable>(table: &T, src: [u64; 2], dst: [u64; 2], upper: Transport) -> Seen {
    if !upper.has_flow() {
        return Seen::Done;
    }
    let now = table.now();
    let tuple = Tuple::new(table, src, dst, upper);
    if let Some(found) = find_at(table, &tuple, now) {
        let slot = found.slot;
        let begins_or_ends = Transport::SYN | Transport::FIN | Transport::RST;
        if slot.life() == life_lately(&tuple, found.now) && !upper.has_any(begins_or_ends) {
            return Seen::Done;
        }
        let phase = phase_of(slot.life());
        let from_beginner = tuple.sent_by_second() == slot.began_second();
        if Phase::waits(phase) && (from_beginner || upper.is_tcp() && !upper.has(Transport::RST)) {
            return if upper.opens() | from_beginner {
                begins(upper)
            } else if upper.accepts() {
                Seen::Accepts
            } else {
                Seen::MayEstablish
            };
        }
        if upper.opens() && (!from_beginner || phase != Phase::Unanswered.number()) {
            return Seen::Begins;
        }
        let step = Role {
            is_out: true,
            from_second: tuple.sent_by_second(),
            from_beginner,
        };
        keep(table, &tuple, &found, next(phase, upper, step));
        return Seen::Done;
    }
    begins(upper)
}

/// Whether a packet out of no flow that another packet out has begun begins one.
#[inline(always)]
fn begins(upper: Transport) -> Seen {
    let is_of_handshake = upper.is_tcp() && upper.has_any(Transport::SYN | Transport::RST);
    let is_echo = upper.protocol() == Protocol::Echo as u32;
    if upper.opens() | upper.asks() {
        Seen::Begins
    } else if is_of_handshake | is_echo {
        Seen::Done
    } else {
        Seen::MayBegin
    }
}

/// Stores the phase and the time of a flow, unless they are what they were.
#[inline(always)]
pub(super) fn keep<T: FlowTable + ?Sized>(
    table: &T,
    tuple: &Tuple,
    found: &FoundFlow<T>,
    phase: u32,
) {
    let changed = tuple
        .slot
        .with_life(life(tuple.slot.protocol(), phase, found.now));
    if changed.second != found.slot.second {
        table.store(found.line, found.index + 1, changed.second);
    }
}

/// Adds the flow that a packet out begins, or shows to be established ([`Transport::established`]); `None` if another CPU stores in the same slot, and it is worth another try.
///
/// The slot is free, or that of a flow that has expired, or else of the oldest flow that is not answered
/// or over, those that packets in began first, or else of the oldest. If the tuple has a slot already, it is that one.
#[inline(always)]
pub fn record<T: FlowTable>(
    table: &T,
    src: [u64; 2],
    dst: [u64; 2],
    upper: Transport,
) -> Option<Placed> {
    let now = table.now();
    let tuple = Tuple::new(table, src, dst, upper);
    let from_second = tuple.sent_by_second();
    let (slot, phase) = if upper.is_established() {
        let slot = tuple.slot.begun_by_other().begun_outside();
        (slot, established_phase(upper, from_second))
    } else {
        (tuple.slot, Phase::Unanswered.number())
    };
    let tuple = tuple.beginning(slot.with_life(life(slot.protocol(), phase, now)));
    let slots = [
        best(table, &tuple, tuple.lines[0], now)?,
        best(table, &tuple, tuple.lines[1], now)?,
    ];
    let slot = add(table, &tuple, slots)?;
    // The packet that shows a connection that a packet in began is from the other end.
    let from_second = tuple.slot.began_second() != tuple.slot.began_outside();
    Some(Placed { slot, from_second })
}

/// The number of the phase of an established connection after a segment of an end.
#[inline(always)]
pub(super) fn established_phase(upper: Transport, from_second: bool) -> u32 {
    let phase = if upper.has(Transport::FIN) {
        Phase::closed_by(from_second)
    } else {
        Phase::Answered
    };
    phase.number()
}

/// Stores the flow of a tuple in the better of two slots, each its rank and its index in the two lowest bits, one of each line;
/// returns the number of the slot in the whole table.
#[inline(always)]
pub(super) fn add<T: FlowTable>(
    table: &T,
    tuple: &Tuple,
    [first, second]: [u32; 2],
) -> Option<u32> {
    let (line, chosen) = if second < first {
        (tuple.lines[1], second)
    } else {
        (tuple.lines[0], first)
    };
    let (rank, index) = (chosen >> 2, chosen & 3);
    let number = line & table.last_line();
    if !place(table, number, index, tuple.slot, tuple.tag) {
        table.count(FlowEvent::Lost);
        return None;
    }
    table.count(FlowEvent::Added);
    if rank >= RANK_STRONG {
        table.count(FlowEvent::EvictedAnswered);
    } else if rank >= RANK_OUTSIDE {
        table.count(FlowEvent::EvictedWeak);
    }
    Some(number * LINE_SLOTS + index)
}

/// Stores a flow; false if another CPU has stored another one there meanwhile.
///
/// The slot is free while its words are stored, so that it is found with both or not at all.
#[inline(always)]
fn place<T: FlowTable>(table: &T, number: u32, slot: u32, new: Slot, tag: u8) -> bool {
    let (Some(tags), Some(line)) = (table.tags(number), table.line(number)) else {
        return false;
    };
    table.store_tag(tags, slot, 0);
    table.store(line, slot * 2, new.first);
    table.store(line, slot * 2 + 1, new.second);
    table.store_tag(tags, slot, tag);
    let stored = Slot {
        first: table.word(line, slot * 2),
        second: table.word(line, slot * 2 + 1),
    };
    stored == new
}
