//! Frames that kernels make: longer than an IP header can state, with 0 in the place of a length
//! (BIG TCP).

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    thread,
};

use benches::{features::Feature, packet::Packet};

use crate::{
    machine::{Machine, patience},
    test_run::{Action, Program},
};

/// The port that data is sent to.
const PORT: u16 = 5201;

/// How many bytes are sent over each family.
const BYTES: usize = 128 << 20;

/// The rules that count packets as long as can be said, and longer ones.
const RULES: &str = r#"
[[rule]]
name = "long IPv4"
action = "count"
family = "ipv4"
length = 65535

[[rule]]
name = "long IPv6"
action = "count"
family = "ipv6"
length = 65535

[[rule]]
name = "data"
action = "pass"
proto = "tcp"
dport = 5201
"#;

#[test]
#[ignore = "needs root"]
fn big_tcp_of_both_families_arrives_in_generic_mode() {
    if let Some(lacking) = Feature::BigTcp.lacking().unwrap() {
        println!("left out {lacking}");
        return;
    }
    let machine = Machine::new();
    let link = machine.network.link();
    link.peer
        .send_packets_of(&machine.network.peer, 200_000)
        .unwrap();
    let interface = machine.interface();
    let rules = machine.write_file(&format!(
        "[firewall]\ninterfaces = [\"{interface}\"]\nmode = \"generic\"\npolicy = \"drop\"\n{RULES}"
    ));
    let _daemon = machine.apply(&rules);
    for (address, counter) in [
        (IpAddr::V4(link.host.ipv4), "long IPv4"),
        (IpAddr::V6(link.host.ipv6), "long IPv6"),
    ] {
        assert_eq!(transfer(&machine, SocketAddr::new(address, PORT)), BYTES);
        let counters = machine.counters();
        let (packets, bytes) = counters.get(counter).copied().unwrap_or_default();
        assert!(packets > 100, "{counters:?}");
        assert!(bytes > packets * 65_549, "{counters:?}");
        for reason in ["malformed", "truncated", "policy"] {
            assert!(!counters.contains_key(reason), "{counters:?}");
        }
    }
}

/// Sends data from the peer to the host over TCP; how much of it arrives.
fn transfer(machine: &Machine, to: SocketAddr) -> usize {
    let network = &machine.network;
    let listener = network.host.run(|| TcpListener::bind(to)).unwrap().unwrap();
    let sender = thread::spawn({
        let connection = network.peer.run(|| {
            let connection = TcpStream::connect_timeout(&to, patience())?;
            connection.set_write_timeout(Some(patience()))?;
            Ok::<_, std::io::Error>(connection)
        });
        let mut connection = connection.unwrap().unwrap();
        move || {
            let block = vec![7; 1 << 20];
            (0..BYTES / block.len()).try_for_each(|_| connection.write_all(&block))
        }
    });
    let (mut connection, _) = listener.accept().unwrap();
    connection.set_read_timeout(Some(patience())).unwrap();
    let (mut block, mut received) = (vec![0; 1 << 20], 0);
    loop {
        match connection.read(&mut block) {
            Ok(0) | Err(_) => break,
            Ok(read) => received += read,
        }
    }
    drop(connection);
    let sent = sender.join().unwrap();
    assert!(sent.is_ok() || received < BYTES, "{sent:?}");
    received
}

#[test]
#[ignore = "needs root"]
fn a_packet_without_a_length_is_all_of_its_frame_if_no_header_could_state_it() {
    if let Some(lacking) = Feature::Frags.lacking().unwrap() {
        println!("left out {lacking}");
        return;
    }
    let machine = Machine::new();
    let rules = r#"
[parser]
malformed = "pass"
truncated = "pass"

[[rule]]
name = "long"
action = "drop"
proto = "udp"
dport = 2
length = 65535
"#;
    let _daemon = machine.apply(&machine.write_rules("pass", rules));
    let program = Program::of(&machine);
    let link = machine.network.link();
    // Without its length, and with options in front of UDP.
    let frame = |packet: Packet, length: usize, options: &[u8]| {
        let mut frame = packet.udp(1, 2).build();
        let ip = frame.len() - 8;
        let is_ipv6 = frame[12..14] == [0x86, 0xdd];
        let stated = if is_ipv6 { 18 } else { 16 };
        frame[stated..stated + 2].fill(0);
        if !options.is_empty() {
            let header = [&[17, 0], options].concat();
            frame[20] = 0;
            frame.splice(ip..ip, header);
        }
        frame.resize(14 + length, 0);
        frame
    };
    let padding = &[1, 4, 0, 0, 0, 0];
    let jumbo = &[0xc2, 4, 0, 1, 0, 0];
    for (frame, action) in [
        (frame(link.ipv4(), 65_535, &[]), Action::Pass),
        (frame(link.ipv4(), 65_536, &[]), Action::Drop),
        (frame(link.ipv4(), 70_000, &[]), Action::Drop),
        (frame(link.ipv6(), 65_575, &[]), Action::Pass),
        (frame(link.ipv6(), 65_576, &[]), Action::Drop),
        (frame(link.ipv6(), 65_575, padding), Action::Pass),
        (frame(link.ipv6(), 65_576, padding), Action::Drop),
        // What the option states is not there, and is.
        (frame(link.ipv6(), 65_575, jumbo), Action::Pass),
        (frame(link.ipv6(), 65_576, jumbo), Action::Drop),
    ] {
        let start = rules::text::hexadecimal::digits(&frame[..80]);
        let length = frame.len();
        assert_eq!(program.run(&frame).unwrap(), action, "{length}: {start}");
    }
    let counters = machine.counters();
    assert_eq!(counters["malformed"].0, 2, "{counters:?}");
    assert_eq!(counters["truncated"].0, 2, "{counters:?}");
    assert_eq!(counters["long"].0, 5, "{counters:?}");
}
