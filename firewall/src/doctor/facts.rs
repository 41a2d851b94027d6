//! Facts about an interface, gathered without changing it.

use std::{collections::BTreeMap, fs, path::Path, thread};

use futures::TryStreamExt as _;
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use rules::compiler::InterfaceIndex;

use crate::{
    doctor::generic_netlink::{self, XdpFeatures},
    interfaces::list::{self, Attached, InterfaceError, LinkLayer, ListError},
    kernel::{
        ethtool::{Channels, Ethtool},
        hook::Hook,
        info, link,
        program::takes_frags,
    },
};

/// The observed state of an interface.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) name: String,
    /// The kind of virtual interface, as the kernel names it; `None` for hardware and the
    /// loopback interface.
    pub(crate) kind: Option<String>,
    /// The name of the driver.
    pub(crate) driver: Option<String>,
    pub(crate) is_loopback: bool,
    pub(crate) link_layer: LinkLayer,
    pub(crate) is_up: bool,
    pub(crate) has_carrier: bool,
    pub(crate) mtu: u32,
    pub(crate) channels: Option<Channels>,
    /// The offloads, by the kernel's names.
    pub(crate) offloads: BTreeMap<String, bool>,
    pub(crate) splits_headers: Option<bool>,
    pub(crate) xdp: Option<XdpFeatures>,
    pub(crate) programs: Vec<AttachedProgram>,
    /// Its hooks of traffic control, if this process has the privilege to query them.
    pub(crate) traffic_control: Option<TrafficControl>,
    /// The name and kind of the bridge, bond or other interface that it is a port of.
    pub(crate) upper: Option<(String, Option<String>)>,
    /// Its ports, or the interface below it.
    pub(crate) lowers: Vec<String>,
    /// The other end of a veth pair.
    pub(crate) peer: Option<Peer>,
    /// The number of CPUs.
    pub(crate) cpus: u32,
    /// Whether this kernel supports frames in several buffers for the program.
    pub(crate) program_takes_frags: bool,
    /// Whether the kernel takes MPLS packets from it (`Documentation/networking/mpls-sysctl.rst`).
    pub(crate) takes_mpls: bool,
}

/// An XDP program on the interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AttachedProgram {
    pub(crate) attached: Attached,
    /// Its name, if this process has the privilege to query it.
    pub(crate) name: Option<String>,
    /// The instance of the firewall that has pinned it, if it can be seen.
    pub(crate) instance: Option<String>,
    /// Its link, if it has one and this process has the privilege to query it.
    pub(crate) link: Option<u32>,
}

/// The hooks of traffic control at which a firewall filters an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TrafficControl {
    /// Whether programs are attached there by links (Linux 6.6).
    pub(crate) takes_links: bool,
    /// The programs, of each hook in the order in which they run.
    pub(crate) programs: Vec<HookProgram>,
}

/// A program at a hook of traffic control.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HookProgram {
    pub(crate) hook: Hook,
    pub(crate) id: u32,
    /// Its name, if this process has the privilege to query it.
    pub(crate) name: Option<String>,
    /// The instance of the firewall that has pinned it, if it can be seen.
    pub(crate) instance: Option<String>,
}

/// The other end of a veth pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// In a network namespace that this process cannot inspect.
    Hidden,
    /// In a network namespace that this process can inspect.
    Seen {
        name: String,
        /// Whether it is in another network namespace.
        is_elsewhere: bool,
        mtu: u32,
        /// The number of transmit queues, if this process has the privilege to query it.
        tx: Option<u32>,
        /// Whether it keeps VLAN tags outside the frame, if this process has the privilege to query
        /// it.
        hides_tags: Option<bool>,
    },
}

/// The facts about the interface called `name`; the pins of instances are in `bpffs`.
pub(crate) async fn gather(name: &str, bpffs: &Path) -> Result<Facts, InterfaceError> {
    let links = links(None).await.map_err(InterfaceError::List)?;
    match links.iter().find(|link| name_of(link) == Some(name)) {
        Some(link) => {
            let mut facts = facts(name, link, &links).await;
            for program in &mut facts.programs {
                program.instance = info::instance_of(program.attached.program, bpffs);
            }
            let at_hooks = facts.traffic_control.iter_mut();
            for program in at_hooks.flat_map(|hooks| &mut hooks.programs) {
                program.instance = info::instance_of(program.id, bpffs);
            }
            Ok(facts)
        }
        None => Err(InterfaceError::Absent {
            name: name.to_owned(),
            there_are: links
                .iter()
                .filter_map(name_of)
                .map(str::to_owned)
                .collect(),
        }),
    }
}

