//! Tests of the packets that keep a machine reachable.

use super::*;
use crate::lockout::surroundings::LinkFacts;

fn link(name: &str) -> LinkFacts {
    LinkFacts {
        name: name.into(),
        mac: vec![2, 0, 0, 0, 0, 1],
        ..LinkFacts::default()
    }
}

/// A VLAN in a VLAN on a bridge, of whose ports two are filtered.
fn stack() -> Surroundings {
    let port = |name| LinkFacts {
        master: Some(4),
        ..link(name)
    };
    let above = |below, name, tag: &str| LinkFacts {
        below: Some(below),
        tag: Some(tag.into()),
        ..link(name)
    };
    let address = |address: &str, prefix, is_dynamic| Address {
        interface: 6,
        address: address.parse().unwrap(),
        prefix,
        is_dynamic,
    };
    let links = [
        (1, port("eth1")),
        (2, port("eth2")),
        (3, port("eth3")),
        (4, link("bridge")),
        (5, above(4, "outer", "vlan 0x88a8/10")),
        (6, above(5, "inner", "vlan 20")),
    ];
    let addresses = vec![
        address("192.0.2.7", 24, true),
        address("fe80::7", 64, false),
        address("2001:db8::7", 128, true),
        address("2001:db8:1::7", 64, true),
    ];
    let hop = |gateway: &str| Hop {
        interface: 6,
        gateway: Some(gateway.parse().unwrap()),
    };
    let gateways = vec![hop("192.0.2.1"), hop("fe80::1")];
    Surroundings::of(links.into(), addresses, gateways)
}

#[test]
fn packets_have_the_tags_of_all_interfaces_on_their_way() {
    let surroundings = stack();
    let filtered = [(1, "eth1"), (3, "eth3")]
        .map(|(index, name)| Interface::absent(InterfaceIndex(index), name));
    let mut lifelines = Lifelines::new(&surroundings, &filtered);
    lifelines.add_gateways();
    lifelines.add_leases();
    let session = Session {
        peer: "203.0.113.9:50112".parse().unwrap(),
        local: "192.0.2.7:22".parse().unwrap(),
    };
    lifelines.add_session(&session, surroundings.gateways.first());
    let packets: Vec<String> = on_eth1(&lifelines, Direction::In)
        .into_iter()
        .map(|(packet, _)| packet)
        .collect();
    let own = " dst_mac 02:00:00:00:00:01";
    let tags = " vlan 0x88a8/10 vlan 20 interface eth1";
    let expected = [
        format!("arp 192.0.2.1 > 192.0.2.7{own}{tags}"),
        format!("icmpv6 fe80::1 > fe80::7 neighbor-advertisement{own}{tags}"),
        format!("icmpv6 fe80::1 > ff02::1:ff00:7 neighbor-solicitation{tags}"),
        format!("icmpv6 fe80::1 > ff02::1 router-advertisement{tags}"),
        format!("udp 192.0.2.1:67 > 192.0.2.7:68 payload 300{own}{tags}"),
        format!("udp 192.0.2.1:67 > 255.255.255.255:68 payload 300 dst_mac {BROADCAST_MAC}{tags}"),
        format!("udp [fe80::1]:547 > [fe80::7]:546 payload 100{own}{tags}"),
        format!("tcp 203.0.113.9:50112 > 192.0.2.7:22 ack{own}{tags}"),
        format!("tcp 203.0.113.9:50112 > 192.0.2.7:22 ack,psh payload 36{own}{tags}"),
        format!("tcp 203.0.113.9:50112 > 192.0.2.7:22 ack payload 1400{own}{tags}"),
        format!("tcp 203.0.113.9:47211 > 192.0.2.7:22 syn{own}{tags}"),
    ];
    assert_eq!(packets, expected);
    // The same on the other port, and on no other interface.
    let all = lifelines.found.iter();
    let of_in = all.filter(|one| one.context.direction == Direction::In);
    assert_eq!(of_in.count(), 2 * expected.len());
    let packets: Vec<String> = on_eth1(&lifelines, Direction::Out)
        .into_iter()
        .map(|(packet, _)| packet)
        .collect();
    let own = " src_mac 02:00:00:00:00:01";
    let expected = [
        format!("out arp 192.0.2.7 > 192.0.2.1{own}{tags}"),
        format!("out icmpv6 fe80::7 > fe80::1 neighbor-advertisement{own}{tags}"),
        format!("out icmpv6 fe80::7 > ff02::1:ff00:1 neighbor-solicitation{own}{tags}"),
        format!("out udp 192.0.2.7:68 > 192.0.2.1:67 payload 300{own}{tags}"),
        format!("out udp [fe80::7]:546 > [ff02::1:2]:547 payload 100{own}{tags}"),
        format!("out tcp 192.0.2.7:22 > 203.0.113.9:50112 ack{own}{tags}"),
        format!("out tcp 192.0.2.7:22 > 203.0.113.9:50112 ack,psh payload 36{own}{tags}"),
        format!("out tcp 192.0.2.7:22 > 203.0.113.9:50112 ack payload 1400{own}{tags}"),
        format!("out tcp 192.0.2.7:22 > 203.0.113.9:47211 syn,ack{own}{tags}"),
    ];
    assert_eq!(packets, expected);
}

