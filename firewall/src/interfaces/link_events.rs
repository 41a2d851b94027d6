//! Notifications of the kernel about new, changed and removed network interfaces: the group
//! `RTNLGRP_LINK` of rtnetlink (`rtnetlink(7)`). Where filters of traffic control take the place of links, also
//! about these: `RTNLGRP_TC`. Another process that removes their queueing discipline takes them away silently.
//!
//! This module only reports which interfaces changed. [`crate::interfaces::list`] reads their
//! current state: an event may be out of date when it is read.

use std::{collections::BTreeSet, io, time::Duration};

use rtnetlink::{
    MulticastGroup,
    packet_core::{NetlinkMessage, NetlinkPayload},
    packet_route::RouteNetlinkMessage,
    sys::{AsyncSocket as _, AsyncSocketExt as _, SocketAddr, TokioSocket, protocols},
};
use rules::compiler::InterfaceIndex;
use tokio::time::{Instant, sleep_until};

/// How long events are collected after some were handled: a single new interface is handled at
/// once; of a hundred that appear together, the first is handled at once and the others together.
const GATHER: Duration = Duration::from_millis(50);

/// The events to receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Those of interfaces.
    Interfaces,
    /// Also those of filters of traffic control, and of the queueing disciplines that hold them.
    WithFilters,
}

impl Scope {
    fn groups(self) -> u32 {
        let bit = |group: MulticastGroup| 1 << (group as u32 - 1);
        match self {
            Self::Interfaces => bit(MulticastGroup::Link),
            Self::WithFilters => bit(MulticastGroup::Link) | bit(MulticastGroup::Tc),
        }
    }
}

/// The receiver of events.
pub(crate) struct LinkEvents {
    socket: TokioSocket,
    touched: Touched,
    /// When events may be handled again.
    not_before: Instant,
}

/// The interfaces with events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Touched {
    some: BTreeSet<InterfaceIndex>,
    /// Events were lost or could not be parsed: any interface may have changed.
    any: bool,
}

impl Touched {
    /// Whether the interface may have changed.
    pub(crate) fn contains(&self, interface: InterfaceIndex) -> bool {
        self.any || self.some.contains(&interface)
    }

    fn is_empty(&self) -> bool {
        !self.any && self.some.is_empty()
    }

    /// Adds the interfaces in the messages of one datagram.
    fn add(&mut self, mut datagram: &[u8]) {
        while !datagram.is_empty() {
            let Ok(message) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(datagram) else {
                self.any = true;
                return;
            };
            if let NetlinkPayload::InnerMessage(message) = &message.payload {
                self.some.extend(interface_of(message));
            }
            // Messages are aligned to 4 bytes (`NLMSG_ALIGN`).
            let length = (message.header.length as usize).next_multiple_of(4);
            datagram = match datagram.get(length..) {
                Some(rest) if length > 0 => rest,
                Some(_) | None => &[],
            };
        }
    }
}

/// The interface that may have changed, or may have lost a filter. A new queueing discipline takes none away: the
/// one that it replaces is removed with an event of its own.
fn interface_of(message: &RouteNetlinkMessage) -> Option<InterfaceIndex> {
    if let RouteNetlinkMessage::NewLink(link) | RouteNetlinkMessage::DelLink(link) = message {
        return Some(InterfaceIndex(link.header.index));
    }
    if let RouteNetlinkMessage::NewTrafficFilter(changed)
    | RouteNetlinkMessage::DelTrafficFilter(changed)
    | RouteNetlinkMessage::DelQueueDiscipline(changed) = message
    {
        return Some(InterfaceIndex(changed.header.index.cast_unsigned()));
    }
    None
}

impl LinkEvents {
    /// Starts to receive the events from now on.
    pub(crate) fn receive(scope: Scope) -> io::Result<Self> {
        let mut socket = TokioSocket::new(protocols::NETLINK_ROUTE)?;
        socket
            .socket_mut()
            .bind(&SocketAddr::new(0, scope.groups()))?;
        Ok(Self {
            socket,
            touched: Touched::default(),
            not_before: Instant::now(),
        })
    }

