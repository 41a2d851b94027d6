//! The tools take what is written for them, in a network namespace of their own.
//!
//! A tool that is not installed is left out, which is said.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails where something is not as it should be"
)]

use std::{
    fs,
    process::{Command, Stdio},
};

use benches::{
    network::Network,
    rulesets::{
        AddressList, Family, RuleSet, Verdict,
        generate::{self, Kind},
        write::{
            ipset, iptables,
            nftables::{self, Hook},
        },
    },
};

/// A namespace and a folder for the input.
struct Machine {
    network: Network,
    folder: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        Self {
            network: Network::new().unwrap(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// Runs a tool whose last argument is the input as a file, and asserts that it succeeds.
    fn takes(&self, program: &str, arguments: &[&str], input: &str) {
        let path = self.folder.path().join("input");
        fs::write(&path, input).unwrap();
        let mut command = Command::new(program);
        command
            .args(arguments)
            .arg(&path)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child = self.network.host.spawn(&mut command);
        let Ok(child) = child else {
            println!("skipped: there is no `{program}`");
            return;
        };
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments:?}: {stderr}");
    }

    fn hooks(&self) -> [Hook<'_>; 2] {
        let device = &self.network.link().host.interface;
        [Hook::Ingress { device }, Hook::Prerouting]
    }
}

/// Rule sets of 100 rules of every kind and family.
fn rule_sets() -> impl Iterator<Item = (Family, RuleSet)> {
    Kind::ALL.into_iter().flat_map(|kind| {
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
    let machine = Machine::new();
    for hook in machine.hooks() {
        for (_, set) in rule_sets() {
            machine.takes("nft", &["-c", "-f"], &nftables::linear(&set, hook));
        }
        for list in lists() {
            machine.takes("nft", &["-c", "-f"], &nftables::addresses(&list, hook));
        }
    }
}

#[test]
#[ignore = "needs root"]
fn nft_takes_maps_of_concatenated_ranges() {
    for family in [Family::V4, Family::V6] {
        for kind in Kind::ALL {
            let set = generate::rule_set(kind, family, 1000, Verdict::Drop, 1);
            let machine = Machine::new();
            let map = nftables::concatenated(&set, Hook::Prerouting);
            assert!(!map.rules.is_empty());
            println!(
                "{} {family:?}: {} of 1000 rules",
                kind.name(),
                map.rules.len()
            );
            // Whether elements are in each other's way, only the kernel says.
            machine.takes("nft", &["-f"], &map.script);
        }
    }
}

#[test]
#[ignore = "needs root"]
fn iptables_restore_takes_rules() {
    let machine = Machine::new();
    for (family, set) in rule_sets() {
        let program = match family {
            Family::V4 => "iptables-restore",
            Family::V6 => "ip6tables-restore",
        };
        machine.takes(
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
        let machine = Machine::new();
        for family in list.families() {
            let program = match family {
                Family::V4 => "iptables-restore",
                Family::V6 => "ip6tables-restore",
            };
            machine.takes(
                "ipset",
                &["restore", "-file"],
                &ipset::addresses(&list, family),
            );
            machine.takes(program, &[], &iptables::blocklist(family));
        }
    }
}
