//! A compiled rule set as a classifier of frames, in user space.

use std::collections::HashMap;

use rules::{
    compiler::InterfaceIndex,
    evaluator::{Evaluation, Outcome},
    model::RuleId,
    walker::{Decided, Walk, walk},
};

use crate::kernel::slot::Slot;

/// The interface that no packet arrives on.
pub(crate) const NOWHERE: InterfaceIndex = InterfaceIndex(0);

/// An image that judges frames.
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

    /// What the image says of a frame that arrives on `interface`, by counter slots.
    pub(crate) fn walk(&self, frame: &[u8], interface: InterfaceIndex) -> Walk {
        walk(self.image, frame, interface.0)
    }

    /// What the image says of a frame that arrives on `interface`, by rules.
    pub(crate) fn classify(&self, frame: &[u8], interface: InterfaceIndex) -> Evaluation {
        let walk = self.walk(frame, interface);
        Evaluation {
            outcome: match walk.decided {
                Decided::Rule(slot) => Outcome::Rule(self.rule(slot)),
                Decided::Reason(reason) => Outcome::Reason(reason),
            },
            verdict: walk.verdict,
            counted: walk.counted.iter().map(|slot| self.rule(*slot)).collect(),
        }
    }

    /// The rule that is counted in a slot; one that there is not, when the image is wrong.
    fn rule(&self, slot: u32) -> RuleId {
        self.rules.get(&slot).copied().unwrap_or(RuleId(u32::MAX))
    }
}