    /// Waits until there are events to handle, or until `deadline`, and returns them. Cancelling
    /// the wait loses no events.
    pub(crate) async fn wait(&mut self, deadline: Option<Instant>) -> Touched {
        loop {
            let wake = match (self.touched.is_empty(), deadline) {
                (true, None) => None,
                (true, Some(deadline)) => Some(deadline),
                (false, None) => Some(self.not_before),
                (false, Some(deadline)) => Some(self.not_before.min(deadline)),
            };
            tokio::select! {
                biased;
                () = wait_until(wake) => return std::mem::take(&mut self.touched),
                received = self.socket.recv_from_full() => match received {
                    Ok((datagram, _)) => self.touched.add(&datagram),
                    // `ENOBUFS`: events came faster than they were read, and some are lost.
                    Err(error) => {
                        self.touched.any = true;
                        if error.raw_os_error() != Some(libc::ENOBUFS) {
                            tracing::warn!(
                                event = "link_events_failed",
                                %error,
                                "events of network interfaces are not received"
                            );
                            tokio::time::sleep(Duration::from_secs(1)).await;
                        }
                    }
                },
            }
        }
    }

    /// Records that the events of [`Self::wait`] were handled, in `took`: the next ones wait as
    /// long, so that a storm of events leaves the machine time for other work.
    pub(crate) fn handled(&mut self, took: Duration) {
        self.not_before = Instant::now() + took.max(GATHER);
    }
}

async fn wait_until(wake: Option<Instant>) {
    match wake {
        Some(wake) => sleep_until(wake).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use rtnetlink::packet_route::{
        link::LinkMessage,
        tc::{TcHeader, TcMessage},
    };

    use super::*;

    fn event(index: u32) -> Vec<u8> {
        let mut link = LinkMessage::default();
        link.header.index = index;
        bytes_of(RouteNetlinkMessage::NewLink(link))
    }

    fn bytes_of(message: RouteNetlinkMessage) -> Vec<u8> {
        let mut message = NetlinkMessage::from(message);
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        bytes
    }

    #[test]
    fn every_message_of_a_datagram_is_read() {
        let mut touched = Touched::default();
        touched.add(&[event(3), event(7)].concat());
        assert!(touched.contains(InterfaceIndex(3)) && touched.contains(InterfaceIndex(7)));
        assert!(!touched.contains(InterfaceIndex(4)));
    }

    #[test]
    fn a_filter_that_may_be_gone_touches_its_interface() {
        let changed = |index| {
            let header = TcHeader {
                index,
                ..TcHeader::default()
            };
            TcMessage::from_parts(header, Vec::new())
        };
        let mut touched = Touched::default();
        touched.add(&bytes_of(RouteNetlinkMessage::DelQueueDiscipline(changed(
            3,
        ))));
        touched.add(&bytes_of(RouteNetlinkMessage::DelTrafficFilter(changed(4))));
        touched.add(&bytes_of(RouteNetlinkMessage::NewTrafficFilter(changed(5))));
        touched.add(&bytes_of(RouteNetlinkMessage::NewQueueDiscipline(changed(
            6,
        ))));
        let some = [3, 4, 5].map(InterfaceIndex);
        assert_eq!(touched.some, BTreeSet::from(some));
        assert!(!touched.any);
    }

    #[test]
    fn what_is_not_understood_may_be_about_any_interface() {
        let mut touched = Touched::default();
        touched.add(&[1, 2, 3]);
        assert!(touched.contains(InterfaceIndex(4)));
    }

    #[tokio::test]
    async fn a_deadline_ends_the_wait() {
        let mut events = LinkEvents::receive(Scope::WithFilters).unwrap();
        let soon = Instant::now() + Duration::from_millis(1);
        events.wait(Some(soon)).await;
        assert!(Instant::now() >= soon);
    }
}
