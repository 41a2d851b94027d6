//! The packets that keep a machine reachable, written in the notation of packets.

use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use rules::{compiler::InterfaceIndex, notation, text::hexadecimal};

use crate::{
    interfaces::list::Interface,
    lockout::{
        leases,
        sessions::Session,
        surroundings::{Address, Hop, Surroundings},
    },
};

/// The maximum depth of stacked interfaces: VLANs on a bridge of bonds.
const DEPTH: usize = 8;

/// The destination of what is for all hosts of a link.
const BROADCAST_MAC: &str = "ff:ff:ff:ff:ff:ff";

/// A packet that the machine needs to be, or to stay, reachable.
pub(crate) struct Lifeline {
    /// Its purpose, for messages.
    pub(crate) what: String,
    /// The packet, as `firewall explain` takes it.
    pub(crate) packet: String,
    /// Its frame.
    pub(crate) frame: Vec<u8>,
    /// The interface on which it arrives.
    pub(crate) interface: InterfaceIndex,
}

/// Collects lifelines.
pub(super) struct Lifelines<'a> {
    surroundings: &'a Surroundings,
    filtered: &'a [Interface],
    /// The lifelines so far.
    pub(super) found: Vec<Lifeline>,
}

impl<'a> Lifelines<'a> {
    /// Starts without any, for these filtered interfaces.
    pub(super) fn new(surroundings: &'a Surroundings, filtered: &'a [Interface]) -> Self {
        Self {
            surroundings,
            filtered,
            found: Vec::new(),
        }
    }

    /// Adds the packets by which gateways are discovered.
    pub(super) fn add_gateways(&mut self) {
        let surroundings = self.surroundings;
        for hop in &surroundings.gateways {
            if let Some(gateway) = hop.gateway {
                self.add_neighbour(&format!("the gateway `{gateway}`"), hop.interface, gateway);
            }
        }
    }

    /// Adds the packets that renew the leases of addresses.
    pub(super) fn add_leases(&mut self) {
        let surroundings = self.surroundings;
        let dynamic = surroundings.addresses.iter().filter(|own| own.is_dynamic);
        for &Address {
            interface,
            address,
            prefix,
            ..
        } in dynamic
        {
            let what = format!("DHCP, from which `{address}` comes");
            match address {
                IpAddr::V4(own) => {
                    let server = IpAddr::V4(self.server(interface, own, prefix));
                    let send = |to| format!("udp {server}:67 > {to}:68 payload 300");
                    self.add(&what, interface, server, &send(own));
                    let to_all = send(Ipv4Addr::BROADCAST) + " dst_mac " + BROADCAST_MAC;
                    self.add(&what, interface, server, &to_all);
                }
                // What a router advertises has the length of the link's prefix, a lease none.
                IpAddr::V6(own) if prefix == 128 && !own.is_unicast_link_local() => {
                    let gateway = self.gateway_of(interface, false);
                    let link_local = self.own(interface, is_link_local);
                    if let (Some(server), Some(to)) = (gateway, link_local) {
                        let packet = format!("udp [{server}]:547 > [{to}]:546 payload 100");
                        self.add(&what, interface, server, &packet);
                    }
                }
                IpAddr::V6(_) => {}
            }
        }
    }

    /// Adds the packets of a session, which comes back over `route` as far as that is known.
    pub(super) fn add_session(&mut self, session: &Session, route: Option<&Hop>) {
        let Session { peer, local } = session;
        let what = format!("the SSH session of `{}`", peer.ip());
        // Without a way back: wherever packets arrive.
        let interfaces: Vec<u32> = match route {
            Some(hop) if !is_link_local(peer.ip()) => vec![hop.interface],
            Some(_) | None => self.filtered.iter().map(|one| one.index.0).collect(),
        };
        for interface in interfaces {
            let gateway = route.and_then(|hop| hop.gateway);
            let from = gateway.unwrap_or(peer.ip());
            for rest in ["ack", "ack,psh payload 36", "ack payload 1400"] {
                self.add(
                    &what,
                    interface,
                    from,
                    &format!("tcp {peer} > {local} {rest}"),
                );
            }
            if gateway.is_none() {
                self.add_neighbour(&what, interface, peer.ip());
            }
        }
    }

