//! Input of iptables-restore and ip6tables-restore: the chain `PREROUTING` of the table `raw`,
//! before connections are tracked.

use std::fmt::{self, Write as _};

use super::ipset::set_name;
use crate::{
    packet::{protocol, tcp_flags},
    rulesets::{Family, ListPolicy, PortRange, Rule, RuleSet, Verdict},
};

/// The flags with their names in iptables, which does not name the others.
const FLAGS: [(&str, u8); 6] = [
    ("FIN", tcp_flags::FIN),
    ("SYN", tcp_flags::SYN),
    ("RST", tcp_flags::RST),
    ("PSH", tcp_flags::PSH),
    ("ACK", tcp_flags::ACK),
    ("URG", tcp_flags::URG),
];

/// The protocols of a rule with ports but no protocol, which becomes one line for each.
const WITH_PORTS: [u8; 5] = [
    protocol::TCP,
    protocol::UDP,
    protocol::DCCP,
    protocol::SCTP,
    protocol::UDP_LITE,
];

/// A rule that iptables cannot express.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "the rule at index {rule} looks at the TCP flags {flags:#04x}, which iptables does not know"
)]
pub struct UnknownFlags {
    /// The index of the rule.
    pub rule: usize,
    /// The flags that have no name.
    pub flags: u8,
}

/// The rules of one family, for iptables-restore or ip6tables-restore.
///
/// # Errors
///
/// If a rule has a condition on the flags ECE or CWR.
pub fn rules(set: &RuleSet, family: Family) -> Result<String, UnknownFlags> {
    let mut lines = String::with_capacity(set.rules.len() * 80);
    let known = FLAGS.iter().fold(0, |bits, (_, bit)| bits | bit);
    for (index, rule) in set.rules.iter().enumerate() {
        let flags = rule.tcp_flags.mask() & !known;
        if flags != 0 {
            return Err(UnknownFlags { rule: index, flags });
        }
        if rule.src.family() == family {
            // Writing to a string cannot fail.
            let _ = write_rule(&mut lines, rule);
        }
    }
    Ok(chain(set.default, &lines))
}

/// The rule for the set that [`ipset::addresses`](super::ipset::addresses) makes of a list for the
/// family.
#[must_use]
pub fn list(family: Family, policy: ListPolicy) -> String {
    let set = set_name(family);
    let target = target(policy.listed);
    chain(
        policy.others,
        &format!("-A PREROUTING -m set --match-set {set} src -j {target}\n"),
    )
}

fn chain(default: Verdict, lines: &str) -> String {
    let policy = target(default);
    format!("*raw\n:PREROUTING {policy} [0:0]\n{lines}COMMIT\n")
}

const fn target(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "ACCEPT",
        Verdict::Drop => "DROP",
    }
}

fn write_rule(text: &mut String, rule: &Rule) -> fmt::Result {
    let has_open_ports = rule.sport.is_any() && rule.dport.is_any();
    match rule.protocol {
        Some(number) => write_line(text, rule, Some(number)),
        None if !rule.tcp_flags.is_any() => write_line(text, rule, Some(protocol::TCP)),
        None if has_open_ports => write_line(text, rule, None),
        None => WITH_PORTS
            .into_iter()
            .try_for_each(|number| write_line(text, rule, Some(number))),
    }
}

