//! ICMP errors: about known flows, unknown ones, and those that others have sent.

use std::{
    io::ErrorKind,
    net::{SocketAddr, UdpSocket},
};

use benches::network::Link;
use rules::packet::{Damage, Packet};

use super::{Connection, Datagrams, Family, PORT, counted, how_many, ping, write};
use crate::machine::{Machine, Said, patience, wait_until};

/// The bytes of the Ethernet header, which no error quotes.
const ETHERNET: usize = 14;

/// What is quoted of a packet without its Ethernet header: the IP header and 8 bytes.
fn quoted(family: Family, packet: &Packet) -> Vec<u8> {
    let length = match family {
        Family::Ipv4 => 20 + 8,
        Family::Ipv6 => 40 + 8,
    };
    let mut bytes = packet.build().split_off(ETHERNET);
    bytes.resize(length, 0);
    bytes
}

/// A packet from the host to the peer, as it was sent.
fn from_host(family: Family, link: &Link) -> Packet {
    Packet::ip(family.of(&link.host), family.of(&link.peer)).unwrap()
}

/// The same the other way round.
fn from_peer(family: Family, link: &Link) -> Packet {
    Packet::ip(family.of(&link.peer), family.of(&link.host)).unwrap()
}

/// An echo request with an identifier; its checksum is wrong, which errors do not care about.
fn request(family: Family, packet: Packet, id: u16) -> Packet {
    let [high, low] = id.to_be_bytes();
    let packet = family.echo(packet, true);
    let packet = packet.damage(Damage::UpperOctet(4, high));
    packet.damage(Damage::UpperOctet(5, low))
}

/// The kinds of errors.
#[derive(Clone, Copy, Debug)]
enum Kind {
    PortUnreachable,
    TooLong,
    TimeExceeded,
}

impl Kind {
    const ALL: [Self; 3] = [Self::PortUnreachable, Self::TooLong, Self::TimeExceeded];

    fn of(self, family: Family, packet: Packet) -> Packet {
        match (family, self) {
            (Family::Ipv4, Self::PortUnreachable) => packet.icmp(3, 3),
            (Family::Ipv4, Self::TooLong) => packet.icmp(3, 4),
            (Family::Ipv4, Self::TimeExceeded) => packet.icmp(11, 0),
            (Family::Ipv6, Self::PortUnreachable) => packet.icmpv6(1, 4),
            (Family::Ipv6, Self::TooLong) => packet.icmpv6(2, 0),
            (Family::Ipv6, Self::TimeExceeded) => packet.icmpv6(3, 0),
        }
    }
}

/// An error that a router on the way, or the peer, sends about a packet.
fn error(family: Family, link: &Link, kind: Kind, about: &Packet) -> Packet {
    let packet = match kind {
        Kind::PortUnreachable => family.to_host(link),
        Kind::TooLong | Kind::TimeExceeded => family.stranger(link, 1),
    };
    kind.of(family, packet).payload(&quoted(family, about))
}

#[test]
#[ignore = "needs root"]
fn errors_about_known_flows_are_related_and_others_are_invalid() {
    let machine = Machine::new();
    let _daemon = machine.apply(&write(&machine, ""));
    let link = machine.network.link();
    let (mut related, mut invalid) = (0, 0);
    for family in Family::ALL {
        let connection = Connection::open(&machine, link, family, PORT);
        let datagrams = Datagrams::open(&machine, link, family, PORT);
        datagrams.asks();
        let id = ping(&machine, link, family);
        let (tcp, udp) = (connection.port(), datagrams.port());
        let known = [
            from_host(family, link).tcp(tcp, PORT, 0x10),
            from_host(family, link).udp(udp, PORT),
            request(family, from_host(family, link), id),
        ];
        for about in &known {
            for kind in Kind::ALL {
                machine.send(&error(family, link, kind, about), 1);
                related += 1;
            }
        }
        machine.await_packets("related", related);
        assert_eq!(counted(&machine, "invalid"), invalid, "{family:?}");
        let unknown = [
            from_host(family, link).tcp(tcp, PORT + 1, 0x10),
            from_host(family, link).tcp(udp, PORT, 0x10),
            from_host(family, link).udp(udp, PORT + 1),
            from_host(family, link).udp(tcp, PORT),
            request(family, from_host(family, link), id ^ 1),
            // Of known flows, but the other way round: the host has not sent them.
            from_peer(family, link).tcp(PORT, tcp, 0x10),
            from_peer(family, link).udp(PORT, udp),
            request(family, from_peer(family, link), id),
            // A reply that the host would have sent.
            family.echo(from_host(family, link), false),
        ];
        for about in &unknown {
            for kind in Kind::ALL {
                machine.send(&error(family, link, kind, about), 1);
                invalid += 1;
            }
        }
        // Errors that are too short to say what they are about.
        for length in [0, 7, 19] {
            let short = Kind::PortUnreachable.of(family, family.to_host(link));
            let bytes = quoted(family, &known[1]);
            machine.send(&short.payload(&bytes[..length]), 1);
            invalid += 1;
        }
        machine.await_packets("invalid", invalid);
    }
    machine.await_packets("policy", invalid);
    assert_eq!(counted(&machine, "related"), related);
    assert_eq!(counted(&machine, "new"), 0);
}

