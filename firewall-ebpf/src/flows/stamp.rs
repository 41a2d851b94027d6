//! When a flow was last seen, and how long it is kept.
//!
//! The clock counts units of four seconds. A stamp has 13 bits of it, and of an answered TCP connection, which
//! is kept for a day, of an eighth of it: a stamp is unambiguous for 9 hours, or 72.

use super::{phase::Phase, settings::Settings, transport::Protocol};

/// The seconds of a unit of the clock.
pub const FINE_UNIT: u32 = 4;

/// The seconds of a unit of the stamp of an answered TCP connection.
pub const TCP_UNIT: u32 = FINE_UNIT << COARSE;

const COARSE: u32 = 3;
const BITS: u32 = 13;
const MASK: u32 = (1 << BITS) - 1;

/// The binary logarithm of the unit of a stamp in units of the clock.
#[inline(always)]
const fn coarse(protocol: u32, phase: u32) -> u32 {
    let answered = phase == Phase::Answered.number();
    if answered & (protocol == Protocol::Tcp as u32) {
        COARSE
    } else {
        0
    }
}

/// The seconds of a unit of the stamps of flows of a protocol and a phase, given by their numbers.
#[must_use]
pub const fn unit(protocol: u32, phase: u32) -> u32 {
    FINE_UNIT << coarse(protocol, phase)
}

/// The life of a flow that is seen at `now`.
#[inline(always)]
pub(super) const fn life(protocol: u32, phase: u32, now: u32) -> u16 {
    (now >> coarse(protocol, phase) & MASK | phase << BITS) as u16
}

/// The number of the phase of a life.
#[must_use]
#[inline(always)]
pub const fn phase_of(life: u16) -> u32 {
    life as u32 >> BITS
}

/// The units of the stamp since a flow of a protocol was seen.
#[must_use]
#[inline(always)]
pub const fn age(protocol: u32, life: u16, now: u32) -> u32 {
    let now = now >> coarse(protocol, phase_of(life));
    let age = now.wrapping_sub(life as u32) & MASK;
    if age > MASK - AHEAD { 0 } else { age }
}

/// The units by which a stamp may be ahead: another CPU has read the clock later.
const AHEAD: u32 = 4;

/// The same in units of the clock.
#[inline(always)]
pub(super) const fn fine_age(protocol: u32, life: u16, now: u32) -> u32 {
    age(protocol, life, now) << coarse(protocol, phase_of(life))
}

/// The index in [`Settings::timeouts`] for a protocol and a phase, given by their numbers.
#[must_use]
#[inline(always)]
pub const fn timeout_index(protocol: u32, phase: u32) -> u32 {
    (protocol & 3) << BITS_OF_PHASE | phase & 7
}

const BITS_OF_PHASE: u32 = 3;

const _: () = assert!(Settings::TIMEOUTS == 4 << BITS_OF_PHASE);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_as_old_as_it_is() {
        let (tcp, udp) = (Protocol::Tcp as u32, Protocol::Udp as u32);
        let answered = Phase::Answered.number();
        for begin in [0, 1, 8_191, 8_192, 65_535, u32::MAX - 3] {
            for later in [0, 1, 30, 8_000, 8_187] {
                let at = life(udp, answered, begin);
                assert_eq!(age(udp, at, begin.wrapping_add(later)), later);
                assert_eq!(phase_of(at), answered);
            }
            // Read by another CPU before the stamp was written.
            let at = life(udp, answered, begin.wrapping_add(1));
            assert_eq!(age(udp, at, begin), 0);
            let at = life(tcp, answered, begin);
            assert_eq!(fine_age(tcp, at, begin.wrapping_add(8 * 100)), 8 * 100);
        }
    }
}
