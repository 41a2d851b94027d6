//! The packets that keep a machine reachable, written in the notation of packets.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use rules::{
    Context,
    compiler::InterfaceIndex,
    diagnostics::Code,
    field::State,
    model::{Direction, Verdict},
    notation,
    text::hexadecimal,
};

use crate::{
    generation::classifier::Classifier,
    interfaces::list::Interface,
    lockout::{
        leases,
        sessions::Session,
        surroundings::{Address, Hop, Surroundings},
    },
};

/// The maximum depth of stacked interfaces: VLANs on a bridge of bonds.
const DEPTH: usize = 8;

/// The destination of LACP (IEEE 802.1AX, section 6.2.11.2).
const LACP_MAC: &str = "01:80:c2:00:00:02";

/// The destination of what is for all hosts of a link.
const BROADCAST_MAC: &str = "ff:ff:ff:ff:ff:ff";

/// A packet that the machine needs to be, or to stay, reachable, or to work as it is configured.
pub(crate) struct Lifeline {
    /// What becomes of rules that drop it.
    pub(crate) weight: Weight,
    /// Its purpose, for messages.
    pub(crate) what: String,
    /// The packet, as `firewall explain` takes it.
    pub(crate) packet: String,
    /// Its frame.
    pub(crate) frame: Vec<u8>,
    /// Its direction, and the interface on which it arrives or by which it leaves.
    pub(crate) context: Context<InterfaceIndex>,
    /// The packet that began its flow, if another one has; it goes the other way if this one answers it.
    begun_by: Option<(Vec<u8>, Context<InterfaceIndex>)>,
}

impl Lifeline {
    /// The context of the packet, with the state that it has by rules under which the packet that began its flow has passed.
    pub(super) fn context_by(&self, rules: &Classifier<'_>) -> Context<InterfaceIndex> {
        let is_known = self.begun_by.as_ref().is_some_and(|(frame, context)| {
            rules.tracks(context.direction)
                && rules.classify(frame, *context).verdict == Verdict::Pass
        });
        self.context.in_state(if is_known {
            State::Established
        } else {
            State::New
        })
    }
}

/// What becomes of rules that drop a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    /// They are refused.
    Refused,
    /// They are refused, which need not be said if they are for the loss of this one.
    RefusedLike(String),
    /// They come into force with a warning of this kind, which says how to pass the packet.
    Warned(Code, &'static str),
}

/// The source port of a connection that a peer opens next; another if it has this one.
const NEXT_PORTS: [u16; 2] = [47_211, 47_212];

/// What a server is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ServerKind {
    /// DNS.
    Names,
    /// NTP, to this port or to one of those that Linux gives to its own connections.
    Time(Option<u16>),
}

const PASS_DNS: &str = "add a rule with `action = \"pass\"`, `proto = \"udp\"`, `sport = 53` and \
                        `dport = \"32768-60999\"`, the ports that Linux gives to its own connections";
const PASS_NTP: &str = "add a rule with `action = \"pass\"`, `proto = \"udp\"`, `sport = 123` and \
                        `dport = [123, \"32768-60999\"]`";
const PASS_OUT: &str = "add a rule with `action = \"pass\"`, `direction = \"out\"`, \
                        `forwarded = false`, `proto = \"udp\"` and `dport = [53, 123]`";
const PASS_DHCP: &str = "add a rule with `action = \"pass\"`, `proto = \"udp\"`, `sport = 67` and \
                         `dport = 68`";
const PASS_IGMP: &str = "add a rule with `action = \"pass\"`, `proto = \"igmp\"` and `ttl = 1` before \
                         the one that drops them";
/// Collects lifelines.
pub(super) struct Lifelines<'a> {
    surroundings: &'a Surroundings,
    filtered: &'a [Interface],
    /// The weight of those that follow.
    weight: Weight,
    /// The packet that began the flow of those that follow.
    begun_by: Option<String>,
    /// The lifelines so far.
    pub(super) found: Vec<Lifeline>,
}

