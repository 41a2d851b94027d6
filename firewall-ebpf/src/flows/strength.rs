//! Which flow gives way to another.

use super::{
    phase::Phase,
    settings::LINE_SLOTS,
    slot::Slot,
    stamp::{fine_age, phase_of},
    table::{FlowTable, has_expired},
    transport::Protocol,
    tuple::Tuple,
};

/// Ranks: the tuple's own slot, free slots and flows that have expired, then those that packets in began and nobody has
/// proved to have been answered, then other weak ones, then the rest; each by age.
const RANK_OWN: u32 = 0;
const RANK_FREE: u32 = 1;
const RANK_EXPIRED: u32 = 2;
/// The first that takes a slot from a flow that is alive: one that packets in began.
pub(super) const RANK_OUTSIDE: u32 = 1 << CLASS;
/// The first that takes it from one that packets out began.
pub(super) const RANK_WEAK: u32 = 2 << CLASS;
/// The first that takes it from one that is answered.
pub(super) const RANK_STRONG: u32 = 3 << CLASS;

/// The best slot of a line for a flow that a packet out begins: its rank, and its index in the two lowest bits.
#[inline(always)]
pub(super) fn best<T: FlowTable>(table: &T, tuple: &Tuple, line: u32, now: u32) -> Option<u32> {
    best_of::<_, false>(table, tuple, line, now).map(|(best, _)| best)
}

/// The best slot of a line for a flow that a packet in begins, likewise. Of what is alive it takes the slots of its like only,
/// and of these a line never has more than three, so that a flood leaves room in each.
#[inline(always)]
pub(super) fn best_outside<T: FlowTable>(
    table: &T,
    tuple: &Tuple,
    line: u32,
    now: u32,
) -> Option<u32> {
    let (best, outside) = best_of::<_, true>(table, tuple, line, now)?;
    let is_empty = best >> 2 != RANK_OWN && best >> 2 < RANK_OUTSIDE;
    if !is_empty || outside >> COUNT < LINE_SLOTS - 1 {
        return Some(best);
    }
    // The oldest of its like.
    Some((RANK_OUTSIDE + (outside >> 2 & AGES)) << 2 | outside & 3)
}

/// The bits of a rank below its class.
const CLASS: u32 = 18;

/// The ages in a rank.
const AGES: u32 = RANK_OUTSIDE - 1;

/// Where the number of flows is in the second number of [`best_of`].
const COUNT: u32 = 20;

/// The best slot of a line; and, if `OUTSIDE`, of the flows that packets in began and nobody has proved: their number from
/// bit 20 on, the rank of the oldest within its class in bits 2-19, and its index in bits 0-1.
#[inline(always)]
fn best_of<T: FlowTable, const OUTSIDE: bool>(
    table: &T,
    tuple: &Tuple,
    line: u32,
    now: u32,
) -> Option<(u32, u32)> {
    let number = line & table.last_line();
    let tags = table.load_tags(table.tags(number)?);
    let line = table.line(number)?;
    let mut best = u32::MAX;
    let mut oldest = u32::MAX;
    let mut count = 0;
    for index in 0..LINE_SLOTS {
        let slot = Slot {
            first: table.word(line, index * 2),
            second: table.word(line, index * 2 + 1),
        };
        let is_free = tags >> (index * 8) & 0xff == 0;
        let rank = table.opaque(u64::from(rank(table, slot, tuple, is_free, now))) as u32;
        // The least number is the best slot.
        let candidate = rank << 2 | index;
        best = table.opaque(u64::from(if candidate < best { candidate } else { best })) as u32;
        if !OUTSIDE {
            continue;
        }
        let is_outside = rank >> CLASS == RANK_OUTSIDE >> CLASS;
        let older = is_outside & (candidate < oldest);
        oldest = table.opaque(u64::from(if older { candidate } else { oldest })) as u32;
        count = table.opaque(u64::from(count + u32::from(is_outside))) as u32;
    }
    let outside = (oldest >> 2 & AGES) << 2 | oldest & 3 | count << COUNT;
    Some((best, outside))
}

#[inline(always)]
fn rank<T: FlowTable>(table: &T, slot: Slot, tuple: &Tuple, is_free: bool, now: u32) -> u32 {
    let life = slot.life();
    let age = fine_age(slot.protocol(), life, now);
    let is_weak = Phase::is_weak(phase_of(life));
    let class = if is_unproved(slot, is_weak) {
        RANK_OUTSIDE
    } else if is_weak {
        RANK_WEAK
    } else {
        RANK_STRONG
    };
    let used = class + AGES.wrapping_sub(age);
    if is_free {
        RANK_FREE
    } else if slot.is_of(tuple.slot) {
        RANK_OWN
    } else if has_expired(table, slot, now) {
        RANK_EXPIRED
    } else {
        used
    }
}

/// Whether a packet in began a flow of which nobody has proved that an answer has arrived: that of a server that answers any
/// datagram proves nothing.
#[inline(always)]
const fn is_unproved(slot: Slot, is_weak: bool) -> bool {
    slot.began_outside() & (is_weak | (slot.protocol() != Protocol::Tcp as u32))
}
