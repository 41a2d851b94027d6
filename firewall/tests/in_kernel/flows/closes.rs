//! TCP connections: how they end, and what does not end them.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    thread,
};

use nix::sys::socket::{setsockopt, sockopt};
use rules::packet::tcp_flags::{ACK, FIN, PSH, RST, SYN, URG};

use super::{Connection, Family, PORT, counted, how_many, phase, write};
use crate::machine::{Machine, wait_until};

/// What follows half of a close.
const MUCH: usize = 1 << 20;

/// Sends much from one end to the other, which receives all of it, until the end.
fn finish(from: &mut TcpStream, to: &mut TcpStream) {
    let received = thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut all = Vec::new();
            to.read_to_end(&mut all).unwrap();
            all.len()
        });
        from.write_all(&vec![1; MUCH]).unwrap();
        from.shutdown(Shutdown::Write).unwrap();
        reading.join().unwrap()
    });
    assert_eq!(received, MUCH);
}

#[test]
#[ignore = "needs root"]
fn a_half_closed_connection_goes_on_from_either_side() {
    let machine = Machine::new();
    let _daemon = machine.apply(&write(&machine, ""));
    let link = machine.network.link();
    for family in Family::ALL {
        for host_closes in [true, false] {
            let mut connection = Connection::open(&machine, link, family, PORT);
            connection.goes_on();
            let port = connection.port();
            assert_eq!(phase(&machine, port), "answered");
            let Connection { own, far } = &mut connection;
            let (closing, other) = if host_closes { (own, far) } else { (far, own) };
            closing.shutdown(Shutdown::Write).unwrap();
            assert_eq!(other.read(&mut [0]).unwrap(), 0);
            assert_eq!(phase(&machine, port), "half-closed");
            finish(other, closing);
            wait_until("the flow is closed", || phase(&machine, port) == "closed");
        }
    }
    assert_eq!(counted(&machine, "policy"), 0);
    assert_eq!(counted(&machine, "new"), 0);
}

#[test]
#[ignore = "needs root"]
fn both_may_close_at_once() {
    let machine = Machine::new();
    let _daemon = machine.apply(&write(&machine, ""));
    let link = machine.network.link();
    for family in Family::ALL {
        for _ in 0..10 {
            let mut connection = Connection::open(&machine, link, family, PORT);
            let port = connection.port();
            let Connection { own, far } = &mut connection;
            thread::scope(|scope| {
                for stream in [own, far] {
                    scope.spawn(|| {
                        stream.shutdown(Shutdown::Write).unwrap();
                        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
                    });
                }
            });
            wait_until("the flow is closed", || phase(&machine, port) == "closed");
        }
    }
    assert_eq!(counted(&machine, "policy"), 0);
}

#[test]
#[ignore = "needs root"]
fn a_reset_that_the_host_does_not_believe_changes_nothing() {
    let machine = Machine::new();
    let _daemon = machine.apply(&write(&machine, ""));
    let link = machine.network.link();
    for family in Family::ALL {
        let mut connection = Connection::open(&machine, link, family, PORT);
        connection.goes_on();
        let port = connection.port();
        for flags in [RST, RST | ACK] {
            let reset = family.to_host(link).tcp(PORT, port, flags);
            // The acknowledgement of what was said before may go out late, and clear the doubt at once.
            wait_until("the reset is noted", || {
                machine.send(&reset, 3);
                phase(&machine, port) == "reset"
            });
            // What the peer has to say comes through still, and its acknowledgement clears the doubt.
            connection.hears();
            wait_until("it is cleared", || phase(&machine, port) == "answered");
            connection.goes_on();
            assert_eq!(phase(&machine, port), "answered");
        }
        // A FIN that nobody has sent may close one direction in the table, which closes nothing.
        let end = family.to_host(link).tcp(PORT, port, FIN | ACK);
        machine.send(&end, 3);
        wait_until("the end is noted", || {
            phase(&machine, port) == "half-closed"
        });
        connection.goes_on();
    }
    assert_eq!(counted(&machine, "policy"), 0);
}

#[test]
#[ignore = "needs root"]
fn a_reset_ends_a_connection_only_when_it_goes_out() {
    let machine = Machine::new();
    let _daemon = machine.apply(&write(&machine, ""));
    let link = machine.network.link();
    for family in Family::ALL {
        for host_resets in [true, false] {
            let mut connection = Connection::open(&machine, link, family, PORT);
            connection.goes_on();
            let port = connection.port();
            let Connection { own, far } = connection;
            let linger = libc::linger {
                l_onoff: 1,
                l_linger: 0,
            };
            let (resetting, _other) = if host_resets { (own, far) } else { (far, own) };
            setsockopt(&resetting, sockopt::Linger, &linger).unwrap();
            drop(resetting);
            let expected = if host_resets { "closed" } else { "reset" };
            wait_until("the reset is noted", || phase(&machine, port) == expected);
        }
    }
}

