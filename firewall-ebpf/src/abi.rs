//! The contract between the XDP program and user space: map names, counters, and the slots of the
//! counters map that do not belong to a rule.
//!
//! A change of anything here is a new [`VERSION`]; one of [`crate::image`] is a new version in
//! [`MAGIC`](crate::image::MAGIC), too; one of what outlives a program is a new [`STATE_VERSION`].

/// The version of this contract, checked whenever user space meets maps that it did not create.
pub const VERSION: u32 = 14;

/// The version of what a program of another version takes over: the head of images, the slots of reasons, and the
/// layouts of counters, bans, flows, log limiters and events.
pub const STATE_VERSION: u32 = 2;

/// The name of the XDP program in the object file that takes frames in several buffers
/// (Linux 5.18).
pub const PROGRAM: &str = "firewall";

/// The name of the one that takes frames in one buffer only.
pub const LINEAR_PROGRAM: &str = "firewall_linear";

/// The name of the program for packets that are sent.
pub const EGRESS_PROGRAM: &str = "firewall_egress";

/// The name of the one for interfaces without Ethernet header.
pub const BARE_EGRESS_PROGRAM: &str = "firewall_bare_egress";

/// The name of the program for packets that such interfaces receive.
pub const BARE_INGRESS_PROGRAM: &str = "firewall_bare_ingress";

/// The name of each of these programs where rules ask for the states of packets.
#[must_use]
pub const fn flows_program(name: &str) -> Option<&'static str> {
    match name.as_bytes() {
        b"firewall" => Some("firewall_flows"),
        b"firewall_linear" => Some("flows_linear"),
        b"firewall_egress" => Some("flows_egress"),
        b"firewall_bare_egress" => Some("flows_bare_egress"),
        b"firewall_bare_ingress" => Some("flows_bare_ingress"),
        _ => None,
    }
}

/// Whether the kernel calls a program of this name by `name`, or its variant for rules that ask for states: it keeps
/// the first 15 bytes (`BPF_OBJ_NAME_LEN`, `include/uapi/linux/bpf.h`).
#[must_use]
pub fn is_called(program: &'static str, name: &str) -> bool {
    let kept = |program: &'static str| program.get(..15).unwrap_or(program);
    kept(program) == name || flows_program(program).map(kept) == Some(name)
}

/// The names of the programs that track the flows of packets out, by their index in [`FLOW_TRACKERS`]: with
/// and without Ethernet header.
pub const TRACKERS: [&str; 2] = ["firewall_track", "firewall_bare_track"];

/// The names of the XDP programs that judge ICMP errors: for frames in several buffers, and in one.
pub const ERRORS_PROGRAM: &str = "firewall_errors";

/// See [`ERRORS_PROGRAM`].
pub const ERRORS_LINEAR_PROGRAM: &str = "errors_linear";

/// The name of the one for interfaces without Ethernet header.
pub const BARE_ERRORS_PROGRAM: &str = "bare_errors";

/// The indexes in [`FLOW_TRACKERS`], after [`TRACKERS`], of the program that judges ICMP errors, and of the one that it goes
/// back to.
pub const BARE_ERRORS: [u32; 2] = [2, 3];

/// Likewise those in [`FLOW_ERRORS`] of the XDP programs.
pub const ERRORS: [u32; 2] = [0, 1];

/// The name of the program that returns the lower 32 bits of the kernel's jiffies.
pub const CLOCK_PROGRAM: &str = "firewall_clock";

/// The array of programs that those at the egress hook go on with.
pub const FLOW_TRACKERS: &str = "FLOW_TRACKERS";

/// The array of XDP programs that judge ICMP errors, and that these go back to.
pub const FLOW_ERRORS: &str = "FLOW_ERRORS";

/// The array of fragmented packets, of [`crate::flows::FRAGMENTS`] words.
pub const FLOW_FRAGMENTS: &str = "FLOW_FRAGMENTS";

/// The array of lines of the table of flows, of [`crate::flows::LINE_BYTES`] each.
pub const FLOW_LINES: &str = "FLOW_LINES";

