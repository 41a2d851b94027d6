//! Queries to families of generic netlink: which XDP features an interface has (`netdev`, since
//! Linux 6.3, `Documentation/netlink/specs/netdev.yaml`), and whether its driver splits headers
//! from data (`ethtool`).
//!
//! This module owns the wire format. It must not know the meaning of the answers for a firewall.

use std::io;

use rtnetlink::{
    packet_core::{
        DecodeError, Emitable as _, NLA_F_NESTED, NLM_F_REQUEST, NetlinkDeserializable,
        NetlinkHeader, NetlinkMessage, NetlinkPayload, NetlinkSerializable, Nla, NlasIterator,
        parse_u8, parse_u16, parse_u64,
    },
    sys::{Socket, SocketAddr, protocols::NETLINK_GENERIC},
};
use rules::compiler::InterfaceIndex;

/// The family that resolves the numbers of the others, its commands and attributes
/// (`include/uapi/linux/genetlink.h`).
const CONTROL: u16 = 0x10;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;

/// `include/uapi/linux/netdev.h`.
const NETDEV_CMD_DEV_GET: u8 = 1;
const NETDEV_A_DEV_IFINDEX: u16 = 1;
const NETDEV_A_DEV_XDP_FEATURES: u16 = 3;

/// `include/uapi/linux/ethtool_netlink.h`.
const ETHTOOL_MSG_RINGS_GET: u8 = 15;
const ETHTOOL_A_RINGS_HEADER: u16 = 1;
const ETHTOOL_A_RINGS_TCP_DATA_SPLIT: u16 = 11;
const ETHTOOL_A_HEADER_DEV_INDEX: u16 = 1;
const ETHTOOL_TCP_DATA_SPLIT_ENABLED: u8 = 2;

/// The bits of `NETDEV_A_DEV_XDP_FEATURES`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct XdpFeatures(pub(crate) u64);

impl XdpFeatures {
    /// Whether the driver runs XDP programs.
    pub(crate) fn native(self) -> bool {
        self.0 & 1 != 0
    }

    /// Whether the driver supports frames in several buffers.
    pub(crate) fn frags(self) -> bool {
        self.0 & 32 != 0
    }
}

/// The XDP features of an interface; `None` before Linux 6.3.
pub(crate) fn xdp_features(interface: InterfaceIndex) -> io::Result<Option<XdpFeatures>> {
    let socket = connect()?;
    let Some(family) = family(&socket, "netdev")? else {
        return Ok(None);
    };
    let index = NetlinkAttribute::new(NETDEV_A_DEV_IFINDEX, interface.0.to_ne_bytes().to_vec());
    let answer = ask(&socket, family, NETDEV_CMD_DEV_GET, 1, vec![index])?;
    let features = attribute(&answer, NETDEV_A_DEV_XDP_FEATURES);
    Ok(features
        .and_then(|value| parse_u64(value).ok())
        .map(XdpFeatures))
}

/// Whether the driver splits headers from data; `None` when the driver does not report it.
pub(crate) fn splits_headers(interface: InterfaceIndex) -> io::Result<Option<bool>> {
    let socket = connect()?;
    let Some(family) = family(&socket, "ethtool")? else {
        return Ok(None);
    };
    let index = NetlinkAttribute::new(
        ETHTOOL_A_HEADER_DEV_INDEX,
        interface.0.to_ne_bytes().to_vec(),
    );
    let mut header = vec![0; index.buffer_len()];
    index.emit(&mut header);
    let header = NetlinkAttribute::new(ETHTOOL_A_RINGS_HEADER | NLA_F_NESTED, header);
    match ask(&socket, family, ETHTOOL_MSG_RINGS_GET, 1, vec![header]) {
        Ok(answer) => Ok(attribute(&answer, ETHTOOL_A_RINGS_TCP_DATA_SPLIT)
            .and_then(|value| parse_u8(value).ok())
            .map(|value| value == ETHTOOL_TCP_DATA_SPLIT_ENABLED)),
        // The driver has no rings.
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(None),
        Err(error) => Err(error),
    }
}

fn connect() -> io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_GENERIC)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    Ok(socket)
}

