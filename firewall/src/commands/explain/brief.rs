//! What is said of a packet of a capture in one line.

use rules::{analysis::in_words, text::escaped};
use serde::Serialize;

use crate::commands::explain::{packets::Packet, report::Decision};

/// The bytes to which a packet that was captured in part is filled up for its words: more than IP
/// headers can state, and few enough for any machine.
const MAX_FILLED: usize = 1 << 17;

/// What is said of a packet.
#[derive(Serialize)]
pub(super) struct Brief {
    /// Its number in the capture, counted from 1.
    number: usize,
    /// In the notation.
    packet: String,
    /// How many bytes it had on the wire.
    bytes: usize,
    /// Whether all of it was captured.
    whole: bool,
    interface: Option<String>,
    verdict: Decision,
    /// What the evaluator says, when that is something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    disagrees: Option<Decision>,
}

impl Brief {
    pub(super) fn new(
        number: usize,
        packet: &Packet,
        verdict: Decision,
        disagrees: Option<Decision>,
    ) -> Self {
        let length = packet.length.min(MAX_FILLED);
        let context = packet.named().map(Option::unwrap_or_default);
        Self {
            number,
            packet: in_words(&packet.frame, length, &context),
            bytes: packet.length,
            whole: packet.is_whole(),
            interface: packet.context.interface.clone(),
            verdict,
            disagrees,
        }
    }

    /// Whether walker and evaluator disagree.
    pub(super) const fn is_disputed(&self) -> bool {
        self.disagrees.is_some()
    }

    /// The line.
    pub(super) fn to_text(&self) -> String {
        let Decision {
            action,
            rule,
            reason,
            ..
        } = &self.verdict;
        let by = match (rule, reason) {
            (Some(rule), _) => escaped(&rule.name),
            (None, Some(reason)) => format!("({reason})"),
            (None, None) => "(none)".to_owned(),
        };
        let part = if self.whole { "" } else { "  captured in part" };
        let disagrees = self.disagrees.as_ref().map_or_else(String::new, |other| {
            format!("  DEFECT: the reference evaluator says {}", other.to_text())
        });
        format!(
            "{:>6}  {action}  {by}  {}  {}{part}{disagrees}\n",
            self.number, self.bytes, self.packet
        )
    }
}
