//! The network cards of a guest, and the messages between it and the machine at the other end.

use serde::{Deserialize, Serialize};

/// The port on which two machines talk.
pub const TALK: &str = "/dev/vport0p1";

/// How a card is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cable {
    /// Through a Unix socket.
    Socket,
    /// Through a bridge of the host.
    Bridge,
}

/// A network card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Card {
    /// Its identifier.
    pub id: &'static str,
    /// How it is connected.
    pub cable: Cable,
    /// The number of queue pairs.
    pub queues: u32,
    /// Whether the guest cannot turn off the offloads of the host.
    pub offloads_are_fixed: bool,
    /// Its hardware address.
    pub guarded_mac: [u8; 6],
    /// The hardware address of the card at the other end.
    pub peer_mac: [u8; 6],
}

impl Card {
    /// Whether a machine is at the other end.
    #[must_use]
    pub const fn is_wired(&self) -> bool {
        !self.offloads_are_fixed
    }
}

/// The cards, with hardware addresses for documentation (RFC 7042).
pub const CARDS: [Card; 3] = [
    Card {
        id: "one",
        cable: Cable::Socket,
        queues: 1,
        offloads_are_fixed: false,
        guarded_mac: [0x00, 0x00, 0x5e, 0x00, 0x53, 0x81],
        peer_mac: [0x00, 0x00, 0x5e, 0x00, 0x53, 0x82],
    },
    Card {
        id: "many",
        cable: Cable::Bridge,
        // Two for each CPU: with fewer, native XDP shares them, or Linux before 5.13 refuses.
        queues: 8,
        offloads_are_fixed: false,
        guarded_mac: [0x00, 0x00, 0x5e, 0x00, 0x53, 0x83],
        peer_mac: [0x00, 0x00, 0x5e, 0x00, 0x53, 0x84],
    },
    Card {
        id: "fixed",
        cable: Cable::Bridge,
        queues: 1,
        offloads_are_fixed: true,
        guarded_mac: [0x00, 0x00, 0x5e, 0x00, 0x53, 0x85],
        peer_mac: [0x00, 0x00, 0x5e, 0x00, 0x53, 0x86],
    },
];

/// The number of CPUs of the guest that filters.
pub const CPUS: u32 = 4;

/// The kind of packets to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Burst {
    /// A packet for every field of the language, over IPv4 and IPv6, with VLAN tags, damaged, ...
    Verdicts,
    /// Frames for an MTU of 9,000.
    Jumbo,
}

/// A request of the filtering machine to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The index of the card.
    pub card: usize,
    /// The kind of packets.
    pub burst: Burst,
    /// The number of packets.
    pub packets: u64,
    /// The rate in packets per second.
    pub rate: u32,
}

/// The answer of the other machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// All packets were sent: packets and bytes of each flow.
    Sent(Vec<(u64, u64)>),
    /// Sending failed, for this reason.
    Failed(String),
}
