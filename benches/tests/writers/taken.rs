//! The tools accept the files written for them.

use benches::rulesets::{
    AddressList, Family, ListPolicy, RuleSet, Verdict,
    generate::{self, FilterKind},
    write::{
        ipset, iptables,
        nftables::{self, Counters, Hook},
    },
};

use crate::tool_host::ToolHost;

/// Rule sets of 100 rules of every kind and family.
fn rule_sets() -> impl Iterator<Item = (Family, RuleSet)> {
    FilterKind::ALL.into_iter().flat_map(|kind| {
        [Family::V4, Family::V6].map(|family| {
            let set = generate::rule_set(kind, family, 100, Verdict::Drop, 1);
            (family, set)
        })
    })
}

/// Lists of 100 members, all of them single or not.
fn lists() -> Vec<AddressList> {
    let mut lists = Vec::new();
    for family in [Family::V4, Family::V6] {
        lists.push(generate::addresses(100, family, 1));
        lists.push(generate::prefixes(100, family, 1));
    }
    let both = lists.iter().flat_map(|list| list.members.clone());
    lists.push(AddressList {
        members: both.collect(),
    });
    lists
}

#[test]
#[ignore = "needs root"]
fn nft_takes_scripts() {
    let host = ToolHost::new();
    for hook in host.hooks() {
        for counters in [Counters::None, Counters::PerRule] {
            for (_, set) in rule_sets() {
                let script = nftables::linear(&set, hook, counters);
                host.give("nft", &["-c", "-f"], &script);
            }
            for list in lists() {
                let script = nftables::addresses(&list, ListPolicy::BLOCKLIST, hook, counters);
                host.give("nft", &["-c", "-f"], &script);
            }
        }
    }
}

#[test]
#[ignore = "needs root"]
fn nft_takes_maps_of_concatenated_ranges() {
    for family in [Family::V4, Family::V6] {
        for kind in FilterKind::ALL {
            let set = generate::rule_set(kind, family, 1000, Verdict::Drop, 1);
            let host = ToolHost::new();
            let map = nftables::concatenated(&set, Hook::Prerouting);
            assert!(map.rules.len() > 200, "{}", map.rules.len());
            // Only the kernel checks whether elements conflict.
            host.give("nft", &["-f"], &map.script);
        }
    }
}

#[test]
#[ignore = "needs root"]
fn iptables_restore_takes_rules() {
    let host = ToolHost::new();
    for (family, set) in rule_sets() {
        let program = match family {
            Family::V4 => "iptables-restore",
            Family::V6 => "ip6tables-restore",
        };
        host.give(
            program,
            &["--test"],
            &iptables::rules(&set, family).unwrap(),
        );
    }
}

#[test]
#[ignore = "needs root"]
fn ipset_and_iptables_take_lists() {
    for list in lists() {
        let host = ToolHost::new();
        for family in list.families() {
            let program = match family {
                Family::V4 => "iptables-restore",
                Family::V6 => "ip6tables-restore",
            };
            host.give(
                "ipset",
                &["restore", "-file"],
                &ipset::addresses(&list, family),
            );
            host.give(program, &[], &iptables::list(family, ListPolicy::BLOCKLIST));
        }
    }
}
