//! The connections that the kernel's connection tracking knows, its own and those that it forwards: a dump of
//! ctnetlink (`include/uapi/linux/netfilter/nfnetlink_conntrack.h`).

use std::{
    convert::Infallible,
    fs, io,
    net::{IpAddr, SocketAddr},
};

use firewall_ebpf::flows::FlowProgress;
use rtnetlink::{
    packet_core::{
        NetlinkDeserializable, NetlinkHeader, NetlinkPayload, NetlinkSerializable, NlaBuffer,
        NlasIterator, parse_ip, parse_u8, parse_u16_be, parse_u32_be,
    },
    sys::protocols::NETLINK_NETFILTER,
};

use crate::kernel::{connection::KnownConnection, netlink::dump};

/// How many connections are tracked in this network namespace; the file is there when the module is.
const COUNT: &str = "/proc/sys/net/netfilter/nf_conntrack_count";

/// The connections that are tracked, as their packets are on the wire: where addresses are translated, one for each side.
/// What both ends have closed is left out. Nothing is asked if nothing is tracked: a request alone loads modules.
///
/// # Errors
///
/// When the kernel does not list them, with those that it has listed passed on.
pub(crate) fn each(mut each: impl FnMut(KnownConnection)) -> io::Result<()> {
    match fs::read_to_string(COUNT) {
        Ok(count) if count.trim() == "0" => return Ok(()),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    dump(
        NETLINK_NETFILTER,
        TrackedMessage(None),
        |TrackedMessage(entry)| {
            entry
                .iter()
                .flat_map(TrackedEntry::connections)
                .for_each(&mut each);
        },
    )
}

/// `NFNL_SUBSYS_CTNETLINK`, whose request `IPCTNL_MSG_CT_GET` lists everything.
const GET: u16 = 1 << 8 | 1;

/// `struct nfgenmsg`: family, version and a number.
const GENERIC: usize = 4;

/// An answer with an entry; a request without, and an answer that is none of a connection with two ends.
struct TrackedMessage(Option<TrackedEntry>);

impl From<TrackedMessage> for NetlinkPayload<TrackedMessage> {
    fn from(message: TrackedMessage) -> Self {
        Self::InnerMessage(message)
    }
}

impl NetlinkSerializable for TrackedMessage {
    fn message_type(&self) -> u16 {
        GET
    }

    fn buffer_len(&self) -> usize {
        GENERIC
    }

    fn serialize(&self, buffer: &mut [u8]) {
        // `AF_UNSPEC`: every family.
        buffer.fill(0);
    }
}

impl NetlinkDeserializable for TrackedMessage {
    type Error = Infallible;

    fn deserialize(_header: &NetlinkHeader, payload: &[u8]) -> Result<Self, Infallible> {
        Ok(Self(payload.get(GENERIC..).and_then(TrackedEntry::parse)))
    }
}

/// The source and the destination of packets of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ends {
    source: SocketAddr,
    destination: SocketAddr,
}

/// An entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TrackedEntry {
    protocol: u8,
    /// The ends of the packets of the side that began, as that side sends them.
    original: Ends,
    /// Those of the answers, as the other side sends them.
    reply: Ends,
    progress: FlowProgress,
}

impl TrackedEntry {
    fn parse(attributes: &[u8]) -> Option<Self> {
        const ORIGINAL: u16 = 1;
        const REPLY: u16 = 2;
        const STATUS: u16 = 3;
        const PROTOCOL_INFO: u16 = 4;
        let (mut original, mut reply, mut status, mut info) = (None, None, 0, None);
        for attribute in all(attributes) {
            match attribute.kind() {
                ORIGINAL => original = Some(tuple(attribute.value())?),
                REPLY => reply = Some(tuple(attribute.value())?),
                STATUS => status = parse_u32_be(attribute.value()).ok()?,
                PROTOCOL_INFO => info = tcp(attribute.value()),
                _ => {}
            }
        }
        let ((protocol, original), (_, reply)) = (original?, reply?);
        Some(Self {
            protocol,
            original,
            reply,
            progress: progress(status, info)?,
        })
    }

    /// The connection as the side that began has it, and as the other side has it if that is not the same.
    fn connections(&self) -> impl Iterator<Item = KnownConnection> {
        let connection = |source, destination| KnownConnection {
            protocol: self.protocol,
            source,
            destination,
            progress: self.progress,
        };
        let first = connection(self.original.source, self.original.destination);
        let second = connection(self.reply.destination, self.reply.source);
        std::iter::once(first).chain((second != first).then_some(second))
    }
}