/// What was found on `eth1` in a direction, as packets and weights.
fn on_eth1(lifelines: &Lifelines<'_>, direction: Direction) -> Vec<(String, Weight)> {
    let found = lifelines.found.iter();
    let found = found.filter(|one| one.context.interface.0 == 1);
    found
        .filter(|one| one.context.direction == direction)
        .map(|one| (one.packet.clone(), one.weight.clone()))
        .collect()
}

#[test]
fn ports_of_a_bond_need_lacp_where_the_bond_speaks_it() {
    let filtered = [Interface::absent(InterfaceIndex(1), "eth1")];
    for speaks_lacp in [true, false] {
        let mut surroundings = stack();
        surroundings.links.get_mut(&4).unwrap().speaks_lacp = speaks_lacp;
        let mut lifelines = Lifelines::new(&surroundings, &filtered);
        lifelines.add_bonds();
        let packet = "ethertype lacp payload 110 dst_mac 01:80:c2:00:00:02 interface eth1";
        let expected = speaks_lacp.then(|| (packet.to_owned(), Weight::Refused));
        assert_eq!(on_eth1(&lifelines, Direction::In), Vec::from_iter(expected));
    }
}

#[test]
fn what_a_machine_is_configured_for_is_warned_of() {
    let mut surroundings = stack();
    let filtered = [Interface::absent(InterfaceIndex(1), "eth1")];
    let route = surroundings.gateways[0];
    let tags = " dst_mac 02:00:00:00:00:01 vlan 0x88a8/10 vlan 20 interface eth1";
    let server = "192.0.2.53".parse().unwrap();
    let mut lifelines = Lifelines::new(&surroundings, &filtered);
    lifelines.add_answer(ServerKind::Names, server, &route);
    lifelines.add_answer(ServerKind::Time(Some(123)), server, &route);
    let replies = |help| Weight::Warned(Code::DropsReplies, help);
    assert_eq!(
        on_eth1(&lifelines, Direction::In),
        [
            (
                format!("udp 192.0.2.53:53 > 192.0.2.7:47211 payload 100{tags}"),
                replies(PASS_DNS)
            ),
            (
                format!("udp 192.0.2.53:123 > 192.0.2.7:123 payload 100{tags}"),
                replies(PASS_NTP)
            ),
        ]
    );

    let mut lifelines = Lifelines::new(&surroundings, &filtered);
    lifelines.add_queries(&BTreeSet::from(["inner".to_owned()]));
    let tags = tags.replace(" dst_mac 02:00:00:00:00:01", "");
    let query = format!("igmp 192.0.2.254 > 224.0.0.1 membership-query{tags}");
    let packets = on_eth1(&lifelines, Direction::In);
    assert_eq!(
        packets,
        [(query, Weight::Warned(Code::DropsNeighbors, PASS_IGMP))]
    );

    // Where there is a lease, its server is known.
    let unleased = |surroundings: &Surroundings| {
        let mut lifelines = Lifelines::new(surroundings, &filtered);
        lifelines.add_unleased(|name| name == "inner");
        on_eth1(&lifelines, Direction::In)
    };
    assert_eq!(unleased(&surroundings), []);
    surroundings.addresses.clear();
    let to_all = "udp 192.0.2.254:67 > 255.255.255.255:68 payload 300 dst_mac ff:ff:ff:ff:ff:ff";
    let offer = format!("{to_all}{tags}");
    assert_eq!(
        unleased(&surroundings),
        [(offer, Weight::Warned(Code::DropsDhcp, PASS_DHCP))]
    );
}