/// The number of a family; `None` when the kernel has none of that name.
fn family(socket: &Socket, name: &str) -> io::Result<Option<u16>> {
    let name = [name.as_bytes(), b"\0"].concat();
    let name = NetlinkAttribute::new(CTRL_ATTR_FAMILY_NAME, name);
    match ask(socket, CONTROL, CTRL_CMD_GETFAMILY, 1, vec![name]) {
        Ok(answer) => {
            Ok(attribute(&answer, CTRL_ATTR_FAMILY_ID).and_then(|value| parse_u16(value).ok()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn ask(
    socket: &Socket,
    family: u16,
    command: u8,
    version: u8,
    attributes: Vec<NetlinkAttribute>,
) -> io::Result<Generic> {
    let mut question = NetlinkMessage::from(Generic {
        family,
        command,
        version,
        attributes,
    });
    question.header.flags = NLM_F_REQUEST;
    question.finalize();
    let mut bytes = vec![0; question.buffer_len()];
    question.serialize(&mut bytes);
    socket.send(&bytes, 0)?;
    let (answer, _) = socket.recv_from_full()?;
    let answer = NetlinkMessage::<Generic>::deserialize(&answer)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    if let NetlinkPayload::InnerMessage(answer) = answer.payload {
        Ok(answer)
    } else if let NetlinkPayload::Error(error) = answer.payload {
        Err(error.to_io())
    } else {
        Err(io::ErrorKind::InvalidData.into())
    }
}

fn attribute(message: &Generic, kind: u16) -> Option<&[u8]> {
    let mut attributes = message.attributes.iter();
    let attribute = attributes.find(|attribute| attribute.kind == kind)?;
    Some(&attribute.value)
}

/// A message of a generic family: command, version, two reserved bytes, attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Generic {
    family: u16,
    command: u8,
    version: u8,
    attributes: Vec<NetlinkAttribute>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct NetlinkAttribute {
    kind: u16,
    value: Vec<u8>,
}

impl NetlinkAttribute {
    fn new(kind: u16, value: Vec<u8>) -> Self {
        Self { kind, value }
    }
}

impl Nla for NetlinkAttribute {
    fn value_len(&self) -> usize {
        self.value.len()
    }

    fn kind(&self) -> u16 {
        self.kind
    }

    fn emit_value(&self, buffer: &mut [u8]) {
        buffer.copy_from_slice(&self.value);
    }
}

/// `GENL_HDRLEN`.
const HEADER: usize = 4;

impl NetlinkSerializable for Generic {
    fn message_type(&self) -> u16 {
        self.family
    }

    fn buffer_len(&self) -> usize {
        HEADER + self.attributes.as_slice().buffer_len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        let (header, attributes) = buffer.split_at_mut(HEADER);
        header.copy_from_slice(&[self.command, self.version, 0, 0]);
        self.attributes.as_slice().emit(attributes);
    }
}

impl NetlinkDeserializable for Generic {
    type Error = DecodeError;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, DecodeError> {
        let (&[command, version, _, _], attributes) = payload
            .split_first_chunk::<HEADER>()
            .ok_or_else(|| DecodeError::from("no generic header"))?;
        let attributes: Result<Vec<NetlinkAttribute>, DecodeError> = NlasIterator::new(attributes)
            .map(|attribute| {
                let attribute = attribute?;
                Ok(NetlinkAttribute::new(
                    attribute.kind(),
                    attribute.value().to_vec(),
                ))
            })
            .collect();
        Ok(Self {
            family: header.message_type,
            command,
            version,
            attributes: attributes?,
        })
    }
}

impl From<Generic> for NetlinkPayload<Generic> {
    fn from(message: Generic) -> Self {
        Self::InnerMessage(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_have_numbers_or_are_not_there() {
        let socket = connect().unwrap();
        assert_eq!(family(&socket, "nlctrl").unwrap(), Some(CONTROL));
        assert_eq!(family(&socket, "fw-missing").unwrap(), None);
    }

    #[test]
    fn the_loopback_interface_has_no_native_xdp_and_no_rings() {
        let lo = InterfaceIndex(1);
        // The family exists since Linux 6.3.
        if let Some(features) = xdp_features(lo).unwrap() {
            assert!(!features.native() && !features.frags());
        }
        assert_eq!(splits_headers(lo).unwrap(), None);
        let missing = xdp_features(InterfaceIndex(1 << 30));
        assert!(missing.is_err() || missing.unwrap().is_none());
    }
}
