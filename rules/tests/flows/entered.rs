//! Flows that are entered: what they have come to, and that what packets make of flows meanwhile stays.

use std::cell::Cell;

use firewall_ebpf::{
    flows::{
        Entered, FlowEvent, FlowOrigin, FlowProgress, FlowTable, Keys, Phase, Protocol, Seen,
        SharedTable, Transport, Tuple, enter, find, phase_of, record, see_in, see_out,
    },
    state::State,
};
use rules_testing::{
    Random,
    flows::{MemoryTable, TIMEOUTS},
};

const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

type Address = [u64; 2];

fn tcp(flags: u8) -> Transport {
    Transport::new(Protocol::Tcp, 40_000, 443, false).with_flags(flags)
}

fn back(flags: u8) -> Transport {
    Transport::new(Protocol::Tcp, 443, 40_000, false).with_flags(flags)
}

/// Two addresses, and the same the other way round.
fn ends() -> [(Address, Address); 2] {
    let (one, other) = ([0xc000_0201 << 32, 0], [0xc633_6407 << 32, 0]);
    [(one, other), (other, one)]
}

fn phase(table: &MemoryTable, src: Address, dst: Address) -> Option<u32> {
    let tuple = Tuple::new(table, src, dst, tcp(0));
    find(table, &tuple).map(|found| phase_of(found.slot.life()))
}

#[test]
fn a_flow_is_what_it_was_entered_as() {
    for (src, dst) in ends() {
        for (progress, in_from_destination, in_from_source) in [
            (FlowProgress::Unanswered, State::Established, State::New),
            (
                FlowProgress::Answered,
                State::Established,
                State::Established,
            ),
            (
                FlowProgress::SourceClosed,
                State::Established,
                State::Established,
            ),
            (
                FlowProgress::DestinationClosed,
                State::Established,
                State::Established,
            ),
            (FlowProgress::Closed, State::Established, State::Established),
            (
                FlowProgress::Doubtful,
                State::Established,
                State::Established,
            ),
        ] {
            for from_destination in [true, false] {
                let table = MemoryTable::new(4, TIMEOUTS, 1);
                let entered = enter(&table, src, dst, tcp(0), progress, FlowOrigin::Out);
                assert!(matches!(entered, Entered::Added(_)));
                let state = if from_destination {
                    see_in(&table, dst, src, back(ACK)).unwrap()
                } else {
                    see_in(&table, src, dst, tcp(ACK)).unwrap()
                };
                let expected = if from_destination {
                    in_from_destination
                } else {
                    in_from_source
                };
                assert_eq!(state, expected, "{progress:?}, {from_destination}");
            }
        }
    }
}

#[test]
fn the_end_that_has_closed_is_the_one_that_was_named() {
    const FIN_ACK: u8 = 0x11;
    for (src, dst) in ends() {
        for (progress, closes) in [
            (FlowProgress::SourceClosed, false),
            (FlowProgress::DestinationClosed, true),
        ] {
            let table = MemoryTable::new(4, TIMEOUTS, 1);
            enter(&table, src, dst, tcp(0), progress, FlowOrigin::Out);
            // The FIN of the source ends what only the destination had closed, and changes nothing besides.
            let before = phase(&table, src, dst);
            assert_eq!(see_out(&table, src, dst, tcp(FIN_ACK)), Seen::Done);
            let after = phase(&table, src, dst);
            if closes {
                assert_eq!(after, Some(Phase::Closed.number()));
            } else {
                assert_eq!(after, before);
            }
        }
    }
}

#[test]
fn what_packets_have_made_of_a_flow_stays() {
    for (src, dst) in ends() {
        let table = MemoryTable::new(4, TIMEOUTS, 1);
        assert!(record(&table, src, dst, tcp(SYN)).is_some());
        let entered = enter(
            &table,
            src,
            dst,
            tcp(0),
            FlowProgress::Closed,
            FlowOrigin::Out,
        );
        assert!(matches!(entered, Entered::Known));
        assert_eq!(phase(&table, src, dst), Some(Phase::Unanswered.number()));
    }
}

