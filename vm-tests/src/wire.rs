//! The network cards of a guest, and what it and the machine at their other end say to each other.

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
    /// What tells it from the others.
    pub id: &'static str,
    /// How it is connected.
    pub cable: Cable,
    /// The pairs of queues.
    pub queues: u32,
    /// Whether the guest cannot turn off what the host does for it.
    pub offloads_are_fixed: bool,
    /// Its hardware address.
    pub guarded_mac: [u8; 6],
    /// That of the card at the other end.
    pub peer_mac: [u8; 6],
}

impl Card {
    /// Whether there is a machine at the other end.
    #[must_use]
    pub const fn is_wired(&self) -> bool {
        !self.offloads_are_fixed
    }
}

/// The cards: of the addresses for documentation (RFC 7042).
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

/// The CPUs of the guest that filters.
pub const CPUS: u32 = 4;

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Burst {
    /// A packet for every field of the language, over IPv4 and IPv6, with VLAN tags, damaged, ...
    Verdicts,
    /// Frames for an MTU of 9,000.
    Jumbo,
}

/// What the machine that filters asks the other for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The index of the card.
    pub card: usize,
    /// What to send.
    pub burst: Burst,
    /// How many packets.
    pub packets: u64,
    /// How many a second.
    pub rate: u32,
}

/// What the other has done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It has sent all of it: by flow the packets and bytes.
    Sent(Vec<(u64, u64)>),
    /// It could not.
    Failed(String),
}
