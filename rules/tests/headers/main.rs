//! Compares the packet parser with the decoder of the reference evaluator on a table of frames, on
//! every frame that differs from one of them in one byte or its length, on random frames, and on
//! captures.

mod captures;
mod fixtures;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use firewall_ebpf::{
    abi::Reason,
    field::{FRAGMENT, UNTAGGED},
    packet::Packet,
    parse::{Headers, details, parse, present},
};
use rules::{
    evaluator::{Fields, decode},
    field::Family,
    text::hexadecimal,
};
use rules_testing::{Random, damage, recipe};

/// The number of random frames in the default run, before and after damage; Miri takes milliseconds
/// for each.
const RANDOM_FRAMES: usize = if cfg!(miri) { 100 } else { 400_000 };

#[test]
fn every_fixture_is_read_as_its_table_says() {
    // Addresses and lengths differ within the table and are not compared here.
    let main = |fields: Fields| Fields {
        dst_mac: 0,
        src_mac: 0,
        vlan: None,
        length: None,
        dscp: None,
        ..fields
    };
    check(&fixtures::table(), main);
    check(&fixtures::details(), |fields| fields);
}

/// A frame in two buffers.
struct Split<'a> {
    frame: &'a [u8],
    first: usize,
}

impl Packet for Split<'_> {
    fn load<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        self.frame[..self.first].load(offset)
    }

    fn len(&self) -> u32 {
        Packet::len(self.frame)
    }

    fn first_len(&self) -> u32 {
        self.first as u32
    }
}

#[test]
fn ipv4_options_must_be_in_the_first_buffer() {
    let text = "020000000002 020000000001 0800 \
        49000058 00000008 40110000 c0000201 c0000202 01830304 94040000 07020044 04000000";
    let mut frame = hexadecimal::bytes(text).unwrap();
    let header = frame.len();
    frame.resize(14 + 0x58, 0);
    for first in 34..=frame.len() {
        let split = Split {
            frame: &frame,
            first,
        };
        let parsed = parse(&split);
        if first < header {
            assert_eq!(parsed.unwrap_err(), Reason::Truncated, "{first}");
        } else {
            let groups = details::ip_options(&split, &parsed.unwrap(), |of| u8::from(of == 7));
            assert_eq!(groups, 1, "{first}");
        }
    }
}

#[test]
fn the_last_byte_of_the_first_buffer_may_be_an_option_of_one_byte() {
    for (list, nop, record_route) in [("07030001", 1, 1), ("94030007", 0, 0)] {
        let text = "020000000002 020000000001 0800 \
            46000038 00000008 40110000 c0000201 c0000202";
        let mut frame = hexadecimal::bytes(&format!("{text} {list}")).unwrap();
        let first = frame.len();
        frame.resize(14 + 0x38, 0);
        let split = Split {
            frame: &frame,
            first,
        };
        let headers = parse(&split).unwrap();
        let has = |option| details::ip_options(&split, &headers, |of| u8::from(of == option));
        assert_eq!((has(1), has(7)), (nop, record_route), "{list}");
    }
}

#[test]
fn a_jumbogram_has_the_largest_length_and_ends_where_its_option_says() {
    const HEADER: &str = "020000000002 020000000001 86dd 60000000 0000 0040";
    const ADDRESSES: &str = "20010db8000000000000000000000001 20010db8000000000000000000000002";
    const UDP: &str = "0035 0035 0008 0000";
    for (stated, held, is_whole) in [
        (65_536_u32, 65_536, true),
        (65_536, 70_000, true),
        (70_000, 70_000, true),
        (65_536, 65_535, false),
        (70_000, 69_999, false),
    ] {
        let text = format!("{HEADER} {ADDRESSES} 1100 c204 {stated:08x} {UDP}");
        let mut frame = hexadecimal::bytes(&text).unwrap();
        frame.resize(14 + 40 + held, 0);
        agree(&frame, "a jumbogram");
        let headers = parse(&*frame);
        assert_eq!(headers.is_ok(), is_whole, "{stated} {held}: {headers:?}");
        if let Ok(headers) = headers {
            assert_eq!(headers.dport, 53);
            assert_eq!(details::length(&*frame, &headers), u16::MAX);
            assert_eq!(decode(&frame).unwrap().length, Some(40 + stated));
        }
    }
}

