//! Flows that packets in begin: what floods of them can and cannot do.

use firewall_ebpf::{
    flows::{
        FlowEvent, FlowTable, Phase, Protocol, Slot, Transport, Tuple, admit, establish, find,
        note, phase_of, prove, record, see_in, see_out,
    },
    state::State,
};
use rules_testing::{
    Random,
    flows::{MemoryTable, TIMEOUTS},
};

const SYN: u8 = 0x02;
const SYN_ACK: u8 = 0x12;
const ACK: u8 = 0x10;
const RST: u8 = 0x04;

const SERVER: [u64; 2] = [0xc000_0201 << 32, 0];

fn client(number: u32) -> [u64; 2] {
    [u64::from(0x0a00_0000 + number) << 32, 0]
}

fn tcp(sport: u16, dport: u16, flags: u8) -> Transport {
    Transport::new(Protocol::Tcp, sport, dport, false).with_flags(flags)
}

fn to_server(flags: u8) -> Transport {
    tcp(40_000, 443, flags)
}

fn from_server(flags: u8) -> Transport {
    tcp(443, 40_000, flags)
}

fn phase(table: &MemoryTable, client: [u64; 2]) -> Option<u32> {
    let tuple = Tuple::new(table, client, SERVER, to_server(0));
    find(table, &tuple).map(|found| phase_of(found.slot.life()))
}

/// A client connects.
fn connect(table: &MemoryTable, number: u32, sequence: u32) {
    let client = client(number);
    admit(table, client, SERVER, to_server(SYN));
    note(table, SERVER, client, from_server(SYN_ACK), sequence);
    assert!(prove(
        table,
        client,
        SERVER,
        to_server(ACK),
        sequence.wrapping_add(1)
    ));
}

#[test]
fn only_who_knows_the_answer_is_answered() {
    let table = MemoryTable::new(64, TIMEOUTS, 1);
    let client = client(1);
    admit(&table, client, SERVER, to_server(SYN));
    let incoming = Some(Phase::Incoming.number());
    // Before there is an answer, nothing acknowledges it.
    for number in [0, 1, u32::MAX] {
        assert!(!prove(&table, client, SERVER, to_server(ACK), number));
    }
    for flags in [SYN, ACK, 0x11, 0x18, RST, RST | ACK] {
        assert_eq!(
            see_in(&table, client, SERVER, to_server(flags)),
            Some(State::New)
        );
        assert_eq!(phase(&table, client), incoming);
    }
    note(&table, SERVER, client, from_server(SYN_ACK), u32::MAX);
    let noted = Some(Phase::Noted.number());
    assert_eq!(phase(&table, client), noted);
    // A second SYN, FIN without ACK, a reset and wrong numbers prove nothing.
    for flags in [SYN, RST, RST | ACK] {
        assert_eq!(
            see_in(&table, client, SERVER, to_server(flags)),
            Some(State::New)
        );
    }
    assert_eq!(see_in(&table, client, SERVER, to_server(ACK)), None);
    let mut random = Random::new(2);
    for _ in 0..10_000 {
        let number = random.bits() as u32;
        assert!(!prove(&table, client, SERVER, to_server(ACK), number | 1));
    }
    assert_eq!(phase(&table, client), noted);
    assert!(prove(&table, client, SERVER, to_server(ACK), 0));
    assert_eq!(phase(&table, client), Some(Phase::Answered.number()));
    assert_eq!(
        see_in(&table, client, SERVER, to_server(ACK)),
        Some(State::Established)
    );
}

