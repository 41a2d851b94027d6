//! The rules that decide about packets, from wherever they come.

use rules::{
    compiler::InterfaceIndex,
    evaluator::{
        Evaluation, Outcome, decode, evaluate,
        flows::{Datagram, Sighting, Tracker},
    },
    field::State,
    model::{Direction, RuleId, Ruleset, Verdict},
};

use firewall_ebpf::abi::Reason;

use crate::{
    commands::explain::{
        brief::Brief,
        error::ExplainError,
        flows::{self, StateShown},
        packets::{Packet, WrittenSequence},
        report::{Decision, Shown},
    },
    error::Error,
    generation::{
        classifier::{Classifier, NOWHERE},
        metadata::Metadata,
    },
    kernel::pins::Pins,
    observe::bans::{self, BanEntry},
};

/// Finds the index of the interface of a name; `None` if the image was made without such an interface.
pub(super) type IndexOf<'a> = dyn Fn(&str) -> Option<InterfaceIndex> + 'a;

/// Rules, and the image that was made of them.
pub(super) struct Explainer<'a> {
    pub(super) classifier: Classifier<'a>,
    pub(super) metadata: &'a Metadata,
    /// The rules, unless their file has changed.
    pub(super) ruleset: Option<&'a Ruleset>,
    /// Whether image and rules are of the same file for certain.
    pub(super) is_certain: bool,
    /// The index of the interface of a name, or of one that is the same to all rules.
    pub(super) index_of: Box<IndexOf<'a>>,
    /// Whether the rules can be compiled for further interfaces.
    pub(super) learns_interfaces: bool,
    /// Where the bans and the flows in force are, if the rules are.
    pub(super) pins: Option<&'a Pins>,
}

/// What the image says of a packet.
pub(super) struct Classified {
    pub(super) evaluation: Evaluation,
    /// The ban that its source is under, before any rule.
    pub(super) ban: Option<BanEntry>,
}

impl Explainer<'_> {
    /// Whether it is known what becomes of packets that arrive on the interface of this name.
    pub(super) fn knows(&self, interface: &str) -> bool {
        (self.index_of)(interface).is_some()
    }

    /// The state of a packet, and why it has it; `None` if it has none.
    pub(super) fn see(
        &self,
        sequence: &WrittenSequence,
    ) -> Result<Option<(State, StateShown)>, Error> {
        let packet = &sequence.packet;
        let is_ip = Datagram::of_frame(&packet.frame).is_some();
        let direction = packet.context.direction;
        let has_state = is_ip && self.classifier.has_states(direction);
        let seen = match (self.pins, self.ruleset) {
            (Some(pins), _) if has_state && sequence.state.is_none() => {
                let name = packet.context.interface.as_deref();
                let index = name
                    .and_then(|name| (self.index_of)(name))
                    .unwrap_or(NOWHERE);
                let lets_in = || self.classifier.lets_in_invoking(&packet.frame, index);
                flows::look_up(&packet.frame, direction, pins, lets_in)?
            }
            (Some(_), _) => None,
            (None, Some(ruleset)) => self.seen_after(sequence, ruleset)?,
            (None, None) => None,
        };
        Ok(match sequence.state {
            _ if !has_state => None,
            Some(state) => Some((state, StateShown::given(state))),
            None => seen.map(|seen| (seen.state, StateShown::seen(&packet.frame, &seen))),
        })
    }

    /// What a packet is to the flows that the packets before it have made.
    fn seen_after(
        &self,
        sequence: &WrittenSequence,
        ruleset: &Ruleset,
    ) -> Result<Option<Sighting>, Error> {
        let mut flows = Tracker::new(ruleset);
        for given in &sequence.given {
            let mut packet = given.clone();
            let seen = flows.see(&packet.frame, &packet.named());
            packet.context.state = seen.map_or(State::New, |seen| seen.state);
            let evaluation = self.classify(&packet)?.evaluation;
            if evaluation.verdict == Verdict::Drop {
                return Err(ExplainError::GivenDropped {
                    packet: given.origin.clone(),
                    by: self.decision(&evaluation).to_text(),
                }
                .into());
            }
            flows.passed(
                &packet.frame,
                &packet.named().in_state(packet.context.state),
            );
        }
        flows.wait(sequence.after);
        let packet = &sequence.packet;
        Ok(flows.see(&packet.frame, &packet.named()))
    }

    /// What becomes of a packet.
    pub(super) fn classify(&self, packet: &Packet) -> Result<Classified, Error> {
        let source = || decode(&packet.frame).ok()?.src;
        // Bans are of packets in.
        if packet.context.direction == Direction::In
            && let Some(pins) = self.pins
            && let Some(source) = source()
            && let Some(ban) = bans::ban_of(pins, source)?
        {
            return Ok(Classified {
                evaluation: Evaluation {
                    outcome: Outcome::Reason(Reason::Banned),
                    verdict: Verdict::Drop,
                    counted: Vec::new(),
                },
                ban: Some(ban),
            });
        }
        let context = packet.named().map(|name| {
            let index = name.and_then(&self.index_of);
            index.unwrap_or(NOWHERE)
        });
        // An image without states has sections for new packets only.
        let context = match self.metadata.flows {
            Some(_) => context,
            None => context.in_state(State::New),
        };
        Ok(Classified {
            evaluation: self.classifier.classify(&packet.frame, context),
            ban: None,
        })
    }

    /// All that is said of a packet.
    pub(super) fn full(&self, packet: Packet, classified: Classified) -> Shown {
        let decision = self.decision(&classified.evaluation);
        match (classified.ban, self.ruleset) {
            (Some(ban), _) => Shown::banned(packet, decision, ban),
            (None, Some(ruleset)) => {
                let file = self.file();
                let verdict = &classified.evaluation;
                Shown::explained(ruleset, &file, packet, decision, verdict, self.is_certain)
            }
            (None, None) => Shown::judged(packet, decision),
        }
    }

    /// What is said of a packet in a line.
    pub(super) fn brief(&self, number: usize, packet: &Packet, classified: &Classified) -> Brief {
        let reference = match (&classified.ban, self.ruleset) {
            (None, Some(ruleset)) => Some(evaluate(ruleset, &packet.frame, &packet.named())),
            (_, None) | (Some(_), _) => None,
        };
        let other = reference.filter(|reference| *reference != classified.evaluation);
        Brief::new(
            number,
            packet,
            self.decision(&classified.evaluation),
            other.map(|other| self.decision(&other)),
        )
    }

    /// The name of a rule.
    pub(super) fn rule_name(&self, rule: RuleId) -> Option<&str> {
        let rule = self.metadata.rules.get(usize::try_from(rule.0).ok()?)?;
        Some(&rule.name)
    }

    fn decision(&self, evaluation: &Evaluation) -> Decision {
        match self.ruleset {
            Some(ruleset) => Decision::by_rules(ruleset, &self.file(), evaluation),
            None => Decision::by_metadata(self.metadata, evaluation),
        }
    }

    fn file(&self) -> String {
        self.metadata.file.display().to_string()
    }
}
