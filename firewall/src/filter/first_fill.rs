//! The first fill of a table of flows: the connections that began before packets out were recorded.
//!
//! They are those of the sockets and those of connection tracking, and as with packets out, what rules let in anyway
//! makes no flow.

use std::{
    collections::HashSet,
    io,
    net::{IpAddr, SocketAddr},
};

use firewall_ebpf::flows::{FlowOrigin, FlowProgress};
use nix::{ifaddrs::getifaddrs, sys::socket::SockaddrStorage};
use rules::{
    Context,
    compiler::InterfaceIndex,
    field::State,
    model::Verdict,
    packet::{Packet, tcp_flags::ACK},
    walker::{Tracking, lets_in_reverse, tracking, walk},
};

use crate::kernel::{
    connection::KnownConnection,
    conntrack,
    flow_writer::FlowWriter,
    flows::{FlowTable, FlowsError},
    sockets,
};

/// Enters the connections that exist already, unless the rules of an image let their packets in without. What fails is
/// logged: rules come into force all the same.
pub(super) fn fill(table: &FlowTable, image: &[u8], interfaces: &[InterfaceIndex]) {
    if let Err(error) = try_to_fill(table, image, interfaces) {
        let error: &dyn std::error::Error = &error;
        tracing::warn!(
            event = "connections_not_read",
            error,
            "connections that exist already are not known, and their next packets in are new"
        );
    }
}

/// Whether the rules of an image need flows from outside, and those of the one before do not.
pub(super) fn knows_more(before: &[u8], image: &[u8]) -> bool {
    let knows = |image| tracking(image).has(Tracking::INCOMING);
    knows(image) && !knows(before)
}

fn try_to_fill(
    table: &FlowTable,
    image: &[u8],
    interfaces: &[InterfaceIndex],
) -> Result<(), FlowsError> {
    let rules = ComingRules { image, interfaces };
    let own = own_addresses();
    let knows_incoming = tracking(image).has(Tracking::INCOMING);
    let mut writer = FlowWriter::new(table)?;
    let mut take = |connection: KnownConnection| {
        let origin = origin(&connection, &own, |direction| rules.let_in(direction));
        match origin {
            Some((_, FlowOrigin::In)) if !knows_incoming => {}
            Some((connection, origin)) => writer.enter(&connection, origin),
            None => {}
        }
    };
    // What a socket says of its connection is what is so.
    warn("sockets", sockets::each(&mut take));
    warn("connection tracking", conntrack::each(&mut take));
    let (flows, left_out) = (writer.added, writer.left_out);
    if left_out > 0 {
        tracing::warn!(
            event = "connections_left_out",
            flows,
            left_out,
            max = table.slots(),
            "{left_out} connections that exist already have no room in the table of flows"
        );
    } else {
        tracing::info!(
            event = "connections_entered",
            flows,
            "{flows} connections that exist already are flows"
        );
    }
    Ok(())
}

fn warn(of: &str, read: io::Result<()>) {
    if let Err(error) = read {
        let error: &dyn std::error::Error = &error;
        tracing::warn!(
            event = "connections_not_read",
            error,
            "not all connections that exist already are known from {of}, and the next packets in of others are new"
        );
    }
}

/// The addresses of this machine; none if they are unknown, which makes more flows than needed.
fn own_addresses() -> HashSet<IpAddr> {
    let addresses = getifaddrs().into_iter().flatten();
    let addresses = addresses.filter_map(|interface| interface.address.as_ref().and_then(ip));
    addresses.collect()
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let ipv4 = address.as_sockaddr_in().map(|address| address.ip().into());
    ipv4.or_else(|| address.as_sockaddr_in6().map(|address| address.ip().into()))
}

/// From where to where packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Outward {
    protocol: u8,
    from: SocketAddr,
    to: SocketAddr,
}

/// A connection as it is to be entered, from the end that began it, and what it began with, as far as rules see it; `None` if it
/// is no flow. Of `lets_in` is asked whether what comes back to packets that are sent is let in without: the connection is
/// then one that packets in began.
fn origin(
    connection: &KnownConnection,
    own: &HashSet<IpAddr>,
    lets_in: impl Fn(Outward) -> bool,
) -> Option<(KnownConnection, FlowOrigin)> {
    let is_own = |end: SocketAddr| end.ip().is_loopback() || own.contains(&end.ip());
    let KnownConnection {
        protocol,
        source,
        destination,
        progress,
    } = *connection;
    let sent = |from, to| Outward { protocol, from, to };
    let out = || Some((*connection, FlowOrigin::Out));
    let of_others = |connection: KnownConnection| {
        let is_answered = connection.progress != FlowProgress::Unanswered;
        is_answered.then_some((connection, FlowOrigin::In))
    };
    match (is_own(source), is_own(destination)) {
        // Its packets do not leave the machine.
        (true, true) => None,
        (true, false) if connection.is_echo() || !lets_in(sent(source, destination)) => out(),
        // Who accepted a connection is not known of its socket.
        (true, false) => of_others(connection.reversed()),
        // What others ask of the machine, and what it has not answered, is new.
        (false, true) if connection.is_echo() || progress == FlowProgress::Unanswered => None,
        (false, true) if !lets_in(sent(destination, source)) => out(),
        (false, true) => of_others(*connection),
        // It is forwarded: packets come in from both ends.
        (false, false)
            if connection.is_echo()
                || !lets_in(sent(source, destination))
                || !lets_in(sent(destination, source)) =>
        {
            out()
        }
        (false, false) => of_others(*connection),
    }
}

