//! What becomes of a packet.

use firewall_ebpf::abi::Reason;

use crate::model::{RuleId, Verdict};

/// What becomes of a packet, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluation {
    /// What decided.
    pub outcome: Outcome,
    /// What was decided.
    pub verdict: Verdict,
    /// The `count` rules that matched before the decision, in order of precedence.
    pub counted: Vec<RuleId>,
}

/// What decided over a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The first matching rule that does not only count.
    Rule(RuleId),
    /// No rule: the packet reached the end of the rules, or none was looked at.
    Reason(Reason),
}
