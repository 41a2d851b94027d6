//! Rules that all drop, and which of them no packet reaches.

use rules::{
    analysis::{Budget, unreached},
    model::{RuleId, Ruleset},
};

use crate::canonical::load;

/// Rules that drop, one for each line of `fields`, before a policy that passes.
pub(crate) fn ruleset(fields: &[&str]) -> Ruleset {
    let mut text = "[firewall]\ninterfaces = [\"eth0\"]\npolicy = \"pass\"\n".to_owned();
    for (number, fields) in fields.iter().enumerate() {
        text += &format!("[[rule]]\nname = \"{number}\"\naction = \"drop\"\n{fields}\n");
    }
    load(&text)
}

/// The rules that no packet reaches, each with those that keep packets from it.
pub(crate) fn unreached_of(fields: &[&str]) -> Vec<(u32, Vec<RuleId>)> {
    let reach = unreached(&ruleset(fields), &mut Budget::default());
    assert!(reach.undecided.is_empty());
    let unreached = reach.unreached.into_iter();
    unreached.map(|of| (of.rule.0, of.by)).collect()
}
