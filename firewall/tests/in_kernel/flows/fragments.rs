//! Answers that come in fragments.

use rules::packet::{Fragment, Packet};

use super::{Datagrams, Family, PORT, counted, write};
use crate::machine::{Machine, wait_until};

/// Longer than two frames, as long answers of name servers are.
const LONG: [u8; 4_000] = [7; 4_000];

fn later(packet: Packet, id: u32) -> Packet {
    packet.protocol(17).payload(&[7; 64]).fragment(Fragment {
        id,
        offset: 64,
        more: false,
    })
}

fn first(packet: Packet, ports: (u16, u16), id: u32) -> Packet {
    let fragment = Fragment {
        id,
        offset: 0,
        more: true,
    };
    packet
        .udp(ports.0, ports.1)
        .payload(&[7; 504])
        .fragment(fragment)
}

#[test]
#[ignore = "needs root"]
fn an_answer_in_fragments_arrives_whole() {
    let machine = Machine::new();
    let _daemon = machine.apply(&write(&machine, ""));
    let link = machine.network.link();
    let mut related = 0;
    for family in Family::ALL {
        let datagrams = Datagrams::open(&machine, link, family, PORT);
        let from = datagrams.asks();
        datagrams.far.send_to(&LONG, from).unwrap();
        let mut received = vec![0; LONG.len() + 1];
        wait_until("the answer has come", || {
            datagrams
                .own
                .recv(&mut received)
                .is_ok_and(|length| length == LONG.len())
        });
        assert_eq!(&received[..LONG.len()], &LONG);
        related += 2;
    }
    assert_eq!(counted(&machine, "related"), related);
    assert_eq!(counted(&machine, "policy"), 0);
}

#[test]
#[ignore = "needs root"]
fn later_fragments_are_known_by_the_first_one() {
    let machine = Machine::new();
    let _daemon = machine.apply(&write(&machine, ""));
    let link = machine.network.link();
    let (mut related, mut new) = (0, 0);
    for family in Family::ALL {
        let datagrams = Datagrams::open(&machine, link, family, PORT);
        let port = datagrams.asks().port();
        let peer = || family.to_host(link);
        // Before the first one.
        machine.send(&later(peer(), 1), 1);
        new += 1;
        machine.await_packets("new", new);
        machine.send(&first(peer(), (PORT, port), 1), 1);
        machine.await_packets("established", u64::from(family == Family::Ipv6) + 1);
        machine.send(&later(peer(), 1), 2);
        related += 2;
        machine.await_packets("related", related);
        // Of another packet, and from another host.
        machine.send(&later(peer(), 2), 1);
        machine.send(&later(family.stranger(link, 1), 1), 1);
        // The first fragment of a packet of no known flow makes none known.
        machine.send(&first(peer(), (PORT, port ^ 1), 3), 1);
        machine.send(&later(peer(), 3), 1);
        new += 4;
        machine.await_packets("new", new);
    }
    assert_eq!(counted(&machine, "related"), related);
    assert_eq!(counted(&machine, "policy"), new);
}
