//! Real frames through a real veth pair.

use std::{
    sync::atomic::AtomicBool,
    time::{Duration, Instant},
};

use super::*;
use crate::{
    mix::{Flow, Mix},
    network::Network,
    packet::{Damage, Extension, Fragment, Packet, tcp_flags},
};

const SEED: u64 = 1;

fn sender(network: &Network) -> Sender {
    Sender::open(&network.peer, &network.link().peer).unwrap()
}

fn receiver(network: &Network, flows: usize) -> Receiver {
    Receiver::start(&network.host, &network.link().host, flows).unwrap()
}

/// Flows of every kind of packet that the builder knows.
fn all_kinds(network: &Network) -> Vec<Flow> {
    let link = network.link();
    let later = Fragment {
        id: 1,
        offset: 8,
        more: false,
    };
    let v4 = [
        link.ipv4().tcp(1, 2, tcp_flags::SYN),
        link.ipv4().udp(1, 2),
        link.ipv4().udp_lite(1, 2),
        link.ipv4().sctp(1, 2),
        link.ipv4().dccp(1, 2),
        link.ipv4().icmp(8, 0),
        link.ipv4().options(&[1; 8]).udp(1, 2),
        link.ipv4().fragment(later).udp(1, 2),
        link.ipv4_from([203, 0, 113, 9].into()).udp(1, 2),
    ];
    let v6 = [
        link.ipv6().tcp(1, 2, tcp_flags::SYN),
        link.ipv6().udp(1, 2),
        link.ipv6().icmpv6(128, 0),
        link.ipv6().icmpv6(135, 0),
        link.ipv6().extension(Extension::HopByHop(vec![])).udp(1, 2),
        link.ipv6().fragment(later).udp(1, 2),
        link.ipv6().protocol(47),
    ];
    let tagged = [
        link.ipv4().vlan(10).udp(1, 2),
        link.ipv6().service_vlan(10).vlan(20).udp(1, 2),
    ];
    let other = [
        link.to_host(Packet::arp(link.peer.ipv4, link.host.ipv4)),
        link.to_host(Packet::ethertype(0x88b5)),
        link.ipv4().udp(1, 2).damage(Damage::Version(5)),
        link.ipv4().udp(1, 2).damage(Damage::Length(9)),
    ];
    v4.into_iter()
        .chain(v6)
        .chain(tagged)
        .chain(other)
        .enumerate()
        .map(|(index, packet)| Flow::new(format!("kind {index}")).packet(packet))
        .collect()
}

#[test]
#[ignore = "needs root"]
fn every_frame_that_is_sent_arrives_once_and_in_order() {
    let network = Network::new().unwrap();
    let mut mix = Mix::new(SEED, all_kinds(&network));
    let receiver = receiver(&network, mix.len());
    let sent = sender(&network)
        .run(
            &mut mix,
            20_000,
            Limit::Packets(10_000),
            &AtomicBool::new(false),
        )
        .unwrap();
    let arrivals = receiver.finish().unwrap();
    assert_eq!(sent.total(), 10_000);
    assert_eq!(arrivals.unmarked, 0);
    let names: Vec<_> = mix.names().map(str::to_owned).collect();
    for ((name, sent), flow) in names.iter().zip(sent.packets).zip(arrivals.flows) {
        assert_eq!(flow.packets, sent, "{name}");
        assert_eq!((flow.first, flow.gaps), (Some(0), 0), "{name}");
    }
}

#[test]
#[ignore = "needs root"]
fn a_silent_network_carries_nothing() {
    let network = Network::new().unwrap();
    let receiver = receiver(&network, 0);
    std::thread::sleep(Duration::from_millis(1500));
    let arrivals = receiver.finish().unwrap();
    assert_eq!(arrivals, Arrivals::default());
}

#[test]
#[ignore = "needs root"]
fn answers_of_the_host_are_not_counted() {
    let network = Network::new().unwrap();
    let link = network.link();
    // The kernel answers all of these, and its answers quote the mark.
    let flow = Flow::new("answered").packets([
        link.ipv4().icmp(8, 0),
        link.ipv6().icmpv6(128, 0),
        link.ipv4().udp(1, 2),
        link.ipv6().udp(1, 2),
    ]);
    let mut mix = Mix::new(SEED, [flow]);
    let at_peer = Receiver::start(&network.peer, &link.peer, 1).unwrap();
    let at_host = receiver(&network, 1);
    let sent = sender(&network)
        .run(&mut mix, 1000, Limit::Packets(100), &AtomicBool::new(false))
        .unwrap();
    assert_eq!(at_host.finish().unwrap().total(), sent.total());
    assert!(at_peer.finish().unwrap().total() > 0);
}

#[test]
#[ignore = "needs root"]
fn sending_keeps_to_its_rate_and_its_limits() {
    let network = Network::new().unwrap();
    let packet = network.link().ipv4().udp(1, 2);
    let mut mix = Mix::new(SEED, [Flow::new("only").packet(packet)]);
    let mut sender = sender(&network);
    let never = AtomicBool::new(false);
    let sent = sender
        .run(
            &mut mix,
            2000,
            Limit::Time(Duration::from_millis(500)),
            &never,
        )
        .unwrap();
    // A busy machine may send less, and never more.
    assert!((500..=1001).contains(&sent.total()), "{sent:?}");
    assert!(sent.elapsed >= Duration::from_millis(500));

    let began = Instant::now();
    let sent = sender
        .run(&mut mix, 1, Limit::Packets(1000), &AtomicBool::new(true))
        .unwrap();
    assert_eq!(sent.total(), 0);
    assert!(began.elapsed() < Duration::from_millis(500));
    assert!(sender.run(&mut mix, 0, Limit::Packets(1), &never).is_err());
    let mut nothing = Mix::new(SEED, []);
    assert!(
        sender
            .run(&mut nothing, 1, Limit::Packets(1), &never)
            .is_err()
    );
}

#[test]
#[ignore = "needs root"]
fn links_of_one_network_are_apart() {
    let network = Network::with_links(3).unwrap();
    let receivers: Vec<_> = network
        .links()
        .iter()
        .map(|link| Receiver::start(&network.host, &link.host, 1).unwrap())
        .collect();
    for (link, count) in network.links().iter().zip([10, 20, 30]) {
        let mut mix = Mix::new(SEED, [Flow::new("only").packet(link.ipv6().udp(1, 2))]);
        Sender::open(&network.peer, &link.peer)
            .unwrap()
            .run(
                &mut mix,
                10_000,
                Limit::Packets(count),
                &AtomicBool::new(false),
            )
            .unwrap();
    }
    let counts: Vec<_> = receivers
        .into_iter()
        .map(|receiver| receiver.finish().unwrap().total())
        .collect();
    assert_eq!(counts, [10, 20, 30]);
}
