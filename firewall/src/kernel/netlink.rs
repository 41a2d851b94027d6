//! Netlink dumps: what a part of the kernel lists, message by message.

use std::io;

use nix::sys::{
    socket::{setsockopt, sockopt},
    time::TimeVal,
};
use rtnetlink::{
    packet_core::{
        NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_ALIGNTO, NetlinkDeserializable,
        NetlinkHeader, NetlinkMessage, NetlinkPayload, NetlinkSerializable,
    },
    sys::{Socket, SocketAddr},
};

/// The bytes of a datagram; the kernel fills none with more than 32 KiB (`netlink_dump`,
/// `net/netlink/af_netlink.c`).
const DATAGRAM: usize = 64 << 10;

/// How long the kernel may take for the next datagram, in seconds. It takes microseconds.
const PATIENCE: i64 = 5;

/// Asks a netlink protocol for all that a request means, and passes on each message of the answer. At any time
/// there is only one datagram in memory.
///
/// # Errors
///
/// When the kernel does not know the protocol or the request, or breaks off. [`io::ErrorKind::Interrupted`] when what is
/// listed changed so that some of it may be missing; the answer is complete besides.
pub(super) fn dump<M, E>(
    protocol: isize,
    request: M,
    mut each: impl FnMut(M),
) -> Result<(), io::Error>
where
    M: NetlinkSerializable + NetlinkDeserializable<Error = E> + Into<NetlinkPayload<M>>,
    E: std::error::Error + Send + Sync + 'static,
{
    let mut socket = Socket::new(protocol)?;
    socket.bind_auto()?;
    setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::new(PATIENCE, 0))?;
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let mut message = NetlinkMessage::new(header, request.into());
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    socket.send_to(&bytes, &SocketAddr::new(0, 0), 0)?;

    let mut is_whole = true;
    let mut datagram = Vec::with_capacity(DATAGRAM);
    loop {
        datagram.clear();
        let length = socket.recv(&mut datagram, libc::MSG_TRUNC)?;
        if length == 0 || length > datagram.len() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut rest = datagram.as_slice();
        while !rest.is_empty() {
            let message = NetlinkMessage::<M>::deserialize(rest).map_err(io::Error::other)?;
            is_whole &= message.header.flags & NLM_F_DUMP_INTR == 0;
            #[expect(
                clippy::wildcard_enum_match_arm,
                reason = "the library may add kinds of messages, which say nothing of what is listed"
            )]
            match message.payload {
                NetlinkPayload::InnerMessage(message) => each(message),
                NetlinkPayload::Done(done) if done.code != 0 => {
                    return Err(io::Error::from_raw_os_error(-done.code));
                }
                NetlinkPayload::Done(_) if is_whole => return Ok(()),
                NetlinkPayload::Done(_) => return Err(io::ErrorKind::Interrupted.into()),
                NetlinkPayload::Error(error) => return Err(error.to_io()),
                _ => {}
            }
            let length = message.header.length as usize;
            let length = length.next_multiple_of(NLMSG_ALIGNTO.into());
            rest = rest.get(length.max(1)..).unwrap_or_default();
        }
    }
}
