//! Compares the parser of list files with the parsers of the standard library.

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

use crate::support::{load_with, report_with};

fn parse(bytes: impl Into<Vec<u8>>) -> Option<AddressSet> {
    lists::parse(&Arc::new(Source::new("list", bytes))).ok()
}

/// The meaning of a line without comment, read only by the standard library.
fn reference(line: &str) -> Option<AddressSet> {
    let words: Vec<_> = line
        .split([' ', '\t'])
        .filter(|word| !word.is_empty())
        .collect();
    let (first, last) = match *words.as_slice() {
        [range] | [range, _] | [range, _, _] if range.contains('-') || words.len() == 3 => {
            let joined = words.concat();
            let (first, last) = joined.split_once('-')?;
            // White space is allowed around the dash and nowhere else.
            let written = line.split('-').map(str::trim).collect::<Vec<_>>().join("-");
            if written != joined {
                return None;
            }
            let first: IpAddr = first.parse().ok()?;
            (first, last_of_range(first, last, words.len() > 1)?)
        }
        [first, last] if last.starts_with('-') => {
            let first: IpAddr = first.parse().ok()?;
            (first, last_of_range(first, last.strip_prefix('-')?, true)?)
        }
        [prefix] if prefix.contains('/') => {
            let (address, length) = prefix.split_once('/')?;
            let address: IpAddr = address.parse().ok()?;
            let canonical = length == "0" || !length.starts_with(['0', '+']);
            let length = match (address, length.parse()) {
                (IpAddr::V4(_), Ok(mask)) => length_of_mask(mask)?,
                _ => length.parse().ok().filter(|_| canonical)?,
            };
            (address, last_of_prefix(address, length)?)
        }
        [address, mask] => {
            let address: Ipv4Addr = address.parse().ok()?;
            let is_ambiguous = address.is_unspecified() && mask == "255.255.255.255";
            if is_ambiguous {
                return None;
            }
            let length = length_of_mask(mask.parse().ok()?).filter(|length| *length > 0)?;
            (address.into(), last_of_prefix(address.into(), length)?)
        }
        [address] => {
            let address: IpAddr = address.parse().ok()?;
            (address, address)
        }
        _ => return None,
    };
    // The standard library also knows IPv4-mapped addresses.
    let (first, last) = match (first.to_canonical(), last.to_canonical()) {
        (IpAddr::V4(canonical_first), IpAddr::V4(canonical_last)) => {
            let is_all =
                (canonical_first, canonical_last) == (Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST);
            if is_all && first.is_ipv6() {
                return None;
            }
            (canonical_first.into(), canonical_last.into())
        }
        _ => (first, last),
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

/// An address, or only its last number if the rest equals the first address. After spaces, a single
/// number is refused.
fn last_of_range(first: IpAddr, last: &str, is_spaced: bool) -> Option<IpAddr> {
    let is_number =
        last.bytes().all(|byte| byte.is_ascii_digit()) && (last == "0" || !last.starts_with('0'));
    match (first, last.parse::<u8>()) {
        (IpAddr::V4(first), Ok(number)) if is_number && !is_spaced => {
            let [a, b, c, _] = first.octets();
            Some(Ipv4Addr::new(a, b, c, number).into())
        }
        _ => last.parse().ok(),
    }
}

fn length_of_mask(mask: Ipv4Addr) -> Option<u32> {
    (0..=32).find(|length| {
        let ones = "1".repeat(*length as usize) + &"0".repeat(32 - *length as usize);
        u32::from_str_radix(&ones, 2) == Ok(mask.to_bits())
    })
}

fn last_of_prefix(address: IpAddr, length: u32) -> Option<IpAddr> {
    // Both families use 128 bits, with the host bits lowest.
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

/// IPv6 addresses with runs of zeros, which the text form abbreviates.
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
    let masked = (
        any::<u32>(),
        1..=32_u32,
        prop_oneof![Just('/'), Just(' '), Just('\t')],
    )
        .prop_map(|(bits, length, separator)| {
            let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
            let address = Ipv4Addr::from_bits(bits & mask);
            format!("{address}{separator}{}", Ipv4Addr::from_bits(mask))
        });
    let spaced = (any::<Ipv4Addr>(), any::<Ipv4Addr>(), " {0,2}", "[ \t]{0,2}")
        .prop_map(|(a, b, before, after)| format!("{}{before}-{after}{}", a.min(b), a.max(b)));
    let short = (any::<Ipv4Addr>(), any::<u8>()).prop_map(|(a, last)| format!("{a}-{last}"));
    let mapped = (any::<u32>(), 96..=128_u32).prop_map(|(bits, length)| {
        let mask = u32::MAX.checked_shl(128 - length).unwrap_or(0);
        format!("::ffff:{}/{length}", Ipv4Addr::from_bits(bits & mask))
    });
    let written = prop_oneof![v4, ipv6_text(), v4_prefix, v6_prefix, v4_range, v6_range];
    prop_oneof![2 => written, 1 => masked, 1 => spaced, 1 => short, 1 => mapped]
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

/// The addresses that a rule with this value of `src` matches, if it is valid.
fn in_a_rule(value: &str, lists: &[(&str, &str)]) -> Option<AddressSet> {
    let text = format!(
        "[firewall]\ninterfaces = [\"*\"]\n[sets]\nlist = {{ file = \"list\" }}\nset = [{value}]\n\
         [[rule]]\nname = \"r\"\naction = \"pass\"\nsrc = [{value}]\n\
         [[rule]]\nname = \"s\"\naction = \"pass\"\nsrc = \"@set\"\n\
         [[rule]]\nname = \"l\"\naction = \"pass\"\nsrc = \"@list\"\n"
    );
    let rules = load_with(&text, lists).ok()?.ruleset.rules;
    let sources: Vec<_> = rules.into_iter().map(|rule| rule.matches.src).collect();
    let [rule, set, list] = sources.try_into().unwrap();
    assert_eq!(rule, set);
    assert_eq!(rule, list);
    rule.map(|set| AddressSet::clone(&set))
}

proptest! {
    #[test]
    fn what_one_place_accepts_all_accept_and_it_means_the_same(
        line in prop_oneof![entry(), damaged()],
    ) {
        let line = line.trim();
        // A number is a port in a set.
        prop_assume!(line.contains(['.', ':']) && !line.contains('"'));
        let escaped = line.replace('\t', "\\t");
        let value = format!("\"{escaped}\"");
        prop_assert_eq!(in_a_rule(&value, &[("list", line)]), parse(line));
        prop_assert_eq!(parse(line), reference(line));
    }

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
        let sets: Option<Vec<_>> = lines.iter().map(|(line, _)| reference(line)).collect();
        prop_assert_eq!(parse(text), sets.map(union));
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
fn a_byte_order_mark_at_the_start_of_any_line_is_ignored() {
    let text =
        "\u{feff}192.0.2.1\n\u{feff}192.0.2.5\n\u{feff}\u{feff}192.0.2.7\n\u{feff}# comment\n";
    assert_eq!(parse(text), parse("192.0.2.1\n192.0.2.5\n192.0.2.7"));
}

#[test]
fn neighbors_and_repetitions_become_one_range() {
    let set = parse("192.0.2.1\n192.0.2.3\n192.0.2.2\n192.0.2.2\n").unwrap();
    assert_eq!(set.v4.ranges(), [(0xc000_0201, 0xc000_0203)]);
}

/// The findings about a list of these lines that a rule names.
fn report(list: &str) -> String {
    let text = "[firewall]\ninterfaces = [\"*\"]\n[sets]\nlist = { file = \"list\" }\n\
                [[rule]]\nname = \"r\"\naction = \"pass\"\nsrc = \"@list\"\n";
    report_with(text, &[("list", list)])
}

#[test]
fn an_ipv4_mapped_address_is_the_ipv4_address_with_a_warning() {
    let mapped = "::ffff:192.0.2.2\n::ffff:198.51.100.0/120\n::FFFF:203.0.113.1-::ffff:cb00:7109\n";
    let plain = "192.0.2.2\n198.51.100.0/24\n203.0.113.1-203.0.113.9\n";
    assert_eq!(parse(mapped), parse(plain));
    let said = report(mapped);
    assert!(
        said.contains("warning[mapped-address]: 3 members"),
        "{said}"
    );
    assert!(said.contains("list:1:1"), "{said}");
    assert!(!report(plain).contains("warning"));
}

#[test]
fn the_block_of_all_mapped_addresses_is_refused_and_not_taken_for_all_of_ipv4() {
    for text in ["::ffff:0:0/96", "::ffff:0.0.0.0-::ffff:255.255.255.255"] {
        let said = report(text);
        assert!(
            said.contains("no packet has an IPv4-mapped IPv6 address"),
            "{said}"
        );
        assert!(said.contains("0.0.0.0/0"), "{said}");
    }
    // A member that contains others is taken as written.
    assert_eq!(parse("::/8").unwrap().v4, RangeSet::empty());
}

#[test]
fn a_mapped_address_is_of_the_ipv4_family_for_a_rule() {
    let text = "[firewall]\ninterfaces = [\"*\"]\n[[rule]]\nname = \"r\"\naction = \"drop\"\n\
                family = \"ipv6\"\nsrc = \"::ffff:192.0.2.2\"\n";
    let said = report_with(text, &[]);
    assert!(said.contains("warning[never-matches]"), "{said}");
    let said = report_with(&text.replace("family = \"ipv6\"", ""), &[]);
    assert!(
        said.contains("is read as the IPv4 address `192.0.2.2`"),
        "{said}"
    );
}

#[test]
fn lists_are_read_in_the_forms_in_which_they_are_published() {
    let lists = [
        ("10.0.0.0/24 ; SBL400000\n", "10.0.0.0/24"),
        ("192.0.2.1\t10\n192.0.2.9\t2\n", "192.0.2.1\n192.0.2.9"),
        ("Some org:192.0.2.0-192.0.2.255\n", "192.0.2.0/24"),
        ("Org #1; Ltd: a:192.0.2.0-192.0.2.255\n", "192.0.2.0/24"),
        (
            "192.000.002.000 - 192.000.002.255 , 000 , Bogon\n",
            "192.0.2.0/24",
        ),
        (
            "010.000.000.001 - 010.000.000.001 , 000 , x\n1.1.1.1",
            "10.0.0.1\n1.1.1.1",
        ),
        (
            "010.000.000.000 - 010.000.000.001 , 200 , allowed\n1.1.1.1",
            "1.1.1.1",
        ),
        (
            "203.0.113.0\t203.0.113.255\t24\t1500\tname\tZZ\tx@y\n",
            "203.0.113.0/24",
        ),
        (
            "# comment\nStart\tEnd\tNetmask\tAttacks\n192.0.2.0\t192.0.2.255\t24\t9\n",
            "192.0.2.0/24",
        ),
        ("\"ip\",\"score\"\n\"192.0.2.1\",\"7\"\n", "192.0.2.1"),
        ("192.0.2.0 - 192.0.2.9\n", "192.0.2.0-192.0.2.9"),
        ("192.0.2.0/255.255.255.0\n", "192.0.2.0/24"),
        ("192.0.2.0 255.255.255.0 # office\n", "192.0.2.0/24"),
        ("192.0.2.1-5\n", "192.0.2.1-192.0.2.5"),
        ("192.0.2.1,2026-01-01,foo\n", "192.0.2.1"),
        ("7,\"192.0.2.0/24\",\"a, b\"\n", "192.0.2.0/24"),
        (
            "create bad hash:net family inet hashsize 1024\nadd bad 192.0.2.0/24\n\
             add bad 203.0.113.1 timeout 300 comment \"a b\"\n",
            "192.0.2.0/24\n203.0.113.1",
        ),
        ("// a comment\n192.0.2.1 // another\n", "192.0.2.1"),
        ("create corp:192.0.2.0-192.0.2.255\n", "192.0.2.0/24"),
        ("flush it all:192.0.2.0-192.0.2.255\n", "192.0.2.0/24"),
        ("destroy x:192.0.2.1\n", "192.0.2.1"),
        (
            "add some more:192.0.2.1 - 192.0.2.9\n",
            "192.0.2.1-192.0.2.9",
        ),
        ("Level 8.8.8.8, Inc:192.0.2.0-192.0.2.255\n", "192.0.2.0/24"),
        ("name; 8.8.8.8; x:192.0.2.0-192.0.2.255\n", "192.0.2.0/24"),
        (
            "192.0.2.0 - 192.0.2.255 , 200 , allowed\n192.0.2.0 - 192.0.2.255 , 128\n1.1.1.1",
            "1.1.1.1",
        ),
        ("192.0.2.0 - 192.0.2.255 , 127 , x\n", "192.0.2.0/24"),
        ("192.0.2.1 timeout 300 packets 0 bytes 0\n", "192.0.2.1"),
        (
            "add bad 192.0.2.1 comment \"a # b; c\" timeout 60 # d\n",
            "192.0.2.1",
        ),
        (
            "add bad 192.0.2.1 packets 1 bytes 2 comment nomatch skbmark 0x1/0x2 -exist\n",
            "192.0.2.1",
        ),
        (
            "# Feodo\nfirst_seen_utc,dst_ip,dst_port,c2_status\n\
             \"2021-05-16 19:49:33\",\"192.0.2.1\",\"443\",\"online\"\n",
            "192.0.2.1",
        ),
        ("\"192.0.2.1\"\n\"192.0.2.0/28\"\n", "192.0.2.0/28"),
        ("\"a, \"\"b\"\", c\",192.0.2.1\n", "192.0.2.1"),
        ("192.0.2.1,00:1b:21:00:00:01,12:30:45,50%\n", "192.0.2.1"),
        ("192.0.2.1,host-198-51-100-1.example.net\n", "192.0.2.1"),
        ("192.0.2.1,7\n", "192.0.2.1"),
        ("192.0.2.0,32\n", "192.0.2.0"),
    ];
    for (list, plain) in lists {
        assert_eq!(parse(list), parse(plain), "{list}: {}", report(list));
        assert!(parse(plain).is_some());
    }
}

#[test]
fn a_line_that_could_mean_several_things_is_refused_with_the_column_to_set() {
    for list in [
        "192.0.2.1 192.0.2.9",
        "192.0.2.1 10",
        "192.0.2.1,192.0.2.9,x",
        "192.0.2.1\tname",
        "192.0.2.0\t192.0.2.255\t25\tx",
        "192.0.2.1;192.0.2.2;192.0.2.3",
        "192.0.2.1 ; 192.0.2.2",
        "192.0.2.0;255.255.255.0;x",
        "192.0.2.1;2026-01-01",
        "192.0.2.1;x;2001:db8::1",
        "192.0.2.0,24",
        "192.0.2.0,24,x",
        "192.0.2.0\t24",
        "2001:db8::,32",
        "192.0.2.0 - 192.0.2.255 , 256 , x",
        "192.0.2.300,10.0.0.1",
        "10.0.0.1,192.0.2.300",
        "foo, 8.8.8.8, bar:192.0.2.0-192.0.2.255",
        "foo, 8.8.8.8, bar:192.0.2.1",
        "8.8.8.8,\"open",
        "elements, 10.0.0.1,x 1.2.3.4",
    ] {
        let said = report(list);
        assert!(said.contains("column = 1"), "{list}: {said}");
    }
    for list in [
        "198.51.100.57203.0.113.10",
        "192.0.2.1\nip,score",
        "titles",
        "not a title",
        "192.0.2.0 255.0.255.0",
        "0.0.0.0 0.0.0.0",
        "192.0.2.0/0.0.0.255",
        "192.0.2.9-5",
        "192.0.2.1-256",
        "192.0.2.1-05",
        "fe80::1%eth0",
        "010.0.0.1",
        "add bad 10.0.0.0/8 nomatch",
        "+0:0:0:0:0:0:0.0.0.0",
        "+0:0:0:0:0:0:0.0.0.0-1.1.1.1",
        "name:192.0.2.9-192.0.2.1",
        "192.0.2.5/24,198.51.100.1",
        "203.000.113.001,x,198.51.100.1",
        "fe80::1%eth0,10.0.0.1",
        "10.0.0.1,::1/129",
        "7,\"seen, 8.8.8.8, harmless\",x",
        "add n 192.0.2.0/24 comment \"x\" nomatch",
        "add n 192.0.2.0/24 comment \"x # y\" nomatch",
        "192.0.2.0/24 nomatch",
        "add n 192.0.2.1 timeout",
        "add n 192.0.2.1 timeout 1h",
        "add n 192.0.2.1 timeout 60 timeout 0",
        "add n 192.0.2.1 comment \"x",
        "add n 192.0.2.1 something",
        "192.0.2.1 timeout 1h expires 59m, 192.0.2.2 timeout 1h }",
        "0.0.0.0 255.255.255.255",
        "titles, of columns\nmore, titles\n192.0.2.1",
        "192.0.2.0 - 192.0.2.9, 200, x\nmore, titles\n192.0.2.1",
        "192.0.2,title\n192.0.2.1",
        "ip 192.0.2.300,title\n192.0.2.1",
    ] {
        assert_eq!(parse(list), None, "{list}");
    }
}

#[test]
fn a_carriage_return_inside_a_line_hides_nothing() {
    for list in [
        "192.0.2.1 ; SBL1\r192.0.2.2 ; SBL2\r",
        "192.0.2.1\r192.0.2.2",
        "# comment\r192.0.2.1\n192.0.2.2",
    ] {
        let said = report(list);
        assert!(said.contains("a carriage return is not"), "{list}: {said}");
    }
    assert_eq!(parse("192.0.2.1 ; x\r\n192.0.2.1\r"), parse("192.0.2.1"));
}

#[test]
fn other_formats_are_refused_with_help() {
    for (list, part) in [
        ("{\"cidr\":\"192.0.2.0/24\",\"id\":\"x\"}", "jq -r .cidr"),
        ("[\n\"192.0.2.1\"\n]", "jq -r .cidr"),
        ("[\"192.0.2.1\", \"x\"]", "jq -r .cidr"),
        ("elements = { 192.0.2.1, x }", "nftables"),
        ("192.0.2.1 timeout 1h expires 59m, x", "nftables"),
        ("table inet filter {", "nftables"),
        ("0.0.0.0 255.255.255.255", "netmask or the end of a range"),
        ("add x 192.0.2.1 timeout", "timeout SECONDS"),
    ] {
        let said = report(list);
        assert!(said.contains(part), "{list}: {said}");
    }
}

#[test]
fn what_cannot_be_seen_is_shown_as_an_escape() {
    let said = report("192.0.2.0/25\u{a0} \n192.0.2.3\u{200b}\n");
    assert!(
        said.contains("invalid address `192.0.2.0/25\\u{a0}`"),
        "{said}"
    );
    assert!(said.contains("2 | 192.0.2.3\\u{200b}\n"), "{said}");
    let said = report("203.0.113.82 1h a\u{1b}[2Jb\n\u{202e}x\n");
    assert!(!said.contains(['\u{1b}', '\u{202e}']), "{said}");
}

#[test]
fn a_line_of_any_length_is_shown_in_part() {
    let said = report(&"1".repeat(1 << 20));
    assert!(said.len() < 1000, "{}", said.len());
    assert!(said.contains("longer than 4096 bytes"), "{said}");
    // A comment may be long.
    let long = format!("# {}\n192.0.2.1 # {}\n", "x".repeat(9000), "y".repeat(9000));
    assert_eq!(parse(long), parse("192.0.2.1"));
}