impl<'a> Lifelines<'a> {
    /// Starts without any, for these filtered interfaces.
    pub(super) fn new(surroundings: &'a Surroundings, filtered: &'a [Interface]) -> Self {
        Self {
            surroundings,
            filtered,
            weight: Weight::Refused,
            begun_by: None,
            found: Vec::new(),
        }
    }

    /// Adds the packets by which gateways are discovered.
    pub(super) fn add_gateways(&mut self) {
        let surroundings = self.surroundings;
        for hop in &surroundings.gateways {
            if let Some(gateway) = hop.gateway {
                self.add_neighbor(&format!("the gateway `{gateway}`"), hop.interface, gateway);
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
                    let renewal = format!("out udp {own}:68 > {server}:67 payload 300");
                    self.with_flow(renewal.clone(), |lifelines| {
                        lifelines.add(&what, interface, server, &send(own));
                    });
                    let to_all = send(Ipv4Addr::BROADCAST) + " dst_mac " + BROADCAST_MAC;
                    self.add(&what, interface, server, &to_all);
                    self.add(&what, interface, server, &renewal);
                }
                // What a router advertises has the length of the link's prefix, a lease none.
                IpAddr::V6(own) if prefix == 128 && !own.is_unicast_link_local() => {
                    let gateway = self.gateway_of(interface, false);
                    let link_local = self.own(interface, is_link_local);
                    if let (Some(server), Some(to)) = (gateway, link_local) {
                        let packet = format!("udp [{server}]:547 > [{to}]:546 payload 100");
                        self.add(&what, interface, server, &packet);
                        let renewal = format!("out udp [{to}]:546 > [ff02::1:2]:547 payload 100");
                        self.add(&what, interface, server, &renewal);
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
            self.with_flow(format!("tcp {peer} > {local} syn"), |lifelines| {
                for rest in ["ack", "ack,psh payload 36", "ack payload 1400"] {
                    let packet = format!("tcp {peer} > {local} {rest}");
                    lifelines.add(&what, interface, from, &packet);
                    let packet = format!("out tcp {local} > {peer} {rest}");
                    lifelines.add(&what, interface, from, &packet);
                }
            });
            if gateway.is_none() {
                self.add_neighbor(&what, interface, peer.ip());
            }
            self.add_next_session(&what, session, interface, from);
        }
    }

    /// Adds the first packet of the next session from the same peer, without which the present one is
    /// the last.
    fn add_next_session(&mut self, present: &str, session: &Session, interface: u32, from: IpAddr) {
        let Session { peer, local } = session;
        let [usual, other] = NEXT_PORTS;
        let port = if peer.port() == usual { other } else { usual };
        let next = SocketAddr::new(peer.ip(), port);
        let what = format!("the next SSH session of `{}`", peer.ip());
        let weight = Weight::RefusedLike(present.to_owned());
        self.with_weight(weight, |lifelines| {
            let first = format!("tcp {next} > {local} syn");
            lifelines.add(&what, interface, from, &first);
            lifelines.with_flow(first, |lifelines| {
                let answer = format!("out tcp {local} > {next} syn,ack");
                lifelines.add(&what, interface, from, &answer);
            });
        });
    }

    /// Adds the frames by which ports stay members of a bond that speaks LACP.
    pub(super) fn add_bonds(&mut self) {
        let links = &self.surroundings.links;
        let filtered = self.filtered.iter().map(|one| one.index.0);
        let ports: Vec<u32> = filtered
            .filter(|port| {
                let bond = links.get(port).and_then(|link| link.master);
                bond.and_then(|bond| links.get(&bond))
                    .is_some_and(|bond| bond.speaks_lacp)
            })
            .collect();
        for port in ports {
            let what = "LACP, without which a bond loses the port";
            self.add_here(
                what,
                port,
                &format!("ethertype lacp payload 110 dst_mac {LACP_MAC}"),
            );
        }
    }

    /// Adds the answer of a server, whose packets come over `route`.
    pub(super) fn add_answer(&mut self, service: ServerKind, server: IpAddr, route: &Hop) {
        let Hop { interface, gateway } = *route;
        let Some(own) = self.own(interface, |own| own.is_ipv4() == server.is_ipv4()) else {
            return;
        };
        let (what, from, to, help) = match service {
            ServerKind::Names => ("the name server", 53, NEXT_PORTS[0], PASS_DNS),
            ServerKind::Time(port) => (
                "the time server",
                123,
                port.unwrap_or(NEXT_PORTS[0]),
                PASS_NTP,
            ),
        };
        let [from, to] = [SocketAddr::new(server, from), SocketAddr::new(own, to)];
        self.with_weight(Weight::Warned(Code::DropsReplies, help), |lifelines| {
            let packet = format!("udp {from} > {to} payload 100");
            let what = format!("{what} `{server}`");
            let question = format!("out udp {to} > {from} payload 100");
            lifelines.with_flow(question, |lifelines| {
                lifelines.add(&what, interface, gateway.unwrap_or(server), &packet);
            });
        });
        self.with_weight(Weight::Warned(Code::DropsRequests, PASS_OUT), |lifelines| {
            let packet = format!("out udp {to} > {from} payload 100");
            let what = format!("questions to {what} `{server}`");
            lifelines.add(&what, interface, gateway.unwrap_or(server), &packet);
        });
    }

    /// Adds what interfaces receive that are yet to get an address from DHCP, of any server.
    pub(super) fn add_unleased(&mut self, uses_dhcp: impl Fn(&str) -> bool) {
        let surroundings = self.surroundings;
        let has_lease = |index: u32| {
            let mut own = surroundings.addresses.iter();
            own.any(|own| own.interface == index && own.address.is_ipv4() && own.is_dynamic)
        };
        for (&index, link) in &surroundings.links {
            if has_lease(index)
                || self.ways(index, String::new(), DEPTH).is_empty()
                || !uses_dhcp(&link.name)
            {
                continue;
            }
            let what = format!("DHCP, by which `{}` is configured", link.name);
            let server = Ipv4Addr::new(192, 0, 2, 254);
            let to_all = Ipv4Addr::BROADCAST;
            let packet =
                format!("udp {server}:67 > {to_all}:68 payload 300 dst_mac {BROADCAST_MAC}");
            self.with_weight(Weight::Warned(Code::DropsDhcp, PASS_DHCP), |lifelines| {
                lifelines.add(&what, index, server.into(), &packet);
            });
        }
    }

    /// Adds queries of multicast routers to interfaces that are in groups: without an answer, a switch
    /// forgets them.
    pub(super) fn add_queries(&mut self, in_groups: &BTreeSet<String>) {
        let surroundings = self.surroundings;
        let weight = Weight::Warned(Code::DropsNeighbors, PASS_IGMP);
        for (&index, link) in &surroundings.links {
            if in_groups.contains(&link.name)
                && let Some(IpAddr::V4(own)) = self.own(index, |own| own.is_ipv4())
            {
                let router = Ipv4Addr::from_bits(own.to_bits() & !0xff | 0xfe);
                let packet = format!("igmp {router} > 224.0.0.1 membership-query");
                let what = format!("IGMP queries, as `{}` is in multicast groups", link.name);
                self.with_weight(weight.clone(), |lifelines| {
                    lifelines.add(&what, index, router.into(), &packet);
                });
            }
        }
    }

    /// Has `add` add packets of a flow that another packet began.
    fn with_flow(&mut self, begun_by: String, add: impl FnOnce(&mut Self)) {
        let before = self.begun_by.replace(begun_by);
        add(self);
        self.begun_by = before;
    }

    /// Has `add` add lifelines of this weight.
    pub(super) fn with_weight(&mut self, weight: Weight, add: impl FnOnce(&mut Self)) {
        let before = std::mem::replace(&mut self.weight, weight);
        add(self);
        self.weight = before;
    }

    /// Adds the packets by which a neighbor is discovered.
    fn add_neighbor(&mut self, what: &str, interface: u32, neighbor: IpAddr) {
        match neighbor {
            IpAddr::V4(from) => {
                if let Some(to) = self.own(interface, |ip| ip.is_ipv4()) {
                    self.add(what, interface, neighbor, &format!("arp {from} > {to}"));
                    self.add(what, interface, neighbor, &format!("out arp {to} > {from}"));
                }
            }
            IpAddr::V6(from) => {
                let own = self.own(interface, is_link_local);
                let own = own.or_else(|| self.own(interface, |ip| ip.is_ipv6()));
                if let Some(IpAddr::V6(to)) = own {
                    let packet = format!("icmpv6 {from} > {to} neighbor-advertisement");
                    self.add(what, interface, neighbor, &packet);
                    let group = solicited(to);
                    let packet = format!("icmpv6 {from} > {group} neighbor-solicitation");
                    self.add(what, interface, neighbor, &packet);
                    let answer = format!("out icmpv6 {to} > {from} neighbor-advertisement");
                    self.add(what, interface, neighbor, &answer);
                    let group = solicited(from);
                    let question = format!("out icmpv6 {to} > {group} neighbor-solicitation");
                    self.add(what, interface, neighbor, &question);
                }
                if from.is_unicast_link_local() && what.starts_with("the gateway") {
                    let packet = format!("icmpv6 {from} > ff02::1 router-advertisement");
                    self.add(what, interface, neighbor, &packet);
                }
            }
        }
    }

    /// Adds a packet that an interface gets from a neighbor, or with `out` sends to it, on each
    /// interface that is filtered on the way.
    fn add(&mut self, what: &str, interface: u32, neighbor: IpAddr, packet: &str) {
        let surroundings = self.surroundings;
        let (its_word, own_word) = if packet.starts_with("out ") {
            ("dst_mac", "src_mac")
        } else {
            ("src_mac", "dst_mac")
        };
        let is_free = |packet: &str, word| {
            !(packet.contains(word) || word == "dst_mac" && is_for_a_group(packet))
        };
        for (index, tags) in self.ways(interface, String::new(), DEPTH) {
            let mut packet = packet.to_owned();
            if let Some(mac) = surroundings.neighbor(interface, neighbor).and_then(mac)
                && is_free(&packet, its_word)
            {
                add_words(&mut packet, its_word, &mac);
            }
            let own = surroundings.links.get(&interface);
            if let Some(mac) = own.and_then(|link| mac(&link.mac))
                && is_free(&packet, own_word)
            {
                add_words(&mut packet, own_word, &mac);
            }
            packet.push_str(&tags);
            self.add_here(what, index, &packet);
        }
    }

    /// Adds a packet as it is on an interface.
    fn add_here(&mut self, what: &str, index: u32, packet: &str) {
        let mut packet = packet.to_owned();
        if let Some(link) = self.surroundings.links.get(&index) {
            add_words(&mut packet, "interface", &link.name);
        }
        let on = |index, direction| match direction {
            Direction::In => Context::arriving(InterfaceIndex(index)),
            Direction::Out => Context::sent(InterfaceIndex(index)),
        };
        let begun_by = self.begun_by.as_deref();
        let begun_by = begun_by.and_then(|packet| notation::read(packet).ok());
        match notation::read(&packet) {
            Ok(read) => self.found.push(Lifeline {
                weight: self.weight.clone(),
                what: what.to_owned(),
                packet,
                frame: read.frame,
                context: on(index, read.context.direction),
                begun_by: begun_by.map(|first| (first.frame, on(index, first.context.direction))),
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
    let groups = ["> ff02::", "> [ff02::", "> 224.0.0."];
    groups.iter().any(|group| packet.contains(group))
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
mod tests;
