//! Captures of drops: which dropped packets the programs report while one runs, how they limit them, and what became of
//! the others. Shared by the programs, which report, and user space, which asks.

use crate::{
    abi::{Direction, FIRST_RULE_SLOT, Reason},
    packet_log::Event,
};

/// The bytes of the ring buffer of these events, a power of two and a multiple of the page's. They have one of their
/// own, so that a flood of them costs rules that log none of theirs.
pub const DROP_RING_BYTES: u32 = 1 << 19;

/// [`abi::DROP_SWITCH`](crate::abi::DROP_SWITCH): a capture of drops runs.
pub const CAPTURES: u32 = 1;

/// [`abi::DROP_SWITCH`](crate::abi::DROP_SWITCH): packets of banned sources are logged.
pub const LOGS_BANNED: u32 = 1 << 1;

/// [`DropSettings::causes`]: the bit of drops by rules.
pub const BY_RULE: u32 = 1 << 31;

/// The bit of [`DropSettings::causes`] for packets dropped for a reason.
#[must_use]
#[inline(always)]
pub const fn by_reason(reason: Reason) -> u32 {
    1 << reason.number()
}

/// What captures of drops ask for, all of them together. Written by user space, but for [`Self::due`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DropSettings {
    /// What dropped the packets that are asked for, of packets in and of packets out: [`by_reason`] and [`BY_RULE`].
    pub causes: [u32; 2],
    /// The index of the only interface that is asked for; 0 for all.
    pub interface: u32,
    /// The only counter slot that is asked for; 0, which no dropped packet has, for all.
    pub slot: u32,
    /// Of this many packets one is reported, chosen at random.
    pub one_in: u32,
    /// 0.
    pub padding: u32,
    /// The nanoseconds from one event to the next, as [`LogLimiter::interval`](crate::packet_log::LogLimiter::interval).
    pub interval: u64,
    /// How many nanoseconds early an event may come.
    pub tolerance: u64,
    /// When the next event is due. Written by the programs.
    pub due: u64,
}

impl DropSettings {
    /// Whether packets of a direction that were dropped with this counter slot, on this interface, are asked for.
    #[inline(always)]
    #[must_use]
    pub const fn ask_for(
        causes: u32,
        only_slot: u32,
        only_interface: u32,
        slot: u32,
        interface: u32,
    ) -> bool {
        let cause = if slot < FIRST_RULE_SLOT {
            1 << (slot & SLOT_REASON)
        } else {
            BY_RULE
        };
        causes & cause != 0
            && (only_slot == 0 || only_slot == slot)
            && (only_interface == 0 || only_interface == interface)
    }

    /// Whether a random number chooses a packet.
    #[inline(always)]
    #[must_use]
    pub const fn chooses(one_in: u32, random: u32) -> bool {
        (random as u64 * one_in as u64) >> 32 == 0
    }
}

/// The bits of a slot below [`FIRST_RULE_SLOT`] that are the number of its reason.
const SLOT_REASON: u32 = crate::abi::DROPPED_SLOTS - 1;

/// The reason, and the direction, of packets with a slot that no rule has.
#[must_use]
pub fn reason_of(slot: u32) -> Option<(Reason, Direction)> {
    let mut all = Direction::ALL
        .into_iter()
        .flat_map(|direction| Reason::ALL.map(|reason| (reason, direction)));
    all.find(|(reason, direction)| {
        [false, true]
            .map(|dropped| reason.slot(*direction, dropped))
            .contains(&slot)
    })
}

/// What became of dropped packets while captures ran, on one CPU: together, all that were dropped. A buffer of several
/// packets counts as these. Written by the programs, in wrapping arithmetic.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DropCounts {
    /// Those that no capture asked for.
    pub not_chosen: u64,
    /// Those left out by sampling.
    pub not_sampled: u64,
    /// Those that came too early to be emitted.
    pub suppressed: u64,
    /// Those for which the ring buffer had no room.
    pub lost: u64,
    /// Those that were emitted.
    pub emitted: u64,
}

/// A packet that was dropped.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DropEvent {
    /// The packet; its slot is that of the rule or of the reason.
    pub event: Event,
    /// The packets that its buffer is cut into; 1 unless it leaves.
    pub packets: u32,
    /// [`DropSettings::one_in`].
    pub one_in: u32,
}

const _: () = assert!(DROP_RING_BYTES.is_power_of_two());
const _: () = assert!(crate::abi::DROPPED_SLOTS.is_power_of_two());
const _: () = assert!(Reason::ALL.len() < 31);
const _: () = assert!(size_of::<DropSettings>() == 48 && align_of::<DropSettings>() == 8);
const _: () = assert!(size_of::<DropCounts>() == 40);
const _: () = assert!(size_of::<DropEvent>() == size_of::<Event>() + 8);

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(settings: &DropSettings, direction: Direction, slot: u32, interface: u32) -> bool {
        let causes = settings.causes[direction.index() as usize];
        DropSettings::ask_for(causes, settings.slot, settings.interface, slot, interface)
    }

    #[test]
    fn a_cause_is_asked_for_by_its_bit_in_each_direction() {
        for asked in Reason::ALL {
            let settings = DropSettings {
                causes: [by_reason(asked), 0],
                ..DropSettings::default()
            };
            for (reason, direction) in Reason::ALL
                .into_iter()
                .flat_map(|reason| Direction::ALL.map(|direction| (reason, direction)))
            {
                let slot = reason.slot(direction, true);
                let expected = asked == reason && direction == Direction::In;
                assert_eq!(asks(&settings, direction, slot, 1), expected, "{reason:?}");
            }
            assert!(!asks(&settings, Direction::In, FIRST_RULE_SLOT, 1));
        }
        let rules = DropSettings {
            causes: [0, BY_RULE],
            ..DropSettings::default()
        };
        assert!(asks(&rules, Direction::Out, FIRST_RULE_SLOT + 7, 1));
        assert!(!asks(&rules, Direction::In, FIRST_RULE_SLOT + 7, 1));
        let policy = Reason::Policy.slot(Direction::Out, true);
        assert!(!asks(&rules, Direction::Out, policy, 1));
    }

    #[test]
    fn one_slot_and_one_interface_can_be_asked_for() {
        let settings = DropSettings {
            causes: [BY_RULE, BY_RULE],
            slot: 70,
            interface: 3,
            ..DropSettings::default()
        };
        assert!(asks(&settings, Direction::In, 70, 3));
        assert!(!asks(&settings, Direction::In, 71, 3));
        assert!(!asks(&settings, Direction::In, 70, 4));
    }

    #[test]
    fn slots_of_reasons_are_known_and_those_of_rules_are_not() {
        for reason in Reason::ALL {
            for direction in Direction::ALL {
                for dropped in [false, true] {
                    let slot = reason.slot(direction, dropped);
                    assert_eq!(reason_of(slot), Some((reason, direction)));
                }
            }
        }
        assert_eq!(reason_of(FIRST_RULE_SLOT), None);
    }

    #[test]
    fn sampling_takes_one_part_of_all_numbers() {
        assert!(DropSettings::chooses(1, 0) && DropSettings::chooses(1, u32::MAX));
        let step = 1 << 16;
        let chosen = (0..1_u64 << 16).filter(|at| {
            let random = u32::try_from(at * step).unwrap();
            DropSettings::chooses(64, random)
        });
        assert_eq!(chosen.count(), (1 << 16) / 64);
    }
}
