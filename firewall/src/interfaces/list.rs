//! Lists the network interfaces of this network namespace, by rtnetlink.

use futures::TryStreamExt as _;
use netlink_packet_route::link::{LinkAttribute, LinkLayerType, LinkMessage, LinkXdp};
use rules::compiler::InterfaceIndex;

use crate::{error::UserError, kernel::link::AttachMode};

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interface {
    /// Its number.
    pub(crate) index: InterfaceIndex,
    /// Its name.
    pub(crate) name: String,
    /// Whether its frames begin with an Ethernet header.
    pub(crate) has_ethernet: bool,
    /// The XDP programs on it, at most one for each mode.
    pub(crate) programs: Vec<Attached>,
}

impl Interface {
    /// An interface that does not exist.
    pub(crate) fn absent(index: InterfaceIndex, name: &str) -> Self {
        Self {
            index,
            name: name.to_owned(),
            has_ethernet: true,
            programs: Vec::new(),
        }
    }
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
    /// Packets on the interface have no Ethernet header, as on tunnels and modems. What the program
    /// takes for the EtherType would be bytes of the source address, which the sender chooses.
    #[error("the packets on interface `{name}` have no Ethernet header")]
    NotEthernet {
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
            Self::NotEthernet { .. } => Some(
                "name only interfaces of the kind Ethernet; what comes through a tunnel can be \
                 filtered where it leaves the tunnel, as by nftables"
                    .into(),
            ),
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
    let mut interfaces: Vec<Interface> = messages?.into_iter().filter_map(interface).collect();
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
        has_ethernet: matches!(
            message.header.link_layer_type,
            LinkLayerType::Ether | LinkLayerType::Loopback
        ),
        programs,
    })
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
