//! Results of the evaluator.

use firewall_ebpf::abi::Reason;

use crate::model::{RuleId, Verdict};

/// The verdict on a packet, and its cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluation {
    /// The rule or reason that decided.
    pub outcome: Outcome,
    /// The verdict.
    pub verdict: Verdict,
    /// The `count` rules that matched before the decision, in order of precedence.
    pub counted: Vec<RuleId>,
}

/// The rule or reason that decided a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The first matching rule that does not only count.
    Rule(RuleId),
    /// No rule: none matched, or the rules were not evaluated.
    Reason(Reason),
}
