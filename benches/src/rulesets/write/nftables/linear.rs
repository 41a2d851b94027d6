//! Scripts with one rule after the other.

use std::fmt::{self, Write as _};

use super::table::{Counters, Hook, table, word};
use crate::{
    packet::tcp_flags,
    rulesets::{Family, FlagMatch, PortRange, Rule, RuleSet},
};

/// The flags with their names in nft.
const FLAGS: [(&str, u8); 8] = [
    ("fin", tcp_flags::FIN),
    ("syn", tcp_flags::SYN),
    ("rst", tcp_flags::RST),
    ("psh", tcp_flags::PSH),
    ("ack", tcp_flags::ACK),
    ("urg", tcp_flags::URG),
    ("ecn", tcp_flags::ECE),
    ("cwr", tcp_flags::CWR),
];

/// The script of a rule set as a chain of its rules, in order.
#[must_use]
pub fn linear(set: &RuleSet, hook: Hook<'_>, counters: Counters) -> String {
    table(hook, set.default, counters, "", |text| {
        set.rules
            .iter()
            .try_for_each(|rule| write_rule(text, rule, counters))
    })
}

fn write_rule(text: &mut String, rule: &Rule, counters: Counters) -> fmt::Result {
    let Rule {
        src,
        dst,
        protocol,
        sport,
        dport,
        tcp_flags,
        verdict,
    } = rule;
    let (ip, ethertype) = match src.family() {
        Family::V4 => ("ip", "ip"),
        Family::V6 => ("ip6", "ip6"),
    };
    if src.is_any() && dst.is_any() {
        write!(text, "meta protocol {ethertype} ")?;
    }
    for (key, prefix) in [("saddr", src), ("daddr", dst)] {
        if !prefix.is_any() {
            write!(text, "{ip} {key} {prefix} ")?;
        }
    }
    if let Some(number) = protocol {
        write!(text, "meta l4proto {number} ")?;
    } else if !tcp_flags.is_any() {
        text.push_str("meta l4proto tcp ");
    } else if !sport.is_any() || !dport.is_any() {
        text.push_str("meta l4proto { tcp, udp, dccp, sctp, udplite } ");
    }
    write_ports(text, "sport", *sport)?;
    write_ports(text, "dport", *dport)?;
    write_flags(text, *tcp_flags)?;
    writeln!(text, "{}{}", counters.statement(), word(*verdict))
}

fn write_ports(text: &mut String, key: &str, ports: PortRange) -> fmt::Result {
    if ports.is_any() {
        Ok(())
    } else if ports.is_single() {
        write!(text, "th {key} {} ", ports.first())
    } else {
        write!(text, "th {key} {}-{} ", ports.first(), ports.last())
    }
}

fn write_flags(text: &mut String, flags: FlagMatch) -> fmt::Result {
    if flags.is_any() {
        return Ok(());
    }
    let names = |bits: u8| {
        let set = FLAGS.iter().filter(|(_, bit)| bits & bit != 0);
        set.map(|(name, _)| *name).collect::<Vec<_>>().join("|")
    };
    let value = match flags.set() {
        0 => "0x0".to_owned(),
        set => format!("({})", names(set)),
    };
    write!(text, "tcp flags & ({}) == {value} ", names(flags.mask()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rulesets::{Prefix, Verdict};

    #[test]
    fn rules_ask_for_what_they_need() {
        let open = Rule::of_source(Prefix::any(Family::V4), Verdict::Drop);
        let network = Prefix::new([192, 0, 2, 0].into(), 24).unwrap();
        let flags = FlagMatch::new(0x02, 0x12);
        let clear = FlagMatch::new(0x00, 0x02);
        let ssh = PortRange::single(22);
        let high = PortRange::HIGH;
        for (rule, text) in [
            (open, "meta protocol ip drop"),
            (
                Rule {
                    dst: network,
                    ..open
                },
                "ip daddr 192.0.2.0/24 drop",
            ),
            (
                Rule::of_source(Prefix::any(Family::V6), Verdict::Pass),
                "meta protocol ip6 accept",
            ),
            (
                Rule {
                    src: network,
                    protocol: Some(6),
                    dport: ssh,
                    tcp_flags: flags,
                    ..open
                },
                "ip saddr 192.0.2.0/24 meta l4proto 6 th dport 22 tcp flags & (syn|ack) == (syn) \
                 drop",
            ),
            (
                Rule {
                    tcp_flags: clear,
                    ..open
                },
                "meta protocol ip meta l4proto tcp tcp flags & (syn) == 0x0 drop",
            ),
            (
                Rule {
                    sport: high,
                    ..open
                },
                "meta protocol ip meta l4proto { tcp, udp, dccp, sctp, udplite } th sport \
                 1024-65535 drop",
            ),
        ] {
            let set = RuleSet {
                rules: vec![rule],
                default: Verdict::Pass,
            };
            let script = linear(&set, Hook::Prerouting, Counters::None);
            let expected = format!(
                "table inet bench {{\nchain rules {{\ntype filter hook prerouting priority raw; \
                 policy accept;\n{text}\n}}\n}}\n"
            );
            assert_eq!(script, expected);
        }
    }
}