/// The rules that are to come into force.
struct ComingRules<'a> {
    image: &'a [u8],
    interfaces: &'a [InterfaceIndex],
}

impl ComingRules<'_> {
    /// Whether the packets that come back to packets that are sent are let in without a flow.
    ///
    /// They are if the rules let them in as new, whichever interface they come in by. Which one that is is not known: where
    /// rules tell interfaces apart, they are also if fewer interfaces would let them in as established.
    fn let_in(&self, sent: Outward) -> bool {
        let (Some(out), Some(back)) = (
            frame(sent.protocol, sent.from, sent.to),
            frame(sent.protocol, sent.to, sent.from),
        ) else {
            return false;
        };
        let count = |passes: &dyn Fn(u32) -> bool| {
            let interfaces = self.interfaces.iter();
            interfaces.filter(|index| passes(index.0)).count()
        };
        let as_new = count(&|interface| lets_in_reverse(self.image, &out, interface));
        if as_new == 0 || as_new == self.interfaces.len() {
            return as_new > 0;
        }
        let as_established = count(&|interface| {
            let context = Context::arriving(interface).in_state(State::Established);
            walk(self.image, &back, &context).verdict == Verdict::Pass
        });
        as_established < as_new
    }
}

/// A packet between two ends; `None` if they are of different families.
fn frame(protocol: u8, from: SocketAddr, to: SocketAddr) -> Option<Vec<u8>> {
    const TCP: u8 = 6;
    const UDP: u8 = 17;
    const DCCP: u8 = 33;
    const SCTP: u8 = 132;
    const UDP_LITE: u8 = 136;
    let packet = Packet::ip(from.ip(), to.ip())?;
    let (sport, dport) = (from.port(), to.port());
    let packet = match protocol {
        TCP => packet.tcp(sport, dport, ACK),
        UDP => packet.udp(sport, dport),
        DCCP => packet.dccp(sport, dport),
        SCTP => packet.sctp(sport, dport),
        UDP_LITE => packet.udp_lite(sport, dport),
        number => packet.protocol(number),
    };
    Some(packet.build())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "192.0.2.1:1000";
    const OTHER: &str = "198.51.100.7:443";
    const INSIDE: &str = "10.0.0.5:2000";

    fn needed(
        protocol: u8,
        ends: [&str; 2],
        progress: FlowProgress,
        lets_in: impl Fn(&str, &str) -> bool,
    ) -> bool {
        let own = HashSet::from(["192.0.2.1".parse().unwrap()]);
        let [source, destination] = ends.map(|end| end.parse().unwrap());
        let connection = KnownConnection {
            protocol,
            source,
            destination,
            progress,
        };
        let origin = origin(&connection, &own, |sent| {
            assert_eq!(sent.protocol, protocol);
            lets_in(&sent.from.to_string(), &sent.to.to_string())
        });
        origin.is_some_and(|(_, origin)| origin == FlowOrigin::Out)
    }

    #[test]
    fn what_rules_let_in_is_not_needed() {
        let answered = FlowProgress::Answered;
        for ends in [[HOST, OTHER], [OTHER, HOST]] {
            for lets_in in [false, true] {
                let asked = |from: &str, to: &str| {
                    assert_eq!((from, to), (HOST, OTHER));
                    lets_in
                };
                assert_eq!(needed(6, ends, answered, asked), !lets_in);
            }
        }
    }

    #[test]
    fn one_direction_that_is_not_let_in_makes_a_forwarded_connection_needed() {
        for ends in [[INSIDE, OTHER], [OTHER, INSIDE]] {
            for progress in [FlowProgress::Unanswered, FlowProgress::Answered] {
                assert!(needed(17, ends, progress, |_, _| false));
                assert!(needed(17, ends, progress, |from, _| from == INSIDE));
                assert!(needed(17, ends, progress, |from, _| from == OTHER));
                assert!(!needed(17, ends, progress, |_, _| true));
            }
        }
    }

    #[test]
    fn what_is_asked_of_the_machine_and_what_stays_on_it_is_not_needed() {
        let never = |_: &str, _: &str| panic!("nothing to ask");
        assert!(!needed(17, [OTHER, HOST], FlowProgress::Unanswered, never));
        assert!(!needed(1, [OTHER, HOST], FlowProgress::Answered, never));
        assert!(needed(1, [HOST, OTHER], FlowProgress::Answered, never));
        for ends in [
            [HOST, HOST],
            ["127.0.0.1:1", "127.0.0.1:2"],
            ["[::1]:1", "[::1]:2"],
        ] {
            assert!(!needed(6, ends, FlowProgress::Answered, never));
        }
    }
}
