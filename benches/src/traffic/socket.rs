//! Packet sockets that do not disturb the counts.

use std::{
    os::fd::{IntoRawFd as _, OwnedFd},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use nix::{
    getsockopt_impl, setsockopt_impl, sockopt_impl,
    sys::socket::{
        AddressFamily, SockFlag, SockType, getsockopt, setsockopt, socket, sockopt::RcvBufForce,
    },
};
use pnet::datalink::{self, Channel, ChannelType, Config, DataLinkReceiver, DataLinkSender};

use crate::network::{End, Namespace};

/// The receive buffer of a counting socket in bytes.
const RECEIVE_BUFFER: usize = 64 << 20;

/// The maximum length of a frame that is read completely.
const MAX_FRAME: usize = 1 << 16;

/// `PACKET_IGNORE_OUTGOING` of `linux/if_packet.h`, since Linux 4.20.
const PACKET_IGNORE_OUTGOING: libc::c_int = 23;

sockopt_impl!(
    /// Keeps frames that the host itself sends from the socket: an answer may quote a mark.
    IgnoreOutgoing,
    SetOnly,
    libc::SOL_PACKET,
    PACKET_IGNORE_OUTGOING,
    bool
);

sockopt_impl!(
    /// Reads and clears the counts of frames received and lost.
    Statistics,
    GetOnly,
    libc::SOL_PACKET,
    libc::PACKET_STATISTICS,
    libc::tpacket_stats
);

/// Opens a socket that sends on `end` and receives nothing.
pub(super) fn sending(namespace: &Namespace, end: &End) -> Result<Box<dyn DataLinkSender>> {
    let config = Config {
        // pnet binds the socket to the EtherType given here, and 0 matches none, so the receive
        // queue of the socket stays empty.
        channel_type: ChannelType::Layer3(0),
        promiscuous: false,
        ..Config::default()
    };
    let (sender, _) = bind(packet_socket(namespace)?, end, config)?;
    Ok(sender)
}

/// A socket that receives every frame that comes in on an interface.
pub(super) struct Counting {
    pub(super) frames: Box<dyn DataLinkReceiver>,
    /// The descriptor of the same socket.
    descriptor: OwnedFd,
}

impl Counting {
    /// Opens it. Reading gives up with [`std::io::ErrorKind::TimedOut`] after `timeout`.
    pub(super) fn open(namespace: &Namespace, end: &End, timeout: Duration) -> Result<Self> {
        let descriptor = packet_socket(namespace)?;
        setsockopt(&descriptor, IgnoreOutgoing, &true)
            .and_then(|()| setsockopt(&descriptor, RcvBufForce, &RECEIVE_BUFFER))
            .context("cannot set the options of a packet socket")?;
        let config = Config {
            read_buffer_size: MAX_FRAME,
            read_timeout: Some(timeout),
            promiscuous: true,
            ..Config::default()
        };
        let (_, frames) = bind(descriptor.try_clone()?, end, config)?;
        Ok(Self { frames, descriptor })
    }

    /// The number of frames for which the socket had no room since the last call.
    pub(super) fn lost(&self) -> Result<u64> {
        let statistics =
            getsockopt(&self.descriptor, Statistics).context("cannot read socket statistics")?;
        Ok(statistics.tp_drops.into())
    }
}

/// Opens a packet socket that no child inherits and that receives nothing until it is bound.
fn packet_socket(namespace: &Namespace) -> Result<OwnedFd> {
    namespace
        .run(|| {
            socket(
                AddressFamily::Packet,
                SockType::Raw,
                SockFlag::SOCK_CLOEXEC,
                None,
            )
        })?
        .context("cannot open a packet socket (this needs root)")
}

/// Passes `descriptor` to pnet, bound to `end`.
fn bind(
    descriptor: OwnedFd,
    end: &End,
    config: Config,
) -> Result<(Box<dyn DataLinkSender>, Box<dyn DataLinkReceiver>)> {
    // pnet closes the descriptor even if this fails.
    let config = Config {
        socket_fd: Some(descriptor.into_raw_fd()),
        ..config
    };
    match datalink::channel(&end.datalink(), config) {
        Ok(Channel::Ethernet(sender, receiver)) => Ok((sender, receiver)),
        Ok(_) => bail!("pnet opened a channel of an unknown kind"),
        Err(error) => Err(error)
            .with_context(|| format!("cannot open the interface `{}` for frames", end.interface)),
    }
}