#[test]
#[ignore = "needs root"]
fn an_error_reaches_the_socket_that_it_is_for() {
    let machine = Machine::new();
    let _daemon = machine.apply(&write(&machine, ""));
    let link = machine.network.link();
    for family in Family::ALL {
        let datagrams = Datagrams::open(&machine, link, family, PORT);
        datagrams.asks();
        let about = from_host(family, link).udp(datagrams.port(), PORT);
        let others = from_host(family, link).udp(datagrams.port(), PORT + 1);
        let unreachable = |about| error(family, link, Kind::PortUnreachable, about);
        let before = counted(&machine, "policy");
        machine.send(&unreachable(&others), 1);
        machine.await_packets("policy", before + 1);
        assert!(!datagrams.has_heard());
        machine.send(&unreachable(&about), 1);
        wait_until("the port is known to be closed", || {
            let error = datagrams.own.recv(&mut [0]).unwrap_err();
            error.kind() == ErrorKind::ConnectionRefused
        });
    }
    // What is said of the MTU of the path is heeded.
    let family = Family::Ipv4;
    let datagrams = Datagrams::open(&machine, link, family, PORT);
    datagrams.asks();
    let about = from_host(family, link).udp(datagrams.port(), PORT);
    assert!(!route(&machine).stdout.contains("mtu 1400"));
    machine.send_frame(&too_long(link, &about));
    wait_until("the MTU of the path is known", || {
        route(&machine).stdout.contains("mtu 1400")
    });
}

/// An error to the host that says that the MTU of the path is 1,400.
fn too_long(link: &Link, about: &Packet) -> Vec<u8> {
    let family = Family::Ipv4;
    let long = Kind::TooLong.of(family, family.to_host(link));
    with_mtu(&long.payload(&quoted(family, about)), 1_400)
}

#[test]
#[ignore = "needs root"]
fn errors_about_what_rules_let_in_are_related() {
    let machine = Machine::new();
    let service =
        "[[rule]]\nname = \"service\"\naction = \"pass\"\nproto = [\"tcp\", \"udp\"]\ndport = 7\n";
    let _daemon = machine.apply(&write(&machine, service));
    let link = machine.network.link();
    let (mut related, mut invalid) = (0, 0);
    for family in Family::ALL {
        for kind in Kind::ALL {
            for about in [
                from_host(family, link).udp(PORT, 40_000),
                from_host(family, link).tcp(PORT, 40_000, 0x10),
            ] {
                machine.send(&error(family, link, kind, &about), 1);
                related += 1;
            }
            for about in [
                from_host(family, link).udp(PORT + 1, PORT),
                from_host(family, link).tcp(40_000, PORT, 0x10),
                from_peer(family, link).udp(PORT, PORT),
                from_host(family, link).protocol(47).payload(&[0; 8]),
                request(family, from_host(family, link), 1),
            ] {
                machine.send(&error(family, link, kind, &about), 1);
                invalid += 1;
            }
        }
    }
    machine.await_packets("related", related);
    machine.await_packets("invalid", invalid);
    assert_eq!(counted(&machine, "policy"), invalid);
    assert_eq!(counted(&machine, "new"), 0);
    // They are counted once, and no flow is made of them.
    assert_eq!(how_many(&machine), 0);
    // A service over UDP hears of the MTU of the path, as one over TCP does.
    let serve = || UdpSocket::bind((Family::Ipv4.of(&link.host), PORT));
    let service = machine.network.host.run(serve).unwrap().unwrap();
    service.set_read_timeout(Some(patience())).unwrap();
    let ask = || UdpSocket::bind((Family::Ipv4.of(&link.peer), 40_000));
    let client = machine.network.peer.run(ask).unwrap().unwrap();
    client
        .send_to(b"ask", service.local_addr().unwrap())
        .unwrap();
    let (_, from) = service.recv_from(&mut [0; 8]).unwrap();
    service.send_to(b"answer", from).unwrap();
    assert!(!route(&machine).stdout.contains("mtu 1400"));
    let about = from_host(Family::Ipv4, link).udp(PORT, 40_000);
    machine.send_frame(&too_long(link, &about));
    wait_until("the MTU of the path is known", || {
        route(&machine).stdout.contains("mtu 1400")
    });
}

/// The frame of an IPv4 error with an MTU, and with the checksum that this makes.
fn with_mtu(packet: &Packet, mtu: u16) -> Vec<u8> {
    let mut frame = packet.build();
    let at = ETHERNET + 20;
    frame[at + 6..at + 8].copy_from_slice(&mtu.to_be_bytes());
    // RFC 1624: HC' = ~(~HC + ~m + m'), where m is 0.
    let old = u16::from_be_bytes([frame[at + 2], frame[at + 3]]);
    let sum = u32::from(!old) + 0xffff + u32::from(mtu);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    let new = !u16::try_from(sum).unwrap();
    frame[at + 2..at + 4].copy_from_slice(&new.to_be_bytes());
    frame
}

/// The way to the peer, and its MTU.
fn route(machine: &Machine) -> Said {
    let peer = machine.network.link().peer.ipv4;
    let mut command = machine.command("ip");
    command.args(["route", "get", &peer.to_string()]);
    machine.finish(command)
}

#[test]
#[ignore = "needs root"]
fn a_refused_connection_is_an_answer() {
    let machine = Machine::new();
    let _daemon = machine.apply(&write(&machine, ""));
    let link = machine.network.link();
    for family in Family::ALL {
        let to = SocketAddr::new(family.of(&link.peer), 9);
        let connect = || std::net::TcpStream::connect(to);
        let error = machine.network.host.run(connect).unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    }
    assert_eq!(counted(&machine, "established"), 2);
    assert_eq!(counted(&machine, "policy"), 0);
}