/// The array of their tags, of [`crate::flows::TAG_LINES`] lines each.
pub const FLOW_TAGS: &str = "FLOW_TAGS";

/// The array of [`crate::flows::Addresses`], one for each slot.
pub const FLOW_ADDRESSES: &str = "FLOW_ADDRESSES";

/// The array whose only element is [`crate::flows::Settings`].
pub const FLOW_SETTINGS: &str = "FLOW_SETTINGS";

/// The per-CPU array of the numbers of each [`crate::flows::FlowEvent`].
pub const FLOW_EVENTS: &str = "FLOW_EVENTS";

/// The read-only global that holds the number of lines of the table less one.
pub const FLOW_LAST_LINE: &str = "FLOW_LAST_LINE";

/// The array of maps whose element 0 is the image in force.
pub const IMAGES: &str = "IMAGES";

/// The per-CPU array of [`CounterBlock`]: slot `s` is counter `s % BLOCK` of element `s / BLOCK`.
pub const COUNTERS: &str = "COUNTERS";

/// The hash map of [`crate::bans::Key`] to [`crate::bans::Ban`].
pub const BANS: &str = "BANS";

/// The array of [`crate::bans::Line`]s before it.
pub const BAN_PREFILTER: &str = "BAN_PREFILTER";

/// The per-CPU array of [`Counter`], indexed by the number of a ban's reason.
pub const BAN_COUNTERS: &str = "BAN_COUNTERS";

/// The hash map of counter slots to [`crate::packet_log::LogLimiter`]s.
pub const LOG_LIMITERS: &str = "LOG_LIMITERS";

/// The ring buffer of [`crate::packet_log::Event`]s.
pub const EVENTS: &str = "EVENTS";

/// The data section whose only word says what is reported of dropped packets besides what the image says: [`CAPTURES`](
/// crate::drop_capture::CAPTURES) and [`LOGS_BANNED`](crate::drop_capture::LOGS_BANNED). The programs read it without
/// looking an element up.
pub const DROP_SWITCH: &str = ".bss";

/// The array whose only element is [`crate::drop_capture::DropSettings`].
pub const DROP_SETTINGS: &str = "DROP_SETTINGS";

/// The per-CPU array whose only element is [`crate::drop_capture::DropCounts`].
pub const DROP_COUNTS: &str = "DROP_COUNTS";

/// The ring buffer of [`crate::drop_capture::DropEvent`]s.
pub const DROP_EVENTS: &str = "DROP_EVENTS";

/// The read-only global that holds the byte length of the image maps, a power of two.
pub const IMAGE_SIZE: &str = "IMAGE_SIZE";

/// The smallest byte length of an image map.
pub const MIN_IMAGE_SIZE: u32 = 1 << 16;

/// The largest byte length of an image map; the verifier bounds offsets into a map value by
/// 2^29 (`BPF_MAX_VAR_OFF`, `include/linux/bpf_verifier.h`).
pub const MAX_IMAGE_SIZE: u32 = 1 << 28;

/// What a counter slot holds for one CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counter {
    /// Packets, in wrapping arithmetic.
    pub packets: u64,
    /// Bytes from the Ethernet header on, without the frame check sequence.
    pub bytes: u64,
}

const _: () = assert!(size_of::<Counter>() == 16 && align_of::<Counter>() == 8);

/// The counters in an element of their map, a power of two.
///
/// The kernel finds an element by a pointer of its own (`pptrs`, `kernel/bpf/arraymap.c`). With many
/// rules of one counter each, it fetches two words from memory for a packet; with blocks the
/// pointers stay in the first cache.
pub const BLOCK: u32 = 32;

/// The counters of consecutive slots for one CPU.
pub type CounterBlock = [Counter; BLOCK as usize];

const _: () = assert!(BLOCK.is_power_of_two() && FIRST_RULE_SLOT.is_multiple_of(BLOCK));