/// The facts about those of the interfaces that exist.
pub(crate) async fn gather_all(names: &[&str]) -> Result<Vec<Facts>, InterfaceError> {
    let links = links(None).await.map_err(InterfaceError::List)?;
    let mut all = Vec::new();
    for name in names {
        if let Some(link) = links.iter().find(|link| name_of(link) == Some(name)) {
            all.push(facts(name, link, &links).await);
        }
    }
    Ok(all)
}

async fn facts(name: &str, link: &LinkMessage, links: &[LinkMessage]) -> Facts {
    let ethtool = Ethtool::new(name).ok();
    let index = InterfaceIndex(link.header.index);
    let interface = list::interface(link.clone());
    let link_layer = interface
        .as_ref()
        .map_or(LinkLayer::Other, |interface| interface.link_layer);
    let by_index = |index: u32| links.iter().find(|link| link.header.index == index);
    let upper = upper_of(link);
    let kind = kind(link);
    let mut lowers: Vec<String> = links
        .iter()
        .filter(|lower| upper_of(lower) == Some(index.0))
        .filter_map(|lower| name_of(lower).map(str::to_owned))
        .collect();
    let below = below(link);
    let elsewhere = namespace_of(link);
    let is_veth = kind.as_deref() == Some("veth");
    if !is_veth && elsewhere.is_none() {
        lowers.extend(
            below
                .and_then(by_index)
                .and_then(name_of)
                .map(str::to_owned),
        );
    }
    let reported = ethtool.as_ref().and_then(|e| e.channels().ok());
    // A veth reports its queues since Linux 5.13 (`veth_get_channels`); before 5.15 they cannot
    // change after its creation.
    let queues_are_fixed = is_veth && ethtool.is_some() && reported.is_none();
    let peer = match below {
        Some(below) if is_veth => {
            Some(peer(below, elsewhere, by_index(below), queues_are_fixed).await)
        }
        Some(_) | None => None,
    };
    Facts {
        name: name.to_owned(),
        driver: ethtool.as_ref().and_then(|e| e.driver().ok()),
        is_loopback: link.header.flags.contains(LinkFlags::Loopback),
        link_layer,
        is_up: link.header.flags.contains(LinkFlags::Up),
        has_carrier: link.header.flags.contains(LinkFlags::LowerUp),
        mtu: mtu(link),
        channels: reported.or_else(|| queues_are_fixed.then(|| made_with(link))),
        offloads: ethtool
            .as_ref()
            .and_then(|e| e.features().ok())
            .unwrap_or_default(),
        splits_headers: generic_netlink::splits_headers(index).ok().flatten(),
        xdp: generic_netlink::xdp_features(index).ok().flatten(),
        programs: interface
            .map(|interface| interface.programs)
            .unwrap_or_default()
            .into_iter()
            .map(|attached| AttachedProgram {
                attached,
                name: info::program_name(attached.program),
                instance: None,
                link: info::link_of(attached.program, index.0),
            })
            .collect(),
        traffic_control: traffic_control(name, index, link_layer),
        upper: upper.and_then(by_index).and_then(|upper| {
            let name = name_of(upper)?.to_owned();
            Some((name, self::kind(upper)))
        }),
        kind,
        lowers,
        peer,
        cpus: thread::available_parallelism().map_or(1, |count| count.get() as u32),
        program_takes_frags: takes_frags(),
        takes_mpls: fs::read_to_string(format!("/proc/sys/net/mpls/conf/{name}/input"))
            .is_ok_and(|value| value.trim() == "1"),
    }
}

/// The hooks of traffic control that a firewall uses on an interface.
fn traffic_control(
    name: &str,
    index: InterfaceIndex,
    link_layer: LinkLayer,
) -> Option<TrafficControl> {
    let takes_links = link::takes_links(name, index.0).ok()?;
    let hooks: &[Hook] = match link_layer {
        LinkLayer::Ethernet => &[Hook::Egress],
        LinkLayer::Bare => &[Hook::BareIngress, Hook::BareEgress],
        LinkLayer::Other => return None,
    };
    let mut programs = Vec::new();
    for &hook in hooks {
        let found = link::programs_at(hook, index.0).ok()?;
        programs.extend(found.into_iter().map(|id| HookProgram {
            hook,
            id,
            name: info::program_name(id),
            instance: None,
        }));
    }
    Some(TrafficControl {
        takes_links,
        programs,
    })
}

