//! Names the rules that need the largest part of a table that does not fit.

use std::{cmp::Reverse, hash::Hash};

use firewall_ebpf::image::MAX_WALK;

use super::{
    address::Side,
    classes::{ClassId, Spread},
    error::CompileError,
    kind::SectionKind,
    rules::Rules,
    stage::{Stage, StageTable},
    view::{RuleView, View},
};
use crate::field::{RangeSet, Value};

/// The number of rules named.
const NAMED: usize = 3;

/// Adds to the error the names of the rules of the section that need the largest part of the table.
pub(super) fn name<A: Value + Hash>(
    error: CompileError,
    view: &View<'_, A>,
    rules: &Rules<'_>,
) -> CompileError {
    match error {
        CompileError::TooLarge {
            needed,
            allowed,
            stage: stage @ Stage::Table { table, .. },
            names: _,
        } => CompileError::TooLarge {
            needed,
            allowed,
            stage,
            names: in_table(table, view, rules),
        },
        CompileError::TooLarge { .. }
        | CompileError::TooMuchWork { .. }
        | CompileError::TooManyRules { .. }
        | CompileError::TooManyCombinations { .. } => error,
    }
}

/// The names of the rules with the largest amounts, in descending order, each with its amount and
/// unit (singular, plural) in parentheses; rules whose amount is 0 are left out.
pub(super) fn largest(
    rules: &Rules<'_>,
    amount: impl Fn(usize) -> usize,
    [one, many]: [&'static str; 2],
) -> String {
    let mut amounts: Vec<(usize, usize)> = (0..rules.len())
        .map(|rule| (amount(rule), rule))
        .filter(|(amount, _)| *amount > 0)
        .collect();
    amounts.sort_by_key(|(amount, rule)| (Reverse(*amount), *rule));
    let named = amounts.iter().map(|(amount, rule)| {
        let unit = if *amount == 1 { one } else { many };
        format!("`{}` ({amount} {unit})", rules.name(*rule))
    });
    listed(named)
}

/// The error that the rules `members` of a section need too many steps.
pub(super) fn too_much_work(
    packets: SectionKind,
    rules: &Rules<'_>,
    members: &[usize],
    needed: usize,
) -> CompileError {
    CompileError::TooMuchWork {
        packets,
        rules: members.len(),
        counting: members.iter().filter(|rule| rules.counts(**rule)).count(),
        names: first(rules, members),
        needed,
        allowed: MAX_WALK as usize,
    }
}

/// The names of the first few of the rules.
fn first(rules: &Rules<'_>, members: &[usize]) -> String {
    listed(
        members
            .iter()
            .map(|rule| format!("`{}`", rules.name(*rule))),
    )
}

/// Joins the names that are shown, and says whether there are more.
fn listed(names: impl ExactSizeIterator<Item = String>) -> String {
    let more = names.len() > NAMED;
    let mut listed = names.take(NAMED).collect::<Vec<_>>().join(", ");
    if more {
        listed.push_str(", ...");
    }
    listed
}

fn in_table<A: Value + Hash>(table: StageTable, view: &View<'_, A>, rules: &Rules<'_>) -> String {
    let ranges = |side: fn(&RuleView<'_, A>) -> Option<usize>| {
        let amount = |rule: usize| side(&view.rules[rule]).unwrap_or(0);
        largest(rules, amount, ["address range", "address ranges"])
    };
    match table {
        StageTable::Source => ranges(|rule| Some(rule.src?.ranges().len())),
        StageTable::Destination => ranges(|rule| Some(rule.dst?.ranges().len())),
        StageTable::NarrowFields => {
            let amount = |rule: usize| {
                let sets = view.rules[rule].fields.iter().flatten();
                sets.map(|set| set.ranges().len()).sum()
            };
            largest(
                rules,
                amount,
                ["range of narrow fields", "ranges of narrow fields"],
            )
        }
        StageTable::DirectTable
        | StageTable::Grid
        | StageTable::Wide
        | StageTable::Records
        | StageTable::Pairs
        | StageTable::Lists
        | StageTable::Rows => {
            let src = classes(view, |rule| rule.src);
            let dst = classes(view, |rule| rule.dst);
            let amount = |rule: usize| src[rule].saturating_mul(dst[rule]);
            largest(
                rules,
                amount,
                ["pair of address classes", "pairs of address classes"],
            )
        }
    }
}

/// The number of address classes that each rule matches on one side.
fn classes<'a, A: Value + Hash>(
    view: &View<'a, A>,
    side: impl Fn(&RuleView<'a, A>) -> Option<&'a RangeSet<A>>,
) -> Vec<usize> {
    let side = Side::new(view.rules.iter().map(side));
    let mut spread = Spread::new(&side.classes);
    let of_set: Vec<usize> = side
        .sets
        .iter()
        .map(|set| spread.all(set))
        .map(|found: Vec<ClassId>| found.len())
        .collect();
    let named = side.named.iter();
    named
        .map(|set| set.map_or(side.classes.len(), |set| of_set[set.0 as usize]))
        .collect()
}
