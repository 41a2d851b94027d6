//! Rule files of this firewall.

use std::fmt::{self, Write as _};

use crate::{
    packet::tcp_flags,
    rulesets::{Family, FlagMatch, ListPolicy, PortRange, Rule, RuleSet, Verdict},
};

/// The flags with their names in rule files.
const FLAGS: [(&str, u8); 8] = [
    ("fin", tcp_flags::FIN),
    ("syn", tcp_flags::SYN),
    ("rst", tcp_flags::RST),
    ("psh", tcp_flags::PSH),
    ("ack", tcp_flags::ACK),
    ("urg", tcp_flags::URG),
    ("ece", tcp_flags::ECE),
    ("cwr", tcp_flags::CWR),
];

/// The settings in `[firewall]` other than the policy.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// The interface to attach to.
    pub interface: &'a str,
    /// The mode: `native`, `generic` or `auto`.
    pub mode: &'a str,
}

/// The name of the rule at an index.
#[must_use]
pub fn rule_name(index: usize) -> String {
    format!("rule {index}")
}

/// The rule file of a rule set. Each rule is named after its index, see [`rule_name`].
#[must_use]
pub fn rules(set: &RuleSet, settings: Settings<'_>) -> String {
    let mut text = String::with_capacity(256 + set.rules.len() * 160);
    // Writing to a string cannot fail.
    let _ = write_settings(&mut text, settings, set.default);
    for (index, rule) in set.rules.iter().enumerate() {
        let _ = write_rule(&mut text, index, rule);
    }
    text
}

/// The rule file of a list: the rule `listed` matches sources in the list file `file`, whose name
/// is relative to the rule file.
#[must_use]
pub fn list(file: &str, policy: ListPolicy, settings: Settings<'_>) -> String {
    let ListPolicy { listed, others } = policy;
    let mut text = String::new();
    let _ = write_settings(&mut text, settings, others);
    let action = action(listed);
    let _ = write!(
        text,
        "\n[sets]\nlisted = {{ file = {file:?} }}\n\n[[rule]]\nname = \"listed\"\n\
         action = {action:?}\nsrc = \"@listed\"\n"
    );
    text
}

fn write_settings(text: &mut String, settings: Settings<'_>, default: Verdict) -> fmt::Result {
    let Settings { interface, mode } = settings;
    let policy = action(default);
    writeln!(
        text,
        "[firewall]\ninterfaces = [{interface:?}]\nmode = {mode:?}\npolicy = {policy:?}"
    )
}

fn write_rule(text: &mut String, index: usize, rule: &Rule) -> fmt::Result {
    let Rule {
        src,
        dst,
        protocol,
        sport,
        dport,
        tcp_flags,
        verdict,
    } = rule;
    let action = action(*verdict);
    let name = rule_name(index);
    write!(text, "\n[[rule]]\nname = {name:?}\naction = {action:?}\n")?;
    if src.is_any() && dst.is_any() {
        let family = match src.family() {
            Family::V4 => "ipv4",
            Family::V6 => "ipv6",
        };
        writeln!(text, "family = {family:?}")?;
    }
    for (key, prefix) in [("src", src), ("dst", dst)] {
        if prefix.is_host() {
            writeln!(text, "{key} = \"{}\"", prefix.first())?;
        } else if !prefix.is_any() {
            writeln!(text, "{key} = \"{prefix}\"")?;
        }
    }
    if let Some(number) = protocol {
        writeln!(text, "proto = {number}")?;
    }
    write_ports(text, "sport", *sport)?;
    write_ports(text, "dport", *dport)?;
    write_flags(text, *tcp_flags)
}

const fn action(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Drop => "drop",
    }
}

fn write_ports(text: &mut String, key: &str, ports: PortRange) -> fmt::Result {
    if ports.is_any() {
        Ok(())
    } else if ports.is_single() {
        writeln!(text, "{key} = {}", ports.first())
    } else {
        writeln!(text, "{key} = \"{}-{}\"", ports.first(), ports.last())
    }
}

fn write_flags(text: &mut String, flags: FlagMatch) -> fmt::Result {
    if flags.is_any() {
        return Ok(());
    }
    let conditions: Vec<_> = FLAGS
        .into_iter()
        .filter_map(
            |(name, bit)| match (flags.set() & bit, flags.clear() & bit) {
                (0, 0) => None,
                (0, _) => Some(format!("!{name}")),
                (_, _) => Some(name.to_owned()),
            },
        )
        .collect();
    writeln!(text, "tcp_flags = {:?}", conditions.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rulesets::Prefix;

    const SETTINGS: Settings<'static> = Settings {
        interface: "eth0",
        mode: "auto",
    };

    #[test]
    fn a_rule_is_written_without_what_it_leaves_open() {
        let host = Prefix::host([192, 0, 2, 1].into());
        let network = Prefix::new([198, 51, 100, 0].into(), 24).unwrap();
        let open = Rule::of_source(Prefix::any(Family::V4), Verdict::Drop);
        let set = RuleSet {
            rules: vec![
                Rule {
                    src: host,
                    dst: network,
                    protocol: Some(6),
                    sport: PortRange::HIGH,
                    dport: PortRange::single(22),
                    tcp_flags: FlagMatch::new(0x02, 0x12),
                    verdict: Verdict::Pass,
                },
                open,
            ],
            default: Verdict::Drop,
        };
        let text = r#"[firewall]
interfaces = ["eth0"]
mode = "auto"
policy = "drop"

[[rule]]
name = "rule 0"
action = "pass"
src = "192.0.2.1"
dst = "198.51.100.0/24"
proto = 6
sport = "1024-65535"
dport = 22
tcp_flags = "syn,!ack"

[[rule]]
name = "rule 1"
action = "drop"
family = "ipv4"
"#;
        assert_eq!(rules(&set, SETTINGS), text);
    }
}
