//! The table of flows against a plain map: the same packets in both, the same states out of both.

mod entered;
mod outside;

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use firewall_ebpf::{
    flows::{
        FlowEvent, FlowTable, Fragment, Message, Phase, Protocol, Seen, Slot, Transport, Tuple,
        admit, establish, find, note, places, prove, record, says_something, see_error,
        see_fragment, see_in, see_out, segment_numbers, state_out, transport_of,
    },
    parse::{Headers, parse, present},
    state::State,
};
use rules::{
    evaluator::flows::{Content, Datagram, FlowMap, Tracked},
    model::FlowNeeds,
    packet::Packet,
};
use rules_testing::{
    Random,
    flows::{Conversation, MemoryTable, TIMEOUTS, Turn, frame},
    recipe,
};

/// The time between two sweeps, as long as a stamp allows: 9 hours less the longest timeout but that of TCP.
const SWEEP: u64 = 4 * 3_600;

fn headers_of(frame: &[u8]) -> Headers {
    // All of them can be read.
    parse(frame).unwrap_or_default()
}

fn addresses(headers: &Headers) -> ([u64; 2], [u64; 2]) {
    (
        [headers.src_high, headers.src_low],
        [headers.dst_high, headers.dst_low],
    )
}

fn upper(frame: &[u8], headers: &Headers) -> Transport {
    if headers.has(present::ICMP) {
        let message = Message::new(headers);
        return message.echo(|| message.echo_id(frame));
    }
    transport_of(headers)
}

/// What the programs do with a packet in; `lets_in` if rules pass what a packet that it is about may answer.
fn received(table: &MemoryTable, frame: &[u8], lets_in: bool) -> State {
    let headers = headers_of(frame);
    let (src, dst) = addresses(&headers);
    if headers.has(present::ICMP) && Message::new(&headers).is_error() {
        let Some(about) = Message::new(&headers).about(frame, dst) else {
            return State::Invalid;
        };
        let state = see_error(table, about.src, about.dst, about.transport);
        let is_answer = state == State::Invalid && about.answered(frame).is_some();
        return if is_answer && lets_in {
            State::Related
        } else {
            state
        };
    }
    let upper = upper(frame, &headers);
    let state = see_in(table, src, dst, upper).unwrap_or_else(|| {
        let is_proved = segment_numbers(frame, &headers)
            .is_some_and(|[_, number]| prove(table, src, dst, upper, number));
        if is_proved {
            see_in(table, src, dst, upper).unwrap_or_default()
        } else {
            State::New
        }
    });
    of_fragment(table, frame, &headers, state)
}

fn of_fragment(table: &MemoryTable, frame: &[u8], headers: &Headers, state: State) -> State {
    if !headers.has(present::FRAGMENT) {
        return state;
    }
    let number = see_fragment(table, frame, Fragment::new(headers), state.number());
    State::ALL[number as usize]
}

/// What they do with a packet in that has passed as `new`.
fn admitted(table: &MemoryTable, frame: &[u8]) {
    let headers = headers_of(frame);
    let (src, dst) = addresses(&headers);
    admit(table, src, dst, upper(frame, &headers));
}

/// The state that a packet out has for them.
fn leaving(table: &MemoryTable, frame: &[u8]) -> State {
    let headers = headers_of(frame);
    let (src, dst) = addresses(&headers);
    if headers.has(present::ICMP) && Message::new(&headers).is_error() {
        let about = Message::new(&headers).about(frame, dst);
        return about.map_or(State::Invalid, |about| {
            see_error(table, about.src, about.dst, about.transport)
        });
    }
    let state = state_out(table, src, dst, upper(frame, &headers));
    of_fragment(table, frame, &headers, state)
}

/// What they do with a packet out that has passed; whether it begins a flow.
fn sent(table: &MemoryTable, frame: &[u8], lets_in: bool) -> bool {
    track(table, frame, lets_in, false)
}

