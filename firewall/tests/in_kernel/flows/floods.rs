//! Floods at ports that are open, closed by the rules, and open without a server.

use std::net::{SocketAddr, TcpListener};

use rules::packet::tcp_flags::SYN;

use super::{Connection, Datagrams, Family, PORT, REPLIES, counted, events, flows};
use crate::{interfaces::ip, machine::Machine};

/// The sources of a flood, each of which sends two segments to each port.
const SOURCES: u32 = 10_000;

/// How many sources send between two clients.
const BETWEEN: u32 = 2_000;

/// A port that rules open and a server listens at, one that rules open, and one that nothing opens.
const OPEN: u16 = 8001;
const RESET: u16 = 8002;
const CLOSED: u16 = 9;

#[test]
#[ignore = "needs root"]
fn floods_make_no_flow_and_take_none_away() {
    let machine = Machine::new();
    let rules = format!(
        "[[rule]]\nname = \"open\"\naction = \"pass\"\nproto = \"tcp\"\ndport = [{OPEN}, {RESET}]\n\
         [[rule]]\nname = \"closed\"\naction = \"drop\"\nproto = \"tcp\"\ndport = {CLOSED}\n\
         [flows]\nmax = 1024\n"
    );
    let _daemon = machine.apply(&machine.write_rules("drop", &format!("{REPLIES}{rules}")));
    let link = machine.network.link();
    let network = &machine.network;
    // Strangers are answered.
    ip(
        &machine,
        &format!("route add default via {}", link.peer.ipv4),
    );
    ip(
        &machine,
        &format!("-6 route add default via {}", link.peer.ipv6),
    );
    for family in Family::ALL {
        let mut connection = Connection::open(&machine, link, family, PORT);
        connection.goes_on();
        let datagrams = Datagrams::open(&machine, link, family, PORT);
        datagrams.goes_on();
        let before = (flows(&machine), events(&machine));
        let closed_before = counted(&machine, "closed");
        let address = SocketAddr::new(family.of(&link.host), OPEN);
        let listener = network.host.run(|| TcpListener::bind(address));
        let listener = listener.unwrap().unwrap();
        for number in 0..SOURCES {
            for port in [OPEN, RESET, CLOSED] {
                let packet = family.stranger(link, number);
                let sport = u16::try_from(1_024 + number).unwrap();
                machine.send(&packet.tcp(sport, port, SYN), 2);
            }
            if number % BETWEEN == BETWEEN - 1 {
                let connect =
                    || std::net::TcpStream::connect_timeout(&address, crate::machine::patience());
                let client = network.peer.run(connect).unwrap().unwrap();
                let local = client.local_addr().unwrap();
                // Connections of the flood are none: nobody has sent the last segment of a handshake.
                let (far, from) = listener.accept().unwrap();
                assert_eq!(from, local);
                Connection::of(client, far).goes_on();
                connection.goes_on();
                datagrams.goes_on();
            }
        }
        machine.await_packets("closed", closed_before + u64::from(SOURCES) * 2);
        assert_eq!((flows(&machine), events(&machine)), before);
        assert_eq!(before.1["evicted_answered"], 0);
        assert_eq!(before.1["evicted_unanswered"], 0);
    }
    assert!(counted(&machine, "open") >= u64::from(SOURCES) * 8);
}