    /// Adds the packets by which a neighbor is discovered.
    fn add_neighbour(&mut self, what: &str, interface: u32, neighbour: IpAddr) {
        match neighbour {
            IpAddr::V4(from) => {
                if let Some(to) = self.own(interface, |ip| ip.is_ipv4()) {
                    self.add(what, interface, neighbour, &format!("arp {from} > {to}"));
                }
            }
            IpAddr::V6(from) => {
                let own = self.own(interface, is_link_local);
                let own = own.or_else(|| self.own(interface, |ip| ip.is_ipv6()));
                if let Some(IpAddr::V6(to)) = own {
                    let packet = format!("icmpv6 {from} > {to} neighbour-advertisement");
                    self.add(what, interface, neighbour, &packet);
                    let group = solicited(to);
                    let packet = format!("icmpv6 {from} > {group} neighbour-solicitation");
                    self.add(what, interface, neighbour, &packet);
                }
                if from.is_unicast_link_local() && what.starts_with("the gateway") {
                    let packet = format!("icmpv6 {from} > ff02::1 router-advertisement");
                    self.add(what, interface, neighbour, &packet);
                }
            }
        }
    }

    /// Adds a packet that reaches an interface from a neighbour, on each interface that is filtered
    /// on the way there.
    fn add(&mut self, what: &str, interface: u32, from: IpAddr, packet: &str) {
        let surroundings = self.surroundings;
        for (index, tags) in self.ways(interface, String::new(), DEPTH) {
            let mut packet = packet.to_owned();
            if let Some(mac) = surroundings.neighbour(interface, from).and_then(mac) {
                add_words(&mut packet, "src_mac", &mac);
            }
            let own = surroundings.links.get(&interface);
            if let Some(mac) = own.and_then(|link| mac(&link.mac))
                && !packet.contains("dst_mac")
                && !is_for_a_group(&packet)
            {
                add_words(&mut packet, "dst_mac", &mac);
            }
            packet.push_str(&tags);
            let name = surroundings.links.get(&index).map(|link| &link.name);
            if let Some(name) = name {
                add_words(&mut packet, "interface", name);
            }
            match notation::read(&packet) {
                Ok(read) => self.found.push(Lifeline {
                    what: what.to_owned(),
                    packet,
                    frame: read.frame,
                    interface: InterfaceIndex(index),
                }),
                Err(fault) => {
                    tracing::warn!(
                        event = "lifeline_not_made",
                        packet,
                        error = %fault.message,
                        "the packet `{packet}` cannot be made: {}",
                        fault.message
                    );
                }
            }
        }
    }

    /// The filtered interfaces through which packets come to `interface`, each with the tags that
    /// they have there.
    fn ways(&self, interface: u32, tags: String, depth: usize) -> Vec<(u32, String)> {
        let Some(depth) = depth.checked_sub(1) else {
            return Vec::new();
        };
        let links = &self.surroundings.links;
        let mut ways = Vec::new();
        if let Some(link) = links.get(&interface)
            && let Some(below) = link.below
        {
            let tag = link.tag.as_ref().map(|tag| format!(" {tag}"));
            // The tag of the lower interface stands outside.
            ways.extend(self.ways(below, tag.unwrap_or_default() + &tags, depth));
        }
        for (&port, link) in links {
            if link.master == Some(interface) {
                ways.extend(self.ways(port, tags.clone(), depth));
            }
        }
        if self.filtered.iter().any(|one| one.index.0 == interface) {
            ways.push((interface, tags));
        }
        ways
    }

    /// The server of an address: recorded, or else assumed to be the gateway, or the first host.
    fn server(&self, interface: u32, own: Ipv4Addr, prefix: u8) -> Ipv4Addr {
        let name = self.surroundings.links.get(&interface);
        let noted = name.and_then(|link| leases::server(interface, &link.name));
        if let Some(server) = noted {
            return server;
        }
        if let Some(IpAddr::V4(gateway)) = self.gateway_of(interface, true) {
            return gateway;
        }
        let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
        Ipv4Addr::from_bits(own.to_bits() & mask | 1)
    }

    fn gateway_of(&self, interface: u32, is_ipv4: bool) -> Option<IpAddr> {
        let gateways = self.surroundings.gateways.iter();
        gateways
            .filter(|hop| hop.interface == interface)
            .filter_map(|hop| hop.gateway)
            .find(|gateway| gateway.is_ipv4() == is_ipv4)
    }

    fn own(&self, interface: u32, is_fit: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
        let own = self.surroundings.addresses.iter();
        own.filter(|own| own.interface == interface)
            .map(|own| own.address)
            .find(|address| is_fit(*address))
    }
}

fn add_words(packet: &mut String, word: &str, value: &str) {
    // Writing to a string does not fail.
    let _ = write!(packet, " {word} {value}");
}

