//! The network as the kernel knows it: interfaces, addresses, gateways and neighbors.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use futures::TryStreamExt as _;
use netlink_packet_route::{
    address::{AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage},
    link::{
        BondMode, InfoBond, InfoData, InfoKind, InfoVlan, LinkAttribute, LinkInfo, LinkMessage,
        VlanProtocol,
    },
    neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage},
    route::{RouteAddress, RouteAttribute, RouteMessage, RouteType, RouteVia},
};
use rtnetlink::{Handle, RouteMessageBuilder};

use crate::interfaces::list::ListError;

/// The interfaces, addresses and gateways of this machine.
pub(super) struct Surroundings {
    /// The interfaces, by number.
    pub(super) links: BTreeMap<u32, LinkFacts>,
    /// The addresses of this machine.
    pub(super) addresses: Vec<Address>,
    /// The gateways, each once.
    pub(super) gateways: Vec<Hop>,
    /// The indexes of the interfaces by which default routes lead, each once.
    pub(super) default_routes: Vec<u32>,
    neighbors: BTreeMap<(u32, IpAddr), Vec<u8>>,
}

/// An interface.
#[derive(Clone, Debug, Default)]
pub(super) struct LinkFacts {
    /// Its name.
    pub(super) name: String,
    /// Its hardware address.
    pub(super) mac: Vec<u8>,
    /// The interface over which its packets come, when it is one of those made of another.
    pub(super) below: Option<u32>,
    /// The tag that its packets have below it, in the notation of packets.
    pub(super) tag: Option<String>,
    /// Whether it is a bond whose ports are members as long as they speak LACP.
    pub(super) speaks_lacp: bool,
    /// The bridge, bond or the like that it is a port of.
    pub(super) master: Option<u32>,
}

/// An address of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// The interface.
    pub(super) interface: u32,
    /// The address.
    pub(super) address: IpAddr,
    /// The length of its prefix.
    pub(super) prefix: u8,
    /// Whether it has a limited lifetime, as leased and advertised addresses have.
    pub(super) is_dynamic: bool,
}

/// The next hop of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hop {
    /// The interface.
    pub(super) interface: u32,
    /// The gateway; `None` when the destination is a neighbor.
    pub(super) gateway: Option<IpAddr>,
}

impl Surroundings {
    /// Queries the kernel.
    pub(super) async fn read() -> Result<Self, ListError> {
        with_netlink(async |netlink| {
            let links: Vec<LinkMessage> = netlink.link().get().execute().try_collect().await?;
            let addresses: Vec<AddressMessage> =
                netlink.address().get().execute().try_collect().await?;
            let neighbors: Vec<NeighbourMessage> =
                netlink.neighbours().get().execute().try_collect().await?;
            let ipv4 = RouteMessageBuilder::<Ipv4Addr>::new().build();
            let mut routes: Vec<RouteMessage> =
                netlink.route().get(ipv4).execute().try_collect().await?;
            let ipv6 = RouteMessageBuilder::<Ipv6Addr>::new().build();
            let more: Vec<RouteMessage> = netlink.route().get(ipv6).execute().try_collect().await?;
            routes.extend(more);
            let mut gateways: Vec<Hop> = Vec::new();
            for hop in routes.iter().flat_map(hops) {
                if hop.gateway.is_some() && !gateways.contains(&hop) {
                    gateways.push(hop);
                }
            }
            let defaults = routes.iter().filter(|route| is_default(route));
            let mut default_routes: Vec<u32> =
                defaults.flat_map(hops).map(|hop| hop.interface).collect();
            default_routes.sort_unstable();
            default_routes.dedup();
            Ok(Self {
                links: links.into_iter().map(link).collect(),
                addresses: addresses.iter().filter_map(address).collect(),
                gateways,
                default_routes,
                neighbors: neighbors.into_iter().filter_map(neighbor).collect(),
            })
        })
        .await
    }

    /// Surroundings without known neighbors.
    #[cfg(test)]
    pub(super) fn of(
        links: BTreeMap<u32, LinkFacts>,
        addresses: Vec<Address>,
        gateways: Vec<Hop>,
    ) -> Self {
        Self {
            links,
            addresses,
            gateways,
            default_routes: Vec::new(),
            neighbors: BTreeMap::new(),
        }
    }

    /// The hardware address of a neighbor, if it is known.
    pub(super) fn neighbor(&self, interface: u32, address: IpAddr) -> Option<&[u8]> {
        self.neighbors.get(&(interface, address)).map(Vec::as_slice)
    }

    /// Whether an address is one of this machine.
    pub(super) fn is_local(&self, address: IpAddr) -> bool {
        let mut addresses = self.addresses.iter();
        addresses.any(|own| own.address == address)
    }
}

/// The way to an address; `None` when there is none.
pub(super) async fn route_to(address: IpAddr) -> Option<Hop> {
    let length = if address.is_ipv4() { 32 } else { 128 };
    let message = RouteMessageBuilder::<IpAddr>::new()
        .destination_prefix(address, length)
        .ok()?
        .build();
    let answer = with_netlink(async |netlink| {
        let mut routes = netlink.route().get(message).execute();
        Ok(routes.try_next().await?)
    });
    let route = answer.await.inspect_err(|error| {
        tracing::debug!(event = "no_route", %address, %error, "no way to `{address}`");
    });
    hops(&route.ok()??).into_iter().next()
}

