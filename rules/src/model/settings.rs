//! The settings of a rule set: `[firewall]` and `[parser]`.

use firewall_ebpf::abi::Reason;

use crate::field::InterfacePattern;

/// The settings of `[firewall]` and `[parser]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Which interfaces to attach to.
    pub interfaces: Vec<InterfacePattern>,
    /// How to attach.
    pub mode: Mode,
    /// The verdict when no rule matches.
    pub policy: Policy,
    /// The verdicts over frames that cannot be judged by rules.
    pub parser: Parser,
}

/// What `[parser]` says: the verdict over each class of frames that rules cannot judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parser {
    /// A header contradicts itself or the frame.
    pub malformed: Policy,
    /// The frame ends inside a header.
    pub truncated: Policy,
    /// There are more IPv6 extension headers than are followed.
    pub too_many_headers: Policy,
    /// There are more VLAN tags than are followed.
    pub too_many_tags: Policy,
    /// The frame is neither IPv4, IPv6 nor ARP, and no rule matches.
    pub unknown_ethertype: Policy,
}

impl Parser {
    /// What holds for a file that has `policy` and no `[parser]`.
    #[must_use]
    pub const fn with_policy(policy: Policy) -> Self {
        Self {
            malformed: Policy::Drop,
            truncated: Policy::Drop,
            too_many_headers: Policy::Drop,
            too_many_tags: Policy::Drop,
            unknown_ethertype: policy,
        }
    }
}

impl Settings {
    /// The verdict over packets that no rule decides, by what they are counted under.
    #[must_use]
    pub const fn verdict_for(&self, reason: Reason) -> Policy {
        match reason {
            Reason::Policy => self.policy,
            Reason::Malformed => self.parser.malformed,
            Reason::Truncated => self.parser.truncated,
            Reason::TooManyHeaders => self.parser.too_many_headers,
            Reason::TooManyTags => self.parser.too_many_tags,
            Reason::UnknownEthertype => self.parser.unknown_ethertype,
            Reason::Neighbour | Reason::NoImage => Policy::Pass,
            Reason::BadImage | Reason::Banned => Policy::Drop,
        }
    }

    /// The interface of packets that do not say theirs: the first that is no glob.
    #[must_use]
    pub fn usual_interface(&self) -> Option<&str> {
        let mut patterns = self.interfaces.iter();
        let named = patterns.find(|pattern| !pattern.is_glob());
        named.map(InterfacePattern::as_str)
    }
}

/// The attachment mode asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In the driver, or not at all.
    Native,
    /// In the kernel's generic hook, after the packet buffer is allocated.
    Generic,
    /// Native where the driver can, else generic, saying so.
    Auto,
}

/// The verdict for packets that no rule matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Hand the packet to the kernel.
    Pass,
    /// Drop the packet.
    Drop,
}
