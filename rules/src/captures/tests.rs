//! Files written by hand.

use std::io;

use super::*;

/// A classic file with these frames, of which as many bytes as that were captured.
fn classic(magic: u32, word: fn(u32) -> [u8; 4], link: u32, frames: &[(&[u8], u32)]) -> Vec<u8> {
    let version = if word(1) == [0, 0, 0, 1] {
        0x0002_0004
    } else {
        0x0004_0002
    };
    let head = [magic, version, 0, 0, 65_535, link];
    let mut bytes: Vec<u8> = head.into_iter().flat_map(word).collect();
    for (frame, length) in frames {
        let captured = frame.len() as u32;
        bytes.extend([0, 0, captured, *length].map(word).concat());
        bytes.extend(*frame);
    }
    bytes
}

const MICROSECONDS: u32 = 0xa1b2_c3d4;
const NANOSECONDS: u32 = 0xa1b2_3c4d;

fn of_link(link: u32, packet: &[u8]) -> Vec<Result<Frame, CaptureError>> {
    let length = packet.len() as u32;
    read(&classic(
        MICROSECONDS,
        u32::to_le_bytes,
        link,
        &[(packet, length)],
    ))
}

fn read(bytes: &[u8]) -> Vec<Result<Frame, CaptureError>> {
    frames(bytes).map_or_else(|error| vec![Err(error)], Iterator::collect)
}

/// A block of pcapng around this body.
fn block(word: fn(u32) -> [u8; 4], kind: u32, body: &[u8]) -> Vec<u8> {
    let mut padded = body.to_vec();
    padded.resize(body.len().next_multiple_of(4), 0);
    let length = word(padded.len() as u32 + 12);
    [&word(kind)[..], &length, &padded, &length].concat()
}

fn section(word: fn(u32) -> [u8; 4]) -> Vec<u8> {
    let version = if word(1) == [0, 0, 0, 1] {
        0x0001_0000
    } else {
        1
    };
    let body = [0x1a2b_3c4d, version, u32::MAX, u32::MAX].map(word);
    block(word, 0x0a0d_0d0a, &body.concat())
}

fn interface(word: fn(u32) -> [u8; 4], link: u16) -> Vec<u8> {
    let half = if word(1) == [0, 0, 0, 1] {
        u32::from(link) << 16
    } else {
        link.into()
    };
    block(word, 1, &[half, 0].map(word).concat())
}

fn packet(word: fn(u32) -> [u8; 4], interface: u32, bytes: &[u8]) -> Vec<u8> {
    let length = bytes.len() as u32;
    let head = [interface, 0, 0, length, length].map(word).concat();
    block(word, 6, &[&head, bytes].concat())
}

#[test]
fn frames_are_read_in_either_byte_order_and_resolution_of_time() {
    for word in [u32::to_be_bytes, u32::to_le_bytes] {
        for magic in [MICROSECONDS, NANOSECONDS] {
            let bytes = classic(magic, word, 1, &[(b"first frame", 11), (b"second", 60)]);
            let [Ok(first), Ok(second)] = &read(&bytes)[..] else {
                panic!("{:?}", read(&bytes));
            };
            assert_eq!((first.number, &first.bytes[..]), (1, &b"first frame"[..]));
            assert!(first.is_whole() && !second.is_whole());
            let cut = &bytes[..bytes.len() - 1];
            let damaged = CaptureError::Damaged { number: 1 };
            assert_eq!(read(cut).pop(), Some(Err(damaged)));
        }
    }
}

/// An interface of this name, padded to whole words.
fn named(word: fn(u32) -> [u8; 4], name: &str) -> Vec<u8> {
    let is_big = word(1) == [0, 0, 0, 1];
    let half = |value: u16| match is_big {
        true => value.to_be_bytes(),
        false => value.to_le_bytes(),
    };
    let mut padded = name.as_bytes().to_vec();
    padded.resize(name.len().next_multiple_of(4), 0);
    let head = [half(1), half(0)].concat();
    let option = [half(2), half(name.len() as u16)].concat();
    let body = [&head[..], &word(0), &option, &padded, &word(0)].concat();
    block(word, 1, &body)
}

#[test]
fn a_frame_has_the_name_of_its_interface() {
    for word in [u32::to_be_bytes, u32::to_le_bytes] {
        let bytes = [
            section(word),
            named(word, "eth1"),
            interface(word, 1),
            named(word, "wlan0\0\0"),
            packet(word, 2, b"a"),
            packet(word, 0, b"b"),
            packet(word, 1, b"c"),
            section(word),
            named(word, ""),
            packet(word, 0, b"d"),
        ]
        .concat();
        let frames = read(&bytes).into_iter().map(Result::unwrap);
        let names: Vec<_> = frames.map(|frame| frame.interface).collect();
        let names: Vec<Option<&str>> = names.iter().map(Option::as_deref).collect();
        assert_eq!(names, [Some("wlan0"), Some("eth1"), None, None]);
    }
}

