//! Other filters decide as the rule set does: their counters, rule by rule, equal those of a scan
//! over the original rules.

use benches::{
    rulesets::{
        Family, Index, ListPolicy, RuleSet, Verdict,
        generate::{self, FilterKind},
        stream::{Listed, Pattern, Regions, Stream, between_hosts},
        write::{
            ipset, iptables,
            nftables::{self, Counters},
        },
    },
    tuple::Tuple,
};

use crate::tool_host::ToolHost;

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// Packets aimed at a target, without those that the kernel drops before the hooks.
fn packets<T: Regions>(target: &T) -> Vec<Tuple> {
    let inside = Stream::new(target, Pattern::Uniform, 1).take(1000);
    let bounds = Stream::new(target, Pattern::Boundary, 1).take(3000);
    inside.chain(bounds).map(between_hosts).collect()
}

/// The number of packets that each rule decides.
fn decisions(set: &RuleSet, tuples: &[Tuple]) -> Vec<u64> {
    let mut counts = vec![0; set.rules.len()];
    for tuple in tuples {
        if let Some(rule) = set.decide(tuple).rule {
            counts[rule] += 1;
        }
    }
    assert!(counts.iter().sum::<u64>() > 1000, "{counts:?}");
    counts
}

/// The numbers after `packets` in a listing of nft.
fn nft_counters(host: &ToolHost) -> Vec<u64> {
    let listing = host.run("nft", &["list", "ruleset"]);
    let counters = listing.split("counter packets ").skip(1);
    let numbers = counters.map(|behind| behind.split(' ').next().unwrap().parse().unwrap());
    numbers.collect()
}

/// The numbers of the lines of the chain in a listing of iptables-save or ip6tables-save.
fn iptables_counters(host: &ToolHost, program: &str) -> Vec<u64> {
    let listing = host.run(program, &["-c", "-t", "raw"]);
    let lines = listing.lines().filter_map(|line| line.strip_prefix('['));
    let numbers = lines.map(|line| line.split(':').next().unwrap().parse().unwrap());
    numbers.collect()
}

#[test]
#[ignore = "needs root"]
fn nft_counts_as_the_rules_decide() {
    for kind in FilterKind::ALL {
        for family in FAMILIES {
            for place in 0..2 {
                let host = ToolHost::new();
                let set = generate::rule_set(kind, family, 100, Verdict::Drop, 1);
                let tuples = packets(&Index::new(&set));
                let hook = host.hooks()[place];
                let script = nftables::linear(&set, hook, Counters::PerRule);
                host.give("nft", &["-f"], &script);
                host.send(&tuples);
                host.await_counters(&decisions(&set, &tuples), nft_counters);
            }
        }
    }
}

#[test]
#[ignore = "needs root"]
fn iptables_counts_as_the_rules_decide() {
    for kind in FilterKind::ALL {
        for (family, restore, save) in [
            (Family::V4, "iptables-restore", "iptables-save"),
            (Family::V6, "ip6tables-restore", "ip6tables-save"),
        ] {
            let host = ToolHost::new();
            let set = generate::rule_set(kind, family, 100, Verdict::Drop, 1);
            let tuples = packets(&Index::new(&set));
            // A rule may take several lines.
            let lines = |set: &RuleSet| {
                let text = iptables::rules(set, family).unwrap();
                text.lines().filter(|line| line.starts_with('-')).count()
            };
            let lines: Vec<_> = set
                .rules
                .iter()
                .map(|rule| {
                    lines(&RuleSet {
                        rules: vec![*rule],
                        default: Verdict::Drop,
                    })
                })
                .collect();
            let count = |host: &ToolHost| {
                let mut counters = iptables_counters(host, save).into_iter();
                let of_rule = |count: &usize| counters.by_ref().take(*count).sum();
                lines.iter().map(of_rule).collect()
            };
            host.give(restore, &[], &iptables::rules(&set, family).unwrap());
            host.send(&tuples);
            host.await_counters(&decisions(&set, &tuples), count);
        }
    }
}

#[test]
#[ignore = "needs root"]
fn sets_count_what_is_listed() {
    for family in FAMILIES {
        for list in [
            generate::addresses(1000, family, 1),
            generate::prefixes(1000, family, 1),
        ] {
            let listed = Listed::new(&list);
            let tuples = packets(&listed);
            let expected = tuples.iter().filter(|tuple| listed.matches(tuple)).count() as u64;
            assert!(expected > 1000, "{expected}");
            for place in 0..2 {
                let host = ToolHost::new();
                let hook = host.hooks()[place];
                let script =
                    nftables::addresses(&list, ListPolicy::BLOCKLIST, hook, Counters::PerRule);
                host.give("nft", &["-f"], &script);
                host.send(&tuples);
                host.await_counters(&[expected], nft_counters);
            }
            let host = ToolHost::new();
            let (restore, save) = match family {
                Family::V4 => ("iptables-restore", "iptables-save"),
                Family::V6 => ("ip6tables-restore", "ip6tables-save"),
            };
            let set = ipset::addresses(&list, family);
            host.give("ipset", &["restore", "-file"], &set);
            host.give(restore, &[], &iptables::list(family, ListPolicy::BLOCKLIST));
            host.send(&tuples);
            host.await_counters(&[expected], |host| iptables_counters(host, save));
        }
    }
}
