//! A rule that every packet filter can express.

use super::{
    FlagMatch, Prefix, Verdict,
    ports::{PortRange, has_ports},
};
use crate::{packet::protocol, tuple::Tuple};

/// The conditions of a rule on packets, and its verdict.
///
/// The fields are ANDed. Source and destination are of one family, which is that of the packets
/// that match. A port range other than [`PortRange::ANY`] matches only packets that have ports, and
/// a condition on flags matches only TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// The source addresses.
    pub src: Prefix,
    /// The destination addresses.
    pub dst: Prefix,
    /// The L4 protocol number; `None` for any.
    pub protocol: Option<u8>,
    /// The source ports.
    pub sport: PortRange,
    /// The destination ports.
    pub dport: PortRange,
    /// The TCP flags.
    pub tcp_flags: FlagMatch,
    /// The verdict on a packet that matches.
    pub verdict: Verdict,
}

impl Rule {
    /// The rule that matches every packet from `src`.
    #[must_use]
    pub fn of_source(src: Prefix, verdict: Verdict) -> Self {
        Self {
            src,
            dst: Prefix::any(src.family()),
            protocol: None,
            sport: PortRange::ANY,
            dport: PortRange::ANY,
            tcp_flags: FlagMatch::ANY,
            verdict,
        }
    }

    /// Whether a packet with these fields matches.
    #[must_use]
    pub fn matches(&self, tuple: &Tuple) -> bool {
        let ports = has_ports(tuple.protocol);
        self.src.contains(tuple.src)
            && self.dst.contains(tuple.dst)
            && self.protocol.is_none_or(|number| number == tuple.protocol)
            && (self.sport.is_any() || ports && self.sport.contains(tuple.sport))
            && (self.dport.is_any() || ports && self.dport.contains(tuple.dport))
            && (self.tcp_flags.is_any()
                || tuple.protocol == protocol::TCP && self.tcp_flags.contains(tuple.tcp_flags))
    }

    /// The rule without conditions on fields that its protocol does not have: ports, or TCP flags
    /// for protocols other than TCP. With them, the rule could not match.
    #[must_use]
    pub(super) fn without_absent_fields(mut self) -> Self {
        if self.protocol.is_some_and(|number| !has_ports(number)) {
            self.sport = PortRange::ANY;
            self.dport = PortRange::ANY;
        }
        if self.protocol.is_some_and(|number| number != protocol::TCP) {
            self.tcp_flags = FlagMatch::ANY;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::tcp_flags;

    fn tuple(protocol: u8) -> Tuple {
        Tuple {
            src: [192, 0, 2, 1].into(),
            dst: [198, 51, 100, 1].into(),
            protocol,
            sport: 1,
            dport: 22,
            tcp_flags: tcp_flags::SYN,
        }
    }

    fn open() -> Rule {
        Rule::of_source(
            Prefix::new([192, 0, 2, 0].into(), 24).unwrap(),
            Verdict::Drop,
        )
    }

    #[test]
    fn open_fields_match_packets_that_lack_them() {
        for number in [protocol::TCP, protocol::UDP, protocol::ICMP, protocol::GRE] {
            assert!(open().matches(&tuple(number)));
            let ssh = Rule {
                dport: PortRange::single(22),
                ..open()
            };
            assert_eq!(ssh.matches(&tuple(number)), has_ports(number));
            let telnet = Rule {
                dport: PortRange::single(23),
                ..open()
            };
            assert!(!telnet.matches(&tuple(number)));
            let opening = Rule {
                tcp_flags: FlagMatch::new(tcp_flags::SYN, tcp_flags::SYN | tcp_flags::ACK),
                ..open()
            };
            assert_eq!(opening.matches(&tuple(number)), number == protocol::TCP);
        }
    }

    #[test]
    fn what_a_protocol_does_not_have_is_not_asked_for() {
        let rule = |number| Rule {
            protocol: Some(number),
            dport: PortRange::single(22),
            tcp_flags: FlagMatch::new(0, tcp_flags::ACK),
            ..open()
        };
        for number in [protocol::TCP, protocol::UDP, protocol::ICMP, protocol::GRE] {
            assert!(rule(number).without_absent_fields().matches(&tuple(number)));
        }
        let tcp = rule(protocol::TCP);
        assert_eq!(tcp.without_absent_fields(), tcp);
    }
}
