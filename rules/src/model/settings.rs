//! The settings of a rule set: `[firewall]`, `[parser]`, `[flows]` and `[bans]`.

use firewall_ebpf::abi::{Direction, Reason};

use super::{flows::Flows, log_limit::LogLimit, verdict::Verdict};
use crate::field::InterfacePattern;

/// The settings of `[firewall]`, `[parser]`, `[flows]` and `[bans]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The interfaces to attach to.
    pub interfaces: Vec<InterfacePattern>,
    /// The attachment mode.
    pub mode: Mode,
    /// The verdict on a packet in when no rule matches.
    pub policy: Verdict,
    /// The verdict on a packet out when no rule matches, or when it cannot be read.
    pub policy_out: Verdict,
    /// The verdicts on frames in to which rules cannot be applied.
    pub parser: Parser,
    /// The table of flows, which there is only if rules ask for states.
    pub flows: Flows,
    /// Which packets are logged that no rule decides.
    pub logs: ReasonLogs,
}

/// The limits of packets that are logged though no rule decides them; `None` of those that are not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReasonLogs {
    /// Packets that the policy decides.
    pub policy: Option<LogLimit>,
    /// Packets to which rules cannot be applied.
    pub parser: Option<LogLimit>,
    /// Packets of banned sources.
    pub bans: Option<LogLimit>,
}

impl ReasonLogs {
    /// The limit of packets that are counted under a reason.
    #[must_use]
    pub const fn limit_for(&self, reason: Reason) -> Option<LogLimit> {
        match reason {
            Reason::Policy => self.policy,
            Reason::Malformed
            | Reason::Truncated
            | Reason::TooManyHeaders
            | Reason::TooManyTags
            | Reason::UnknownEthertype => self.parser,
            Reason::Banned => self.bans,
            Reason::Neighbor | Reason::NoImage | Reason::BadImage => None,
        }
    }
}

/// The settings in `[parser]`: the verdict on each class of frames to which rules cannot be
/// applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parser {
    /// A header contradicts itself or the frame.
    pub malformed: Verdict,
    /// The frame ends inside a header.
    pub truncated: Verdict,
    /// There are more IPv6 extension headers than the parser follows.
    pub too_many_headers: Verdict,
    /// There are more VLAN tags than the parser follows.
    pub too_many_tags: Verdict,
    /// The frame is neither IPv4, IPv6 nor ARP, and no rule matches.
    pub unknown_ethertype: Verdict,
}

impl Parser {
    /// The defaults for a file with `policy` and without `[parser]`.
    #[must_use]
    pub const fn with_policy(policy: Verdict) -> Self {
        Self {
            malformed: Verdict::Drop,
            truncated: Verdict::Drop,
            too_many_headers: Verdict::Drop,
            too_many_tags: Verdict::Drop,
            unknown_ethertype: policy,
        }
    }
}

impl Settings {
    /// The verdict on packets of a direction that no rule decides, by the reason under which they
    /// are counted.
    #[must_use]
    pub const fn verdict_for(&self, direction: Direction, reason: Reason) -> Verdict {
        match (reason, direction) {
            (Reason::Neighbor | Reason::NoImage, _) => Verdict::Pass,
            (Reason::BadImage | Reason::Banned, _) => Verdict::Drop,
            (Reason::Policy, Direction::In) => self.policy,
            (Reason::Malformed, Direction::In) => self.parser.malformed,
            (Reason::Truncated, Direction::In) => self.parser.truncated,
            (Reason::TooManyHeaders, Direction::In) => self.parser.too_many_headers,
            (Reason::TooManyTags, Direction::In) => self.parser.too_many_tags,
            (Reason::UnknownEthertype, Direction::In) => self.parser.unknown_ethertype,
            (
                Reason::Policy
                | Reason::Malformed
                | Reason::Truncated
                | Reason::TooManyHeaders
                | Reason::TooManyTags
                | Reason::UnknownEthertype,
                Direction::Out,
            ) => self.policy_out,
        }
    }

    /// The interface assumed for packets that name none: the first one that is not a glob.
    #[must_use]
    pub fn usual_interface(&self) -> Option<&str> {
        let mut patterns = self.interfaces.iter();
        let named = patterns.find(|pattern| !pattern.is_glob());
        named.map(InterfacePattern::as_str)
    }
}

/// The requested attachment mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Driver mode only.
    Native,
    /// In the kernel's generic hook, after the packet buffer is allocated.
    Generic,
    /// Native if the driver supports it, otherwise generic, with a message.
    Auto,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Self; 3] = [Self::Native, Self::Generic, Self::Auto];

    /// The word for it in a rule file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Auto => "auto",
        }
    }
}