/// The same; `incoming` if the flows that packets in begin are known.
fn track(table: &MemoryTable, frame: &[u8], lets_in: bool, incoming: bool) -> bool {
    let headers = headers_of(frame);
    let (src, dst) = addresses(&headers);
    let upper = upper(frame, &headers);
    let begins = match see_out(table, src, dst, upper) {
        Seen::Done => false,
        Seen::Begins => true,
        Seen::MayBegin => {
            let says = says_something(frame, &headers);
            let shows = lets_in && incoming && upper.is_tcp() && says;
            if shows && !establish(table, src, dst, upper) {
                record(table, src, dst, upper.established());
            }
            (!upper.is_tcp() || says) && !lets_in
        }
        Seen::Accepts => {
            let [sequence, _] = segment_numbers(frame, &headers).unwrap_or_default();
            note(table, src, dst, upper, sequence);
            false
        }
        Seen::MayEstablish => {
            if says_something(frame, &headers) {
                establish(table, src, dst, upper);
            }
            false
        }
    };
    begins && record(table, src, dst, upper).is_some()
}

#[test]
fn conversations_have_the_states_of_a_plain_map() {
    const SEEDS: u64 = 200;
    const TURNS: usize = 5_000;
    let mut met = [0_usize; 4];
    let mut met_out = [0_usize; 4];
    let mut begun = 0;
    let mut fragments = 0;
    for seed in 0..SEEDS {
        let table = MemoryTable::new(4_096, TIMEOUTS, seed);
        let incoming = seed % 2 == 1;
        let needs = if incoming {
            FlowNeeds::OutgoingStates
        } else {
            FlowNeeds::Replies
        };
        let mut map = FlowMap::new(TIMEOUTS, needs);
        let mut conversation = Conversation::new(seed);
        let mut random = Random::new(!seed);
        let mut told: Vec<Turn> = Vec::new();
        for _ in 0..TURNS {
            let turn = conversation.turn();
            told.push(turn.clone());
            match turn {
                Turn::Wait(seconds) => {
                    map.wait(Duration::from_secs(seconds));
                    let now = map.now().as_secs();
                    while table.now.get() < now {
                        table.now.set(now.min(table.now.get() + SWEEP));
                        table.sweep();
                    }
                }
                Turn::In(datagram) => {
                    let lets_in = random.percent(40);
                    let expected = map.received(&datagram, |_| lets_in);
                    let state = received(&table, &frame(&datagram), lets_in);
                    fragments +=
                        usize::from(datagram.fragment.is_some() && state == State::Related);
                    assert_eq!(state, expected, "seed {seed}, {:#?}", tail(&told));
                    met[state as usize] += 1;
                    if state == State::New && random.percent(80) {
                        map.admitted(&datagram);
                        if incoming {
                            admitted(&table, &frame(&datagram));
                        }
                    }
                }
                Turn::Out(datagram) => {
                    let state = leaving(&table, &frame(&datagram));
                    assert_eq!(
                        state,
                        map.leaving(&datagram),
                        "seed {seed}, {:#?}",
                        tail(&told)
                    );
                    met_out[state as usize] += usize::from(incoming);
                    if random.percent(10) {
                        // It does not pass.
                        continue;
                    }
                    let lets_in = random.percent(40);
                    let expected = map.sent(&datagram, lets_in) == Tracked::Begins;
                    let begins = track(&table, &frame(&datagram), lets_in, incoming);
                    assert_eq!(begins, expected, "seed {seed}, {:#?}", tail(&told));
                    begun += usize::from(begins);
                }
            }
        }
        assert_eq!(table.events(FlowEvent::EvictedAnswered), 0);
    }
    println!(
        "{met:?} packets in and {met_out:?} out of each state, {begun} flows, {fragments} later fragments"
    );
    assert!(fragments > 100, "{fragments}");
    assert!(met.iter().all(|count| *count > 10_000), "{met:?}");
    assert!(met_out.iter().all(|count| *count > 5_000), "{met_out:?}");
    assert!(begun > 50_000, "{begun}");
}

