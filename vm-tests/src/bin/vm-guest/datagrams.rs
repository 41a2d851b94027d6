//! Datagrams between two namespaces, sent and received by the kernel's own network stack.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

use anyhow::{Context as _, Result, ensure};
use benches::network::Namespace;

use crate::firewall::PATIENCE;

/// The port whose datagrams the rules drop, and another one.
pub(crate) const DROPPED: u16 = 8;
const PASSED: u16 = 9;

/// The number of datagrams for each port.
pub(crate) const COUNT: u64 = 5;

/// The data of each, and its length with the headers of UDP and IP.
const DATA: [u8; 32] = [0; 32];
pub(crate) const IPV4_LENGTH: u64 = 20 + 8 + DATA.len() as u64;
pub(crate) const IPV6_LENGTH: u64 = 40 + 8 + DATA.len() as u64;

/// Sends datagrams from one namespace to an address of another, for both ports, and checks that
/// exactly those for [`DROPPED`] do not arrive.
pub(crate) fn exchange(from: &Namespace, to: &Namespace, address: IpAddr) -> Result<()> {
    send(from, to, address).with_context(|| format!("datagrams to `{address}`"))
}

fn send(from: &Namespace, to: &Namespace, address: IpAddr) -> Result<()> {
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let bind = |namespace: &Namespace, port| -> Result<UdpSocket> {
        let socket = namespace.run(|| UdpSocket::bind((any, port)))??;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(socket)
    };
    let (dropped, passed) = (bind(to, DROPPED)?, bind(to, PASSED)?);
    let sender = bind(from, 0)?;
    for _ in 0..COUNT {
        // What is dropped may be an error of the sender.
        let _ = sender.send_to(&DATA, (address, DROPPED));
    }
    for _ in 0..COUNT {
        sender.send_to(&DATA, (address, PASSED))?;
    }
    for number in 0..COUNT {
        let received = passed.recv(&mut [0; DATA.len()]);
        received.with_context(|| format!("{number} of {COUNT} arrived"))?;
    }
    // They were sent before the others.
    dropped.set_nonblocking(true)?;
    let received = dropped.recv(&mut [0; DATA.len()]);
    ensure!(received.is_err(), "one arrived that must be dropped");
    Ok(())
}
