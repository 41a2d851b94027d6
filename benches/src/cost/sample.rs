//! Cases that every firewall can express. Each drops every packet.

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::{Context as _, Result, bail, ensure};

use super::{
    case::{Case, Rules},
    drawing::{Drawing, Traffic, draw},
};
use crate::{
    packet::protocol,
    rulesets::{
        AddressList, Family, Index, ListPolicy, Origin, PortRange, Prefix, Rule, RuleSet, Verdict,
        classbench, generate, published, stream::Listed, trace::trace_of,
    },
    tuple::Tuple,
};

/// The maximum number of addresses or prefixes in a sample.
const MAX_MEMBERS: usize = 4_000_000;

/// The maximum number of rules of a sample.
const MAX_RULES: usize = 1_000_000;

/// The rules of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sample {
    /// Ten rules on addresses, ports and protocol that match no packet.
    TenRules,
    /// Generated rules of a kind, and how many.
    Rules(generate::FilterKind, usize),
    /// A filter file of ClassBench.
    ClassBench(PathBuf),
    /// A list of this many source addresses.
    Addresses(usize),
    /// A list of this many source prefixes.
    Prefixes(usize),
}

impl FromStr for Sample {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, rest) = text.split_once(':').unwrap_or((text, ""));
        Ok(match name {
            "ten-rules" if rest.is_empty() => Self::TenRules,
            "rules" => {
                let (kind, count) = rest.split_once(':').unwrap_or(("acl", rest));
                Self::Rules(kind_of(kind)?, number(count, MAX_RULES)?)
            }
            "classbench" if !rest.is_empty() => Self::ClassBench(rest.into()),
            "addresses" => Self::Addresses(number(rest, MAX_MEMBERS)?),
            "prefixes" => Self::Prefixes(number(rest, MAX_MEMBERS)?),
            _ => bail!(
                "it is one of `ten-rules`, `rules:N`, `rules:KIND:N`, `classbench:FILE`, \
                 `addresses:N`, `prefixes:N`"
            ),
        })
    }
}

fn kind_of(name: &str) -> Result<generate::FilterKind> {
    let found = generate::FilterKind::ALL
        .iter()
        .find(|kind| kind.name() == name);
    let found = found.copied();
    found.with_context(|| format!("`{name}` is no kind of rules: it is `acl`, `fw` or `ipc`"))
}

fn number(text: &str, most: usize) -> Result<usize> {
    let number = text.replace('_', "").parse()?;
    ensure!(
        (1..=most).contains(&number),
        "the number is from 1 to {most}, not `{number}`"
    );
    Ok(number)
}

impl Sample {
    /// Draws the case.
    ///
    /// # Errors
    ///
    /// If a file cannot be read, or packets are requested that the rules do not allow.
    pub fn case(&self, drawing: &Drawing) -> Result<Case> {
        let Drawing { family, seed, .. } = *drawing;
        match self {
            Self::TenRules => {
                // None of the rules matches a packet, whatever traffic is requested.
                let traffic = Traffic::Misses;
                let drawing = Drawing {
                    traffic,
                    ..*drawing
                };
                of_rules("ten-rules".to_owned(), ten_rules(), &drawing)
            }
            Self::Rules(kind, count) => {
                let set = generate::rule_set(*kind, family, *count, Verdict::Drop, seed);
                let name = format!("rules:{}:{count}{}", kind.name(), of(family));
                of_rules(name, set.dropping_all(), drawing)
            }
            Self::ClassBench(path) => {
                let set = classbench::read_rules(path, Verdict::Drop)?.dropping_all();
                let name = format!("classbench:{}", short_name(path));
                let case = match drawing.traffic {
                    Traffic::Hits | Traffic::Misses | Traffic::Mixed => {
                        of_rules(name, set, drawing)?
                    }
                    Traffic::Trace => of_trace(name, set, trace_beside(path)?),
                };
                Ok(Case {
                    rules_from: Origin::Published,
                    ..case
                })
            }
            Self::Addresses(count) => {
                let list = generate::addresses(*count, family, seed);
                of_list(format!("addresses:{count}{}", of(family)), list, drawing)
            }
            Self::Prefixes(count) => {
                let list = generate::prefixes(*count, family, seed);
                of_list(format!("prefixes:{count}{}", of(family)), list, drawing)
            }
        }
    }
}

