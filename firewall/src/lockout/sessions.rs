//! SSH sessions of this network namespace.
//!
//! A listening port is an SSH port when it is 22, when it is that of the caller's session, or when
//! the listening process has the name of an SSH server.

use std::{collections::BTreeSet, net::SocketAddr};

use procfs::{
    ProcResult,
    net::{TcpNetEntry, TcpState},
    process::{FDTarget, Process},
};

use crate::lockout::{caller::Caller, surroundings::Surroundings};

/// The port of SSH (RFC 4250 section 3.1).
const SSH: u16 = 22;

/// The process names of SSH servers.
const SERVERS: [&str; 2] = ["sshd", "dropbear"];

/// A session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Session {
    /// The far end.
    pub(super) peer: SocketAddr,
    /// The near end.
    pub(super) local: SocketAddr,
}

/// The established sessions, with that of the caller first.
pub(super) fn established(caller: Option<Caller>, surroundings: &Surroundings) -> Vec<Session> {
    let sockets = sockets().unwrap_or_else(|error| {
        let error: &dyn std::error::Error = &error;
        tracing::warn!(
            event = "sessions_unknown",
            error,
            "the sessions of this machine cannot be listed"
        );
        Vec::new()
    });
    let of_state = |state: TcpState| {
        let sockets = sockets.iter();
        sockets.filter(move |socket| socket.state == state)
    };
    let connections: Vec<Session> = of_state(TcpState::Established)
        .map(|socket| Session {
            peer: canonical(socket.remote_address),
            local: canonical(socket.local_address),
        })
        .filter(|session| !session.peer.ip().is_loopback())
        .collect();
    let listening: BTreeSet<u16> = of_state(TcpState::Listen)
        .map(|socket| socket.local_address.port())
        .collect();
    let caller = caller.map(|Caller { peer, local }| Session { peer, local });
    let mut ports: BTreeSet<u16> = [SSH].into_iter().collect();
    ports.extend(caller.map(|caller| caller.local.port()));
    let in_question = |session: &Session| {
        let port = session.local.port();
        listening.contains(&port) && !ports.contains(&port)
    };
    if connections.iter().any(in_question) {
        let listeners = of_state(TcpState::Listen)
            .map(|socket| (socket.inode, socket.local_address.port()))
            .collect();
        ports.extend(ports_of_servers(&listeners));
    }
    // An ended session in the environment of a terminal multiplexer: the address is one of this
    // namespace, but the connection does not exist.
    let caller = caller
        .filter(|caller| connections.contains(caller) || !surroundings.is_local(caller.local.ip()));
    let mut sessions: Vec<Session> = caller.into_iter().collect();
    for session in connections {
        if ports.contains(&session.local.port()) && !sessions.contains(&session) {
            sessions.push(session);
        }
    }
    sessions
}

fn sockets() -> ProcResult<Vec<TcpNetEntry>> {
    let mut sockets = procfs::net::tcp()?;
    match procfs::net::tcp6() {
        Ok(more) => sockets.extend(more),
        // Without IPv6 there is no such file.
        Err(error) => tracing::debug!(event = "no_ipv6_sockets", %error, "no sockets of IPv6"),
    }
    Ok(sockets)
}

/// The ports of those sockets that belong to processes with the name of an SSH server.
fn ports_of_servers(listeners: &std::collections::BTreeMap<u64, u16>) -> BTreeSet<u16> {
    let mut ports = BTreeSet::new();
    let processes = procfs::process::all_processes().into_iter().flatten();
    for process in processes.filter_map(Result::ok) {
        // A process may be gone by now.
        if is_server(&process)
            && let Ok(descriptors) = process.fd()
        {
            let sockets = descriptors.filter_map(Result::ok);
            ports.extend(sockets.filter_map(|descriptor| {
                let FDTarget::Socket(inode) = descriptor.target else {
                    return None;
                };
                listeners.get(&inode).copied()
            }));
        }
    }
    ports
}

fn is_server(process: &Process) -> bool {
    process
        .stat()
        .is_ok_and(|stat| SERVERS.contains(&stat.comm.as_str()))
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
