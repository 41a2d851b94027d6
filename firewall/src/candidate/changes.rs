//! The differences between two rule sets, for the log.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Add,
    sync::Arc,
};

use rules::{
    field::{AddressSet, RangeSet, Value},
    model::{Rule, Ruleset, Settings},
};
use serde::{Serialize, Serializer};

use crate::text::format::{counted, grouped};

/// The maximum number of names of each kind in a message.
const SHOWN: usize = 5;

/// The previous rules: their names in order, and the rule set if known.
pub(crate) struct RulesBefore<'a> {
    /// The names.
    pub(crate) names: Vec<&'a str>,
    /// The rule set, when this process put it in force.
    pub(crate) ruleset: Option<&'a Ruleset>,
}

/// The differences.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    added: Vec<String>,
    removed: Vec<String>,
    reordered: bool,
    /// The differences that need both rule sets.
    known: Option<Known>,
    /// Whether there are differences, of which only the above is known.
    others: bool,
}

/// The differences in rules that both rule sets have, and in their settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Known {
    /// The changed rules, each with the addresses it gained and lost.
    changed: Vec<(String, Moved)>,
    /// The addresses gained and lost by all rules, a shared set counted once.
    moved: Moved,
    /// The changed settings, in words.
    settings: Vec<String>,
}

/// The numbers of addresses that rules gained and lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Moved {
    more: u128,
    fewer: u128,
}

/// Changes as the fields of an event. Unknown ones are left out.
#[derive(Serialize)]
pub(crate) struct ChangeFields<'a> {
    rules_added: &'a [String],
    rules_added_left_out: usize,
    rules_removed: &'a [String],
    rules_removed_left_out: usize,
    order_changed: bool,
    #[serde(flatten)]
    known: Option<KnownFields<'a>>,
}

#[derive(Serialize)]
struct KnownFields<'a> {
    rules_changed: Vec<&'a str>,
    rules_changed_left_out: usize,
    #[serde(serialize_with = "as_number")]
    addresses_added: u128,
    #[serde(serialize_with = "as_number")]
    addresses_removed: u128,
    settings_changed: bool,
}

impl Changes {
    /// The changes from `before` to `after`.
    pub(crate) fn between(before: &RulesBefore<'_>, after: &Ruleset) -> Self {
        let names: Vec<&str> = after.rules.iter().map(|rule| rule.name.as_str()).collect();
        Self {
            known: before.ruleset.map(|before| Known::between(before, after)),
            ..Self::of_names(&before.names, &names)
        }
    }

    /// The changes between rules of which only the names are known.
    pub(crate) fn of_names<N: AsRef<str>>(before: &[N], after: &[N]) -> Self {
        let names = |names: &[N]| -> BTreeSet<String> {
            names.iter().map(|name| name.as_ref().to_owned()).collect()
        };
        let (old, new) = (names(before), names(after));
        let part = |names: &[N], others: &BTreeSet<String>, among: bool| -> Vec<String> {
            let names = names.iter().map(AsRef::as_ref);
            names
                .filter(|name| others.contains(*name) == among)
                .map(str::to_owned)
                .collect()
        };
        Self {
            added: part(after, &old, false),
            removed: part(before, &new, false),
            reordered: part(before, &new, true) != part(after, &old, true),
            ..Self::default()
        }
    }
}

impl Changes {
    /// The same for generations that are the same or not: where only names are known, these do not
    /// show every difference.
    pub(crate) fn unless_same(self, is_same: bool) -> Self {
        Self {
            others: !is_same && self.known.is_none(),
            ..self
        }
    }

    /// The fields of an event.
    pub(crate) fn fields(&self) -> ChangeFields<'_> {
        let (added, added_left_out) = shown(&self.added);
        let (removed, removed_left_out) = shown(&self.removed);
        ChangeFields {
            rules_added: added,
            rules_added_left_out: added_left_out,
            rules_removed: removed,
            rules_removed_left_out: removed_left_out,
            order_changed: self.reordered,
            known: self.known.as_ref().map(|known| {
                let (changed, left_out) = shown(&known.changed);
                KnownFields {
                    rules_changed: changed.iter().map(|(name, _)| name.as_str()).collect(),
                    rules_changed_left_out: left_out,
                    addresses_added: known.moved.more,
                    addresses_removed: known.moved.fewer,
                    settings_changed: !known.settings.is_empty(),
                }
            }),
        }
    }
}