/// The suffix of a case's name for the family.
const fn of(family: Family) -> &'static str {
    match family {
        Family::V4 => "",
        Family::V6 => ", IPv6",
    }
}

fn short_name(path: &Path) -> &str {
    published::name(path).trim_end_matches(".gz")
}

/// Alternating rules for TCP and UDP from a network without hosts (RFC 2544).
fn ten_rules() -> RuleSet {
    let rules = (0..10_u8).map(|number| {
        let src = Ipv4Addr::new(198, 18, number, 0).into();
        let dst = Ipv4Addr::new(203, 0, 113, number).into();
        Rule {
            dst: Prefix::host(dst),
            protocol: Some(if number % 2 == 0 {
                protocol::TCP
            } else {
                protocol::UDP
            }),
            dport: PortRange::single(1000 + 100 * u16::from(number)),
            // The length is at most 32.
            ..Rule::of_source(
                Prefix::new(src, 24).unwrap_or(Prefix::host(src)),
                Verdict::Pass,
            )
        }
    });
    RuleSet {
        rules: rules.collect(),
        default: Verdict::Drop,
    }
}

/// The packets of the trace beside a filter file.
fn trace_beside(path: &Path) -> Result<Vec<Tuple>> {
    let trace = trace_of(path)?;
    ensure!(
        !trace.is_empty(),
        "there is no trace beside `{}`",
        path.display()
    );
    Ok(trace.into_iter().map(|entry| entry.tuple).collect())
}

fn of_rules(name: String, set: RuleSet, drawing: &Drawing) -> Result<Case> {
    Ok(Case {
        name,
        description: describe(&set, drawing.traffic),
        packets: draw(&Index::new(&set), drawing)?,
        packets_from: Origin::Generated,
        rules: Rules::Set(set),
        rules_from: Origin::Generated,
    })
}

fn of_trace(name: String, set: RuleSet, packets: Vec<Tuple>) -> Case {
    Case {
        name: format!("{name}, trace"),
        description: describe(&set, Traffic::Trace),
        packets,
        packets_from: Origin::Published,
        rules: Rules::Set(set),
        rules_from: Origin::Generated,
    }
}

fn describe(set: &RuleSet, traffic: Traffic) -> String {
    format!(
        "{} rules, then drop; {}",
        set.rules.len(),
        traffic.of_rules()
    )
}