/// The same as the programs read it of the packet; `None` of an error about something that cannot be read.
fn as_programs_read(frame: &[u8]) -> Option<(Transport, [u64; 2], [u64; 2], bool)> {
    let headers = headers_of(frame);
    let (src, dst) = addresses(&headers);
    if headers.has(present::ICMP) && Message::new(&headers).is_error() {
        let about = Message::new(&headers).about(frame, dst)?;
        return Some((about.transport, about.src, about.dst, false));
    }
    let upper = upper(frame, &headers);
    let says = upper.has_flow() && upper.is_tcp() && says_something(frame, &headers);
    Some((upper, src, dst, says))
}

/// A datagram in the same words.
fn as_programs_say(datagram: &Datagram) -> Option<(Transport, [u64; 2], [u64; 2], bool)> {
    let words = |address: IpAddr| match address {
        IpAddr::V4(address) => [u64::from(u32::from(address)) << 32, 0],
        IpAddr::V6(address) => {
            let bits = u128::from(address);
            [(bits >> 64) as u64, bits as u64]
        }
    };
    let is_ipv6 = datagram.src.is_ipv6();
    let new = |kind, sport, dport| Transport::new(kind, sport, dport, is_ipv6);
    let (upper, says) = match &datagram.content {
        &Content::Tcp {
            sport,
            dport,
            flags,
            payload,
            ..
        } => {
            let upper = new(Protocol::Tcp, sport, dport).with_flags(flags);
            (upper, payload || flags & 1 != 0)
        }
        &Content::Udp { sport, dport } => (new(Protocol::Udp, sport, dport), false),
        &Content::Echo { id, asks } => (new(Protocol::Echo, id, id).asking(asks), false),
        &Content::Protocol(number) => {
            let number = number.into();
            (new(Protocol::Other, number, number), false)
        }
        Content::Message => (Transport::NONE, false),
        Content::Error(about) => {
            let about = about.as_deref().filter(|about| about.src == datagram.dst)?;
            let (upper, src, dst, _) = as_programs_say(about)?;
            // Only requests can be in an error, so they say nothing of it.
            let upper = match about.content {
                Content::Message => return None,
                Content::Echo { id, .. } => new(Protocol::Echo, id, id),
                Content::Tcp { .. }
                | Content::Udp { .. }
                | Content::Protocol(_)
                | Content::Error(_) => upper,
            };
            return Some((upper, src, dst, false));
        }
    };
    Some((upper, words(datagram.src), words(datagram.dst), says))
}

#[test]
fn packets_are_to_the_evaluator_what_they_are_to_the_programs() {
    let (mut packets, mut errors) = (0, 0);
    let mut random = Random::new(5);
    for _ in 0..300_000 {
        let recipe = recipe(&mut random);
        let mut frame = recipe.bytes();
        let is_plain = recipe.tags.is_empty() && recipe.session.is_none();
        if random.percent(30)
            && is_plain
            && let Some(sent) = Datagram::of_frame(&frame)
        {
            // An error about the packet, or about a part of it, for whom it was from or for another.
            let to = random.pick([sent.src, sent.src, sent.src, sent.dst]);
            let quoted = &frame[14..][..random.within(0, frame.len() - 14)];
            let error = Packet::ip(sent.dst, to).unwrap();
            let error = if sent.src.is_ipv6() {
                error.icmpv6(random.pick([1, 2, 3, 4]), 0)
            } else {
                error.icmp(random.pick([3, 4, 5, 11, 12]), 0)
            };
            frame = error.payload(quoted).build();
            errors += 1;
        }
        let Some(datagram) = Datagram::of_frame(&frame) else {
            let is_ip = parse(&frame[..]).is_ok_and(|headers| headers.has_address());
            assert!(!is_ip, "{frame:02x?}");
            continue;
        };
        let expected = as_programs_say(&datagram);
        assert_eq!(
            as_programs_read(&frame),
            expected,
            "{datagram:?} {frame:02x?}"
        );
        packets += usize::from(expected.is_some());
    }
    assert!(packets > 100_000 && errors > 10_000, "{packets} {errors}");
}

