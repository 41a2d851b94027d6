//! Entering flows that began before the table: what is known of them comes from elsewhere.

use super::{
    phase::Phase,
    settings::LINE_SLOTS,
    slot::Slot,
    stamp::life,
    strength::{RANK_OUTSIDE, best},
    table::{FlowTable, Placed, find, has_expired},
    transport::Transport,
    tuple::Tuple,
};

/// What a flow that is entered has come to, by the packet that names it, whose source began the flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FlowProgress {
    /// Not answered yet.
    Unanswered,
    /// Answered.
    Answered,
    /// TCP: the source has closed its direction.
    SourceClosed,
    /// TCP: the destination has closed its direction.
    DestinationClosed,
    /// TCP: both have.
    Closed,
    /// TCP: a reset has been seen, which may have been forged.
    Doubtful,
}

/// Whose packets a flow began with, as far as rules see them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowOrigin {
    /// Packets out.
    Out,
    /// Packets in, which were answered, and the answer acknowledged.
    In,
}

impl FlowProgress {
    /// The same, named by a packet the other way.
    #[must_use]
    pub const fn reversed(self) -> Self {
        match self {
            Self::SourceClosed => Self::DestinationClosed,
            Self::DestinationClosed => Self::SourceClosed,
            Self::Unanswered | Self::Answered | Self::Closed | Self::Doubtful => self,
        }
    }

    const fn phase(self, from_second: bool) -> Phase {
        match (self, from_second) {
            (Self::Unanswered, _) => Phase::Unanswered,
            (Self::Answered, _) => Phase::Answered,
            (Self::SourceClosed, false) | (Self::DestinationClosed, true) => Phase::FirstClosed,
            (Self::SourceClosed, true) | (Self::DestinationClosed, false) => Phase::SecondClosed,
            (Self::Closed, _) => Phase::Closed,
            (Self::Doubtful, _) => Phase::Doubtful,
        }
    }
}

/// What became of a flow that was to be entered.
pub enum Entered {
    /// The table has it already: what packets have made of it is newer.
    Known,
    /// It was added.
    Added(Placed),
    /// Its lines are full of other flows.
    NoRoom,
}

/// A table that others write at the same time, in memory where a word can be compared and replaced in one step.
pub trait SharedTable: FlowTable {
    /// Replaces a word of a line if it is still `old`; returns whether it was.
    fn exchange(&self, line: Self::Line, index: u32, old: u64, new: u64) -> bool;
}

/// Enters a flow as seen now, unless the table has it or would have to give up another one for it.
///
/// Programs may add the same flow meanwhile. What they have added stays.
pub fn enter<T: SharedTable>(
    table: &T,
    src: [u64; 2],
    dst: [u64; 2],
    upper: Transport,
    progress: FlowProgress,
    origin: FlowOrigin,
) -> Entered {
    // A slot that a program takes meanwhile is lost for this flow. There are eight.
    const TRIES: u32 = 2 * LINE_SLOTS;
    let tuple = Tuple::new(table, src, dst, upper);
    let phase = progress.phase(tuple.sent_by_second());
    for _ in 0..TRIES {
        if find(table, &tuple).is_some() {
            return Entered::Known;
        }
        let now = table.now();
        let new = tuple
            .slot
            .with_life(life(tuple.slot.protocol(), phase.number(), now));
        let new = match origin {
            FlowOrigin::Out => new,
            FlowOrigin::In => new.begun_outside(),
        };
        let candidates = tuple
            .lines
            .map(|line| Some((best(table, &tuple, line, now)?, line & table.last_line())));
        let Some((chosen, number)) = candidates.into_iter().flatten().min() else {
            return Entered::NoRoom;
        };
        let (rank, index) = (chosen >> 2, chosen & 3);
        if rank >= RANK_OUTSIDE {
            return Entered::NoRoom;
        }
        if !claim(table, number, index, new, tuple.tag) {
            continue;
        }
        if is_elsewhere(table, &tuple, number, index) {
            leave(table, number, index, new);
            return Entered::Known;
        }
        return Entered::Added(Placed {
            slot: number * LINE_SLOTS + index,
            from_second: tuple.sent_by_second(),
        });
    }
    Entered::NoRoom
}

/// Stores a flow in a slot that is free or has expired; false if a program has stored another one there meanwhile.
fn claim<T: SharedTable>(table: &T, number: u32, index: u32, new: Slot, tag: u8) -> bool {
    let (Some(tags), Some(line)) = (table.tags(number), table.line(number)) else {
        return false;
    };
    let slot = || Slot {
        first: table.word(line, index * 2),
        second: table.word(line, index * 2 + 1),
    };
    let old = slot();
    let is_free = table.load_tags(tags).to_le_bytes()[index as usize & 3] == 0;
    if !is_free && !has_expired(table, old, table.now()) {
        return false;
    }
    // Programs store the second word last: if it is what it was, they have stored nothing.
    if !table.exchange(line, index * 2 + 1, old.second, new.second) {
        return false;
    }
    table.store(line, index * 2, new.first);
    table.store_tag(tags, index, tag);
    slot() == new
}

/// Whether the flow is also in another slot than that with this index of a line: a program has added it.
fn is_elsewhere<T: FlowTable>(table: &T, tuple: &Tuple, number: u32, index: u32) -> bool {
    tuple.lines.into_iter().any(|line| {
        let other = line & table.last_line();
        let (Some(tags), Some(line)) = (table.tags(other), table.line(other)) else {
            return false;
        };
        let tags = table.load_tags(tags).to_le_bytes();
        (0..LINE_SLOTS).zip(tags).any(|(at, tag)| {
            let slot = Slot {
                first: table.word(line, at * 2),
                second: table.word(line, at * 2 + 1),
            };
            (other, at) != (number, index) && tag == tuple.tag && slot.is_of(tuple.slot)
        })
    })
}

/// Frees a slot, unless it has another flow by now.
fn leave<T: FlowTable>(table: &T, number: u32, index: u32, flow: Slot) {
    if let (Some(tags), Some(line)) = (table.tags(number), table.line(number))
        && table.word(line, index * 2) == flow.first
    {
        table.store_tag(tags, index, 0);
    }
}