fn of_list(name: String, list: AddressList, drawing: &Drawing) -> Result<Case> {
    let (policy, verdict) = match drawing.traffic {
        Traffic::Hits => (ListPolicy::BLOCKLIST, "drop"),
        Traffic::Misses => (ListPolicy::ALLOWLIST, "pass"),
        Traffic::Mixed | Traffic::Trace => (ListPolicy::DROP, "drop"),
    };
    Ok(Case {
        name,
        description: format!(
            "a list of {} sources to {verdict}; {}",
            list.members.len(),
            drawing.traffic.of_list()
        ),
        packets: draw(&Listed::new(&list), drawing)?,
        packets_from: Origin::Generated,
        rules: Rules::List(list, policy),
        rules_from: Origin::Generated,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::rulesets::stream::Regions as _;

    const DRAWING: Drawing = Drawing {
        family: Family::V4,
        traffic: Traffic::Hits,
        packets: 1000,
        seed: 3,
    };

    #[test]
    fn samples_are_named() {
        let sample = |text: &str| text.parse::<Sample>();
        assert_eq!(sample("ten-rules").unwrap(), Sample::TenRules);
        assert_eq!(sample("addresses:10").unwrap(), Sample::Addresses(10));
        assert_eq!(sample("prefixes:1_000").unwrap(), Sample::Prefixes(1000));
        let rules = Sample::Rules(generate::FilterKind::Fw, 10);
        assert_eq!(sample("rules:fw:10").unwrap(), rules);
        assert_eq!(
            sample("classbench:a/b.gz").unwrap(),
            Sample::ClassBench("a/b.gz".into())
        );
        for wrong in [
            "",
            "ten-rules:1",
            "addresses",
            "addresses:0",
            "rules:other:1",
            "other:1",
        ] {
            sample(wrong).unwrap_err();
        }
    }

    #[test]
    fn no_packet_passes() {
        for family in [Family::V4, Family::V6] {
            for traffic in [Traffic::Hits, Traffic::Misses, Traffic::Mixed] {
                let drawing = Drawing {
                    family,
                    traffic,
                    ..DRAWING
                };
                for sample in [
                    Sample::TenRules,
                    Sample::Rules(generate::FilterKind::Acl, 50),
                    Sample::Addresses(50),
                    Sample::Prefixes(50),
                ] {
                    let case = sample.case(&drawing).unwrap();
                    let set = match case.rules {
                        Rules::Set(set) => set,
                        Rules::List(list, policy) => RuleSet::of_list(&list, policy),
                        Rules::File(_) => panic!("no sample is a rule file"),
                    };
                    let different: HashSet<_> = case.packets.iter().collect();
                    assert_eq!((case.packets.len(), different.len()), (1000, 1000));
                    let dropped = |tuple: &Tuple| set.decide(tuple).verdict == Verdict::Drop;
                    let passed = case.packets.iter().find(|tuple| !dropped(tuple));
                    assert_eq!(passed, None, "{sample:?} {drawing:?}");
                }
            }
        }
    }

    #[test]
    fn half_of_mixed_packets_are_listed() {
        let drawing = Drawing {
            traffic: Traffic::Mixed,
            ..DRAWING
        };
        let case = Sample::Addresses(50).case(&drawing).unwrap();
        let Rules::List(list, _) = &case.rules else {
            panic!("it is a list");
        };
        let listed = Listed::new(list);
        let hits = case.packets.iter().filter(|tuple| listed.matches(tuple));
        assert_eq!(hits.count(), 500);
    }

    #[test]
    fn a_trace_is_read_in_its_order_with_what_comes_again() {
        let folder = tempfile::tempdir().unwrap();
        let rules = folder.path().join("few");
        let any = "@0.0.0.0/0 0.0.0.0/0 0 : 65535 0 : 65535 0x00/0x00 0x0000/0x0000\n";
        std::fs::write(&rules, any).unwrap();
        let drawing = Drawing {
            traffic: Traffic::Trace,
            ..DRAWING
        };
        let sample = Sample::ClassBench(rules.clone());
        let error = sample.case(&drawing).unwrap_err().to_string();
        assert!(error.starts_with("there is no trace beside"), "{error}");
        let lines = "1 2 3 4 6 0 0\n5 6 7 8 17 0 0\n1 2 3 4 6 0 0\n";
        std::fs::write(folder.path().join("few_trace"), lines).unwrap();
        let case = sample.case(&drawing).unwrap();
        assert_eq!(case.name, "classbench:few, trace");
        assert_eq!(case.packets.len(), 3);
        assert_eq!(case.packets[0], case.packets[2]);
        let from = (case.rules_from, case.packets_from);
        assert_eq!(from, (Origin::Published, Origin::Published));
        let drawn = sample.case(&DRAWING).unwrap();
        assert_eq!(drawn.name, "classbench:few");
        assert_eq!(drawn.packets.len(), 1000);
        let from = (drawn.rules_from, drawn.packets_from);
        assert_eq!(from, (Origin::Published, Origin::Generated));
        Sample::Addresses(10).case(&drawing).unwrap_err();
    }
}
