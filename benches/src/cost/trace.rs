//! Traces of packets: read from a file, or drawn at random.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context as _, Result, ensure};

use crate::{packet::protocol, random::Random, tuple::Tuple};

/// Reads a trace in the format of ClassBench: one packet a line, with source address, destination
/// address, source port, destination port and protocol, in decimal, separated by tabs; then maybe
/// TCP flags as `flags/mask`, then maybe the number of the rule that matches.
///
/// # Errors
///
/// If a line is not understood, or there is none.
pub fn read(text: &str) -> Result<Vec<Tuple>> {
    let lines = text.lines().enumerate();
    let packets = lines
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(number, line)| {
            packet(line)
                .with_context(|| format!("line {} is no packet of a trace: `{line}`", number + 1))
        })
        .collect::<Result<Vec<_>>>()?;
    ensure!(!packets.is_empty(), "the trace is empty");
    Ok(packets)
}

fn packet(line: &str) -> Option<Tuple> {
    let mut words = line.split_whitespace();
    let mut number = || words.next()?.parse::<u32>().ok();
    let (src, dst) = (Ipv4Addr::from(number()?), Ipv4Addr::from(number()?));
    let sport = u16::try_from(number()?).ok()?;
    let dport = u16::try_from(number()?).ok()?;
    let protocol = u8::try_from(number()?).ok()?;
    let flags = words.next().and_then(|word| word.split_once('/'));
    let tcp_flags = match flags {
        Some((value, mask)) => (flags_of(value)? & flags_of(mask)?).to_le_bytes()[0],
        None => 0,
    };
    Some(Tuple {
        src: src.into(),
        dst: dst.into(),
        protocol,
        sport,
        dport,
        tcp_flags,
    })
}

fn flags_of(word: &str) -> Option<u16> {
    match word.strip_prefix("0x") {
        Some(digits) => u16::from_str_radix(digits, 16).ok(),
        None => word.parse().ok(),
    }
}

/// Draws packets uniformly: each field takes every value, the protocol is TCP or UDP, and the
/// family one or the other.
#[must_use]
pub fn random(count: usize, seed: u64) -> Vec<Tuple> {
    let mut random = Random::new(seed);
    let packets = std::iter::repeat_with(|| {
        let fields = random.number();
        let [s0, s1, d0, d1, flags, choice, ..] = fields.to_le_bytes();
        let (is_tcp, is_ipv4) = (choice & 1 == 0, choice & 2 == 0);
        let mut address = || -> IpAddr {
            let number = u128::from(random.number()) << 64 | u128::from(random.number());
            if is_ipv4 {
                Ipv4Addr::from((number >> 96) as u32).into()
            } else {
                Ipv6Addr::from(number).into()
            }
        };
        Tuple {
            src: address(),
            dst: address(),
            protocol: if is_tcp { protocol::TCP } else { protocol::UDP },
            sport: u16::from_le_bytes([s0, s1]),
            dport: u16::from_le_bytes([d0, d1]),
            tcp_flags: if is_tcp { flags } else { 0 },
        }
    });
    packets.take(count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_with_and_without_flags() {
        let expected = Tuple {
            src: Ipv4Addr::new(192, 0, 2, 1).into(),
            dst: Ipv4Addr::new(198, 51, 100, 2).into(),
            protocol: 6,
            sport: 1234,
            dport: 80,
            tcp_flags: 0,
        };
        let with_flags = Tuple {
            tcp_flags: 0x12,
            ..expected
        };
        let fields = "3221225985\t3325256706\t1234\t80\t6";
        for (rest, packet) in [
            ("", expected),
            ("\t7", expected),
            ("\t0x1012/0x00ff\t7", with_flags),
            ("\t18/255\t7", with_flags),
        ] {
            assert_eq!(read(&format!("{fields}{rest}\n")).unwrap(), [packet]);
        }
    }

    #[test]
    fn other_lines_are_refused_with_their_number() {
        let error = read("1\t2\t3\t4\t6\nnonsense\n").unwrap_err();
        assert!(error.to_string().contains("line 2"));
        read("1\t2\t65536\t4\t6\n").unwrap_err();
        read("\n").unwrap_err();
    }

    #[test]
    fn random_packets_are_the_same_for_a_seed() {
        let packets = random(1000, 1);
        assert_eq!(packets, random(1000, 1));
        assert_ne!(packets, random(1000, 2));
        let ipv4 = packets.iter().filter(|packet| packet.src.is_ipv4()).count();
        assert!((400..600).contains(&ipv4));
        assert!(packets.iter().all(|packet| packet.packet().is_some()));
    }
}