/// Whether the notation gives the packet the hardware address of a group.
fn is_for_a_group(packet: &str) -> bool {
    packet.contains("> ff02::")
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

/// The group in which an address is looked for (RFC 4291 section 2.7.1).
fn solicited(address: Ipv6Addr) -> Ipv6Addr {
    let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 0).to_bits();
    Ipv6Addr::from_bits(group | address.to_bits() & 0xff_ffff)
}

fn mac(bytes: &[u8]) -> Option<String> {
    let bytes: &[u8; 6] = bytes.try_into().ok()?;
    if *bytes == [0; 6] {
        return None;
    }
    Some(hexadecimal::mac(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lockout::surroundings::LinkFacts;

    fn link(name: &str) -> LinkFacts {
        LinkFacts {
            name: name.into(),
            mac: vec![2, 0, 0, 0, 0, 1],
            ..LinkFacts::default()
        }
    }

    /// A VLAN in a VLAN on a bridge, of whose ports two are filtered.
    fn stack() -> Surroundings {
        let port = |name| LinkFacts {
            master: Some(4),
            ..link(name)
        };
        let above = |below, name, tag: &str| LinkFacts {
            below: Some(below),
            tag: Some(tag.into()),
            ..link(name)
        };
        let address = |address: &str, prefix, is_dynamic| Address {
            interface: 6,
            address: address.parse().unwrap(),
            prefix,
            is_dynamic,
        };
        let links = [
            (1, port("eth1")),
            (2, port("eth2")),
            (3, port("eth3")),
            (4, link("bridge")),
            (5, above(4, "outer", "vlan 0x88a8/10")),
            (6, above(5, "inner", "vlan 20")),
        ];
        let addresses = vec![
            address("192.0.2.7", 24, true),
            address("fe80::7", 64, false),
            address("2001:db8::7", 128, true),
            address("2001:db8:1::7", 64, true),
        ];
        let hop = |gateway: &str| Hop {
            interface: 6,
            gateway: Some(gateway.parse().unwrap()),
        };
        let gateways = vec![hop("192.0.2.1"), hop("fe80::1")];
        Surroundings::of(links.into(), addresses, gateways)
    }

    #[test]
    fn packets_have_the_tags_of_all_interfaces_on_their_way() {
        let surroundings = stack();
        let filtered = [(1, "eth1"), (3, "eth3")]
            .map(|(index, name)| Interface::absent(InterfaceIndex(index), name));
        let mut lifelines = Lifelines::new(&surroundings, &filtered);
        lifelines.add_gateways();
        lifelines.add_leases();
        let session = Session {
            peer: "203.0.113.9:50112".parse().unwrap(),
            local: "192.0.2.7:22".parse().unwrap(),
        };
        lifelines.add_session(&session, surroundings.gateways.first());
        let on_eth1 = lifelines
            .found
            .iter()
            .filter(|one| one.interface.0 == 1)
            .map(|one| one.packet.as_str());
        let packets: Vec<&str> = on_eth1.collect();
        let own = " dst_mac 02:00:00:00:00:01";
        let tags = " vlan 0x88a8/10 vlan 20 interface eth1";
        let expected = [
            format!("arp 192.0.2.1 > 192.0.2.7{own}{tags}"),
            format!("icmpv6 fe80::1 > fe80::7 neighbour-advertisement{own}{tags}"),
            format!("icmpv6 fe80::1 > ff02::1:ff00:7 neighbour-solicitation{tags}"),
            format!("icmpv6 fe80::1 > ff02::1 router-advertisement{tags}"),
            format!("udp 192.0.2.1:67 > 192.0.2.7:68 payload 300{own}{tags}"),
            format!(
                "udp 192.0.2.1:67 > 255.255.255.255:68 payload 300 dst_mac {BROADCAST_MAC}{tags}"
            ),
            format!("udp [fe80::1]:547 > [fe80::7]:546 payload 100{own}{tags}"),
            format!("tcp 203.0.113.9:50112 > 192.0.2.7:22 ack{own}{tags}"),
            format!("tcp 203.0.113.9:50112 > 192.0.2.7:22 ack,psh payload 36{own}{tags}"),
            format!("tcp 203.0.113.9:50112 > 192.0.2.7:22 ack payload 1400{own}{tags}"),
        ];
        assert_eq!(packets, expected);
        // The same on the other port, and on no other interface.
        assert_eq!(lifelines.found.len(), 2 * expected.len());
    }
}
