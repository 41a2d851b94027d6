//! Distinct packets.

use std::collections::HashSet;

use crate::tuple::Tuple;

/// The number of consecutive duplicates after which the stream ends.
const PATIENCE: u32 = 10_000;

/// The packets of a stream without duplicates. Ends with the stream, or when new packets become too
/// rare.
pub fn distinct(packets: impl Iterator<Item = Tuple>) -> impl Iterator<Item = Tuple> {
    let mut known = HashSet::new();
    let mut packets = packets.fuse();
    std::iter::from_fn(move || {
        (0..PATIENCE)
            .map_while(|_| packets.next())
            .find(|packet| known.insert(*packet))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rulesets::{
        AddressList, Family, Index, PortRange, Prefix, Rule, RuleSet, Verdict, generate,
        stream::{Listed, Pattern, Stream},
    };

    #[test]
    fn no_packet_comes_twice() {
        let list = generate::addresses(10, Family::V4, 1);
        let listed = Listed::new(&list);
        let stream = Stream::new(&listed, Pattern::Uniform, 1);
        let packets: Vec<_> = distinct(stream).take(50_000).collect();
        let different: HashSet<_> = packets.iter().collect();
        assert_eq!((packets.len(), different.len()), (50_000, 50_000));
    }

    #[test]
    fn there_are_as_many_as_rules_leave() {
        let host = Prefix::host([192, 0, 2, 1].into());
        let rule = Rule {
            dst: host,
            protocol: Some(17),
            sport: PortRange::new(1, 500).unwrap(),
            dport: PortRange::single(53),
            ..Rule::of_source(host, Verdict::Drop)
        };
        let set = RuleSet {
            rules: vec![rule],
            default: Verdict::Drop,
        };
        let index = Index::new(&set);
        let stream = Stream::new(&index, Pattern::Uniform, 1);
        assert_eq!(distinct(stream).count(), 500);
    }

    #[test]
    fn a_stream_that_ends_is_not_waited_for() {
        let nothing = AddressList::default();
        let nothing = Listed::new(&nothing);
        let stream = Stream::new(&nothing, Pattern::Uniform, 1);
        assert_eq!(distinct(stream).count(), 0);
    }
}