impl Known {
    fn between(before: &Ruleset, after: &Ruleset) -> Self {
        let old = before.rules.iter();
        let old: BTreeMap<&str, &Rule> = old.map(|rule| (rule.name.as_str(), rule)).collect();
        let mut sets = BTreeMap::new();
        let mut changed = Vec::new();
        for rule in &after.rules {
            let Some(old) = old.get(rule.name.as_str()) else {
                continue;
            };
            if old.direction == rule.direction
                && old.action == rule.action
                && old.matches == rule.matches
                && old.log == rule.log
            {
                continue;
            }
            let sides = [
                (&old.matches.src, &rule.matches.src),
                (&old.matches.dst, &rule.matches.dst),
            ];
            let moved = sides.into_iter().filter_map(|(old, new)| {
                let (old, new) = (old.as_ref()?, new.as_ref()?);
                // A big set that many rules share is compared once.
                let key = [old, new].map(|set| Arc::as_ptr(set) as usize);
                Some(*sets.entry(key).or_insert_with(|| Moved::between(old, new)))
            });
            changed.push((rule.name.clone(), moved.fold(Moved::default(), Moved::add)));
        }
        Self {
            changed,
            moved: sets.into_values().fold(Moved::default(), Moved::add),
            settings: changed_settings(&before.settings, &after.settings),
        }
    }
}

/// The settings that differ, each with its new value.
fn changed_settings(before: &Settings, after: &Settings) -> Vec<String> {
    let mut words = Vec::new();
    if before.interfaces != after.interfaces {
        let names = after.interfaces.iter().map(|name| format!("`{name}`"));
        let names: Vec<String> = names.collect();
        words.extend(listed("interfaces now", &names, String::clone));
    }
    if before.mode != after.mode {
        words.push(format!("mode now `{}`", after.mode.as_str()));
    }
    if before.policy != after.policy {
        words.push(format!("policy now `{}`", after.policy.as_str()));
    }
    if before.policy_out != after.policy_out {
        words.push(format!("policy_out now `{}`", after.policy_out.as_str()));
    }
    if before.parser != after.parser {
        words.push("`[parser]` changed".to_owned());
    }
    if before.logs != after.logs {
        words.push("`log` of the policy, the parser or the bans changed".to_owned());
    }
    words
}

impl Moved {
    fn between(old: &AddressSet, new: &AddressSet) -> Self {
        Self::of_family(&old.v4, &new.v4) + Self::of_family(&old.v6, &new.v6)
    }

    fn of_family<A: Value + Into<u128>>(old: &RangeSet<A>, new: &RangeSet<A>) -> Self {
        let both = common(old, new);
        Self {
            more: len(new).wrapping_sub(both),
            fewer: len(old).wrapping_sub(both),
        }
    }
}

impl Add for Moved {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            more: self.more.saturating_add(other.more),
            fewer: self.fewer.saturating_add(other.fewer),
        }
    }
}

/// The number of values in a set, modulo 2^128, which is its maximum.
fn len<A: Value + Into<u128>>(set: &RangeSet<A>) -> u128 {
    let ranges = set.ranges().iter();
    ranges.fold(0, |sum: u128, &(first, last)| {
        sum.wrapping_add(extent(first, last))
    })
}

/// The number of values in both sets, modulo 2^128.
fn common<A: Value + Into<u128>>(one: &RangeSet<A>, two: &RangeSet<A>) -> u128 {
    let (mut left, mut right) = (one.ranges().iter(), two.ranges().iter());
    let (mut one, mut two) = (left.next(), right.next());
    let mut sum: u128 = 0;
    while let (Some(&(a, b)), Some(&(c, d))) = (one, two) {
        let (first, last) = (a.max(c), b.min(d));
        if first <= last {
            sum = sum.wrapping_add(extent(first, last));
        }
        if b < d {
            one = left.next();
        } else {
            two = right.next();
        }
    }
    sum
}

