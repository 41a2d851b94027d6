//! The proof on generated rule sets and lists.

use benches::rulesets::{
    Family::{V4, V6},
    Verdict,
    generate::{
        FilterKind, addresses, alternating_hosts, crossed_ports, different_ports, every_address,
        every_other_address, last_bits, nested_prefixes, one_rule_each, prefixes, rule_set,
    },
};

use crate::proof;

/// The approximate number of rules that the reference evaluator tests for one set: enough for
/// 100,000 packets and 10,000 rules.
const EVALUATED: usize = 1_500_000_000;

macro_rules! rule_sets {
    ($($name:ident: $set:expr, $packets:literal packets;)*) => {$(
        #[test]
        fn $name() {
            proof::rule_set(stringify!($name), &$set, $packets, &[], EVALUATED).unwrap();
        }
    )*};
}

macro_rules! lists {
    ($($name:ident: $list:expr, $packets:literal packets;)*) => {$(
        #[test]
        fn $name() {
            proof::address_list(stringify!($name), &$list, $packets).unwrap();
        }
    )*};
}

rule_sets! {
    acl_1k: rule_set(FilterKind::Acl, V4, 1000, Verdict::Drop, 1), 100_000 packets;
    acl_1k_of_ipv6: rule_set(FilterKind::Acl, V6, 1000, Verdict::Pass, 2), 100_000 packets;
    fw_1k: rule_set(FilterKind::Fw, V4, 1000, Verdict::Pass, 3), 100_000 packets;
    fw_1k_of_ipv6: rule_set(FilterKind::Fw, V6, 1000, Verdict::Drop, 4), 100_000 packets;
    ipc_1k: rule_set(FilterKind::Ipc, V4, 1000, Verdict::Drop, 5), 100_000 packets;
    ipc_1k_of_ipv6: rule_set(FilterKind::Ipc, V6, 1000, Verdict::Pass, 6), 100_000 packets;
    acl_10k: rule_set(FilterKind::Acl, V4, 10_000, Verdict::Drop, 7), 100_000 packets;
    fw_10k: rule_set(FilterKind::Fw, V4, 10_000, Verdict::Drop, 8), 100_000 packets;
    ipc_10k: rule_set(FilterKind::Ipc, V4, 10_000, Verdict::Drop, 9), 100_000 packets;
    ipc_10k_of_ipv6: rule_set(FilterKind::Ipc, V6, 10_000, Verdict::Drop, 10), 20_000 packets;
    a_chain_of_nested_prefixes: nested_prefixes(V4, 1, 11), 20_000 packets;
    chains_of_nested_prefixes: nested_prefixes(V4, 300, 12), 20_000 packets;
    a_chain_of_nested_prefixes_of_ipv6: nested_prefixes(V6, 1, 13), 20_000 packets;
    chains_of_nested_prefixes_of_ipv6: nested_prefixes(V6, 80, 14), 20_000 packets;
    all_different_ports: different_ports(V4, 10_000), 20_000 packets;
    all_different_ports_of_ipv6: different_ports(V6, 10_000), 20_000 packets;
    hundreds_of_crossed_ports: crossed_ports(V4, 1000), 20_000 packets;
    hosts_of_alternating_verdicts: alternating_hosts(V4, 10_000), 20_000 packets;
    hosts_of_alternating_verdicts_of_ipv6: alternating_hosts(V6, 10_000), 20_000 packets;
    a_rule_for_every_other_address: one_rule_each(&every_other_address(V4), Verdict::Pass),
        5000 packets;
    a_rule_for_every_address: one_rule_each(&every_address(V4), Verdict::Pass), 5000 packets;
    rules_that_differ_in_the_last_bits: one_rule_each(&last_bits(10_000, 15), Verdict::Pass),
        20_000 packets;
}

lists! {
    addresses_100k: addresses(100_000, V4, 1), 50_000 packets;
    addresses_100k_of_ipv6: addresses(100_000, V6, 2), 50_000 packets;
    prefixes_50k: prefixes(50_000, V4, 3), 50_000 packets;
    prefixes_50k_of_ipv6: prefixes(50_000, V6, 4), 50_000 packets;
    every_other_address_of_a_network: every_other_address(V4), 50_000 packets;
    every_other_address_of_a_network_of_ipv6: every_other_address(V6), 50_000 packets;
    every_address_of_a_network: every_address(V4), 50_000 packets;
    addresses_that_differ_in_the_last_bits: last_bits(20_000, 5), 50_000 packets;
}

#[test]
fn thousands_of_crossed_ports_are_refused_and_some_are_named() {
    let set = crossed_ports(V4, 10_000);
    // Each side has a class for each rule and one for all other ports.
    assert_eq!(
        proof::rule_set("crossed", &set, 0, &[], EVALUATED).unwrap_err(),
        "crossed, 10000 rules or members: the rules for IPv4 packets tell 100020001 combinations of \
         proto, sport, dport apart, more than the 4194304 allowed; the most are for `rule 0` \
         (10000 combinations), `rule 1` (9999 combinations), `rule 2` (9998 combinations), ..."
    );
}
