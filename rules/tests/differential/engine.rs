//! The engine as the XDP program uses it: compiled image, parser and walker.

use std::{collections::HashMap, mem::offset_of};

use firewall_ebpf::{
    abi::{FIRST_RULE_SLOT, MAX_IMAGE_SIZE, Reason},
    headers::parse,
    image::{Header, Memory},
    walk::{Counts, Judgement, judge},
};
use rules::{
    compiler::{CompileError, Image, InterfaceIndex, Target, compile},
    evaluator::{Action, Evaluation, Outcome},
    ruleset::{RuleId, Ruleset},
    testing::{INTERFACES, Probe, Random},
};

/// A compiled rule set.
pub(crate) struct Engine {
    image: Image,
    rules: HashMap<u32, RuleId>,
}

impl Engine {
    /// Compiles a rule set for [`INTERFACES`], with counter slots that `seed` shuffles.
    pub(crate) fn new(ruleset: &Ruleset, seed: u64) -> Result<Self, CompileError> {
        let slots = slots(ruleset.rules.len(), seed);
        let metadata = seed.to_le_bytes();
        let target = Target {
            interfaces: &INTERFACES.map(|(index, name)| (InterfaceIndex(index), name.to_owned())),
            slots: &slots,
            metadata: &metadata[..(seed % 9) as usize],
            max_bytes: MAX_IMAGE_SIZE as usize,
        };
        let image = compile(ruleset, &target)?;
        assert_eq!(metadata_of(image.bytes()), Some(target.metadata));
        Ok(Self {
            image,
            rules: slots.into_iter().zip((0..).map(RuleId)).collect(),
        })
    }

    /// Judges a packet; a text when the answer makes no sense.
    pub(crate) fn judge(&self, probe: &Probe) -> Result<Evaluation, String> {
        let mut slots = Slots(Vec::new());
        let (outcome, action) = match parse(&*probe.frame) {
            Err(reason) => self.reason(reason),
            Ok(headers) => match judge(self.image.bytes(), &headers, probe.interface, &mut slots) {
                Judgement::Pass(slot) => (Outcome::Rule(self.rule(slot)?), Action::Pass),
                Judgement::Drop(slot) => (Outcome::Rule(self.rule(slot)?), Action::Drop),
                Judgement::NoRule(reason) => self.reason(reason),
            },
        };
        let counted: Result<Vec<RuleId>, String> =
            slots.0.iter().map(|slot| self.rule(*slot)).collect();
        Ok(Evaluation {
            outcome,
            action,
            counted: counted?,
        })
    }

    fn rule(&self, slot: u32) -> Result<RuleId, String> {
        let found = self.rules.get(&slot).copied();
        found.ok_or_else(|| format!("slot {slot} belongs to no rule"))
    }

    fn reason(&self, reason: Reason) -> (Outcome, Action) {
        let drops = self.image.bytes().u32(offset_of!(Header, drops) as u32);
        let action = if drops & (1 << reason.slot()) != 0 {
            Action::Drop
        } else {
            Action::Pass
        };
        (Outcome::Reason(reason), action)
    }
}

struct Slots(Vec<u32>);

impl Counts for Slots {
    fn count(&mut self, slot: u32) {
        self.0.push(slot);
    }
}

/// Different slots for that many rules, in no order.
fn slots(rules: usize, seed: u64) -> Vec<u32> {
    let mut random = Random::new(seed);
    let mut slots: Vec<u32> = (FIRST_RULE_SLOT..).step_by(3).take(rules).collect();
    for index in (1..slots.len()).rev() {
        slots.swap(index, random.below(index + 1));
    }
    slots
}

fn metadata_of(image: &[u8]) -> Option<&[u8]> {
    let start = image.u32(offset_of!(Header, metadata) as u32) as usize;
    let length = image.u32(offset_of!(Header, metadata_length) as u32) as usize;
    image.get(start..)?.get(..length)
}