/// What an entry has come to; `None` if it is over.
fn progress(status: u32, tcp: Option<TcpInfo>) -> Option<FlowProgress> {
    /// `IPS_SEEN_REPLY` and `IPS_ASSURED`.
    const ANSWERED: u32 = 1 << 1 | 1 << 2;
    // `enum tcp_conntrack`.
    const SYN_SENT: u8 = 1;
    const SYN_RECV: u8 = 2;
    const ESTABLISHED: u8 = 3;
    const FIN_WAIT: u8 = 4;
    const CLOSE_WAIT: u8 = 5;
    const LAST_ACK: u8 = 6;
    const CLOSE: u8 = 8;
    const BOTH_OPEN: u8 = 9;
    let answered = if status & ANSWERED == 0 {
        FlowProgress::Unanswered
    } else {
        FlowProgress::Answered
    };
    let Some(tcp) = tcp else {
        return Some(answered);
    };
    Some(match tcp.state {
        // The handshake is not over: a flood of SYNs gets as far.
        SYN_SENT | SYN_RECV | BOTH_OPEN => FlowProgress::Unanswered,
        ESTABLISHED => answered,
        FIN_WAIT | CLOSE_WAIT if tcp.original_closed => FlowProgress::SourceClosed,
        FIN_WAIT | CLOSE_WAIT if tcp.reply_closed => FlowProgress::DestinationClosed,
        FIN_WAIT | CLOSE_WAIT => answered,
        LAST_ACK => FlowProgress::Closed,
        // A RST was seen, which the ends need not have believed.
        CLOSE => FlowProgress::Doubtful,
        _ => return None,
    })
}

/// What is tracked of TCP.
#[derive(Clone, Copy, Debug, Default)]
struct TcpInfo {
    state: u8,
    /// Whether the side that began was the first to send a FIN, or the other one.
    original_closed: bool,
    reply_closed: bool,
}

/// Reads `CTA_PROTOINFO`.
fn tcp(attributes: &[u8]) -> Option<TcpInfo> {
    const TCP: u16 = 1;
    const STATE: u16 = 1;
    const FLAGS_ORIGINAL: u16 = 4;
    const FLAGS_REPLY: u16 = 5;
    /// `IP_CT_TCP_FLAG_CLOSE_INIT`.
    const CLOSED_FIRST: u8 = 0x04;
    let info = all(attributes).find(|attribute| attribute.kind() == TCP)?;
    let mut tcp = TcpInfo::default();
    for attribute in all(info.value()) {
        let value = attribute.value().first().copied();
        let closed = value.is_some_and(|flags| flags & CLOSED_FIRST != 0);
        match attribute.kind() {
            STATE => tcp.state = value?,
            FLAGS_ORIGINAL => tcp.original_closed = closed,
            FLAGS_REPLY => tcp.reply_closed = closed,
            _ => {}
        }
    }
    Some(tcp)
}

/// Reads a tuple: its protocol and its ends; `None` of an ICMP message that is no echo.
fn tuple(attributes: &[u8]) -> Option<(u8, Ends)> {
    const IP: u16 = 1;
    const PROTOCOL: u16 = 2;
    let (mut addresses, mut upper) = ([None, None], None);
    for attribute in all(attributes) {
        match attribute.kind() {
            IP => addresses = ip(attribute.value()),
            PROTOCOL => upper = ports(attribute.value()),
            _ => {}
        }
    }
    let (protocol, [sport, dport]) = upper?;
    let [source, destination] = addresses;
    let ends = Ends {
        source: SocketAddr::new(source?, sport),
        destination: SocketAddr::new(destination?, dport),
    };
    Some((protocol, ends))
}

/// The source and the destination of a tuple.
fn ip(attributes: &[u8]) -> [Option<IpAddr>; 2] {
    const SOURCES: [u16; 2] = [1, 3];
    const DESTINATIONS: [u16; 2] = [2, 4];
    let of = |kinds: [u16; 2]| {
        let mut found = all(attributes).filter(|attribute| kinds.contains(&attribute.kind()));
        found
            .next()
            .and_then(|attribute| parse_ip(attribute.value()).ok())
    };
    [of(SOURCES), of(DESTINATIONS)]
}

/// The protocol of a tuple, and its ports, or the identifier of an echo for both.
fn ports(attributes: &[u8]) -> Option<(u8, [u16; 2])> {
    const NUMBER: u16 = 1;
    const SOURCE: u16 = 2;
    const DESTINATION: u16 = 3;
    const ICMP_ID: u16 = 4;
    const ICMP_TYPE: u16 = 5;
    const ICMPV6_ID: u16 = 7;
    const ICMPV6_TYPE: u16 = 8;
    /// Echo requests and replies.
    const ECHO: [u8; 2] = [0, 8];
    const ECHO_V6: [u8; 2] = [128, 129];
    let (mut number, mut ports) = (None, [0; 2]);
    for attribute in all(attributes) {
        let value = attribute.value();
        match attribute.kind() {
            NUMBER => number = Some(parse_u8(value).ok()?),
            SOURCE => ports[0] = parse_u16_be(value).ok()?,
            DESTINATION => ports[1] = parse_u16_be(value).ok()?,
            ICMP_ID | ICMPV6_ID => ports = [parse_u16_be(value).ok()?; 2],
            ICMP_TYPE if !ECHO.contains(&parse_u8(value).ok()?) => return None,
            ICMPV6_TYPE if !ECHO_V6.contains(&parse_u8(value).ok()?) => return None,
            _ => {}
        }
    }
    Some((number?, ports))
}

/// The attributes up to the first that is cut off.
fn all(attributes: &[u8]) -> impl Iterator<Item = NlaBuffer<&[u8]>> {
    NlasIterator::new(attributes).map_while(Result::ok)
}
