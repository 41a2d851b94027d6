//! Notifications of the kernel about new, changed and removed network interfaces: the group
//! `RTNLGRP_LINK` of rtnetlink (`rtnetlink(7)`).
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
            if let NetlinkPayload::InnerMessage(
                RouteNetlinkMessage::NewLink(link) | RouteNetlinkMessage::DelLink(link),
            ) = &message.payload
            {
                self.some.insert(InterfaceIndex(link.header.index));
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

impl LinkEvents {
    /// Starts to receive the events from now on.
    pub(crate) fn receive() -> io::Result<Self> {
        let mut socket = TokioSocket::new(protocols::NETLINK_ROUTE)?;
        let group = 1 << (MulticastGroup::Link as u32 - 1);
        socket.socket_mut().bind(&SocketAddr::new(0, group))?;
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
    use rtnetlink::packet_route::link::LinkMessage;

    use super::*;

    fn event(index: u32) -> Vec<u8> {
        let mut link = LinkMessage::default();
        link.header.index = index;
        let mut message = NetlinkMessage::from(RouteNetlinkMessage::NewLink(link));
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
    fn what_is_not_understood_may_be_about_any_interface() {
        let mut touched = Touched::default();
        touched.add(&[1, 2, 3]);
        assert!(touched.contains(InterfaceIndex(4)));
    }

    #[tokio::test]
    async fn a_deadline_ends_the_wait() {
        let mut events = LinkEvents::receive().unwrap();
        let soon = Instant::now() + Duration::from_millis(1);
        events.wait(Some(soon)).await;
        assert!(Instant::now() >= soon);
    }
}
