//! Rule sets and packets in the format of ClassBench, as [`classbench`](crate::rulesets::classbench)
//! and [`trace`](crate::rulesets::trace) read it.

use std::{fmt::Write as _, net::IpAddr};

use crate::rulesets::{Rule, RuleSet, trace::TraceEntry};

/// The filter file of a rule set, without its verdicts, which the format does not have.
#[must_use]
pub fn rules(set: &RuleSet) -> String {
    let mut text = String::new();
    for rule in &set.rules {
        let Rule {
            src,
            dst,
            protocol,
            sport,
            dport,
            tcp_flags,
            verdict: _,
        } = rule;
        let (number, mask) = protocol.map_or((0, 0), |number| (number, u8::MAX));
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "@{src}\t{dst}\t{} : {}\t{} : {}\t{number:#04x}/{mask:#04x}\t{:#04x}00/{:#04x}00",
            sport.first(),
            sport.last(),
            dport.first(),
            dport.last(),
            tcp_flags.set(),
            tcp_flags.mask()
        );
    }
    text
}

/// The trace file of packets; IPv6 packets, which the format does not support, are left out.
#[must_use]
pub fn trace(entries: &[TraceEntry]) -> String {
    let mut text = String::new();
    for TraceEntry { tuple, rule } in entries {
        let (IpAddr::V4(src), IpAddr::V4(dst)) = (tuple.src, tuple.dst) else {
            continue;
        };
        let flags = u32::from_be_bytes([tuple.tcp_flags, 0, 0, 0]);
        let _ = write!(
            text,
            "{}\t{}\t{}\t{}\t{}\t{flags}",
            u32::from(src),
            u32::from(dst),
            tuple.sport,
            tuple.dport,
            tuple.protocol
        );
        if let Some(rule) = rule {
            let _ = write!(text, "\t{rule}");
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::rulesets::{
        Family, Verdict, classbench,
        generate::{FilterKind, rule_set},
        stream::{Pattern, Stream},
        trace::parse_trace,
    };

    #[test]
    fn what_is_written_is_read_back() {
        for kind in FilterKind::ALL {
            let set = rule_set(kind, Family::V4, 1000, Verdict::Drop, 1);
            let read = classbench::parse_rules(&rules(&set), Path::new("rules"), Verdict::Drop);
            assert_eq!(read.unwrap(), set);
            let index = crate::rulesets::Index::new(&set);
            let packets = Stream::new(&index, Pattern::Uniform, 1).take(1000);
            let entries: Vec<_> = (0..)
                .zip(packets)
                .map(|(number, tuple)| TraceEntry {
                    tuple,
                    rule: (number % 2 == 0).then_some(number),
                })
                .collect();
            assert_eq!(
                parse_trace(&trace(&entries), Path::new("trace")).unwrap(),
                entries
            );
        }
    }
}
