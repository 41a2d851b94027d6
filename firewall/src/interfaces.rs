//! The network interfaces of this network namespace, asked for by rtnetlink, and which of them a
//! rule file means.

use futures::TryStreamExt as _;
use netlink_packet_route::link::{LinkAttribute, LinkLayerType, LinkMessage, LinkXdp};
use rules::{compiler::InterfaceIndex, ruleset::InterfacePattern};

use crate::kernel::link::AttachMode;

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interface {
    /// Its number.
    pub(crate) index: InterfaceIndex,
    /// Its name.
    pub(crate) name: String,
    /// Whether its frames begin with an Ethernet header.
    pub(crate) has_ethernet: bool,
    /// The XDP programs on it, as many as there are modes.
    pub(crate) programs: Vec<Attached>,
}

impl Interface {
    /// An interface that is not there.
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
    /// Where it runs.
    pub(crate) mode: AttachMode,
    /// The kernel's number for the program.
    pub(crate) program: u32,
}

/// Why no interfaces could be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InterfaceError {
    /// The kernel does not list its interfaces.
    #[error("the kernel does not list the network interfaces")]
    List(#[source] ListError),
    /// No interface has this name.
    #[error("no interface is called `{name}`")]
    Unknown {
        /// The name.
        name: String,
        /// The names that there are.
        there_are: Vec<String>,
    },
    /// No interface fits this glob.
    #[error("no interface fits `{pattern}`")]
    NoneFits {
        /// The glob.
        pattern: String,
        /// The names that there are.
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

impl InterfaceError {
    /// What the user can do.
    pub(crate) fn help(&self) -> Option<String> {
        match self {
            Self::List(_) => None,
            Self::NotEthernet { .. } => Some(
                "name only interfaces of the kind Ethernet; what comes through a tunnel can be \
                 judged where it leaves the tunnel, as by nftables"
                    .into(),
            ),
            Self::Unknown { there_are, .. } | Self::NoneFits { there_are, .. } => {
                Some(if there_are.is_empty() {
                    "this network namespace has no interfaces".into()
                } else {
                    format!("there are `{}`", there_are.join("`, `"))
                })
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

fn interface(message: LinkMessage) -> Option<Interface> {
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

/// The interfaces that the patterns fit, by index.
///
/// # Errors
///
/// When a pattern fits none, or an interface whose packets have no Ethernet header.
pub(crate) fn select<'a>(
    patterns: &[InterfacePattern],
    interfaces: &'a [Interface],
) -> Result<Vec<&'a Interface>, InterfaceError> {
    let there_are = || {
        interfaces
            .iter()
            .map(|interface| interface.name.clone())
            .collect()
    };
    for pattern in patterns {
        if interfaces
            .iter()
            .any(|interface| pattern.matches(&interface.name))
        {
            continue;
        }
        return Err(if pattern.is_glob() {
            InterfaceError::NoneFits {
                pattern: pattern.to_string(),
                there_are: there_are(),
            }
        } else {
            InterfaceError::Unknown {
                name: pattern.to_string(),
                there_are: there_are(),
            }
        });
    }
    let fits = |interface: &&Interface| patterns.iter().any(|p| p.matches(&interface.name));
    let selected: Vec<_> = interfaces.iter().filter(fits).collect();
    match selected.iter().find(|interface| !interface.has_ethernet) {
        Some(interface) => Err(InterfaceError::NotEthernet {
            name: interface.name.clone(),
        }),
        None => Ok(selected),
    }
}

#[cfg(test)]
mod tests {
    use netlink_packet_route::link::XdpAttached;

    use super::*;

    fn interfaces(names: &[&str]) -> Vec<Interface> {
        (1..)
            .zip(names)
            .map(|(index, name)| Interface {
                index: InterfaceIndex(index),
                name: (*name).to_owned(),
                has_ethernet: !name.starts_with("tun"),
                programs: Vec::new(),
            })
            .collect()
    }

    fn selected(patterns: &[&str], names: &[&str]) -> Result<Vec<String>, InterfaceError> {
        let patterns: Vec<_> = patterns
            .iter()
            .map(|text| InterfacePattern::parse(text).unwrap())
            .collect();
        let interfaces = interfaces(names);
        Ok(select(&patterns, &interfaces)?
            .into_iter()
            .map(|interface| interface.name.clone())
            .collect())
    }

    #[test]
    fn globs_select_each_interface_once() {
        let names = ["lo", "eth1", "eth0"];
        assert_eq!(
            selected(&["eth*", "eth0"], &names).unwrap(),
            ["eth1", "eth0"]
        );
    }

    #[test]
    fn a_pattern_that_fits_none_is_an_error_that_names_what_there_is() {
        let unknown = selected(&["lo", "eth0"], &["lo", "wan"]).unwrap_err();
        assert_eq!(unknown.to_string(), "no interface is called `eth0`");
        assert_eq!(unknown.help().unwrap(), "there are `lo`, `wan`");
        let none = selected(&["eth*"], &["lo"]).unwrap_err();
        assert_eq!(none.to_string(), "no interface fits `eth*`");
    }

    #[test]
    fn interfaces_without_ethernet_are_refused_however_they_are_named() {
        for pattern in ["tun0", "*"] {
            let refused = selected(&[pattern], &["eth0", "tun0"]).unwrap_err();
            let message = "the packets on interface `tun0` have no Ethernet header";
            assert_eq!(refused.to_string(), message);
        }
        assert_eq!(selected(&["eth*"], &["eth0", "tun0"]).unwrap(), ["eth0"]);
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
