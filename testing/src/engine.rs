//! The engine of the XDP program in user space: compiled image, parser and walker.

use std::{
    collections::{HashMap, HashSet},
    mem::offset_of,
};

use firewall_ebpf::{
    abi::{FIRST_RULE_SLOT, MAX_IMAGE_SIZE, Reason},
    image::{Header, Memory},
};
use rules::{
    Context,
    compiler::{CompileError, Image, InterfaceIndex, Target, compile},
    evaluator::{Evaluation, Outcome},
    model::{Direction, RuleId, Ruleset, Verdict},
    walker::{Decided, walk},
};

use super::{probes::Probe, random::Random, rulesets::INTERFACES};

/// A compiled rule set, with the walker.
pub struct Engine {
    image: Image,
    rules: HashMap<u32, RuleId>,
    logging: HashSet<u32>,
    interfaces: Vec<(u32, &'static str)>,
}

impl Engine {
    /// Compiles a rule set for a setting chosen by `seed`.
    ///
    /// # Errors
    ///
    /// If the rule set cannot be compiled.
    pub fn new(ruleset: &Ruleset, seed: u64) -> Result<Self, CompileError> {
        let setting = Setting::new(ruleset, seed);
        let image = compile(ruleset, &setting.target())?;
        Ok(Self::of(image, &setting))
    }

    /// The engine with an image for a setting.
    ///
    /// # Panics
    ///
    /// If the image was compiled for another setting.
    #[must_use]
    pub fn of(image: Image, setting: &Setting) -> Self {
        assert_eq!(
            metadata_of(image.bytes()),
            Some(setting.metadata.as_slice())
        );
        Self {
            image,
            rules: setting
                .slots
                .iter()
                .copied()
                .zip((0..).map(RuleId))
                .collect(),
            logging: setting.logging.clone(),
            interfaces: setting.interfaces.clone(),
        }
    }

    /// The context of a packet with the names of those interfaces that the image knows.
    #[must_use]
    pub fn context(&self, probe: &Probe) -> Context<Option<&'static str>> {
        probe.context.map(|interface| {
            let mut known = self.interfaces.iter();
            let found = known.find(|(index, _)| *index == interface);
            found.map(|(_, name)| *name)
        })
    }

    /// Classifies a packet.
    ///
    /// # Errors
    ///
    /// An error if a slot is counted that belongs to no rule, or if the rules that log differ from
    /// those of the rule set.
    pub fn judge(&self, probe: &Probe) -> Result<Evaluation, String> {
        let walk = walk(self.image.bytes(), &probe.frame, &probe.context);
        let outcome = match walk.decided {
            Decided::Rule(slot) => Outcome::Rule(self.rule(slot)?),
            Decided::Reason(reason) => Outcome::Reason(reason),
        };
        let counted: Result<Vec<RuleId>, String> =
            walk.counted.iter().map(|slot| self.rule(*slot)).collect();
        let decided = match walk.decided {
            Decided::Rule(slot) => slot,
            Decided::Reason(reason) => {
                reason.slot(probe.context.direction, walk.verdict == Verdict::Drop)
            }
        };
        let mut logging = walk.counted.clone();
        logging.push(decided);
        logging.retain(|slot| self.logging.contains(slot));
        if walk.logged != logging {
            return Err(format!("{:?} log instead of {logging:?}", walk.logged));
        }
        Ok(Evaluation {
            outcome,
            verdict: walk.verdict,
            counted: counted?,
        })
    }

    /// The counter slot of each rule.
    pub fn slots(&self) -> impl Iterator<Item = (u32, RuleId)> {
        self.rules.iter().map(|(slot, rule)| (*slot, *rule))
    }

    /// The counter slots of the rules and reasons that log.
    #[must_use]
    pub const fn logging(&self) -> &HashSet<u32> {
        &self.logging
    }

    /// The image.
    #[must_use]
    pub const fn image(&self) -> &Image {
        &self.image
    }

    fn rule(&self, slot: u32) -> Result<RuleId, String> {
        let found = self.rules.get(&slot).copied();
        found.ok_or_else(|| format!("slot {slot} belongs to no rule"))
    }
}

/// The interfaces, slots and metadata for which rule sets are compiled.
pub struct Setting {
    slots: Vec<u32>,
    logging: HashSet<u32>,
    interfaces: Vec<(u32, &'static str)>,
    named: Vec<(InterfaceIndex, String)>,
    metadata: Vec<u8>,
}

impl Setting {
    /// A subset of [`INTERFACES`], and counter slots in random order, both determined by `seed`.
    #[must_use]
    pub fn new(ruleset: &Ruleset, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let slots = slots(&mut random, ruleset.rules.len());
        let mut interfaces = INTERFACES.to_vec();
        if random.percent(25) {
            interfaces.retain(|_| random.percent(50));
        }
        let named = |&(index, name): &(u32, &str)| (InterfaceIndex(index), name.to_owned());
        let metadata = seed.to_le_bytes();
        Self {
            logging: logging(ruleset, &slots),
            slots,
            named: interfaces.iter().map(named).collect(),
            interfaces,
            metadata: metadata[..random.within(0, metadata.len())].to_vec(),
        }
    }

    /// All of [`INTERFACES`], and counter slots in the order of the rules.
    #[must_use]
    pub fn plain(ruleset: &Ruleset) -> Self {
        let named = INTERFACES.map(|(index, name)| (InterfaceIndex(index), name.to_owned()));
        let slots: Vec<u32> = (FIRST_RULE_SLOT..).take(ruleset.rules.len()).collect();
        Self {
            logging: logging(ruleset, &slots),
            slots,
            interfaces: INTERFACES.to_vec(),
            named: named.to_vec(),
            metadata: Vec::new(),
        }
    }

    /// This setting with other metadata.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Vec<u8>) -> Self {
        self.metadata = metadata;
        self
    }

    /// The target for the compiler.
    #[must_use]
    pub fn target(&self) -> Target<'_> {
        Target {
            interfaces: &self.named,
            slots: &self.slots,
            metadata: &self.metadata,
            max_bytes: MAX_IMAGE_SIZE as usize,
        }
    }
}

/// The slots of the reasons that log, and of the rules that do, selected from `slots`.
fn logging(ruleset: &Ruleset, slots: &[u32]) -> HashSet<u32> {
    let rules = ruleset.rules.iter().zip(slots);
    let logging = rules.filter(|(rule, _)| rule.log.is_some());
    let reasons = Reason::ALL.into_iter();
    let reasons = reasons.filter(|reason| ruleset.settings.logs.limit_for(*reason).is_some());
    let reasons = reasons.flat_map(|reason| {
        Direction::ALL
            .into_iter()
            .flat_map(move |direction| [false, true].map(|dropped| reason.slot(direction, dropped)))
    });
    logging.map(|(_, slot)| *slot).chain(reasons).collect()
}

/// Distinct slots for `rules` rules, in random order.
fn slots(random: &mut Random, rules: usize) -> Vec<u32> {
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