#[test]
fn no_flow_gives_way_to_one_that_is_entered() {
    let table = MemoryTable::new(1, TIMEOUTS, 1);
    let (src, dst) = ends()[0];
    let port = |number| Transport::new(Protocol::Udp, number, 53, false);
    for number in 1..=4 {
        assert!(record(&table, src, dst, port(number)).is_some());
    }
    for number in 5..100 {
        let entered = enter(
            &table,
            src,
            dst,
            port(number),
            FlowProgress::Answered,
            FlowOrigin::Out,
        );
        assert!(matches!(entered, Entered::NoRoom));
    }
    for number in 1..=4 {
        let tuple = Tuple::new(&table, src, dst, port(number));
        assert!(find(&table, &tuple).is_some());
    }
    assert_eq!(table.events(FlowEvent::EvictedWeak), 0);
    // Those that have expired do.
    table.now.set(1_000);
    let entered = enter(
        &table,
        src,
        dst,
        port(5),
        FlowProgress::Answered,
        FlowOrigin::Out,
    );
    assert!(matches!(entered, Entered::Added(_)));
}

/// A table in which a program records a flow right before one of the steps of somebody else.
struct Shared<'a> {
    table: &'a MemoryTable,
    steps_left: Cell<u32>,
    records: &'a dyn Fn(&MemoryTable),
}

impl Shared<'_> {
    fn step(&self) {
        let left = self.steps_left.get();
        if left == 1 {
            (self.records)(self.table);
        }
        self.steps_left.set(left.saturating_sub(1));
    }
}

impl Keys for Shared<'_> {
    fn key(&self, index: usize) -> u64 {
        self.table.key(index)
    }
}

impl FlowTable for Shared<'_> {
    type Line = u32;
    type Tags = u32;

    fn last_line(&self) -> u32 {
        self.table.last_line()
    }

    fn line(&self, number: u32) -> Option<u32> {
        self.table.line(number)
    }

    fn word(&self, line: u32, index: u32) -> u64 {
        self.step();
        self.table.word(line, index)
    }

    fn store(&self, line: u32, index: u32, word: u64) {
        self.step();
        self.table.store(line, index, word);
    }

    fn tags(&self, number: u32) -> Option<u32> {
        self.table.tags(number)
    }

    fn load_tags(&self, line: u32) -> u32 {
        self.step();
        self.table.load_tags(line)
    }

    fn store_tag(&self, line: u32, slot: u32, tag: u8) {
        self.step();
        self.table.store_tag(line, slot, tag);
    }

    fn timeout(&self, index: u32) -> u32 {
        self.table.timeout(index)
    }

    fn now(&self) -> u32 {
        self.table.now()
    }

    fn count(&self, event: FlowEvent) {
        self.table.count(event);
    }
}

impl SharedTable for Shared<'_> {
    fn exchange(&self, line: u32, index: u32, old: u64, new: u64) -> bool {
        self.step();
        self.table.exchange(line, index, old, new)
    }
}

#[test]
fn a_packet_out_at_any_moment_is_not_forgotten() {
    let (src, dst) = ends()[0];
    let records = |table: &MemoryTable| {
        assert!(record(table, src, dst, tcp(SYN)).is_some());
    };
    let mut random = Random::new(20);
    for _ in 0..200 {
        let (seed, fill) = (random.bits(), random.bits() % 12);
        for step in 1.. {
            let table = MemoryTable::new(4, TIMEOUTS, seed);
            // The packet out may find room elsewhere.
            for port in 0..fill as u16 {
                let other = Transport::new(Protocol::Udp, port, 53, false);
                record(&table, src, dst, other);
            }
            let shared = Shared {
                table: &table,
                steps_left: Cell::new(step),
                records: &records,
            };
            enter(
                &shared,
                src,
                dst,
                tcp(0),
                FlowProgress::Answered,
                FlowOrigin::Out,
            );
            if shared.steps_left.get() > 0 {
                assert!(step > 10, "{step}");
                break;
            }
            let found = phase(&table, src, dst);
            assert_eq!(found, Some(Phase::Unanswered.number()), "{step}");
        }
    }
}
