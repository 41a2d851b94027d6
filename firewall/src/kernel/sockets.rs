//! The connections of this machine's sockets, listed by the kernel (`sock_diag(7)`).

use std::{io, net::SocketAddr};

use firewall_ebpf::flows::FlowProgress;
use netlink_packet_sock_diag::{
    SockDiagMessage,
    constants::{
        AF_INET, AF_INET6, IPPROTO_TCP, IPPROTO_UDP, TCP_CLOSE_WAIT, TCP_CLOSING, TCP_ESTABLISHED,
        TCP_FIN_WAIT1, TCP_FIN_WAIT2, TCP_LAST_ACK, TCP_SYN_SENT,
    },
    inet::{ExtensionFlags, InetRequest, InetResponseHeader, SocketId, StateFlags},
};
use rtnetlink::sys::protocols::NETLINK_SOCK_DIAG;

use crate::kernel::{connection::KnownConnection, netlink::dump};

/// The connections of TCP sockets, and those of UDP sockets that are connected, of both families. What
/// both ends have closed and what a client has only asked for is left out.
///
/// # Errors
///
/// When the kernel does not list its sockets, with those that it has listed passed on.
pub(crate) fn each(mut each: impl FnMut(KnownConnection)) -> io::Result<()> {
    let open = StateFlags::ESTABLISHED;
    let states = open.clone()
        | StateFlags::SYN_SENT
        | StateFlags::FIN_WAIT1
        | StateFlags::FIN_WAIT2
        | StateFlags::CLOSE_WAIT
        | StateFlags::LAST_ACK
        | StateFlags::CLOSING;
    let mut failed = None;
    for (protocol, states) in [(IPPROTO_TCP, states), (IPPROTO_UDP, open)] {
        for (family, socket_id) in [
            (AF_INET, SocketId::new_v4()),
            (AF_INET6, SocketId::new_v6()),
        ] {
            let request = InetRequest {
                family,
                protocol,
                extensions: ExtensionFlags::empty(),
                states: states.clone(),
                socket_id,
            };
            let request = SockDiagMessage::InetRequest(request);
            let listed = dump(NETLINK_SOCK_DIAG, request, |message| {
                if let SockDiagMessage::InetResponse(socket) = message
                    && let Some(connection) = connection(protocol, &socket.header)
                {
                    each(connection);
                }
            });
            failed = failed.or(listed.err());
        }
    }
    failed.map_or(Ok(()), Err)
}

/// The connection of a socket.
fn connection(protocol: u8, socket: &InetResponseHeader) -> Option<KnownConnection> {
    let progress = match socket.state {
        TCP_ESTABLISHED => FlowProgress::Answered,
        TCP_SYN_SENT => FlowProgress::Unanswered,
        TCP_FIN_WAIT1 | TCP_FIN_WAIT2 => FlowProgress::SourceClosed,
        TCP_CLOSE_WAIT => FlowProgress::DestinationClosed,
        TCP_LAST_ACK | TCP_CLOSING => FlowProgress::Closed,
        _ => return None,
    };
    let id = &socket.socket_id;
    // A socket of IPv6 that talks to an IPv4 address sends IPv4 packets.
    Some(KnownConnection {
        protocol,
        source: SocketAddr::new(id.source_address.to_canonical(), id.source_port),
        destination: SocketAddr::new(id.destination_address.to_canonical(), id.destination_port),
        progress,
    })
}
