//! List files against the parsers of the standard library.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use proptest::prelude::*;
use rules::{
    diagnostics::Source,
    field::{AddressSet, RangeSet},
    language::lists,
};

fn parse(bytes: impl Into<Vec<u8>>) -> Option<AddressSet> {
    lists::parse(&Arc::new(Source::new("list", bytes))).ok()
}

/// What a line without comment and white space means, read by the standard library only.
fn reference(line: &str) -> Option<AddressSet> {
    let (first, last) = if let Some((first, last)) = line.split_once('-') {
        (first.parse().ok()?, last.parse().ok()?)
    } else if let Some((address, length)) = line.split_once('/') {
        let address: IpAddr = address.parse().ok()?;
        let canonical = length == "0" || !length.starts_with(['0', '+']);
        let length: u32 = length.parse().ok().filter(|_| canonical)?;
        (address, last_of_prefix(address, length)?)
    } else {
        let address: IpAddr = line.parse().ok()?;
        (address, address)
    };
    let mut set = AddressSet::default();
    match (first, last) {
        (IpAddr::V4(first), IpAddr::V4(last)) if first <= last => {
            set.v4 = RangeSet::from_ranges(vec![(first.to_bits(), last.to_bits())]);
        }
        (IpAddr::V6(first), IpAddr::V6(last)) if first <= last => {
            set.v6 = RangeSet::from_ranges(vec![(first.to_bits(), last.to_bits())]);
        }
        _ => return None,
    }
    Some(set)
}

fn last_of_prefix(address: IpAddr, length: u32) -> Option<IpAddr> {
    // In 128 bits for both families: the bits of the host are the lowest of either.
    let (bits, width) = match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32_u32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    let host = width.checked_sub(length)?;
    let mask = if host == 128 {
        u128::MAX
    } else {
        (1 << host) - 1
    };
    let last = bits | mask;
    (bits & mask == 0).then(|| match address {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(last).unwrap())),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(last)),
    })
}

fn union(sets: impl IntoIterator<Item = AddressSet>) -> AddressSet {
    sets.into_iter()
        .fold(AddressSet::default(), |a, b| AddressSet {
            v4: a.v4.union(&b.v4),
            v6: a.v6.union(&b.v6),
        })
}

/// IPv6 addresses with runs of zeros, which the text form is about.
fn ipv6() -> impl Strategy<Value = Ipv6Addr> {
    let group = prop_oneof![2 => Just(0_u16), 1 => any::<u16>()];
    prop::array::uniform8(group).prop_map(Ipv6Addr::from)
}

/// One of the ways to write an IPv6 address.
fn ipv6_text() -> impl Strategy<Value = String> {
    (ipv6(), 0..4_u8).prop_map(|(address, form)| {
        let groups = address.segments().map(|group| format!("{group:x}"));
        match form {
            0 => address.to_string(),
            1 => address.to_string().to_uppercase(),
            2 => groups.join(":"),
            _ => {
                let [.., a, b, c, d] = address.octets();
                format!("{}:{a}.{b}.{c}.{d}", groups[..6].join(":"))
            }
        }
    })
}

fn entry() -> impl Strategy<Value = String> {
    let v4 = any::<Ipv4Addr>().prop_map(|address| address.to_string());
    let v4_prefix = (any::<u32>(), 0..=32_u32).prop_map(|(bits, length)| {
        let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
        format!("{}/{length}", Ipv4Addr::from_bits(bits & mask))
    });
    let v6_prefix = (ipv6(), 0..=128_u32).prop_map(|(address, length)| {
        let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
        format!("{}/{length}", Ipv6Addr::from_bits(address.to_bits() & mask))
    });
    let v4_range = (any::<Ipv4Addr>(), any::<Ipv4Addr>())
        .prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b)));
    let v6_range = (ipv6(), ipv6()).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b)));
    prop_oneof![v4, ipv6_text(), v4_prefix, v6_prefix, v4_range, v6_range]
}

/// An entry with one character inserted, removed or replaced.
fn damaged() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "", "0", "1", "9", ".", ":", "/", "-", "f", " ", "+", "::",
    ]);
    (entry(), any::<prop::sample::Index>(), 0..2_usize, piece).prop_map(
        |(text, at, removed, piece)| {
            let at = at.index(text.len());
            let tail = text.get(at + removed..).unwrap_or_default();
            format!("{}{piece}{tail}", &text[..at])
        },
    )
}

proptest! {
    #[test]
    fn a_line_means_what_the_standard_library_reads(line in prop_oneof![entry(), damaged()]) {
        let line = line.trim();
        prop_assume!(!line.is_empty());
        prop_assert_eq!(parse(line), reference(line));
        prop_assert_eq!(parse(format!("{line}\n")), reference(line));
    }

    #[test]
    fn any_text_of_groups_and_colons_means_what_the_standard_library_reads(
        line in "(:{0,3}(0|[1-9a-f][0-9a-f]{0,4})){1,9}:{0,3}",
    ) {
        prop_assert_eq!(parse(format!("{line}\n")), reference(&line));
    }

    #[test]
    fn any_text_of_address_characters_means_what_the_standard_library_reads(
        line in "[0-9a-f.:/-]{1,24}",
    ) {
        prop_assert_eq!(parse(format!("{line}\n")), reference(&line));
    }

    #[test]
    fn a_file_means_the_union_of_its_lines(
        lines in prop::collection::vec((entry(), 0..6_usize), 1..40),
    ) {
        let decorations = ["{}\n", " {}\t\n", "{} ; comment\n", "{}#comment\n", "\n{}\r\n", "# x\n{}\n"];
        let mut text = String::new();
        for (line, decoration) in &lines {
            text.push_str(&decorations[*decoration].replace("{}", line));
        }
        let expected = union(lines.iter().map(|(line, _)| reference(line).unwrap()));
        prop_assert_eq!(parse(text), Some(expected));
    }

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(bytes);
    }
}

#[test]
fn the_end_of_the_file_ends_a_line() {
    assert_eq!(parse("192.0.2.1"), parse("192.0.2.1\n"));
    assert_eq!(
        parse("192.0.2.1/32\n2001:db8::1"),
        parse("2001:db8::1\n192.0.2.1\n")
    );
}

#[test]
fn comments_may_be_of_any_encoding() {
    assert_eq!(
        parse(b"# caf\xe9\n192.0.2.1 ; \xff\n".to_vec()),
        parse("192.0.2.1")
    );
}

#[test]
fn a_byte_order_mark_is_ignored() {
    assert_eq!(parse("\u{feff}192.0.2.1\n"), parse("192.0.2.1"));
}

#[test]
fn neighbours_and_repetitions_become_one_range() {
    let set = parse("192.0.2.1\n192.0.2.3\n192.0.2.2\n192.0.2.2\n").unwrap();
    assert_eq!(set.v4.ranges(), [(0xc000_0201, 0xc000_0203)]);
}