fn extent<A: Into<u128>>(first: A, last: A) -> u128 {
    last.into().wrapping_sub(first.into()).wrapping_add(1)
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |name: &String| format!("`{name}`");
        let changed = self.known.as_ref().map(|known| &*known.changed);
        let mut parts = Vec::new();
        parts.extend(listed("added", &self.added, quoted));
        parts.extend(listed("removed", &self.removed, quoted));
        parts.extend(listed(
            "changed",
            changed.unwrap_or_default(),
            |(name, moved)| format!("`{name}`{moved}"),
        ));
        if self.reordered {
            parts.push("order changed".into());
        }
        if let Some(known) = &self.known {
            parts.extend_from_slice(&known.settings);
        }
        if parts.is_empty() {
            let words = if self.others {
                "rules or settings changed"
            } else {
                "no rule changed"
            };
            parts.push(words.into());
        }
        f.write_str(&parts.join("; "))
    }
}

impl fmt::Display for Moved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses = |number: u128| match number {
            number if number < MANY => counted(number, "address"),
            number => in_words(number),
        };
        match (self.more, self.fewer) {
            (0, 0) => Ok(()),
            (more, 0) => write!(f, " ({} more)", addresses(more)),
            (0, fewer) => write!(f, " ({} fewer)", addresses(fewer)),
            (more, fewer) => {
                write!(f, " ({} more, {} fewer)", addresses(more), in_words(fewer))
            }
        }
    }
}

/// From so many addresses on, networks are counted: they are IPv6.
const MANY: u128 = 1 << 48;

/// A number of addresses in words; of very many the number of networks of one length, about.
fn in_words(number: u128) -> String {
    /// How many networks are counted exactly.
    const MOST: u128 = 1000;
    if number < MANY {
        return grouped(number as u64);
    }
    let networks = |count: u128, length: u32| match count {
        1 => format!("a /{length} network"),
        count => format!("{} /{length} networks", grouped(count as u64)),
    };
    // Not 0, and so at most 127.
    let bits = number.trailing_zeros();
    if number >> bits < MOST {
        return networks(number >> bits, 128 - bits);
    }
    let shift = number.ilog2() - 6;
    let rounded = (number >> shift) + (number >> (shift - 1) & 1);
    let even = rounded.trailing_zeros();
    let length = (128 - shift).saturating_sub(even);
    format!("about {}", networks(rounded >> even, length))
}

/// Serializes a number; above 2^64 as a float.
fn as_number<S: Serializer>(number: &u128, serializer: S) -> Result<S::Ok, S::Error> {
    match u64::try_from(*number) {
        Ok(number) => serializer.serialize_u64(number),
        Err(_) => serializer.serialize_f64(*number as f64),
    }
}

/// The items of a list to show, and the number of the others.
fn shown<T>(all: &[T]) -> (&[T], usize) {
    let (shown, left_out) = all.split_at(all.len().min(SHOWN));
    (shown, left_out.len())
}