#[test]
fn a_packet_that_states_no_length_has_that_of_its_frame_if_no_header_could_state_it() {
    const MACS: &str = "020000000002 020000000001";
    const UDP: &str = "0035 0035 0008 0000";
    let ipv4 = "0800 4500 0000 0000 0000 4011 0000 c0000201 c6336402".to_owned();
    let addresses = "20010db8000000000000000000000001 20010db8000000000000000000000002";
    let ipv6 = format!("86dd 60000000 0000 1140 {addresses}");
    // Options, the first of which is not a jumbo payload, or one that is too short.
    let padded = format!("86dd 60000000 0000 0040 {addresses} 1100 0104 00000000");
    let contradictory = format!("86dd 60000000 0000 0040 {addresses} 1100 c204 0000ffff");
    let malformed = Err(Reason::Malformed);
    for (start, tag, counted, longest, otherwise) in [
        (&ipv4, "", 20, 65_535, malformed),
        (&ipv4, "8100 0007", 20, 65_535, malformed),
        // Without payload, and so without a UDP header.
        (&ipv6, "", 40, 65_575, Err(Reason::Truncated)),
        (&padded, "", 40, 65_575, malformed),
        (&contradictory, "", 40, 65_575, malformed),
    ] {
        let mut frame = hexadecimal::bytes(&[MACS, tag, start, UDP].concat()).unwrap();
        let before = 14 + if tag.is_empty() { 0 } else { 4 };
        for length in [counted + 20, longest, longest + 1, longest + 2, 200_000] {
            frame.resize(before + length, 0);
            agree(&frame, start);
            let headers = parse(&*frame);
            if length <= longest {
                assert_eq!(headers.map(|_| ()), otherwise, "{start} {length}");
                continue;
            }
            let headers = headers.unwrap_or_else(|reason| panic!("{start} {length}: {reason:?}"));
            assert_eq!(headers.dport, 53);
            assert_eq!(details::length(&*frame, &headers), u16::MAX);
            let fields = decode(&frame).unwrap();
            assert_eq!(fields.length, u32::try_from(length).ok(), "{start}");
        }
    }
}

