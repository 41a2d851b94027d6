//! Flows that packets in begin, and the proof that they were answered.
//!
//! Whoever sends packets in another's name gets no answer. So the flow of a packet in is *answered* only when something
//! shows that its beginner has got one: of a TCP connection the acknowledgment of the sequence number with which the other end
//! answered the SYN (RFC 9293, section 3.5), or a segment out that says something, which a TCP endpoint sends after the handshake
//! only. Other packets out show nothing: Linux acknowledges a second SYN and a segment without ACK, too (RFC 5961). A protocol
//! without handshake has no proof; its flows stay those that give way first.

use super::{
    phase::Phase,
    stamp::{life, phase_of},
    strength::{RANK_WEAK, best_outside},
    table::{FlowTable, Placed, add, established_phase, find_at, keep},
    transport::{Protocol, Transport},
    tuple::Tuple,
};

/// Adds the flow that a packet in begins, which rules let in as `new`; `None` if it begins none, or if there is one already.
#[inline(always)]
pub fn admit<T: FlowTable>(
    table: &T,
    src: [u64; 2],
    dst: [u64; 2],
    upper: Transport,
) -> Option<Placed> {
    if !begins_outside(upper) {
        return None;
    }
    let now = table.now();
    let tuple = Tuple::new(table, src, dst, upper);
    if let Some(found) = find_at(table, &tuple, now) {
        let phase = phase_of(found.slot.life());
        let is_over = phase == Phase::Closed.number() && upper.opens();
        if !is_over {
            if phase == Phase::Incoming.number() {
                keep(table, &tuple, &found, phase);
            }
            return None;
        }
    }
    let incoming = life(tuple.slot.protocol(), Phase::Incoming.number(), now);
    let tuple = tuple.beginning(tuple.slot.begun_outside().with_life(incoming));
    let slots = [
        best_outside(table, &tuple, tuple.lines[0], now)?,
        best_outside(table, &tuple, tuple.lines[1], now)?,
    ];
    if slots[0].min(slots[1]) >> 2 >= RANK_WEAK {
        return None;
    }
    let slot = add(table, &tuple, slots)?;
    let from_second = tuple.sent_by_second();
    Some(Placed { slot, from_second })
}

/// Whether a packet in may begin a flow: every one but resets, answers to a SYN or an echo request.
#[inline(always)]
fn begins_outside(upper: Transport) -> bool {
    let is_echo = upper.protocol() == Protocol::Echo as u32;
    upper.has_flow()
        && (!is_echo || upper.asks())
        && (!upper.is_tcp() || upper.opens() || upper.acknowledges())
}

/// Notes the sequence number of a packet out that answers a SYN.
#[inline(always)]
pub fn note<T: FlowTable>(
    table: &T,
    src: [u64; 2],
    dst: [u64; 2],
    upper: Transport,
    sequence: u32,
) {
    let now = table.now();
    let tuple = Tuple::new(table, src, dst, upper);
    let Some(found) = find_at(table, &tuple, now) else {
        return;
    };
    if !Phase::waits(phase_of(found.slot.life())) {
        return;
    }
    let noted = life(tuple.slot.protocol(), Phase::Noted.number(), now);
    let changed = tuple.slot.with_number(sequence).with_life(noted);
    table.store(found.line, found.index + 1, changed.second);
}

/// Whether a packet in acknowledges the answer of its flow, which is answered then.
#[inline(always)]
pub fn prove<T: FlowTable>(
    table: &T,
    src: [u64; 2],
    dst: [u64; 2],
    upper: Transport,
    acknowledgment: u32,
) -> bool {
    let now = table.now();
    let tuple = Tuple::new(table, src, dst, upper);
    let Some(found) = find_at(table, &tuple, now) else {
        return false;
    };
    let is_noted = phase_of(found.slot.life()) == Phase::Noted.number();
    let is_proved = is_noted && found.slot.number().wrapping_add(1) == acknowledgment;
    if is_proved {
        keep(table, &tuple, &found, Phase::Answered.number());
    }
    is_proved
}

/// Makes the flow of a segment out, which shows that its connection is established, an answered one; returns whether there is
/// one. If not, it can be [recorded](super::record).
#[inline(always)]
pub fn establish<T: FlowTable>(table: &T, src: [u64; 2], dst: [u64; 2], upper: Transport) -> bool {
    let now = table.now();
    let tuple = Tuple::new(table, src, dst, upper);
    let Some(found) = find_at(table, &tuple, now) else {
        return false;
    };
    let from_second = tuple.sent_by_second();
    let from_beginner = from_second == found.slot.began_second();
    if Phase::waits(phase_of(found.slot.life())) && !from_beginner {
        let phase = established_phase(upper, from_second);
        keep(table, &tuple, &found, phase);
    }
    true
}
