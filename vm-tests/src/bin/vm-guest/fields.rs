//! Packets for every field of the language, rules for them, and the expected result for each,
//! written by hand without help of the firewall.

use std::{collections::BTreeMap, net::Ipv4Addr};

use anyhow::{Context as _, Result, ensure};
use benches::{
    mix::{Flow, Mix},
    network::Link,
    packet::{Damage, Extension, Fragment, Packet, protocol, tcp_flags},
    traffic::Arrivals,
};

use crate::firewall::Count;

const RULES: &str = include_str!("fields.toml");

/// The names that rules use for the interface: a glob that it matches, and its hardware address.
const INTERFACE: &str = "fw-host*";
const MAC: &str = "00:00:5e:00:53:01";

/// The rule that only counts.
const COUNTED: &str = "all UDP over IPv4";

/// The expected result for a kind of packet.
struct Case {
    name: &'static str,
    packet: Packet,
    /// The rule or reason that decides.
    decided: &'static str,
    passes: bool,
    /// Whether the `count` rule matches too.
    counted: bool,
}

/// The rules for an end of a link, under a policy that drops.
pub(crate) fn rules(link: &Link) -> String {
    RULES
        .replace(INTERFACE, &link.host.interface)
        .replace(MAC, &link.host.mac.to_string())
}

/// The packets, each a flow.
pub(crate) fn mix(link: &Link) -> Result<Mix> {
    let flow = |case: Case| Flow::new(case.name).packet(case.packet);
    Ok(Mix::new(1, cases(link)?.into_iter().map(flow)))
}

/// Checks the arrivals and counters for the given numbers of packets and bytes sent in each flow.
pub(crate) fn check(
    link: &Link,
    sent: &[Count],
    arrived: &Arrivals,
    counted: &BTreeMap<String, Count>,
) -> Result<()> {
    let mut expected: BTreeMap<String, Count> = BTreeMap::new();
    for ((case, &(packets, bytes)), arrived) in cases(link)?.iter().zip(sent).zip(&arrived.flows) {
        let of_these = if case.passes { packets } else { 0 };
        ensure!(
            arrived.packets == of_these,
            "of {packets} packets of `{}` {} arrived, not {of_these}",
            case.name,
            arrived.packets
        );
        let also = case.counted.then_some(COUNTED);
        for name in also.into_iter().chain([case.decided]) {
            let count = expected.entry(name.to_owned()).or_default();
            *count = (count.0 + packets, count.1 + bytes);
        }
    }
    ensure!(
        *counted == expected,
        "the counters are {counted:?}, not {expected:?}"
    );
    Ok(())
}

/// The counts of rules and reasons that decide, each packet counted once.
pub(crate) fn decided(counted: &BTreeMap<String, Count>) -> u64 {
    let once = counted.iter().filter(|(name, _)| *name != COUNTED);
    once.map(|(_, count)| count.0).sum()
}

