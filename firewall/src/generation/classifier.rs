//! A compiled rule set as a classifier of frames, in user space.

use std::collections::HashMap;

use rules::{
    Context,
    compiler::InterfaceIndex,
    evaluator::{Evaluation, Outcome},
    model::{Direction, RuleId},
    walker::{self, Decided, Tracking, Walk, walk},
};

use crate::kernel::slot::Slot;

/// An interface on which no packet arrives.
pub(crate) const NOWHERE: InterfaceIndex = InterfaceIndex(0);

/// An interface that no image knows, in place of [`NOWHERE`] where a packet arrived that is
/// forwarded: there 0 stands for none.
const UNKNOWN: InterfaceIndex = InterfaceIndex(u32::MAX);

/// The numbers of the interfaces, as an image has them.
pub(crate) fn numbers(context: Context<InterfaceIndex>) -> Context<u32> {
    let in_interface = context.in_interface.map(|arrived| match arrived {
        NOWHERE => UNKNOWN,
        arrived => arrived,
    });
    let context = Context {
        in_interface,
        ..context
    };
    context.map(|interface| interface.0)
}

/// A compiled image with the counter slots of its rules.
pub(crate) struct Classifier<'a> {
    image: &'a [u8],
    rules: HashMap<u32, RuleId>,
}

impl<'a> Classifier<'a> {
    /// The classifier with this image, whose rules are counted in `slots`, in rule order.
    pub(crate) fn new(image: &'a [u8], slots: impl IntoIterator<Item = Slot>) -> Self {
        let slots = slots.into_iter().map(Slot::number);
        Self {
            image,
            rules: slots.zip((0..).map(RuleId)).collect(),
        }
    }

    /// Classifies a frame; rules are given by counter slots.
    pub(crate) fn walk(&self, frame: &[u8], context: Context<InterfaceIndex>) -> Walk {
        walk(self.image, frame, &numbers(context))
    }

    /// Whether the rules let in what the packet may answer that an ICMP error is about; the image must be one whose rules
    /// ask for states.
    pub(crate) fn lets_in_invoking(&self, frame: &[u8], interface: InterfaceIndex) -> bool {
        walker::lets_in_invoking(self.image, frame, interface.0)
    }

    /// Whether packets of a direction that rules pass begin flows, so that those the other way are known.
    pub(crate) fn tracks(&self, direction: Direction) -> bool {
        walker::tracking(self.image).has(match direction {
            Direction::In => Tracking::INCOMING,
            Direction::Out => Tracking::REPLIES,
        })
    }

    /// Whether packets of a direction have states.
    pub(crate) fn has_states(&self, direction: Direction) -> bool {
        walker::tracking(self.image).has(match direction {
            Direction::In => Tracking::REPLIES,
            Direction::Out => Tracking::OUTGOING_STATES,
        })
    }

    /// Classifies a frame; rules are given by index.
    pub(crate) fn classify(&self, frame: &[u8], context: Context<InterfaceIndex>) -> Evaluation {
        let walk = self.walk(frame, context);
        Evaluation {
            outcome: match walk.decided {
                Decided::Rule(slot) => Outcome::Rule(self.rule(slot)),
                Decided::Reason(reason) => Outcome::Reason(reason),
            },
            verdict: walk.verdict,
            counted: walk.counted.iter().map(|slot| self.rule(*slot)).collect(),
        }
    }

    /// The index of the rule of a slot; out of range when the image is wrong.
    fn rule(&self, slot: u32) -> RuleId {
        self.rules.get(&slot).copied().unwrap_or(RuleId(u32::MAX))
    }
}