#[test]
fn an_error_of_the_system_is_in_words_alone() {
    struct Broken;

    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::from_raw_os_error(5))
        }
    }

    let error = frames(Broken).err().unwrap();
    assert_eq!(
        error.to_string(),
        "it cannot be read after packet 0: Input/output error"
    );
}

#[test]
fn blocks_of_pcapng_are_read_in_either_byte_order_and_unknown_ones_skipped() {
    for word in [u32::to_be_bytes, u32::to_le_bytes] {
        let bytes = [
            section(word),
            interface(word, 1),
            block(word, 0x0bad_cafe, &[7; 1000]),
            interface(word, 127),
            packet(word, 0, b"abcd"),
            packet(word, 1, b"of radio"),
            packet(word, 0, b"efghi"),
            // A simple packet, of the first interface.
            block(word, 3, &[&word(3)[..], b"jkl"].concat()),
            section(word),
            interface(word, 101),
            packet(word, 0, &[0x60]),
        ]
        .concat();
        let frame = |number, bytes: &[u8]| {
            Ok(Frame {
                number,
                bytes: bytes.to_vec(),
                length: bytes.len(),
                interface: None,
            })
        };
        let expected = [
            frame(1, b"abcd"),
            Err(CaptureError::NotEthernet {
                number: 2,
                link: 127,
            }),
            frame(3, b"efghi"),
            frame(4, b"jkl"),
            frame(5, &[&[0; 12], &[0x86, 0xdd, 0x60][..]].concat()),
        ];
        assert_eq!(read(&bytes), expected);
    }
}

#[test]
fn packets_of_other_links_become_ethernet_frames() {
    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
    let v4: &[u8] = &[0x45, 1, 2, 3];
    let v6: &[u8] = &[0x60, 1, 2, 3];
    let none = [0; 6];
    let frame = |mac: &[u8; 6], ethertype: [u8; 2], payload: &[u8]| {
        [&[0; 6], &mac[..], &ethertype, payload].concat()
    };
    let cooked =
        |protocol: [u8; 2]| [&[0, 0, 0, 1, 0, 6], &MAC[..], &[0, 0], &protocol, v4].concat();
    let cooked2 = |length: u8| {
        let head = [0x08, 0, 0, 0, 0, 0, 0, 9, 0, 1, 0, length];
        [&head, &MAC[..], &[0, 0], v4].concat()
    };
    let of_family = |family: [u8; 4], packet: &[u8]| [&family, packet].concat();
    for (link, packet, expected) in [
        (101, v4.to_vec(), frame(&none, [0x08, 0], v4)),
        (101, v6.to_vec(), frame(&none, [0x86, 0xdd], v6)),
        (12, v6.to_vec(), frame(&none, [0x86, 0xdd], v6)),
        (228, v6.to_vec(), frame(&none, [0x08, 0], v6)),
        (229, v4.to_vec(), frame(&none, [0x86, 0xdd], v4)),
        (0, of_family([2, 0, 0, 0], v4), frame(&none, [0x08, 0], v4)),
        (
            0,
            of_family([0, 0, 0, 30], v6),
            frame(&none, [0x86, 0xdd], v6),
        ),
        (
            108,
            of_family([0, 0, 0, 2], v4),
            frame(&none, [0x08, 0], v4),
        ),
        (
            108,
            of_family([0, 0, 0, 24], v6),
            frame(&none, [0x86, 0xdd], v6),
        ),
        (113, cooked([0x08, 0]), frame(&MAC, [0x08, 0], v4)),
        (113, cooked([0, 4]), frame(&MAC, [0, 4], v4)),
        (276, cooked2(6), frame(&MAC, [0x08, 0], v4)),
        (276, cooked2(0), frame(&none, [0x08, 0], v4)),
        (51, v4.to_vec(), frame(&none, [0x88, 0x64], v4)),
        // Cut off in its header.
        (113, vec![0; 15], Vec::new()),
    ] {
        let [Ok(found)] = &of_link(link, &packet)[..] else {
            panic!("{link}: {:?}", of_link(link, &packet));
        };
        assert_eq!(found.bytes, expected, "{link}");
        assert_eq!(found.is_whole(), !expected.is_empty(), "{link}");
    }
    for (link, packet) in [(0, of_family([7, 0, 0, 0], v4)), (113, cooked([0, 12]))] {
        let link_number = link as i32;
        let foreign = CaptureError::NotEthernet {
            number: 1,
            link: link_number,
        };
        assert_eq!(of_link(link, &packet), [Err(foreign)]);
    }
}

