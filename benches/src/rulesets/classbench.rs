//! Filter files of ClassBench (D. Taylor and J. Turner, "ClassBench: A Packet Classification
//! Benchmark", 2007).
//!
//! A line is a rule, `@src/length dst/length sport : sport dport : dport protocol/mask flags/mask`,
//! numbers with the prefix `0x` are hexadecimal. The flags word has the TCP flags in its high byte,
//! so that 0x1000/0x1000 is ACK set and 0x0000/0x0200 SYN clear; in other protocols it means
//! something else (in ICMP the type) and is ignored. So are ports of a protocol without ports: the
//! generators give them to IGMP and others.
//!
//! The files contain no verdicts. Rules get those of [`Verdict::of_index`].

use std::path::Path;

use super::{
    Fault, FlagMatch, PortRange, Prefix, ReadError, Rule, RuleSet, Verdict,
    text::{Words, lines, read},
};

/// Reads a filter file, plain or compressed with gzip.
///
/// # Errors
///
/// When the file cannot be read, or a line is not a rule.
pub fn read_rules(path: &Path, default: Verdict) -> Result<RuleSet, ReadError> {
    parse_rules(&read(path)?, path, default)
}

/// Reads the text of a filter file; errors name it `path`.
///
/// # Errors
///
/// When a line is not a rule.
pub fn parse_rules(text: &str, path: &Path, default: Verdict) -> Result<RuleSet, ReadError> {
    let rules = lines(text, path, rule)?;
    let mut set = RuleSet { rules, default };
    set.spread_verdicts();
    Ok(set)
}

fn rule(words: &mut Words<'_>) -> Result<Rule, Fault> {
    let src = words.parse("source prefix behind `@`", |word| {
        prefix(word.strip_prefix('@')?)
    })?;
    let dst = words.parse("destination prefix", prefix)?;
    let sport = port_range(words, "source port")?;
    let dport = port_range(words, "destination port")?;
    let (number, mask) = words.parse("protocol and mask", pair::<u8>)?;
    let protocol = match mask {
        0 => None,
        u8::MAX => Some(number),
        _ => return Err(Fault::invalid("protocol mask", &format!("{mask:#x}"))),
    };
    // Some generators leave the flags out.
    let flags = words.optional("flags and mask", pair::<u16>)?;
    let (flags, mask) = flags.unwrap_or((0, 0));
    let rule = Rule {
        src,
        dst,
        protocol,
        sport,
        dport,
        tcp_flags: FlagMatch::new(high_byte(flags), high_byte(mask)),
        verdict: Verdict::Drop,
    };
    Ok(rule.without_absent_fields())
}

fn prefix(word: &str) -> Option<Prefix> {
    let (address, length) = word.split_once('/')?;
    Prefix::new(address.parse().ok()?, length.parse().ok()?)
}

fn port_range(words: &mut Words<'_>, field: &'static str) -> Result<PortRange, Fault> {
    let first = words.parse(field, |word| word.parse().ok())?;
    words.parse("`:` between ports", |word| (word == ":").then_some(()))?;
    let last = words.next(field)?;
    let range = last
        .parse()
        .ok()
        .and_then(|last| PortRange::new(first, last));
    range.ok_or_else(|| Fault::invalid(field, last))
}

/// Two hexadecimal numbers with the prefix `0x`, separated by `/`.
fn pair<T: TryFrom<u32>>(word: &str) -> Option<(T, T)> {
    let number = |text: &str| {
        let digits = text.strip_prefix("0x")?;
        T::try_from(u32::from_str_radix(digits, 16).ok()?).ok()
    };
    let (value, mask) = word.split_once('/')?;
    Some((number(value)?, number(mask)?))
}

const fn high_byte(word: u16) -> u8 {
    word.to_be_bytes()[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{protocol, tcp_flags};

    fn parse(text: &str) -> Result<RuleSet, ReadError> {
        parse_rules(text, Path::new("acl1"), Verdict::Drop)
    }

    #[test]
    fn a_rule_is_read_with_all_its_fields() {
        let text = "@192.0.2.0/25\t198.51.100.7/32\t0 : 65535\t1024 : 2048\t0x06/0xFF\t\
                    0x0200/0x1200\t\n";
        let rule = parse(text).unwrap().rules[0];
        assert_eq!(rule.src.to_string(), "192.0.2.0/25");
        assert_eq!(rule.dst.to_string(), "198.51.100.7/32");
        assert!(rule.sport.is_any());
        assert_eq!((rule.dport.first(), rule.dport.last()), (1024, 2048));
        assert_eq!(rule.protocol, Some(protocol::TCP));
        assert_eq!(rule.tcp_flags.set(), tcp_flags::SYN);
        assert_eq!(rule.tcp_flags.clear(), tcp_flags::ACK);
    }

    #[test]
    fn fields_that_a_protocol_lacks_are_left_out() {
        let text = "@0.0.0.0/0 0.0.0.0/0 25 : 25 0 : 65535 0x02/0xFF 0x0000/0x0000\n\
                    @0.0.0.0/0 0.0.0.0/0 0 : 65535 0 : 65535 0x01/0xFF 0x0800/0xff00\n\
                    @0.0.0.0/0 0.0.0.0/0 0 : 65535 0 : 65535 0x00/0x00\n";
        for rule in parse(text).unwrap().rules {
            assert!(rule.sport.is_any() && rule.tcp_flags.is_any());
        }
    }

    #[test]
    fn faults_are_named_with_file_and_line() {
        let good = "@0.0.0.0/0 0.0.0.0/0 0 : 65535 0 : 65535 0x00/0x00 0x0000/0x0000";
        for (from, to, message) in [
            ("@0", "0", "`0.0.0.0/0` is no source prefix behind `@`"),
            (
                " 0.0.0.0/0",
                " 0.0.0.0/33",
                "`0.0.0.0/33` is no destination prefix",
            ),
            (
                "0 : 65535 0 :",
                "0 : 65536 0 :",
                "`65536` is no source port",
            ),
            ("0 : 65535 0x", "9 : 8 0x", "`8` is no destination port"),
            (" : ", " - ", "`-` is no `:` between ports"),
            ("0x00/0x00 ", "0x00/0x0f ", "`0xf` is no protocol mask"),
            ("0x00/0x00 ", "6/255 ", "`6/255` is no protocol and mask"),
            (
                "0x0000/0x0000",
                "0x0000/0x10000",
                "`0x0000/0x10000` is no flags and mask",
            ),
            (
                "0x0000/0x0000",
                "0x0/0x0 7",
                "nothing is expected before `7`",
            ),
            (
                "0x00/0x00 0x0000/0x0000",
                "",
                "the protocol and mask is missing",
            ),
        ] {
            let text = format!("{good}\n\n{}\n", good.replacen(from, to, 1));
            let error = parse(&text).unwrap_err().to_string();
            assert_eq!(error, format!("acl1:3: {message}"));
        }
    }
}
