//! Tests in rule files: packets, and their expected results.
//!
//! This module owns the definition of a test and the message about its failure. It does not
//! evaluate packets, and the compiler never sees it.

use std::{sync::Arc, time::Duration};

use crate::{
    context::Context,
    diagnostics::{Code, Diagnostic, Source, Span},
    evaluator::{Evaluation, Outcome},
    field::State,
    model::{Place, RuleId, Ruleset, Verdict},
};

/// A table `[[test]]`.
#[derive(Clone, Debug)]
pub struct RuleTest {
    /// Its name.
    pub name: String,
    /// Its place in its file.
    pub place: Place,
    /// Packets that came before, in this order, of which each must pass.
    pub given: Vec<TestPacket>,
    /// The time between the last of these and the packets.
    pub after: Duration,
    /// Its packets, of which each must have the same outcome; never empty. They follow one another.
    pub packets: Vec<TestPacket>,
    /// The expected result of each.
    pub expected: Expected,
    pub(crate) source: Arc<Source>,
}

/// A packet of a test.
#[derive(Clone, Debug)]
pub struct TestPacket {
    /// The frame, from the Ethernet header on.
    pub frame: Vec<u8>,
    /// Its direction, its interfaces and its mark. An interface without a name is one that no rule
    /// names.
    pub context: Context<Option<String>>,
    /// The origin of the packet for messages: its text, or its number in a capture.
    pub origin: String,
    /// Its place.
    pub(crate) span: Span,
}

/// The expected result of the packets of a test.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// The verdict on them.
    pub verdict: Verdict,
    /// The expected decider, if any.
    pub by: Option<Outcome>,
    /// The place of the expectation.
    pub(crate) span: Span,
}

impl Expected {
    /// Whether the result of a packet is the expected one.
    #[must_use]
    pub fn is_met(&self, found: &Evaluation) -> bool {
        self.verdict == found.verdict && self.by.is_none_or(|by| by == found.outcome)
    }
}

impl RuleTest {
    /// Whether the tests demand the same of the same packets.
    #[must_use]
    pub fn are_alike(ones: &[Self], others: &[Self]) -> bool {
        let demands = |tests: &[Self]| -> Vec<_> {
            let demand = |test: &Self| {
                let packets = |packets: &[TestPacket]| -> Vec<_> {
                    let packets = packets.iter();
                    packets
                        .map(|packet| (packet.frame.clone(), packet.context.clone()))
                        .collect()
                };
                (
                    test.name.clone(),
                    packets(&test.given),
                    test.after,
                    packets(&test.packets),
                    test.expected.verdict,
                    test.expected.by,
                )
            };
            tests.iter().map(demand).collect()
        };
        demands(ones) == demands(others)
    }

    /// The packets in their order, first those of `given`.
    pub fn sequence(&self) -> impl Iterator<Item = &TestPacket> {
        self.given.iter().chain(&self.packets)
    }

    /// The failure of a packet of `given`, which does not pass.
    #[must_use]
    pub fn given_failure(
        &self,
        packet: &TestPacket,
        found: &Evaluation,
        state: Option<State>,
        ruleset: &Ruleset,
    ) -> Diagnostic {
        let message = format!(
            "the test `{}` fails: a packet of `given` is dropped by {}",
            self.name,
            decider(found.outcome, ruleset),
        );
        let mut failure = Diagnostic::new(Code::FailedTest, &self.source, packet.span, message);
        failure.label(format!("expected to pass{}", and_state(state)));
        self.explain(&mut failure, found, ruleset);
        failure
    }

    /// The failure of a packet of this test: what was expected, and what was found; `state` is that of the packet, if it
    /// has any.
    #[must_use]
    pub fn failure(
        &self,
        packet: &TestPacket,
        found: &Evaluation,
        state: Option<State>,
        ruleset: &Ruleset,
    ) -> Diagnostic {
        let by = match self.expected.by {
            Some(by) => format!(" by {}", decider(by, ruleset)),
            None => String::new(),
        };
        let message = format!(
            "the test `{}` fails: expected {}{by}, found {} by {}",
            self.name,
            self.expected.verdict.as_str(),
            found.verdict.as_str(),
            decider(found.outcome, ruleset),
        );
        let mut failure =
            Diagnostic::new(Code::FailedTest, &self.source, self.expected.span, message);
        failure.label("expected here");
        let state = and_state(state);
        failure.note_at(
            packet.span,
            format!("the packet is {}{state}", packet.origin),
        );
        self.explain(&mut failure, found, ruleset);
        failure
    }

    /// Adds the rule that has decided, and how to find out more.
    fn explain(&self, failure: &mut Diagnostic, found: &Evaluation, ruleset: &Ruleset) {
        if let Outcome::Rule(id) = found.outcome
            && let Some(span) = rule(id, ruleset).map(|rule| self.source.span_at(rule.place))
        {
            failure.note_at(span, "it was decided by this rule");
        }
        failure.help("`firewall explain` shows which rules a packet meets, and why not the others");
    }
}

/// The state of a packet, after its description.
fn and_state(state: Option<State>) -> String {
    state.map_or_else(String::new, |state| {
        format!("; its state is `{}`", state.as_str())
    })
}

/// The decider, in words.
#[must_use]
pub fn decider(outcome: Outcome, ruleset: &Ruleset) -> String {
    match outcome {
        Outcome::Rule(id) => match rule(id, ruleset) {
            Some(rule) => format!("the rule `{}`", rule.name),
            None => format!("a rule that there is not, number {}", id.0),
        },
        Outcome::Reason(reason) => format!("the reason `{}`", reason.name()),
    }
}

fn rule(id: RuleId, ruleset: &Ruleset) -> Option<&crate::model::Rule> {
    ruleset.rules.get(usize::try_from(id.0).ok()?)
}