/// Fails unless parser and decoder read the fields in the table; `part` selects those that are
/// compared.
fn check(table: &[fixtures::Fixture], part: impl Fn(Fields) -> Fields) {
    let mut wrong = Vec::new();
    for fixture in table {
        for (reader, found) in [
            ("parser", parsed(&fixture.frame).map(&part)),
            ("decoder", decode(&fixture.frame).map(&part)),
        ] {
            if found != fixture.expected {
                wrong.push(format!(
                    "{}: the {reader} says {found:?}, not {:?}: {}",
                    fixture.description,
                    fixture.expected,
                    hexadecimal::digits(&fixture.frame)
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn fixtures_have_unique_descriptions_and_reach_every_verdict_of_the_parser() {
    let table = every_fixture();
    let mut descriptions: Vec<&str> = table.iter().map(|fixture| fixture.description).collect();
    descriptions.sort_unstable();
    descriptions.dedup();
    assert_eq!(descriptions.len(), table.len());
    for reason in [
        Reason::Malformed,
        Reason::Truncated,
        Reason::TooManyTags,
        Reason::TooManyHeaders,
    ] {
        assert!(table.iter().any(|fixture| fixture.expected == Err(reason)));
    }
}

#[test]
fn parser_and_decoder_agree_on_every_fixture_cut_off_anywhere() {
    // Miri only tries one length in ten.
    let step = if cfg!(miri) { 10 } else { 1 };
    for fixture in every_fixture() {
        for length in (0..=fixture.frame.len()).step_by(step) {
            agree(&fixture.frame[..length], fixture.description);
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "a million frames")]
fn parser_and_decoder_agree_on_every_fixture_with_any_one_byte_changed() {
    let mut frames = 0;
    for fixture in every_fixture() {
        let mut frame = fixture.frame.clone();
        for at in 0..frame.len() {
            let original = frame[at];
            for byte in 0..=u8::MAX {
                frame[at] = byte;
                agree(&frame, fixture.description);
                frames += 1;
            }
            frame[at] = original;
        }
    }
    println!("{frames} frames");
    assert!(frames > 1_000_000);
}

#[test]
fn parser_and_decoder_agree_on_random_frames() {
    let mut random = Random::new(0x0066_7261_6d65_7331);
    let mut well_formed = 0;
    for _ in 0..RANDOM_FRAMES {
        let frame = recipe(&mut random).bytes();
        well_formed += usize::from(agree(&frame, "a random frame"));
    }
    println!("{well_formed} of {RANDOM_FRAMES} frames are well-formed");
    assert!(well_formed > RANDOM_FRAMES / 2);
}

#[test]
fn parser_and_decoder_agree_on_damaged_frames() {
    let mut random = Random::new(0x0066_7261_6d65_7332);
    let mut well_formed = 0;
    for _ in 0..RANDOM_FRAMES {
        let mut frame = recipe(&mut random).bytes();
        damage(&mut random, &mut frame);
        well_formed += usize::from(agree(&frame, "a damaged frame"));
    }
    println!("{well_formed} of {RANDOM_FRAMES} frames are well-formed");
    assert!(well_formed > RANDOM_FRAMES / 10);
}

fn every_fixture() -> Vec<fixtures::Fixture> {
    [fixtures::table(), fixtures::details()].concat()
}

/// Fails unless parser and decoder agree on the frame; returns whether it is well-formed.
fn agree(frame: &[u8], what: &str) -> bool {
    // Rules, and so the parser, treat every longer packet like one of 65,535 bytes.
    let decoder = decode(frame).map(|fields| Fields {
        length: fields.length.map(|length| length.min(u16::MAX.into())),
        ..fields
    });
    let parser = parsed(frame);
    assert!(
        parser == decoder,
        "{what}: the parser says {parser:?}, the decoder {decoder:?}: {}",
        hexadecimal::digits(&frame[..frame.len().min(256)])
    );
    decoder.is_ok()
}

/// The result of the parser in the form of the decoder.
#[expect(clippy::panic, reason = "how a test fails")]
fn parsed(frame: &[u8]) -> Result<Fields, Reason> {
    let headers = parse(frame)?;
    let family = match (headers.has(present::IPV4), headers.has(present::IPV6)) {
        (true, false) => Some(Family::Ipv4),
        (false, true) => Some(Family::Ipv6),
        (false, false) => None,
        (true, true) => panic!("{headers:?} are of two families"),
    };
    let address = |high: u64, low: u64| match family {
        Some(Family::Ipv4) => {
            assert_eq!((high & 0xffff_ffff, low), (0, 0), "{headers:?}");
            Some(IpAddr::from(Ipv4Addr::from((high >> 32) as u32)))
        }
        Some(Family::Ipv6) => {
            let address = u128::from(high) << 64 | u128::from(low);
            Some(IpAddr::from(Ipv6Addr::from(address)))
        }
        None => {
            assert_eq!((high, low), (0, 0), "{headers:?}");
            None
        }
    };
    let has_option = |option: u8| {
        let group = |of: u8| u8::from(of == option);
        details::ip_options(frame, &headers, group) != 0
    };
    let fields = Fields {
        ethertype: headers.ethertype,
        family,
        src: address(headers.src_high, headers.src_low),
        dst: address(headers.dst_high, headers.dst_low),
        protocol: present(family.is_some(), headers.protocol, &headers),
        sport: present(headers.has(present::PORTS), headers.sport, &headers),
        dport: present(headers.has(present::PORTS), headers.dport, &headers),
        tcp_flags: present(headers.has(present::TCP), headers.tcp_flags, &headers),
        icmp: present(headers.has(present::ICMP), headers.icmp, &headers),
        hop_limit: present(family.is_some(), headers.ttl, &headers),
        is_fragment: family.map(|_| headers.has(present::FRAGMENT)),
        is_group_query: headers.has(present::IPV4 | present::NEIGHBOR),
        dst_mac: details::dst_mac(frame) >> 16,
        src_mac: details::src_mac(frame) >> 16,
        vlan: Some(details::vlan(frame)).filter(|id| *id != UNTAGGED),
        length: family.map(|_| details::length(frame, &headers).into()),
        ip_options: match family {
            Some(Family::Ipv4) => (0..=u8::MAX).filter(|option| has_option(*option)).collect(),
            Some(Family::Ipv6) | None => Vec::new(),
        },
        dscp: family.map(|_| (details::traffic(frame, &headers) & (FRAGMENT - 1)) as u8),
    };
    let is_fragment = family.map(|_| details::traffic(frame, &headers) & FRAGMENT != 0);
    assert_eq!(is_fragment, fields.is_fragment);
    let ttl = family.map(|_| details::ttl(frame, &headers));
    assert_eq!(ttl, fields.hop_limit);
    assert_eq!(details::ethertype(frame, &headers), fields.ethertype);
    Ok(fields)
}

/// A field that the packet lacks must be 0.
fn present<T: Default + PartialEq + std::fmt::Debug>(
    present: bool,
    value: T,
    headers: &Headers,
) -> Option<T> {
    if !present {
        assert_eq!(value, T::default(), "{headers:?}");
    }
    present.then_some(value)
}