async fn with_netlink<T>(
    work: impl AsyncFnOnce(Handle) -> Result<T, ListError>,
) -> Result<T, ListError> {
    let (connection, handle, _messages) = rtnetlink::new_connection().map_err(ListError::Socket)?;
    let connection = tokio::spawn(connection);
    let answer = work(handle).await;
    connection.abort();
    answer
}

fn link(message: LinkMessage) -> (u32, LinkFacts) {
    let mut link = LinkFacts::default();
    let (mut lower, mut is_stacked) = (None, false);
    for attribute in message.attributes {
        if let LinkAttribute::IfName(name) = attribute {
            link.name = name;
        } else if let LinkAttribute::Address(mac) = attribute {
            link.mac = mac;
        } else if let LinkAttribute::Link(index) = attribute {
            lower = Some(index);
        } else if let LinkAttribute::Controller(index) = attribute {
            link.master = Some(index);
        } else if let LinkAttribute::LinkInfo(infos) = attribute {
            for info in infos {
                if let LinkInfo::Kind(kind) = info {
                    // Of others, such as veth, this names an interface of another namespace.
                    is_stacked =
                        matches!(kind, InfoKind::Vlan | InfoKind::MacVlan | InfoKind::IpVlan);
                } else if let LinkInfo::Data(InfoData::Vlan(data)) = info {
                    link.tag = tag(&data);
                } else if let LinkInfo::Data(InfoData::Bond(data)) = info {
                    link.speaks_lacp = data.contains(&InfoBond::Mode(BondMode::Ieee8023Ad));
                }
            }
        }
    }
    link.below = lower.filter(|_| is_stacked);
    (message.header.index, link)
}

fn tag(data: &[InfoVlan]) -> Option<String> {
    let id = data.iter().find_map(|info| {
        let InfoVlan::Id(id) = info else { return None };
        Some(*id)
    })?;
    let is_service = data
        .iter()
        .any(|info| matches!(info, InfoVlan::Protocol(VlanProtocol::Ieee8021Ad)));
    Some(if is_service {
        format!("vlan 0x88a8/{id}")
    } else {
        format!("vlan {id}")
    })
}

fn address(message: &AddressMessage) -> Option<Address> {
    let (mut own, mut shared) = (None, None);
    let mut is_permanent = message.header.flags.contains(AddressHeaderFlags::Permanent);
    for attribute in &message.attributes {
        if let AddressAttribute::Local(address) = attribute {
            own = Some(*address);
        } else if let AddressAttribute::Address(address) = attribute {
            // Of a link between two, this is the other's.
            shared = Some(*address);
        } else if let AddressAttribute::Flags(flags) = attribute {
            is_permanent = flags.contains(AddressFlags::Permanent);
        }
    }
    Some(Address {
        interface: message.header.index,
        address: own.or(shared)?,
        prefix: message.header.prefix_len,
        is_dynamic: !is_permanent,
    })
}

fn neighbor(message: NeighbourMessage) -> Option<((u32, IpAddr), Vec<u8>)> {
    let (mut address, mut mac) = (None, None);
    for attribute in message.attributes {
        if let NeighbourAttribute::Destination(NeighbourAddress::Inet(ip)) = attribute {
            address = Some(IpAddr::V4(ip));
        } else if let NeighbourAttribute::Destination(NeighbourAddress::Inet6(ip)) = attribute {
            address = Some(IpAddr::V6(ip));
        } else if let NeighbourAttribute::LinkLayerAddress(bytes) = attribute {
            mac = Some(bytes);
        }
    }
    Some(((message.header.ifindex, address?), mac?))
}

/// Whether a route leads to every address.
fn is_default(route: &RouteMessage) -> bool {
    route.header.destination_prefix_length == 0 && route.header.kind == RouteType::Unicast
}

/// The next hops of a route.
fn hops(route: &RouteMessage) -> Vec<Hop> {
    let mut found: Vec<Hop> = hop(&route.attributes, None).into_iter().collect();
    for attribute in &route.attributes {
        if let RouteAttribute::MultiPath(hops) = attribute {
            let hops = hops.iter();
            found.extend(hops.filter_map(|next| hop(&next.attributes, Some(next.interface_index))));
        }
    }
    found
}

fn hop(attributes: &[RouteAttribute], interface: Option<u32>) -> Option<Hop> {
    let (mut interface, mut gateway) = (interface, None);
    for attribute in attributes {
        if let RouteAttribute::Oif(index) = attribute {
            interface = Some(*index);
        } else if let RouteAttribute::Gateway(RouteAddress::Inet(ip)) = attribute {
            gateway = Some(IpAddr::V4(*ip));
        } else if let RouteAttribute::Gateway(RouteAddress::Inet6(ip))
        | RouteAttribute::Via(RouteVia::Inet6(ip)) = attribute
        {
            gateway = Some(IpAddr::V6(*ip));
        }
    }
    Some(Hop {
        interface: interface?,
        gateway,
    })
}