#[test]
fn flows_that_packets_in_begin_take_no_slot_from_others() {
    const LINES: u32 = 256;
    const FLOOD: u32 = 500_000;
    let table = MemoryTable::new(LINES, TIMEOUTS, 3);
    // Clients that are connected, and connections that this machine opens.
    for number in 0..128 {
        connect(&table, number, number);
        record(
            &table,
            SERVER,
            client(1_000 + number),
            tcp(50_000, 443, SYN),
        );
    }
    let mut random = Random::new(4);
    for _ in 0..FLOOD {
        let src = [random.bits() & 0xffff_ffff_0000_0000, 0];
        let upper = match random.below(4) {
            0 => Transport::new(Protocol::Udp, random.bits() as u16, 53, false),
            1 => Transport::new(Protocol::Echo, 1, 1, false).asking(true),
            2 => tcp(random.bits() as u16, 443, ACK),
            _ => tcp(random.bits() as u16, 443, SYN),
        };
        admit(&table, src, SERVER, upper);
        if upper.is_tcp() && random.percent(50) {
            let back = tcp(upper.dport() as u16, upper.sport() as u16, SYN_ACK);
            note(&table, SERVER, src, back, 5);
        } else if !upper.is_tcp() && random.percent(50) {
            // The server answers, which proves nothing.
            let (sport, dport) = (upper.dport() as u16, upper.sport() as u16);
            let kind = Protocol::ALL[upper.protocol() as usize];
            see_out(
                &table,
                SERVER,
                src,
                Transport::new(kind, sport, dport, false),
            );
        }
    }
    assert_eq!(table.events(FlowEvent::EvictedAnswered), 0);
    for number in 0..128 {
        assert_eq!(
            phase(&table, client(number)),
            Some(Phase::Answered.number())
        );
        let own = Tuple::new(
            &table,
            SERVER,
            client(1_000 + number),
            tcp(50_000, 443, SYN),
        );
        assert!(find(&table, &own).is_some());
    }
    // Each line has room for others.
    for line in 0..LINES {
        let tags = table.load_tags(line).to_le_bytes();
        let is_unproved = |slot: u32| {
            let slot = Slot {
                first: table.word(line, slot * 2),
                second: table.word(line, slot * 2 + 1),
            };
            let is_tcp = slot.protocol() == Protocol::Tcp as u32;
            let waits = phase_of(slot.life()) >= Phase::Incoming.number();
            slot.began_outside() && (!is_tcp || waits)
        };
        let unproved = (0..4).filter(|slot| tags[*slot as usize] != 0 && is_unproved(*slot));
        assert!(unproved.count() <= 3, "{line}");
    }
    // Who comes now connects, and who is called, too.
    for number in 2_000..2_064 {
        connect(&table, number, 9);
    }
    assert_eq!(table.events(FlowEvent::EvictedAnswered), 0);
}

#[test]
fn a_segment_that_says_something_shows_that_its_connection_is_established() {
    const FIN_ACK: u8 = 0x11;
    for (flags, expected) in [(ACK, true), (FIN_ACK, false)] {
        let table = MemoryTable::new(64, TIMEOUTS, 5);
        let client = client(7);
        // Also without a flow: it gave way, or began before it was to be known.
        for is_known in [true, false] {
            if is_known {
                admit(&table, client, SERVER, to_server(SYN));
            }
            let has_flow = establish(&table, SERVER, client, from_server(flags));
            assert_eq!(has_flow, is_known);
            if !has_flow {
                record(&table, SERVER, client, from_server(flags).established());
            }
            let found = phase(&table, client).unwrap();
            assert_eq!(found == Phase::Answered.number(), expected);
            let state = see_in(&table, client, SERVER, to_server(ACK));
            assert_eq!(state, Some(State::Established));
            (0..64).for_each(|line| (0..4).for_each(|slot| table.store_tag(line, slot, 0)));
        }
    }
}

#[test]
fn a_connection_that_is_over_is_begun_again() {
    let table = MemoryTable::new(64, TIMEOUTS, 6);
    connect(&table, 1, 100);
    see_out(&table, SERVER, client(1), from_server(RST | ACK));
    assert_eq!(phase(&table, client(1)), Some(Phase::Closed.number()));
    connect(&table, 1, 200);
    assert_eq!(phase(&table, client(1)), Some(Phase::Answered.number()));
    // Another SYN begins nothing in one that goes on.
    assert!(admit(&table, client(1), SERVER, to_server(SYN)).is_none());
    assert_eq!(phase(&table, client(1)), Some(Phase::Answered.number()));
}
