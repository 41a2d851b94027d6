//! A rule set as a map of concatenated ranges, which the kernel searches field by field in sets of
//! bit vectors.

use std::fmt::{self, Write as _};

use super::table::{Counters, Hook, table, word};
use crate::rulesets::{Family, Index, PortRange, Prefix, Rule, RuleSet};

/// A script, and the rules that it contains.
#[derive(Clone, Debug)]
pub struct Concatenated {
    /// The script.
    pub script: String,
    /// The indexes of the rules in it.
    pub rules: Vec<usize>,
}

/// The script of a rule set as a map, for each family, of source, destination, protocol and
/// destination port to a verdict (kernel 5.6).
///
/// A map supports neither source ports nor flags, and the kernel refuses an element with a corner
/// inside another one: rules with such fields, and rules that begin or end within an earlier one,
/// are left out. If elements overlap nevertheless, the kernel may use either.
#[must_use]
pub fn concatenated(set: &RuleSet, hook: Hook<'_>) -> Concatenated {
    let rules = fitting(set);
    let mut maps = String::new();
    let families = set.families();
    for family in &families {
        let members = rules.iter().filter_map(|index| set.rules.get(*index));
        // Writing to a string cannot fail.
        let _ = write_map(&mut maps, *family, members);
    }
    let script = table(hook, set.default, Counters::None, &maps, |text| {
        families.iter().try_for_each(|family| {
            let (ip, _, map) = names(*family);
            writeln!(
                text,
                "{ip} saddr . {ip} daddr . meta l4proto . th dport vmap @{map}"
            )
        })
    });
    Concatenated { script, rules }
}

/// The rules that can be elements of one map together.
fn fitting(set: &RuleSet) -> Vec<usize> {
    let index = Index::new(set);
    let mut is_taken = vec![false; set.rules.len()];
    let mut taken = Vec::new();
    for (place, rule) in set.rules.iter().enumerate() {
        let holds = |protocol: u8, port: u16, other: &Rule| {
            other.protocol.is_none_or(|number| number == protocol) && other.dport.contains(port)
        };
        let lies_in_another = |src: Prefix, dst: Prefix| {
            let (low, high) = (rule.protocol.unwrap_or(0), rule.protocol.unwrap_or(u8::MAX));
            let first = index.first(src.first(), dst.first(), |at, other| {
                is_taken.get(at) == Some(&true) && holds(low, rule.dport.first(), other)
            });
            let last = index.first(src.last(), dst.last(), |at, other| {
                is_taken.get(at) == Some(&true) && holds(high, rule.dport.last(), other)
            });
            first.or(last).is_some()
        };
        if rule.sport.is_any() && rule.tcp_flags.is_any() && !lies_in_another(rule.src, rule.dst) {
            taken.push(place);
            if let Some(flag) = is_taken.get_mut(place) {
                *flag = true;
            }
        }
    }
    taken
}

/// The names of a family, of its addresses and of its map.
const fn names(family: Family) -> (&'static str, &'static str, &'static str) {
    match family {
        Family::V4 => ("ip", "ipv4_addr", "rules4"),
        Family::V6 => ("ip6", "ipv6_addr", "rules6"),
    }
}

fn write_map<'r>(
    text: &mut String,
    family: Family,
    members: impl Iterator<Item = &'r Rule>,
) -> fmt::Result {
    let (_, kind, map) = names(family);
    writeln!(
        text,
        "map {map} {{\ntype {kind} . {kind} . inet_proto . inet_service : verdict;\n\
         flags interval;\nelements = {{"
    )?;
    for rule in members.filter(|rule| rule.src.family() == family) {
        write!(text, "{} . {} . ", rule.src, rule.dst)?;
        match rule.protocol {
            Some(number) => write!(text, "{number} . ")?,
            None => text.push_str("0-255 . "),
        }
        write_ports(text, rule.dport)?;
        writeln!(text, " : {},", word(rule.verdict))?;
    }
    text.push_str("}\n}\n");
    Ok(())
}

fn write_ports(text: &mut String, ports: PortRange) -> fmt::Result {
    if ports.is_single() {
        write!(text, "{}", ports.first())
    } else {
        write!(text, "{}-{}", ports.first(), ports.last())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rulesets::{FlagMatch, Verdict};

    #[test]
    fn elements_do_not_begin_or_end_in_others() {
        let prefix = |address: [u8; 4], length| Prefix::new(address.into(), length).unwrap();
        let open = Rule::of_source(Prefix::any(Family::V4), Verdict::Drop);
        let host = Rule {
            src: prefix([192, 0, 2, 7], 32),
            dport: PortRange::single(22),
            ..open
        };
        let flags = Rule {
            tcp_flags: FlagMatch::new(2, 2),
            ..open
        };
        let sport = Rule {
            sport: PortRange::single(22),
            ..open
        };
        let around = Rule {
            src: prefix([192, 0, 2, 0], 24),
            ..open
        };
        let within = Rule {
            src: prefix([192, 0, 2, 0], 25),
            ..open
        };
        let set = RuleSet {
            rules: vec![host, flags, sport, around, within, host],
            default: Verdict::Pass,
        };
        let Concatenated { script, rules } = concatenated(&set, Hook::Prerouting);
        assert_eq!(rules, [0, 3]);
        assert!(script.contains("192.0.2.7/32 . 0.0.0.0/0 . 0-255 . 22 : drop,\n"));
        assert!(script.contains("192.0.2.0/24 . 0.0.0.0/0 . 0-255 . 0-65535 : drop,\n"));
    }
}
