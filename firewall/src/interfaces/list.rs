//! Lists the network interfaces of this network namespace, by rtnetlink.

use futures::TryStreamExt as _;
use netlink_packet_route::link::{
    InfoPortKind, LinkAttribute, LinkInfo, LinkLayerType, LinkMessage, LinkXdp,
};
use rules::compiler::InterfaceIndex;

use crate::{error::UserError, kernel::link::AttachMode};

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interface {
    /// Its number.
    pub(crate) index: InterfaceIndex,
    /// Its name.
    pub(crate) name: String,
    /// What its packets begin with.
    pub(crate) link_layer: LinkLayer,
    /// The XDP programs on it, at most one for each mode.
    pub(crate) programs: Vec<Attached>,
    /// The interfaces that it bonds. The native XDP program of a bond runs in their drivers, and sees its packets
    /// arrive on them (Linux 5.15).
    pub(crate) bonded: Vec<InterfaceIndex>,
}

impl Interface {
    /// The indexes of the interfaces on which its packets arrive, each with its name.
    pub(crate) fn names(&self) -> impl Iterator<Item = (InterfaceIndex, String)> {
        let bonded = self.bonded.iter().copied();
        let indexes = std::iter::once(self.index).chain(bonded);
        indexes.map(|index| (index, self.name.clone()))
    }

    /// An interface that does not exist.
    pub(crate) fn absent(index: InterfaceIndex, name: &str) -> Self {
        Self {
            index,
            name: name.to_owned(),
            link_layer: LinkLayer::Ethernet,
            programs: Vec::new(),
            bonded: Vec::new(),
        }
    }
}

/// What the packets on an interface begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkLayer {
    /// An Ethernet header.
    Ethernet,
    /// The IP header, as on tunnels and modems.
    Bare,
    /// Another header, or one that depends on the packet.
    Other,
}

/// An XDP program on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attached {
    /// Its mode.
    pub(crate) mode: AttachMode,
    /// The kernel's number for the program.
    pub(crate) program: u32,
}

/// Why interfaces could not be selected.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InterfaceError {
    /// The kernel did not list its interfaces.
    #[error("the kernel does not list the network interfaces")]
    List(#[source] ListError),
    /// No interface has this name.
    #[error("no interface is called `{name}`")]
    Unknown {
        /// The name.
        name: String,
        /// The existing names.
        there_are: Vec<String>,
    },
    /// No interface has this name, which a command was given.
    #[error("no interface is called `{name}`")]
    Absent {
        /// The name.
        name: String,
        /// The existing names.
        there_are: Vec<String>,
    },
    /// Packets on the interface begin neither with an Ethernet nor with an IP header. What a program
    /// takes for either would be bytes that the sender chooses.
    #[error("the packets on interface `{name}` begin with neither an Ethernet nor an IP header")]
    LinkLayer {
        /// The name.
        name: String,
    },
}

