//! Finds the packets that two rule sets treat differently.
//!
//! Every packet has one decider in each rule set. Deciders that are in both, in the same order, are
//! *twins*: a packet that only matches twins gets the same verdict. So each pair of deciders of
//! which one has no twin is a question: is there a packet that both take and no earlier decider
//! takes? The answer yes is proved by such a packet, which the reference evaluator must confirm.

use std::collections::HashMap;

use super::{
    axis::NetworkProtocol,
    axis::Packets,
    budget::Budget,
    comparison::{Comparison, Inputs},
    counting,
    cube::Pool,
    interfaces::Interfaces,
    report::{Compare, Contradiction, Diff, Undecided},
    section::Section,
};
use crate::model::{RuleId, Ruleset};

/// Finds every change from one rule set to another, as far as the budget allows. Packets are
/// assumed to arrive on the interfaces to which either rule set is attached.
///
/// # Errors
///
/// [`Contradiction`], which indicates a defect.
pub fn diff(
    old: &Ruleset,
    new: &Ruleset,
    compare: Compare,
    budget: &mut Budget,
) -> Result<Diff, Contradiction> {
    let mut found = Diff {
        changes: Vec::new(),
        counts: Vec::new(),
        undecided: Vec::new(),
        interfaces: None,
    };
    let Ok(interfaces) = Interfaces::new(&[old, new], budget) else {
        found.undecided = Packets::of(&[old, new]).map(Undecided::All).collect();
        return Ok(found);
    };
    let named = [old, new].map(|set| {
        let rules = set.iter().map(|(id, rule)| (rule.name.as_str(), id));
        rules.collect::<HashMap<&str, RuleId>>()
    });
    let mut counting = match compare {
        Compare::Verdicts => Vec::new(),
        Compare::Deciders => counting::all([old, new], &named),
    };
    let mut changes = HashMap::new();
    for packets in Packets::of(&[old, new]) {
        if packets.network == NetworkProtocol::Ipv4 && interfaces.has_too_many_options() {
            found.undecided.push(Undecided::All(packets));
            continue;
        }
        let mut pool = Pool::new();
        let sections = [old, new].map(|set| Section::new(set, packets, &interfaces, &mut pool));
        let counted: Vec<_> = counting
            .iter()
            .map(|of| counting::cubes(of, [old, new], packets, &interfaces, &mut pool))
            .collect();
        let inputs = Inputs {
            rulesets: [old, new],
            named: &named,
            packets,
            compare,
            interfaces: &interfaces,
            pool: &pool,
            sections: &sections,
        };
        Comparison::new(inputs).run(budget, &mut changes, &mut found.undecided)?;
        if !counting.is_empty() {
            let mut questions =
                counting::Questions::new([old, new], packets, &interfaces, &pool, &sections);
            for (of, cubes) in counting.iter_mut().zip(&counted) {
                questions.ask(of, cubes, budget, &mut found.undecided)?;
            }
        }
    }
    found.counts = counting::changes(counting);
    found.changes = changes.into_values().collect();
    found
        .changes
        .sort_by_key(|change| (change.old.0, change.new.0));
    found.interfaces = Some(interfaces);
    Ok(found)
}