fn listed<T>(what: &str, all: &[T], in_words: impl Fn(&T) -> String) -> Option<String> {
    if all.is_empty() {
        return None;
    }
    let (shown, left_out) = shown(all);
    let shown: Vec<String> = shown.iter().map(in_words).collect();
    let more = match left_out {
        0 => String::new(),
        count => format!(" and {count} more"),
    };
    Some(format!("{what} {}{more}", shown.join(", ")))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use rules::{
        field::Family,
        model::{
            Direction, Flows, Matches, Mode, Parser, Place, ReasonLogs, RuleAction, Settings,
            Verdict,
        },
    };
    use serde_json::json;

    use super::*;

    fn ruleset(rules: &[(&str, RuleAction, Option<Family>)]) -> Ruleset {
        let rules = rules.iter().map(|&(name, action, family)| Rule {
            name: name.into(),
            direction: Direction::In,
            action,
            matches: Matches {
                family,
                ..Matches::default()
            },
            log: None,
            comment: None,
            place: Place {
                line: NonZeroU32::MIN,
                column: NonZeroU32::MIN,
            },
        });
        Ruleset {
            settings: Settings {
                interfaces: Vec::new(),
                mode: Mode::Native,
                policy: Verdict::Pass,
                policy_out: Verdict::Pass,
                parser: Parser::with_policy(Verdict::Pass),
                flows: Flows::default(),
                logs: ReasonLogs::default(),
            },
            rules: rules.collect(),
            disabled: Vec::new(),
        }
    }

    fn changes(before: &Ruleset, after: &Ruleset) -> String {
        let before = RulesBefore {
            names: before.rules.iter().map(|rule| rule.name.as_str()).collect(),
            ruleset: Some(before),
        };
        Changes::between(&before, after).to_string()
    }

    #[test]
    fn every_kind_of_change_is_reported() {
        let before = ruleset(&[
            ("a", RuleAction::Pass, None),
            ("b", RuleAction::Pass, None),
            ("c", RuleAction::Drop, None),
            ("d", RuleAction::Drop, None),
        ]);
        let mut after = ruleset(&[
            ("new", RuleAction::Drop, None),
            ("c", RuleAction::Drop, None),
            ("b", RuleAction::Pass, Some(Family::Ipv6)),
            ("a", RuleAction::Drop, None),
        ]);
        after.settings.policy = Verdict::Drop;
        assert_eq!(
            changes(&before, &after),
            "added `new`; removed `d`; changed `b`, `a`; order changed; policy now `drop`"
        );
        assert_eq!(changes(&before, &before), "no rule changed");
    }

    #[test]
    fn long_lists_are_cut() {
        let names: Vec<String> = (0..7).map(|n| n.to_string()).collect();
        let rules: Vec<_> = names
            .iter()
            .map(|name| (name.as_str(), RuleAction::Pass, None))
            .collect();
        assert_eq!(
            changes(&ruleset(&[]), &ruleset(&rules)),
            "added `0`, `1`, `2`, `3`, `4` and 2 more"
        );
        let fields = Changes::of_names(&[], &names);
        let fields = serde_json::to_value(fields.fields()).unwrap();
        let expected = json!({
            "rules_added": ["0", "1", "2", "3", "4"],
            "rules_added_left_out": 2,
            "rules_removed": [],
            "rules_removed_left_out": 0,
            "order_changed": false,
        });
        assert_eq!(fields, expected);
    }

    /// A rule set of one rule, with this set of sources.
    fn of_sources(v4: &[(u32, u32)], v6: &[(u128, u128)]) -> Ruleset {
        let mut ruleset = ruleset(&[("list", RuleAction::Drop, None)]);
        ruleset.rules[0].matches.src = Some(Arc::new(AddressSet {
            v4: RangeSet::from_ranges(v4.to_vec()),
            v6: RangeSet::from_ranges(v6.to_vec()),
        }));
        ruleset
    }

    #[test]
    fn addresses_that_came_and_went_are_counted() {
        let before = of_sources(&[(1, 1), (5, 9), (20, 29)], &[(7, 7)]);
        for (v4, v6, words) in [
            (
                &[(1, 1), (5, 9), (20, 30)][..],
                &[(7, 7)][..],
                " (1 address more)",
            ),
            (&[(1, 1), (20, 29)], &[(7, 7)], " (5 addresses fewer)"),
            (
                &[(0, 7), (25, 40)],
                &[(7, 7)],
                " (15 addresses more, 7 fewer)",
            ),
            (
                &[(1, 1), (5, 9), (20, 29)],
                &[(7, 7), (1 << 80, (2 << 80) - 1)],
                " (a /48 network more)",
            ),
            (
                &[(1, 1), (5, 9), (20, 30)],
                &[(1 << 80, (4 << 80) - 1)],
                " (about 3 /48 networks more, 1 fewer)",
            ),
            (
                &[(1, 1), (5, 9), (20, 29)],
                &[(0, u128::MAX)],
                " (about a /0 network more)",
            ),
        ] {
            let after = of_sources(v4, v6);
            assert_eq!(changes(&before, &after), format!("changed `list`{words}"));
        }
        let mut open = before.clone();
        open.rules[0].matches.src = None;
        assert_eq!(changes(&before, &open), "changed `list`");
    }

    #[test]
    fn a_set_that_rules_share_is_counted_once() {
        let twice = |sources: &[(u32, u32)]| {
            let mut ruleset = of_sources(sources, &[]);
            let mut other = ruleset.rules[0].clone();
            other.name = "other".into();
            ruleset.rules.push(other);
            ruleset
        };
        let (before, after) = (twice(&[(1, 1)]), twice(&[(1, 1), (3, 4)]));
        assert_eq!(
            changes(&before, &after),
            "changed `list` (2 addresses more), `other` (2 addresses more)"
        );
        let before = RulesBefore {
            names: vec!["list", "other"],
            ruleset: Some(&before),
        };
        let changes = Changes::between(&before, &after);
        let fields = serde_json::to_value(changes.fields()).unwrap();
        assert_eq!(fields["rules_changed"], json!(["list", "other"]));
        assert_eq!(fields["addresses_added"], 2);
        assert_eq!(fields["addresses_removed"], 0);
    }
}
