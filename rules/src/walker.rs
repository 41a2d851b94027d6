//! What an image says of a frame, found in user space by the code that runs in the kernel: its
//! packet parser and its walker.
//!
//! This module owns what the program does around the two. It does not know which rule a slot
//! belongs to.

use firewall_ebpf::{
    abi::Reason,
    flows::Message,
    image::{Drops, Header, Memory as _, RuleSlot},
    parse::{parse, present},
    walk::{Classification, Counts, Hook, classify, lets_in},
};

use crate::{
    context::Context,
    model::{Direction, Verdict},
};

/// What becomes of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walk {
    /// What decided.
    pub decided: Decided,
    /// What was decided.
    pub verdict: Verdict,
    /// The counter slots of the `count` rules that matched before, in order of precedence.
    pub counted: Vec<u32>,
    /// Those of all of these rules that log, or that of the reason if it does.
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

/// Judges a frame, from the Ethernet header on, by the bytes of an image; interfaces are given by
/// their numbers, of which none is 0. If no rule of the image asks for states, the state must be
/// [`State::New`](crate::field::State::New).
#[must_use]
pub fn walk(image: &[u8], frame: &[u8], context: &Context<u32>) -> Walk {
    let mut marked = Slots(Vec::new());
    let classification = match parse(frame) {
        Ok(headers) => classify(image, frame, &headers, context, &mut marked),
        Err(reason) => Classification::NoRule(reason),
    };
    let mut slots = marked.0;
    let counts = slots.len();
    let (decided, verdict) = match classification {
        Classification::Pass(slot) => {
            slots.push(slot);
            (Decided::Rule(slot.number()), Verdict::Pass)
        }
        Classification::Drop(slot) => {
            slots.push(slot);
            (Decided::Rule(slot.number()), Verdict::Drop)
        }
        Classification::NoRule(reason) => {
            let drops = Drops::from_bits(image.u32(Header::drops_at(context.direction)));
            let dropped = drops.has(reason);
            let slot = reason.slot(context.direction, dropped);
            slots.push(RuleSlot::new(slot, drops.logs(reason)));
            let verdict = if dropped {
                Verdict::Drop
            } else {
                Verdict::Pass
            };
            (Decided::Reason(reason), verdict)
        }
    };
    let logs = |slot: &&RuleSlot| slot.logs();
    let number = |slot: &RuleSlot| slot.number();
    Walk {
        decided,
        verdict,
        counted: slots[..counts].iter().map(number).collect(),
        logged: slots.iter().filter(logs).map(number).collect(),
    }
}

/// Whether an image passes what a frame that an interface sends may be an answer to, as the programs ask that track
/// packets out: taken as new, with what is not known of it granted. The image must be one whose rules ask for states.
#[must_use]
pub fn lets_in_reverse(image: &[u8], frame: &[u8], interface: u32) -> bool {
    let headers = parse(frame);
    headers.is_ok_and(|headers| lets_in(image, frame, &headers.reversed(frame), || interface))
}

/// Likewise of the packet that an ICMP error which an interface receives is about.
#[must_use]
pub fn lets_in_invoking(image: &[u8], frame: &[u8], interface: u32) -> bool {
    let Ok(headers) = parse(frame) else {
        return false;
    };
    if !headers.has(present::ICMP) {
        return false;
    }
    let to = [headers.dst_high, headers.dst_low];
    let about = Message::new(&headers).about(frame, to);
    let answered = about.and_then(|about| about.answered(frame));
    answered.is_some_and(|answered| lets_in(image, frame, &answered, || interface))
}

/// The context as the program reads it from the kernel.
impl Hook for Context<u32> {
    fn direction(&self) -> Direction {
        self.direction
    }

    fn interface(&self) -> u32 {
        self.interface
    }

    fn in_interface(&self) -> u32 {
        self.in_interface.unwrap_or(0)
    }

    fn mark(&self) -> u32 {
        self.mark
    }

    fn state(&self) -> u32 {
        self.state.number()
    }
}

/// Slots of rules that count.
struct Slots(Vec<RuleSlot>);

impl Counts for Slots {
    fn count(&mut self, slot: RuleSlot) {
        self.0.push(slot);
    }
}
