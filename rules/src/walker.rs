//! What an image says of a frame, found in user space by the code that runs in the kernel: its
//! packet parser and its walker.
//!
//! This module owns what the program does around the two. It does not know which rule a slot
//! belongs to.

use std::mem::offset_of;

use firewall_ebpf::{
    abi::Reason,
    image::{Drops, Header, Memory as _, RuleSlot},
    parse::parse,
    walk::{Counts, Judgement, judge},
};

use crate::evaluator::Action;

/// What becomes of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walk {
    /// What decided.
    pub decided: Decided,
    /// What was decided.
    pub action: Action,
    /// The counter slots of the `count` rules that matched before, in order of precedence.
    pub counted: Vec<u32>,
    /// Those of all of these rules that log.
    pub logged: Vec<u32>,
}

/// What decided over a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decided {
    /// The rule with this counter slot.
    Rule(u32),
    /// No rule.
    Reason(Reason),
}

/// Judges a frame, from the Ethernet header on, that arrived on the interface of this number, by
/// the bytes of an image.
#[must_use]
pub fn walk(image: &[u8], frame: &[u8], interface: u32) -> Walk {
    let mut marked = Slots(Vec::new());
    let judgement = match parse(frame) {
        Ok(headers) => judge(image, frame, &headers, || interface, &mut marked),
        Err(reason) => Judgement::NoRule(reason),
    };
    let mut slots = marked.0;
    let counts = slots.len();
    let (decided, action) = match judgement {
        Judgement::Pass(slot) => {
            slots.push(slot);
            (Decided::Rule(slot.number()), Action::Pass)
        }
        Judgement::Drop(slot) => {
            slots.push(slot);
            (Decided::Rule(slot.number()), Action::Drop)
        }
        Judgement::NoRule(reason) => (Decided::Reason(reason), action(image, reason)),
    };
    let logs = |slot: &&RuleSlot| slot.logs();
    let number = |slot: &RuleSlot| slot.number();
    Walk {
        decided,
        action,
        counted: slots[..counts].iter().map(number).collect(),
        logged: slots.iter().filter(logs).map(number).collect(),
    }
}

/// What an image does with packets that are judged for a reason.
fn action(image: &[u8], reason: Reason) -> Action {
    let drops = Drops::from_bits(image.u32(offset_of!(Header, drops) as u32));
    if drops.has(reason) {
        Action::Drop
    } else {
        Action::Pass
    }
}

/// Slots of rules that count.
struct Slots(Vec<RuleSlot>);

impl Counts for Slots {
    fn count(&mut self, slot: RuleSlot) {
        self.0.push(slot);
    }
}
