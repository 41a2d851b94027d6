//! The rule sets whose work is counted.

use std::sync::Arc;

use benches::rulesets::{
    AddressList,
    Family::{V4, V6},
    ListPolicy, RuleSet, Verdict,
    generate::{FilterKind, addresses, different_ports, nested_prefixes, prefixes, rule_set},
    write::{firewall, list::list},
};
use firewall_ebpf::{
    abi::{FIRST_RULE_SLOT, MAX_IMAGE_SIZE},
    image::SECTIONS_END,
};
use rules::{
    compiler::{InterfaceIndex, SectionPlan, Target, compile},
    diagnostics::{Source, render},
    load,
};

use crate::{golden::Work, loads};

const SETTINGS: firewall::Settings<'static> = firewall::Settings {
    interface: "eth0",
    mode: "native",
};

/// A rule file, and the list file `list.txt` that it may name.
pub(crate) struct RuleSource {
    set: Option<RuleSet>,
    rules: String,
    list: String,
}

/// All rule sets, by name.
pub(crate) fn all() -> Vec<(&'static str, RuleSource)> {
    let made =
        |kind, family, size, seed| of_rules(rule_set(kind, family, size, Verdict::Drop, seed));
    vec![
        ("acl_10", made(FilterKind::Acl, V4, 10, 1)),
        ("fw_10_ipv6", made(FilterKind::Fw, V6, 10, 2)),
        ("acl_1k", made(FilterKind::Acl, V4, 1000, 3)),
        ("fw_1k", made(FilterKind::Fw, V4, 1000, 4)),
        ("ipc_1k", made(FilterKind::Ipc, V4, 1000, 5)),
        ("acl_1k_ipv6", made(FilterKind::Acl, V6, 1000, 6)),
        ("fw_1k_ipv6", made(FilterKind::Fw, V6, 1000, 7)),
        ("ipc_1k_ipv6", made(FilterKind::Ipc, V6, 1000, 8)),
        ("acl_10k", made(FilterKind::Acl, V4, 10_000, 9)),
        ("fw_10k", made(FilterKind::Fw, V4, 10_000, 10)),
        ("ipc_10k", made(FilterKind::Ipc, V4, 10_000, 11)),
        ("acl_10k_ipv6", made(FilterKind::Acl, V6, 10_000, 12)),
        ("nested_prefixes", of_rules(nested_prefixes(V4, 300, 13))),
        (
            "nested_prefixes_ipv6",
            of_rules(nested_prefixes(V6, 80, 14)),
        ),
        ("different_ports_10k", of_rules(different_ports(V4, 10_000))),
        ("addresses_100k", of_list(&addresses(100_000, V4, 15))),
        ("addresses_100k_ipv6", of_list(&addresses(100_000, V6, 16))),
        ("prefixes_100k", of_list(&prefixes(100_000, V4, 17))),
        ("prefixes_100k_ipv6", of_list(&prefixes(100_000, V6, 18))),
    ]
}

fn of_rules(set: RuleSet) -> RuleSource {
    RuleSource {
        rules: firewall::rules(&set, SETTINGS),
        set: Some(set),
        list: String::new(),
    }
}

fn of_list(addresses: &AddressList) -> RuleSource {
    RuleSource {
        set: None,
        rules: firewall::list("list.txt", ListPolicy::BLOCKLIST, SETTINGS),
        list: list(addresses),
    }
}

impl RuleSource {
    /// Loads and compiles the rules, and checks the plan of the image.
    pub(crate) fn work(&self, name: &str) -> Work {
        let source = Arc::new(Source::new("rules.toml", self.rules.as_str()));
        let loaded = load(&source, |name| match name {
            "list.txt" => Ok(Source::new(name, self.list.as_str())),
            _ => Err("no such file"),
        });
        let ruleset = match loaded {
            Ok(loaded) => loaded.ruleset,
            Err(errors) => panic!("{}", errors.iter().map(render).collect::<String>()),
        };
        let slots: Vec<_> = (FIRST_RULE_SLOT..).take(ruleset.rules.len()).collect();
        let target = Target {
            interfaces: &[(InterfaceIndex(1), SETTINGS.interface.to_owned())],
            slots: &slots,
            metadata: &[],
            max_bytes: MAX_IMAGE_SIZE as usize,
        };
        let image = compile(&ruleset, &target).unwrap();
        let parts: usize = image.plan().sections.iter().map(SectionPlan::bytes).sum();
        let beside = image.bytes().len() - parts;
        let heads = SECTIONS_END as usize;
        assert!(
            beside < heads + 1024,
            "{beside} bytes are in no part of the plan"
        );
        if let Some(set) = &self.set {
            let most = loads::check(name, set, &image);
            println!(
                "{name}: {most} loads at most were taken, {} can be",
                image.plan().loads()
            );
        }
        Work {
            bytes: image.bytes().len(),
            loads: image.plan().loads() as usize,
        }
    }
}