/// The other end of a veth pair: the interface `index` in the namespace `elsewhere`, or in this
/// one.
async fn peer(
    index: u32,
    elsewhere: Option<i32>,
    here: Option<&LinkMessage>,
    queues_are_fixed: bool,
) -> Peer {
    let found = match elsewhere {
        None => here.cloned(),
        Some(_) => links(elsewhere)
            .await
            .ok()
            .and_then(|links| links.into_iter().find(|link| link.header.index == index)),
    };
    let Some((name, link)) = found.and_then(|link| Some((name_of(&link)?.to_owned(), link))) else {
        return Peer::Hidden;
    };
    let ethtool = match elsewhere {
        None => Ethtool::new(&name).ok(),
        Some(_) => None,
    };
    let channels = if queues_are_fixed {
        Some(made_with(&link))
    } else {
        ethtool.as_ref().and_then(|e| e.channels().ok())
    };
    Peer::Seen {
        is_elsewhere: elsewhere.is_some(),
        mtu: mtu(&link),
        tx: channels.map(|channels| channels.tx + channels.combined),
        hides_tags: ethtool
            .and_then(|e| e.features().ok())
            .and_then(|offloads| offloads.get("tx-vlan-hw-insert").copied()),
        name,
    }
}

/// The links of this network namespace, or of another that has an identifier in this one.
async fn links(namespace: Option<i32>) -> Result<Vec<LinkMessage>, ListError> {
    let (connection, handle, _messages) = rtnetlink::new_connection().map_err(ListError::Socket)?;
    let connection = tokio::spawn(connection);
    let mut request = handle.link().get();
    if let Some(id) = namespace {
        request
            .message_mut()
            .attributes
            .push(LinkAttribute::IfNetnsId(id));
    }
    let links = request.execute().try_collect().await;
    connection.abort();
    Ok(links?)
}

fn name_of(link: &LinkMessage) -> Option<&str> {
    link.attributes.iter().find_map(|attribute| {
        if let LinkAttribute::IfName(name) = attribute {
            Some(name.as_str())
        } else {
            None
        }
    })
}

fn mtu(link: &LinkMessage) -> u32 {
    let mtu = link.attributes.iter().find_map(|attribute| {
        if let LinkAttribute::Mtu(mtu) = attribute {
            Some(*mtu)
        } else {
            None
        }
    });
    mtu.unwrap_or(0)
}

/// The queues of an interface whose number is fixed at its creation.
fn made_with(link: &LinkMessage) -> Channels {
    let mut channels = Channels::default();
    for attribute in &link.attributes {
        if let LinkAttribute::NumRxQueues(count) = attribute {
            channels.rx = *count;
        } else if let LinkAttribute::NumTxQueues(count) = attribute {
            channels.tx = *count;
        }
    }
    channels
}

fn kind(link: &LinkMessage) -> Option<String> {
    let infos = link.attributes.iter().find_map(|attribute| {
        if let LinkAttribute::LinkInfo(infos) = attribute {
            Some(infos)
        } else {
            None
        }
    })?;
    infos.iter().find_map(|info| {
        if let LinkInfo::Kind(kind) = info {
            Some(InfoKind::to_string(kind))
        } else {
            None
        }
    })
}

/// The bridge, bond or other interface that the link is a port of.
fn upper_of(link: &LinkMessage) -> Option<u32> {
    link.attributes.iter().find_map(|attribute| {
        if let LinkAttribute::Controller(value) = attribute {
            Some(*value)
        } else {
            None
        }
    })
}

/// The interface on which the link is, or the other end of a pair.
fn below(link: &LinkMessage) -> Option<u32> {
    link.attributes.iter().find_map(|attribute| {
        if let LinkAttribute::Link(value) = attribute {
            Some(*value)
        } else {
            None
        }
    })
}

/// The network namespace of the interface below, if it is another.
fn namespace_of(link: &LinkMessage) -> Option<i32> {
    link.attributes.iter().find_map(|attribute| {
        if let LinkAttribute::LinkNetNsId(value) = attribute {
            Some(*value)
        } else {
            None
        }
    })
}
