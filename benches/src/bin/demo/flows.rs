//! The flows of the demonstration, and the expected fate of each before and after the edit.

use std::net::{Ipv4Addr, Ipv6Addr};

use benches::{
    network::Link,
    packet::{Damage, Extension, Packet, tcp_flags::SYN},
    random::Random,
};

/// The rule that counts all UDP on its way.
pub(crate) const ALL_UDP: &str = "all UDP";

/// The verdict on a packet, and the rule or reason that decides it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Pass(&'static str),
    Drop(&'static str),
}

impl Fate {
    pub(crate) const fn by(self) -> &'static str {
        match self {
            Self::Pass(by) | Self::Drop(by) => by,
        }
    }

    pub(crate) const fn verdict(self) -> &'static str {
        match self {
            Self::Pass(_) => "pass",
            Self::Drop(_) => "drop",
        }
    }

    pub(crate) const fn is_pass(self) -> bool {
        matches!(self, Self::Pass(_))
    }
}

/// A flow and its fate.
#[derive(Clone, Debug)]
pub(crate) struct FlowCase {
    pub(crate) name: &'static str,
    /// Whether the rule [`ALL_UDP`] counts it.
    pub(crate) is_udp: bool,
    /// Its fate under the original rules.
    pub(crate) before: Fate,
    /// Its fate under the edited rules.
    pub(crate) after: Fate,
    /// All of the same length.
    pub(crate) packets: Vec<Packet>,
}

impl FlowCase {
    fn new(name: &'static str, fate: Fate, packets: Vec<Packet>) -> Self {
        Self {
            name,
            is_udp: false,
            before: fate,
            after: fate,
            packets,
        }
    }

    fn udp(self) -> Self {
        Self {
            is_udp: true,
            ..self
        }
    }

    fn then(self, after: Fate) -> Self {
        Self { after, ..self }
    }
}

/// What counts a packet that no rule matches.
const POLICY: Fate = Fate::Drop("policy");
/// What counts a packet whose headers contradict each other.
const MALFORMED: Fate = Fate::Drop("malformed");
const BLOCKLIST: Fate = Fate::Drop("blocklist");
const SSH: Fate = Fate::Pass("ssh from the office");
const WEB: Fate = Fate::Pass("web");
const DNS: Fate = Fate::Pass("dns");
const NTP: Fate = Fate::Pass("ntp");

/// An address that the edit adds to the blocklist.
pub(crate) const NEWLY_LISTED: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 5);
/// An address for which the edit makes a rule.
pub(crate) const BANNED: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 200);