fn tail(told: &[Turn]) -> &[Turn] {
    &told[told.len().saturating_sub(12)..]
}

fn tcp(src: u32, sport: u16, dst: u32, dport: u16, flags: u8) -> Datagram {
    Datagram {
        src: IpAddr::V4(Ipv4Addr::from(src)),
        dst: IpAddr::V4(Ipv4Addr::from(dst)),
        content: Content::Tcp {
            sport,
            dport,
            flags,
            numbers: None,
            payload: false,
        },
        fragment: None,
    }
}

const SERVER: u32 = 0xc000_0201;
const SYN: u8 = 0x02;
const SYN_ACK: u8 = 0x12;

#[test]
fn flows_without_an_answer_never_evict_answered_ones_that_have_company() {
    // Half of the slots are answered; the rest is flooded.
    const LINES: u32 = 1_024;
    const ANSWERED: u32 = 1_024;
    let table = MemoryTable::new(LINES, TIMEOUTS, 1);
    for client in 0..ANSWERED {
        let there = 0x0a00_0000 + client;
        assert!(sent(&table, &frame(&tcp(SERVER, 1, there, 2, SYN)), false));
        let answer = frame(&tcp(there, 2, SERVER, 1, SYN_ACK));
        assert_eq!(received(&table, &answer, false), State::Established);
    }
    for other in 0..100_000 {
        let there = 0x0b00_0000 + other;
        sent(&table, &frame(&tcp(SERVER, 1, there, 2, SYN)), false);
    }
    let known = |client: u32| {
        let there = 0x0a00_0000 + client;
        let packet = frame(&tcp(there, 2, SERVER, 1, 0x10));
        received(&table, &packet, false) == State::Established
    };
    let lost = (0..ANSWERED).filter(|client| !known(*client)).count();
    let evicted = table.events(FlowEvent::EvictedAnswered);
    println!("{lost} answered flows lost, {evicted} evicted");
    assert_eq!(lost as u64, evicted);
    // Both lines of a tuple full of answered flows: 8 of 8 slots at a load of a quarter.
    assert!(lost <= 2, "{lost}");
    assert!(table.events(FlowEvent::EvictedWeak) > 90_000);
}

#[test]
fn a_full_table_gives_up_its_oldest_flows() {
    let table = MemoryTable::new(16, TIMEOUTS, 2);
    for client in 0..10_000_u32 {
        table.now.set(u64::from(client) * 32);
        let there = 0x0a00_0000 + client;
        sent(&table, &frame(&tcp(SERVER, 1, there, 2, SYN)), false);
        let answer = frame(&tcp(there, 2, SERVER, 1, SYN_ACK));
        assert_eq!(
            received(&table, &answer, false),
            State::Established,
            "{client}"
        );
    }
    let known = |client: u32| {
        let there = 0x0a00_0000 + client;
        received(&table, &frame(&tcp(there, 2, SERVER, 1, 0x10)), false) == State::Established
    };
    let left: Vec<u32> = (0..10_000).filter(|client| known(*client)).collect();
    assert!(left.len() > 48, "{}", left.len());
    assert!(left.iter().all(|client| *client > 9_700), "{left:?}");
}

#[test]
fn flows_at_equal_distances_find_room_whatever_the_keys_are() {
    // As good as half full, where chance gives every flow a slot but one in 180,000.
    const LINES: u32 = 1 << 12;
    const FLOWS: u32 = 7_800;
    let high = |address: u32| [u64::from(address) << 32, 0];
    for seed in 0..64 {
        let table = MemoryTable::new(LINES, TIMEOUTS, seed);
        for number in 0..FLOWS {
            let src = 0x2000_0000 | number.wrapping_mul(0x0765_4321) & 0x1fff_ffff;
            let upper = Transport::new(Protocol::Udp, 40_000, 53, false);
            record(&table, high(SERVER), high(src), upper);
        }
        let lost = table.events(FlowEvent::EvictedWeak);
        assert!(lost <= 4, "seed {seed}: {lost}");
    }
}

