//! Trace files of ClassBench: packets drawn from the rules of a filter file.
//!
//! A line is `src dst sport dport protocol flags rule`, decimal, where the last two may be missing.
//! The upper half of the flags is a word with the TCP flags in its high byte, the lower half its
//! mask. The rule is the one from which the packet was drawn; an earlier one may match too. If a
//! rule leaves a field open, the packet has its minimum or maximum value.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use super::{
    Fault, ReadError,
    ports::has_ports,
    published::name,
    text::{Words, lines, read},
};
use crate::{packet::protocol, tuple::Tuple};

/// A packet of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceEntry {
    /// The packet.
    pub tuple: Tuple,
    /// The number of the rule from which the packet was drawn, if given.
    pub rule: Option<usize>,
}

/// Reads a trace file, plain or compressed with gzip.
///
/// # Errors
///
/// When the file cannot be read, or a line is not a packet.
pub fn read_trace(path: &Path) -> Result<Vec<TraceEntry>, ReadError> {
    parse_trace(&read(path)?, path)
}

/// Reads the trace beside a filter file, whose name has `_trace` appended; empty if there is none.
///
/// # Errors
///
/// As for [`read_trace`].
pub fn trace_of(rules: &Path) -> Result<Vec<TraceEntry>, ReadError> {
    path_beside(rules).map_or(Ok(Vec::new()), |trace| read_trace(&trace))
}

/// The path of the trace beside a filter file, if there is one.
#[must_use]
pub fn path_beside(rules: &Path) -> Option<PathBuf> {
    let plain = name(rules).trim_end_matches(".gz");
    ["_trace.gz", "_trace"]
        .map(|end| rules.with_file_name(plain.to_owned() + end))
        .into_iter()
        .find(|trace| trace.is_file())
}

/// Reads the text of a trace file; errors name it `path`.
///
/// # Errors
///
/// When a line is not a packet.
pub fn parse_trace(text: &str, path: &Path) -> Result<Vec<TraceEntry>, ReadError> {
    lines(text, path, entry)
}

fn entry(words: &mut Words<'_>) -> Result<TraceEntry, Fault> {
    let address = |word: &str| Some(IpAddr::V4(word.parse::<u32>().ok()?.into()));
    let src = words.parse("source address", address)?;
    let dst = words.parse("destination address", address)?;
    let sport = words.parse("source port", |word| word.parse().ok())?;
    let dport = words.parse("destination port", |word| word.parse().ok())?;
    let number = words.parse("protocol", |word| word.parse().ok())?;
    let flags = words.optional("flags word", |word| word.parse::<u32>().ok())?;
    let rule = words.optional("rule number", |word| word.parse().ok())?;
    let [flags, ..] = flags.unwrap_or(0).to_be_bytes();
    let with_ports = |port| if has_ports(number) { port } else { 0 };
    let tuple = Tuple {
        src,
        dst,
        protocol: number,
        sport: with_ports(sport),
        dport: with_ports(dport),
        tcp_flags: if number == protocol::TCP { flags } else { 0 },
    };
    Ok(TraceEntry { tuple, rule })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<TraceEntry>, ReadError> {
        parse_trace(text, Path::new("trace"))
    }

    #[test]
    fn packets_are_read() {
        let entries = parse(
            "3221225985\t3325256705\t65535\t22\t6\t33559040\t7\n\
             3221225985\t3325256705\t1\t2\t1\t134283008\t8\n\
             3221225985\t3325256705\t1\t2\t1\n",
        )
        .unwrap();
        let tcp = Tuple {
            src: [192, 0, 2, 1].into(),
            dst: [198, 51, 100, 1].into(),
            protocol: 6,
            sport: 65_535,
            dport: 22,
            tcp_flags: 2,
        };
        let icmp = Tuple {
            protocol: 1,
            sport: 0,
            dport: 0,
            tcp_flags: 0,
            ..tcp
        };
        let tuples: Vec<_> = entries
            .iter()
            .map(|entry| (entry.tuple, entry.rule))
            .collect();
        assert_eq!(tuples, [(tcp, Some(7)), (icmp, Some(8)), (icmp, None)]);
    }

    #[test]
    fn faults_are_named_with_file_and_line() {
        for (text, message) in [
            ("1 2 3 4", "trace:1: the protocol is missing"),
            ("\n1 2 3 4 256 6 7", "trace:2: `256` is no protocol"),
            (
                "4294967296 2 3 4 5 6 7",
                "trace:1: `4294967296` is no source address",
            ),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), message);
        }
    }
}