#[test]
fn frame_check_sequences_that_the_file_says_there_are_are_left_out() {
    // Two pairs of bytes, and a bit of whoever wrote it between.
    let frames = of_link(0x2404_0001, b"frame and CRC4");
    let [Ok(frame)] = &frames[..] else {
        panic!("{frames:?}");
    };
    assert_eq!(frame.bytes, b"frame and ");
    assert!(frame.is_whole());
    // Captured in part: what there is belongs to the frame.
    let bytes = classic(
        MICROSECONDS,
        u32::to_le_bytes,
        0x2400_0001,
        &[(b"frame", 20)],
    );
    let [Ok(frame)] = &read(&bytes)[..] else {
        panic!("{:?}", read(&bytes));
    };
    assert_eq!((&frame.bytes[..], frame.length), (&b"frame"[..], 16));
}

#[test]
fn a_file_without_packets_is_none_and_other_files_are_refused() {
    assert_eq!(read(b""), []);
    assert_eq!(read(&classic(MICROSECONDS, u32::to_le_bytes, 1, &[])), []);
    assert_eq!(read(&section(u32::to_le_bytes)), []);
    for text in [&b"# text, and not little of it"[..], b"short"] {
        assert_eq!(read(text), [Err(CaptureError::NoCapture)]);
    }
    // An endless first block.
    let mut endless = section(u32::to_le_bytes);
    endless[4..8].copy_from_slice(&[0xff; 4]);
    assert_eq!(read(&endless), [Err(CaptureError::NoCapture)]);
    let foreign = CaptureError::NotEthernet {
        number: 1,
        link: 105,
    };
    assert_eq!(of_link(105, b"802.11"), [Err(foreign)]);
    // A packet of an interface that the file has not named.
    let bytes = [section(u32::to_le_bytes), packet(u32::to_le_bytes, 0, b"a")].concat();
    assert_eq!(read(&bytes), [Err(CaptureError::Damaged { number: 0 })]);
}

/// A file that comes in pieces of a byte, and at its end an error.
struct Pieces<'a>(&'a [u8], bool);

impl Read for Pieces<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Some((first, rest)) = self.0.split_first() else {
            return if self.1 {
                Err(io::Error::other("the disk is gone"))
            } else {
                Ok(0)
            };
        };
        let Some(place) = into.first_mut() else {
            return Ok(0);
        };
        (*place, self.0) = (*first, rest);
        Ok(1)
    }
}

#[test]
fn pieces_of_a_file_are_put_together_and_a_failure_is_passed_on() {
    let word = u32::to_le_bytes;
    let classic = classic(MICROSECONDS, word, 1, &[(b"first", 5), (b"second", 6)]);
    let ng = [section(word), interface(word, 1), packet(word, 0, b"abcd")].concat();
    for (file, count) in [(classic, 2), (ng, 1)] {
        let all: Vec<_> = frames(Pieces(&file, false)).unwrap().collect();
        assert_eq!(all, read(&file));
        let all: Vec<_> = frames(Pieces(&file, true)).unwrap().collect();
        let failure = CaptureError::Unreadable {
            number: count,
            reason: "the disk is gone".to_owned(),
        };
        assert_eq!(all.last(), Some(&Err(failure)));
        assert_eq!(all.len(), count + 1);
    }
}

#[test]
fn blocks_of_megabytes_are_read_and_endless_ones_are_damage() {
    let word = u32::to_le_bytes;
    let long = vec![7; 3_000_000];
    let bytes = [
        section(word),
        interface(word, 1),
        packet(word, 0, &long),
        block(word, 0x0bad_cafe, &long),
        packet(word, 0, b"abcd"),
    ]
    .concat();
    let lengths: Vec<_> = read(&bytes)
        .into_iter()
        .map(|frame| frame.map(|frame| frame.bytes.len()))
        .collect();
    assert_eq!(lengths, [Ok(3_000_000), Ok(4)]);
    let mut endless = [section(word), interface(word, 1), packet(word, 0, b"abcd")].concat();
    let at = endless.len();
    endless.extend(block(word, 0x0bad_cafe, &[0; 100]));
    endless[at + 4..at + 8].copy_from_slice(&0xffff_fff0_u32.to_le_bytes());
    endless.resize(1 << 20, 0);
    let damaged = CaptureError::Damaged { number: 1 };
    assert_eq!(read(&endless).pop(), Some(Err(damaged)));
}
