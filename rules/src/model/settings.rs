//! The settings of a rule set: `[firewall]` and `[parser]`.

use firewall_ebpf::abi::Reason;

use super::verdict::Verdict;
use crate::field::InterfacePattern;

/// The settings of `[firewall]` and `[parser]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Which interfaces to attach to.
    pub interfaces: Vec<InterfacePattern>,
    /// How to attach.
    pub mode: Mode,
    /// The verdict when no rule matches.
    pub policy: Verdict,
    /// The verdicts over frames that cannot be judged by rules.
    pub parser: Parser,
}

/// What `[parser]` says: the verdict over each class of frames that rules cannot judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parser {
    /// A header contradicts itself or the frame.
    pub malformed: Verdict,
    /// The frame ends inside a header.
    pub truncated: Verdict,
    /// There are more IPv6 extension headers than are followed.
    pub too_many_headers: Verdict,
    /// There are more VLAN tags than are followed.
    pub too_many_tags: Verdict,
    /// The frame is neither IPv4, IPv6 nor ARP, and no rule matches.
    pub unknown_ethertype: Verdict,
}

impl Parser {
    /// What holds for a file that has `policy` and no `[parser]`.
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
    /// The verdict over packets that no rule decides, by what they are counted under.
    #[must_use]
    pub const fn verdict_for(&self, reason: Reason) -> Verdict {
        match reason {
            Reason::Policy => self.policy,
            Reason::Malformed => self.parser.malformed,
            Reason::Truncated => self.parser.truncated,
            Reason::TooManyHeaders => self.parser.too_many_headers,
            Reason::TooManyTags => self.parser.too_many_tags,
            Reason::UnknownEthertype => self.parser.unknown_ethertype,
            Reason::Neighbor | Reason::NoImage => Verdict::Pass,
            Reason::BadImage | Reason::Banned => Verdict::Drop,
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