/// Which way a packet goes: each has rules, sections of the image and slots of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// Into the machine: at the XDP hook.
    In,
    /// Out of it, sent by the machine or forwarded: at the egress hook of traffic control.
    Out,
}

impl Direction {
    /// Both, in the order of their sections and slots.
    pub const ALL: [Self; 2] = [Self::In, Self::Out];

    /// The direction as written in a rule file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }

    /// 0 for in, 1 for out.
    #[must_use]
    #[inline(always)]
    pub const fn index(self) -> u32 {
        match self {
            Self::In => 0,
            Self::Out => 1,
        }
    }
}

/// Why a packet got its verdict when no rule gave it.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// No rule matched an IP packet: the policy decided.
    Policy = 0,
    /// No rule matched an ARP packet, a neighbor discovery message or a query of a multicast
    /// router: passed, whatever the policy.
    Neighbor = 1,
    /// A header contradicts itself or the frame.
    Malformed = 2,
    /// The frame ends inside a header, or before the length that the IP header gives.
    Truncated = 3,
    /// More IPv6 extension headers than [`crate::parse::MAX_EXTENSIONS`].
    TooManyHeaders = 4,
    /// More VLAN tags than [`crate::parse::MAX_TAGS`].
    TooManyTags = 5,
    /// The program found no image in force.
    NoImage = 6,
    /// The image led the program out of its bounds: an internal error.
    BadImage = 7,
    /// No rule matched a frame that is neither IPv4, IPv6 nor ARP.
    UnknownEthertype = 8,
    /// The source is banned.
    Banned = 9,
}

impl Reason {
    /// Every reason, in slot order.
    pub const ALL: [Self; 10] = [
        Self::Policy,
        Self::Neighbor,
        Self::Malformed,
        Self::Truncated,
        Self::TooManyHeaders,
        Self::TooManyTags,
        Self::NoImage,
        Self::BadImage,
        Self::UnknownEthertype,
        Self::Banned,
    ];

    /// The number: the bit of the reason in [`Drops`](crate::image::Drops).
    #[must_use]
    #[inline(always)]
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// The counter slot of packets of a direction that were passed, or `dropped`, for this reason.
    /// They are apart, since the verdict of a reason may change while its counters stay.
    #[must_use]
    #[inline(always)]
    pub const fn slot(self, direction: Direction, dropped: bool) -> u32 {
        self.number() + direction.index() * REASON_SLOTS + if dropped { DROPPED_SLOTS } else { 0 }
    }

    /// Whether some rule set passes, or drops if `dropped`, packets of a direction for this reason.
    #[must_use]
    pub const fn can_be(self, direction: Direction, dropped: bool) -> bool {
        match self {
            Self::Policy
            | Self::Malformed
            | Self::Truncated
            | Self::TooManyHeaders
            | Self::TooManyTags
            | Self::UnknownEthertype => true,
            Self::Neighbor | Self::NoImage => !dropped,
            Self::BadImage => dropped,
            Self::Banned => dropped && matches!(direction, Direction::In),
        }
    }

    /// The name under which the counter is shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Neighbor => "neighbor",
            Self::Malformed => "malformed",
            Self::Truncated => "truncated",
            Self::TooManyHeaders => "too_many_headers",
            Self::TooManyTags => "too_many_tags",
            Self::NoImage => "no_image",
            Self::BadImage => "bad_image",
            Self::UnknownEthertype => "unknown_ethertype",
            Self::Banned => "banned",
        }
    }
}

/// The counter slot of packets in that were dropped for the first [`Reason`].
pub const DROPPED_SLOTS: u32 = 16;

/// The counter slots of the reasons of one direction: those of packets passed, then those of
/// packets dropped.
pub const REASON_SLOTS: u32 = 2 * DROPPED_SLOTS;

/// The first counter slot that a rule can have; those below are [`Reason`]s or spare.
pub const FIRST_RULE_SLOT: u32 = 64;

const _: () = assert!(Reason::ALL.len() <= DROPPED_SLOTS as usize);
const _: () = assert!(2 * REASON_SLOTS <= FIRST_RULE_SLOT);