fn write_line(text: &mut String, rule: &Rule, protocol: Option<u8>) -> fmt::Result {
    text.push_str("-A PREROUTING");
    for (option, prefix) in [("-s", rule.src), ("-d", rule.dst)] {
        if !prefix.is_any() {
            write!(text, " {option} {prefix}")?;
        }
    }
    if let Some(number) = protocol {
        write!(text, " -p {number}")?;
    }
    let names_ports = matches!(
        protocol,
        Some(protocol::TCP | protocol::UDP | protocol::SCTP | protocol::DCCP)
    );
    if !rule.tcp_flags.is_any() {
        let flags = rule.tcp_flags;
        write!(
            text,
            " -m tcp --tcp-flags {} {}",
            names(flags.mask()),
            names(flags.set())
        )?;
    }
    // Only `multiport` supports UDP-Lite, with one range for each side.
    for (option, ports) in [("sport", rule.sport), ("dport", rule.dport)] {
        if ports.is_any() {
            continue;
        }
        if names_ports {
            write!(text, " -m {}", module(protocol))?;
            write!(text, " --{option} {}", range(ports))?;
        } else {
            write!(text, " -m multiport --{option}s {}", range(ports))?;
        }
    }
    writeln!(text, " -j {}", target(rule.verdict))
}

/// The match extension for the ports of a protocol.
const fn module(protocol: Option<u8>) -> &'static str {
    match protocol {
        Some(protocol::UDP) => "udp",
        Some(protocol::SCTP) => "sctp",
        Some(protocol::DCCP) => "dccp",
        _ => "tcp",
    }
}

fn range(ports: PortRange) -> String {
    if ports.is_single() {
        ports.first().to_string()
    } else {
        format!("{}:{}", ports.first(), ports.last())
    }
}

fn names(bits: u8) -> String {
    let set = FLAGS.iter().filter(|(_, bit)| bits & bit != 0);
    let names: Vec<_> = set.map(|(name, _)| *name).collect();
    if names.is_empty() {
        "NONE".to_owned()
    } else {
        names.join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rulesets::{FlagMatch, Prefix};

    fn lines(rule: Rule) -> Vec<String> {
        let set = RuleSet {
            rules: vec![rule],
            default: Verdict::Pass,
        };
        let text = rules(&set, Family::V4).unwrap();
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        assert_eq!(lines[..2], ["*raw", ":PREROUTING ACCEPT [0:0]"]);
        assert_eq!(lines.last().unwrap(), "COMMIT");
        lines[2..lines.len() - 1].to_vec()
    }

    #[test]
    fn rules_ask_for_what_they_need() {
        let open = Rule::of_source(Prefix::any(Family::V4), Verdict::Drop);
        assert_eq!(lines(open), ["-A PREROUTING -j DROP"]);
        let ssh = Rule {
            src: Prefix::new([192, 0, 2, 0].into(), 24).unwrap(),
            protocol: Some(protocol::TCP),
            dport: PortRange::HIGH,
            tcp_flags: FlagMatch::new(0x00, 0x12),
            ..open
        };
        assert_eq!(
            lines(ssh),
            [
                "-A PREROUTING -s 192.0.2.0/24 -p 6 -m tcp --tcp-flags SYN,ACK NONE -m tcp --dport \
              1024:65535 -j DROP"
            ]
        );
        let dns = Rule {
            sport: PortRange::single(53),
            ..open
        };
        let expected = [
            "-A PREROUTING -p 6 -m tcp --sport 53 -j DROP",
            "-A PREROUTING -p 17 -m udp --sport 53 -j DROP",
            "-A PREROUTING -p 33 -m dccp --sport 53 -j DROP",
            "-A PREROUTING -p 132 -m sctp --sport 53 -j DROP",
            "-A PREROUTING -p 136 -m multiport --sports 53 -j DROP",
        ];
        assert_eq!(lines(dns), expected);
        let v6 = Rule::of_source(Prefix::any(Family::V6), Verdict::Drop);
        assert_eq!(lines(v6), [""; 0]);
    }

    #[test]
    fn flags_without_a_name_are_named() {
        let rule = Rule {
            tcp_flags: FlagMatch::new(0, 0x42),
            ..Rule::of_source(Prefix::any(Family::V4), Verdict::Drop)
        };
        let set = RuleSet {
            rules: vec![rule],
            default: Verdict::Pass,
        };
        let error = rules(&set, Family::V4).unwrap_err();
        assert_eq!(
            error,
            UnknownFlags {
                rule: 0,
                flags: 0x40
            }
        );
    }
}