fn cases(link: &Link) -> Result<Vec<Case>> {
    let pass = |name, packet, decided| Case {
        name,
        packet,
        decided,
        passes: true,
        counted: false,
    };
    let drop = |name, packet, decided| Case {
        passes: false,
        ..pass(name, packet, decided)
    };
    let counted = |case| Case {
        counted: true,
        ..case
    };
    let v4 = || link.ipv4();
    let v6 = || link.ipv6();
    let from = |last| link.ipv4_from(Ipv4Addr::new(198, 51, 100, last));
    let server = || link.to_host(Packet::ipv4(link.peer.ipv4, Ipv4Addr::new(192, 0, 2, 110)));
    let blocked = "2001:db8:bad::1".parse().context("this is an address")?;
    let later = Fragment {
        id: 7,
        offset: 2,
        more: false,
    };
    let first = Fragment {
        id: 7,
        offset: 0,
        more: true,
    };
    let web = || v4().tcp(40_000, 8_080, tcp_flags::SYN);
    Ok(vec![
        counted(drop("UDP", v4().udp(40_000, 53), "policy")),
        counted(drop("UDP, blocked", from(9).udp(40_000, 53), "blocked")),
        counted(pass("UDP, low port", v4().udp(99, 53), "low source port")),
        pass(
            "UDP-Lite, low port",
            v4().udp_lite(1, 53),
            "low source port",
        ),
        drop(
            "IPv6, blocked",
            link.ipv6_from(blocked).tcp(1, 80, 0),
            "blocked",
        ),
        pass("not blocked", from(7).tcp(40_000, 443, 0), "web"),
        pass("to a server", server().sctp(1, 2), "servers"),
        pass("web", web(), "web"),
        pass("web, tagged", web().vlan(10), "web"),
        pass("web, tagged twice", web().service_vlan(10).vlan(20), "web"),
        pass("web, with options", web().options(&[1; 8]), "web"),
        drop(
            "SSH",
            v4().tcp(40_000, 22, tcp_flags::SYN),
            "connection attempts",
        ),
        pass(
            "SSH, answer",
            v4().tcp(40_000, 22, tcp_flags::SYN | tcp_flags::ACK),
            "connections",
        ),
        pass("ping", v4().icmp(8, 0), "ping"),
        pass("ping over IPv6", v6().icmpv6(128, 0), "ping"),
        drop("ICMP in IPv6", v6().icmp(8, 0), "policy"),
        pass("GRE", v4().protocol(protocol::GRE), "tunnels"),
        drop(
            "GRE, first fragment",
            v4().protocol(protocol::GRE).fragment(first),
            "tunnels in pieces",
        ),
        drop("web, guest", web().vlan(150), "guests"),
        pass(
            "LLDP",
            link.to_host(Packet::ethertype(0x88cc)),
            "link layer",
        ),
        drop(
            "own source",
            web().macs(link.host.mac, link.host.mac),
            "from itself",
        ),
        drop("web, last hop", web().ttl(1), "last hop"),
        drop(
            "web, router alert",
            web().options(&[148, 4, 0, 0]),
            "router alert",
        ),
        pass("voice", v4().dscp(46).sctp(1, 2), "voice"),
        pass("voice over IPv6", v6().dscp(46).sctp(1, 2), "voice"),
        drop("web, long", web().payload(&[0; 500]), "long"),
        pass("UDP over IPv6", v6().udp(40_000, 53), "IPv6 here"),
        pass(
            "UDP behind headers",
            v6().extension(Extension::HopByHop(vec![0; 6]))
                .extension(Extension::Destination(vec![0; 14]))
                .fragment(first)
                .udp(40_000, 53),
            "IPv6 here",
        ),
        drop(
            "TCP, later fragment",
            v4().tcp(1, 80, 0).fragment(later),
            "policy",
        ),
        pass(
            "ARP",
            link.to_host(Packet::arp(link.peer.ipv4, link.host.ipv4)),
            "neighbor",
        ),
        drop(
            "EtherType",
            link.to_host(Packet::ethertype(0x88b5)),
            "unknown_ethertype",
        ),
        drop(
            "five tags",
            web().vlan(1).vlan(2).vlan(3).vlan(4).vlan(5),
            "too_many_tags",
        ),
        drop("short", web().damage(Damage::KeepOfUpper(10)), "truncated"),
        drop("no version", web().damage(Damage::Version(5)), "malformed"),
    ])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::scenarios;

    /// Every field of the language is a row of this table.
    const LANGUAGE: &str = include_str!("../../../../docs/rules.md");
    const TABLE: &str = "| field | values |";

    #[test]
    fn the_rules_name_every_field_of_the_language() {
        // Those of packets out alone, and states, are named in other scenarios.
        let rules = RULES.to_owned() + scenarios::egress::RULES + scenarios::load::WITH_STATES;
        let rules: toml::Table = toml::from_str(&rules).unwrap();
        let named: BTreeSet<&str> = rules["rule"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|rule| rule.as_table().unwrap().keys())
            .map(String::as_str)
            .collect();
        let rows = LANGUAGE.lines().skip_while(|line| !line.starts_with(TABLE));
        let mut fields = BTreeSet::new();
        for row in rows.skip(2).take_while(|line| line.starts_with('|')) {
            let cell = row.split('|').nth(1).unwrap();
            fields.extend(cell.split(", ").map(|key| key.trim().trim_matches('`')));
        }
        assert!(fields.len() > 10, "{fields:?}");
        assert!(fields.is_subset(&named), "{:?}", &fields - &named);
    }
}