/// The flows over `link`, in the order in which they are shown.
pub(crate) fn cases(link: &Link, seed: u64) -> Vec<FlowCase> {
    let v4 = |last: u8| link.ipv4_from(Ipv4Addr::new(203, 0, 113, last));
    let v6 = |last: u16| link.ipv6_from(Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, last));
    let listed_v4 = listed_v4(seed);
    let listed_v6 = listed_v6(seed);
    let listed_v4 = || listed_v4.iter().map(|src| link.ipv4_from(*src));
    let listed_v6 = || listed_v6.iter().map(|src| link.ipv6_from(*src));
    // A router alert option and part of a record route option.
    let options = [148, 4, 0, 0, 7, 7, 4, 0, 0, 0, 0, 0];
    let behind_extensions = |packet: Packet| {
        packet
            .extension(Extension::HopByHop(vec![]))
            .extension(Extension::Destination(vec![]))
            .tcp(4001, 443, SYN)
    };
    vec![
        FlowCase::new(
            "ssh from the office, IPv4",
            SSH,
            vec![link.ipv4().tcp(4001, 22, SYN)],
        ),
        FlowCase::new(
            "ssh from the office, IPv6",
            SSH,
            vec![link.ipv6().tcp(4001, 22, SYN)],
        ),
        FlowCase::new(
            "ssh from elsewhere, IPv4",
            POLICY,
            vec![v4(1).tcp(4001, 22, SYN)],
        ),
        FlowCase::new(
            "ssh from elsewhere, IPv6",
            POLICY,
            vec![v6(1).tcp(4001, 22, SYN)],
        ),
        FlowCase::new(
            "web, IPv4",
            WEB,
            (1..9)
                .flat_map(|host| [v4(host).tcp(4001, 80, SYN), v4(host).tcp(4001, 443, SYN)])
                .collect(),
        ),
        FlowCase::new(
            "web, IPv6",
            WEB,
            (1..9)
                .flat_map(|host| [v6(host).tcp(4001, 80, SYN), v6(host).tcp(4001, 443, SYN)])
                .collect(),
        ),
        FlowCase::new(
            "web from the spared address, IPv4",
            WEB,
            vec![
                link.ipv4_from(Ipv4Addr::new(198, 51, 100, 7))
                    .tcp(4001, 443, SYN),
            ],
        ),
        FlowCase::new(
            "web from a guest, IPv4",
            WEB,
            vec![link.ipv4_from(BANNED).tcp(4001, 443, SYN)],
        )
        .then(Fate::Drop("banned guest")),
        FlowCase::new(
            "web from a newcomer, IPv6",
            WEB,
            vec![link.ipv6_from(NEWLY_LISTED).tcp(4001, 443, SYN)],
        )
        .then(BLOCKLIST),
        FlowCase::new(
            "listed source, IPv4 TCP",
            BLOCKLIST,
            listed_v4()
                .map(|packet| packet.tcp(4001, 443, SYN))
                .collect(),
        ),
        FlowCase::new(
            "listed source, IPv4 UDP, options",
            BLOCKLIST,
            listed_v4()
                .map(|packet| packet.options(&options).udp(4001, 53))
                .collect(),
        )
        .udp(),
        FlowCase::new(
            "listed source, IPv4 TCP, two tags",
            BLOCKLIST,
            listed_v4()
                .map(|packet| packet.service_vlan(100).vlan(10).tcp(4001, 443, SYN))
                .collect(),
        ),
        FlowCase::new(
            "listed source, IPv6 UDP",
            BLOCKLIST,
            listed_v6().map(|packet| packet.udp(4001, 53)).collect(),
        )
        .udp(),
        FlowCase::new(
            "listed source, IPv6 TCP, extensions",
            BLOCKLIST,
            listed_v6().map(behind_extensions).collect(),
        ),
        FlowCase::new("dns, IPv4 UDP", DNS, vec![v4(1).udp(4001, 53)])
            .udp()
            .then(POLICY),
        FlowCase::new("dns, IPv6 UDP", DNS, vec![v6(1).udp(4001, 53)])
            .udp()
            .then(POLICY),
        FlowCase::new("ntp, IPv4 UDP", POLICY, vec![v4(1).udp(123, 123)])
            .udp()
            .then(NTP),
        FlowCase::new("ping, IPv4", Fate::Pass("ping"), vec![v4(1).icmp(8, 0)]),
        FlowCase::new(
            "ping, IPv6",
            Fate::Pass("ping over IPv6"),
            vec![v6(1).icmpv6(128, 0)],
        ),
        FlowCase::new("other ICMP, IPv4", POLICY, vec![v4(1).icmp(13, 0)]),
        FlowCase::new(
            "impossible length, IPv4 TCP",
            MALFORMED,
            vec![v4(1).tcp(4001, 443, SYN).damage(Damage::Length(19))],
        ),
    ]
}

/// Members of the blocklist: the ends of its ranges and some addresses between them.
fn listed_v4(seed: u64) -> Vec<Ipv4Addr> {
    let mut random = Random::new(seed);
    let mut members: Vec<_> = [
        (100, 0),
        (100, 255),
        (113, 9),
        (113, 64),
        (113, 80),
        (113, 95),
    ]
    .map(|(third, last)| match third {
        100 => Ipv4Addr::new(198, 51, third, last),
        _ => Ipv4Addr::new(203, 0, third, last),
    })
    .into();
    // Above the one spared address of this network.
    members.extend((0..30).map(|_| Ipv4Addr::new(198, 51, 100, 8 + random.below(248) as u8)));
    members
}

/// Like [`listed_v4`].
fn listed_v6(seed: u64) -> Vec<Ipv6Addr> {
    const NETWORK: u128 = 0x2001_0db8_0bad << 80;
    const RANGE: u128 = 0x2001_0db8_0000_000f << 64;
    let mut random = Random::new(seed);
    let mut members = vec![
        NETWORK,
        NETWORK | ((1 << 80) - 1),
        RANGE | 0x10,
        RANGE | 0x17,
        RANGE | 0x1f,
    ];
    members.extend((0..30).map(|_| NETWORK | u128::from(random.number())));
    members.into_iter().map(Ipv6Addr::from_bits).collect()
}