#[test]
fn a_slot_that_is_free_has_no_flow_whatever_its_words_and_the_other_tags_are() {
    let table = MemoryTable::new(1, TIMEOUTS, 7);
    let (src, dst) = ([0x0a00_0001 << 32, 0], [0x0a00_0002 << 32, 0]);
    let mut met = [false; 256];
    for port in 1..=u16::MAX {
        let upper = Transport::new(Protocol::Udp, port, 7, false);
        record(&table, src, dst, upper).unwrap();
        let tuple = Tuple::new(&table, src, dst, upper);
        let slot = find(&table, &tuple).unwrap().slot;
        let (_, tag) = places(&table, slot);
        (0..4).for_each(|index| table.store_tag(0, index, 0));
        if std::mem::replace(&mut met[usize::from(tag)], true) {
            continue;
        }
        // Every slot has the words, and those that are not free the tag of another flow, but for one with other words.
        for index in 0..4 {
            table.store(0, index * 2, slot.first);
            table.store(0, index * 2 + 1, slot.second);
        }
        for used in 0..4 {
            let words = [table.word(0, used * 2), table.word(0, used * 2 + 1)];
            table.store(0, used * 2, !slot.first);
            for other in [
                0,
                tag ^ 1,
                tag ^ 0x80,
                tag.wrapping_sub(1),
                tag.wrapping_add(1),
            ] {
                (0..4).for_each(|index| table.store_tag(0, index, other));
                table.store_tag(0, used, tag);
                assert!(find(&table, &tuple).is_none(), "{tag} {used} {other}");
            }
            table.store(0, used * 2, words[0]);
            table.store(0, used * 2 + 1, words[1]);
        }
        (0..4).for_each(|index| table.store_tag(0, index, 0));
    }
    assert_eq!(met.iter().filter(|met| **met).count(), 255);
}

#[test]
fn words_of_two_flows_are_no_third_one() {
    let table = MemoryTable::new(1, TIMEOUTS, 3);
    let mut random = Random::new(4);
    let mut wrong = 0;
    for _ in 0..200_000 {
        let word = |random: &mut Random| random.bits() as u32;
        let ends = |random: &mut Random| [word(random), word(random)];
        let ([a, b], [c, d]) = (ends(&mut random), ends(&mut random));
        let tuple = |src: u32, dst: u32| {
            let upper = Transport::new(Protocol::Udp, 1, 1, false);
            let high = |address: u32| [u64::from(address) << 32, 0];
            (high(src), high(dst), upper)
        };
        let slots = [(a, b), (c, d)].map(|(src, dst)| {
            let (src, dst, upper) = tuple(src.min(dst), src.max(dst));
            record(&table, src, dst, upper);
            let found = find(&table, &Tuple::new(&table, src, dst, upper));
            found.unwrap().slot
        });
        let torn = Slot {
            first: slots[0].first,
            second: slots[1].second,
        };
        let [(first, _), _] = slots[0].ends();
        let [_, (second, _)] = slots[1].ends();
        for slot in 0..4 {
            table.store(0, slot * 2, torn.first);
            table.store(0, slot * 2 + 1, torn.second);
            // The best tag that there can be.
            table.store_tag(0, slot, places(&table, torn).1);
        }
        let (src, dst, upper) = tuple(first, second);
        wrong += usize::from(find(&table, &Tuple::new(&table, src, dst, upper)).is_some());
        (0..4).for_each(|slot| table.store_tag(0, slot, 0));
    }
    println!("{wrong} of 200,000 torn slots are flows");
    // One in 2,048 by chance.
    assert!(wrong < 200, "{wrong}");
    assert_eq!(Phase::ALL.len(), 8);
}