#[test]
#[ignore = "needs root"]
fn a_tuple_can_be_used_again_at_once() {
    let machine = Machine::new();
    let _daemon = machine.apply(&write(&machine, ""));
    let link = machine.network.link();
    for family in Family::ALL {
        let to = SocketAddr::new(family.of(&link.peer), PORT);
        let listener = machine.network.peer.run(|| TcpListener::bind(to));
        let listener = listener.unwrap().unwrap();
        let mut from = None;
        for host_resets in [false, true, false, true, false] {
            // The peer closes first, so that no socket of the host waits; or the host resets.
            let open = || {
                let own = socket(family, from);
                connect(&own, to);
                TcpStream::from(own)
            };
            let own = machine.network.host.run(open).unwrap();
            let (far, _) = listener.accept().unwrap();
            let mut connection = Connection::of(own, far);
            connection.goes_on();
            let port = connection.port();
            let first = from.is_none();
            from = Some(port);
            assert_eq!(phase(&machine, port), "answered");
            let Connection { mut own, mut far } = connection;
            if host_resets {
                let linger = libc::linger {
                    l_onoff: 1,
                    l_linger: 0,
                };
                setsockopt(&own, sockopt::Linger, &linger).unwrap();
                drop(own);
                // Reading fails, by the reset.
                assert!(far.read(&mut [0]).is_err());
            } else {
                far.shutdown(Shutdown::Write).unwrap();
                assert_eq!(own.read(&mut [0]).unwrap(), 0);
                own.shutdown(Shutdown::Write).unwrap();
                assert_eq!(far.read(&mut [0]).unwrap(), 0);
            }
            wait_until("it is closed", || phase(&machine, port) == "closed");
            if first {
                // The other end cannot begin a connection by a flow that is over.
                let policy = counted(&machine, "policy");
                let opening = family.to_host(link).tcp(PORT, port, SYN);
                machine.send(&opening, 2);
                machine.await_packets("policy", policy + 2);
                machine.await_packets("new", policy + 2);
            }
        }
    }
    assert_eq!(how_many(&machine), 2);
}

/// A socket of the host, at a port of an earlier one.
fn socket(family: Family, port: Option<u16>) -> std::os::fd::OwnedFd {
    use nix::sys::socket::{
        AddressFamily, SockFlag, SockType, SockaddrStorage, bind, setsockopt, socket, sockopt,
    };
    let domain = match family {
        Family::Ipv4 => AddressFamily::Inet,
        Family::Ipv6 => AddressFamily::Inet6,
    };
    let own = socket(domain, SockType::Stream, SockFlag::empty(), None).unwrap();
    setsockopt(&own, sockopt::ReuseAddr, &true).unwrap();
    let any = SocketAddr::new(family.any(), port.unwrap_or(0));
    bind(
        std::os::fd::AsRawFd::as_raw_fd(&own),
        &SockaddrStorage::from(any),
    )
    .unwrap();
    own
}

fn connect(own: &std::os::fd::OwnedFd, to: SocketAddr) {
    let raw = std::os::fd::AsRawFd::as_raw_fd(own);
    nix::sys::socket::connect(raw, &nix::sys::socket::SockaddrStorage::from(to)).unwrap();
}

#[test]
#[ignore = "needs root"]
fn flags_that_no_segment_has_are_invalid_whatever_is_known() {
    const IMPOSSIBLE: [u8; 8] = [
        0,
        FIN,
        FIN | PSH | URG,
        SYN | FIN,
        SYN | RST,
        PSH,
        FIN | RST | ACK,
        0xff,
    ];
    let machine = Machine::new();
    let rules = "[[rule]]\nname = \"open\"\naction = \"pass\"\nproto = \"tcp\"\ndport = 8001\nstate = \"new\"\n";
    let _daemon = machine.apply(&write(&machine, rules));
    let link = machine.network.link();
    let mut sent = 0;
    for family in Family::ALL {
        let mut connection = Connection::open(&machine, link, family, PORT);
        connection.goes_on();
        let port = connection.port();
        for flags in IMPOSSIBLE {
            for dport in [port, 8001, 9] {
                machine.send(&family.to_host(link).tcp(PORT, dport, flags), 1);
                sent += 1;
            }
        }
        machine.await_packets("invalid", sent);
        machine.await_packets("policy", sent);
        assert_eq!(phase(&machine, port), "answered");
        connection.goes_on();
    }
    assert_eq!(counted(&machine, "new"), 0);
    assert_eq!(counted(&machine, "open"), 0);
    // For comparison: a segment that opens a connection.
    let opening = link.ipv4().tcp(PORT, 8001, SYN | PSH);
    machine.send(&opening, 1);
    machine.await_packets("open", 1);
}
