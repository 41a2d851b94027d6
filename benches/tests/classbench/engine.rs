//! The engine in user space: the rule file loaded and compiled, its image walked as the XDP
//! program walks it.

use std::{error::Error, mem::offset_of, sync::Arc};

use benches::rulesets::{Decision, Verdict};
use firewall_ebpf::{
    abi::{FIRST_RULE_SLOT, MAX_IMAGE_SIZE, Reason},
    image::{Drops, Header, Memory as _, RuleSlot},
    parse::parse,
    walk::{Classification, Counts, classify},
};
use rules::{
    Context,
    compiler::{Image, InterfaceIndex, Target, compile},
    diagnostics::{Source, render},
    evaluator::{Evaluation, Outcome, evaluate},
    load,
    model::{self, RuleId, Ruleset},
};

/// A loaded and compiled rule file.
pub(crate) struct Engine {
    ruleset: Ruleset,
    image: Image,
}

/// The interface of the rule files.
pub(crate) const INTERFACE: &str = "fw-test0";

/// Its index.
const INDEX: u32 = 7;

impl Engine {
    /// Loads and compiles a rule file that names the list file `list.txt`, or none.
    pub(crate) fn new(rules: &str, list: &str) -> Result<Self, Box<dyn Error>> {
        let source = Arc::new(Source::new("rules.toml", rules));
        let loaded = load(&source, |name| match name {
            "list.txt" => Ok(Source::new(name, list)),
            _ => Err("no such file"),
        });
        let loaded = loaded.map_err(|errors| {
            let shown: Vec<_> = errors.iter().take(5).map(render).collect();
            shown.join("\n")
        })?;
        let ruleset = loaded.ruleset;
        let slots: Vec<_> = (FIRST_RULE_SLOT..).take(ruleset.rules.len()).collect();
        let target = Target {
            interfaces: &[(InterfaceIndex(INDEX), INTERFACE.to_owned())],
            slots: &slots,
            metadata: &[],
            max_bytes: MAX_IMAGE_SIZE as usize,
        };
        let image = compile(&ruleset, &target)?;
        Ok(Self { ruleset, image })
    }

    /// The bytes of the image.
    pub(crate) fn bytes(&self) -> usize {
        self.image.bytes().len()
    }

    /// The decision of the reference evaluator on a frame.
    pub(crate) fn evaluate(&self, frame: &[u8]) -> Decision {
        let Evaluation {
            outcome,
            verdict,
            counted,
        } = evaluate(&self.ruleset, frame, &Context::arriving(Some(INTERFACE)));
        assert_eq!(counted, []);
        let rule = match outcome {
            Outcome::Rule(RuleId(index)) => Some(index as usize),
            Outcome::Reason(Reason::Policy) => None,
            Outcome::Reason(reason) => panic!("{reason:?}: {frame:x?}"),
        };
        Decision {
            rule,
            verdict: match verdict {
                model::Verdict::Pass => Verdict::Pass,
                model::Verdict::Drop => Verdict::Drop,
            },
        }
    }

    /// The decision of the image on a frame.
    pub(crate) fn judge(&self, frame: &[u8]) -> Decision {
        let headers = parse(frame).unwrap_or_else(|reason| panic!("{reason:?}: {frame:x?}"));
        let context = Context::arriving(INDEX);
        match classify(self.image.bytes(), frame, &headers, &context, &mut NoCounts) {
            Classification::Pass(slot) => by_rule(slot, Verdict::Pass),
            Classification::Drop(slot) => by_rule(slot, Verdict::Drop),
            Classification::NoRule(reason) => {
                assert_eq!(reason, Reason::Policy, "{frame:x?}");
                let drops = self.image.bytes().u32(offset_of!(Header, drops) as u32);
                let drops = Drops::from_bits(drops);
                Decision {
                    rule: None,
                    verdict: match drops.has(reason) {
                        false => Verdict::Pass,
                        true => Verdict::Drop,
                    },
                }
            }
        }
    }
}

fn by_rule(slot: RuleSlot, verdict: Verdict) -> Decision {
    Decision {
        rule: Some((slot.number() - FIRST_RULE_SLOT) as usize),
        verdict,
    }
}

/// The rule sets have no `count` rules.
struct NoCounts;

impl Counts for NoCounts {
    fn count(&mut self, slot: RuleSlot) {
        panic!("{slot:?} is counted");
    }
}