/// Why the kernel does not list its interfaces.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListError {
    /// There is no socket.
    #[error("no netlink socket")]
    Socket(#[source] std::io::Error),
    /// The request failed.
    #[error(transparent)]
    Request(#[from] rtnetlink::Error),
}

impl UserError for InterfaceError {
    fn help(&self) -> Option<String> {
        match self {
            Self::List(_) => None,
            Self::LinkLayer { .. } => Some("take it out of `interfaces`".into()),
            Self::Absent { there_are, .. } if !there_are.is_empty() => {
                Some(format!("there are `{}`", there_are.join("`, `")))
            }
            Self::Unknown { there_are, .. } if !there_are.is_empty() => Some(format!(
                "there are `{}`; `--wait` attaches to interfaces once they are there",
                there_are.join("`, `")
            )),
            Self::Absent { .. } | Self::Unknown { .. } => {
                Some("this network namespace has no interfaces".into())
            }
        }
    }
}

/// Every interface, by index.
pub(crate) async fn list() -> Result<Vec<Interface>, InterfaceError> {
    request().await.map_err(InterfaceError::List)
}

async fn request() -> Result<Vec<Interface>, ListError> {
    let (connection, handle, _messages) = rtnetlink::new_connection().map_err(ListError::Socket)?;
    let connection = tokio::spawn(connection);
    let messages: Result<Vec<_>, _> = handle.link().get().execute().try_collect().await;
    connection.abort();
    let messages = messages?;
    let bonded: Vec<(InterfaceIndex, InterfaceIndex)> =
        messages.iter().filter_map(bonded).collect();
    let mut interfaces: Vec<Interface> = messages.into_iter().filter_map(interface).collect();
    for interface in &mut interfaces {
        let its = bonded.iter().filter(|(bond, _)| *bond == interface.index);
        interface.bonded = its.map(|(_, index)| *index).collect();
        interface.bonded.sort_unstable();
    }
    interfaces.sort_by_key(|interface| interface.index);
    Ok(interfaces)
}

/// The interface that a message tells of; `None` when it has no name.
pub(crate) fn interface(message: LinkMessage) -> Option<Interface> {
    let mut name = None;
    let mut programs = Vec::new();
    for attribute in message.attributes {
        if let LinkAttribute::IfName(text) = attribute {
            name = Some(text);
        } else if let LinkAttribute::Xdp(xdp) = attribute {
            programs = attached(&xdp);
        }
    }
    Some(Interface {
        index: InterfaceIndex(message.header.index),
        name: name?,
        link_layer: link_layer(message.header.link_layer_type),
        programs,
        bonded: Vec::new(),
    })
}

/// The bond that an interface belongs to, and the interface; `None` if it belongs to none.
fn bonded(message: &LinkMessage) -> Option<(InterfaceIndex, InterfaceIndex)> {
    let mut bond = None;
    let mut is_bonded = false;
    for attribute in &message.attributes {
        if let LinkAttribute::Controller(index) = attribute {
            bond = Some(InterfaceIndex(*index));
        } else if let LinkAttribute::LinkInfo(infos) = attribute {
            is_bonded = infos.contains(&LinkInfo::PortKind(InfoPortKind::Bond));
        }
    }
    bond.filter(|_| is_bonded)
        .map(|bond| (bond, InterfaceIndex(message.header.index)))
}

/// The link layer of the interfaces of a type. Where a tunnel has the outer headers in the place of a link
/// layer, the programs find the IP header.
fn link_layer(kind: LinkLayerType) -> LinkLayer {
    if matches!(kind, LinkLayerType::Ether | LinkLayerType::Loopback) {
        return LinkLayer::Ethernet;
    }
    let is_bare = matches!(
        kind,
        LinkLayerType::None
            | LinkLayerType::Ppp
            | LinkLayerType::Rawip
            | LinkLayerType::Tunnel
            | LinkLayerType::Tunnel6
            | LinkLayerType::Sit
            | LinkLayerType::Ipgre
            | LinkLayerType::Ip6gre
    );
    if is_bare {
        LinkLayer::Bare
    } else {
        LinkLayer::Other
    }
}

/// The programs that `IFLA_XDP` tells of: one number for each mode since Linux 4.19.
fn attached(xdp: &[LinkXdp]) -> Vec<Attached> {
    let mut programs: Vec<Attached> = xdp
        .iter()
        .filter_map(|attribute| {
            let (mode, program) = if let LinkXdp::DrvProgId(id) = attribute {
                (AttachMode::Native, *id)
            } else if let LinkXdp::SkbProgId(id) = attribute {
                (AttachMode::Generic, *id)
            } else if let LinkXdp::HwProgId(id) = attribute {
                (AttachMode::Offloaded, *id)
            } else {
                return None;
            };
            Some(Attached { mode, program })
        })
        .collect();
    programs.sort_by_key(|attached| attached.mode);
    programs
}

#[cfg(test)]
mod tests {
    use netlink_packet_route::link::XdpAttached;

    use super::*;

    #[test]
    fn tunnels_are_bare() {
        for kind in [
            LinkLayerType::None,
            LinkLayerType::Ppp,
            LinkLayerType::Sit,
            LinkLayerType::Ipgre,
        ] {
            assert_eq!(link_layer(kind), LinkLayer::Bare, "{kind}");
        }
        assert_eq!(link_layer(LinkLayerType::Ether), LinkLayer::Ethernet);
        assert_eq!(link_layer(LinkLayerType::Can), LinkLayer::Other);
    }

    #[test]
    fn the_ports_of_a_bond_are_known_and_those_of_a_bridge_are_not_its() {
        let port = |kind| {
            let mut message = LinkMessage::default();
            message.header.index = 3;
            let info = LinkAttribute::LinkInfo(vec![LinkInfo::PortKind(kind)]);
            message.attributes = vec![LinkAttribute::Controller(7), info];
            message
        };
        let found = bonded(&port(InfoPortKind::Bond));
        assert_eq!(found, Some((InterfaceIndex(7), InterfaceIndex(3))));
        assert_eq!(bonded(&port(InfoPortKind::Bridge)), None);
        assert_eq!(bonded(&LinkMessage::default()), None);
        let mut bond = Interface::absent(InterfaceIndex(7), "bond0");
        bond.bonded = vec![InterfaceIndex(3)];
        let names: Vec<_> = bond.names().collect();
        let name = |index| (InterfaceIndex(index), "bond0".to_owned());
        assert_eq!(names, [name(7), name(3)]);
    }

    #[test]
    fn programs_are_read_for_each_mode() {
        let attached_to = |xdp: &[LinkXdp]| attached(xdp);
        assert_eq!(attached_to(&[LinkXdp::Attached(XdpAttached::None)]), []);
        let both = attached_to(&[
            LinkXdp::Attached(XdpAttached::Multiple),
            LinkXdp::SkbProgId(8),
            LinkXdp::DrvProgId(7),
        ]);
        let native = Attached {
            mode: AttachMode::Native,
            program: 7,
        };
        let generic = Attached {
            mode: AttachMode::Generic,
            program: 8,
        };
        assert_eq!(both, [native, generic]);
    }
}
