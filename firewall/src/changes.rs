//! What differs between two rule sets, for the log.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use rules::ruleset::{Rule, Ruleset};

/// The rules that were there before: their names in order, and what they said as far as known.
pub(crate) struct Before<'a> {
    /// The names.
    pub(crate) names: Vec<&'a str>,
    /// The rule set, when this process put it in force.
    pub(crate) ruleset: Option<&'a Ruleset>,
}

/// What differs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    added: Vec<String>,
    removed: Vec<String>,
    changed: Vec<String>,
    reordered: bool,
    settings: bool,
}

impl Changes {
    /// The changes from `before` to `after`.
    pub(crate) fn between(before: &Before<'_>, after: &Ruleset) -> Self {
        let names: Vec<&str> = after.rules.iter().map(|rule| rule.name.as_str()).collect();
        let known: BTreeMap<&str, &Rule> = before
            .ruleset
            .into_iter()
            .flat_map(|ruleset| &ruleset.rules)
            .map(|rule| (rule.name.as_str(), rule))
            .collect();
        let is_changed = |rule: &&Rule| {
            known.get(rule.name.as_str()).is_some_and(|old| {
                old.verdict != rule.verdict || old.matches != rule.matches || old.log != rule.log
            })
        };
        Self {
            changed: after
                .rules
                .iter()
                .filter(is_changed)
                .map(|rule| rule.name.clone())
                .collect(),
            settings: before
                .ruleset
                .is_some_and(|ruleset| ruleset.settings != after.settings),
            ..Self::of_names(&before.names, &names)
        }
    }

    /// The changes between rules of which nothing but the names is known.
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

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = [
            ("added", &self.added),
            ("removed", &self.removed),
            ("changed", &self.changed),
        ]
        .into_iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(what, names)| listed(what, names))
        .collect();
        if self.reordered {
            parts.push("order changed".into());
        }
        if self.settings {
            parts.push("settings changed".into());
        }
        if parts.is_empty() {
            parts.push("no rule changed".into());
        }
        f.write_str(&parts.join("; "))
    }
}

fn listed(what: &str, names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<String> = names
        .iter()
        .take(SHOWN)
        .map(|name| format!("`{name}`"))
        .collect();
    let more = match names.len().saturating_sub(SHOWN) {
        0 => String::new(),
        count => format!(" and {count} more"),
    };
    format!("{what} {}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use rules::ruleset::{Family, Matches, Mode, Parser, Place, Policy, Settings, Verdict};

    use super::*;

    fn ruleset(rules: &[(&str, Verdict, Option<Family>)]) -> Ruleset {
        let rules = rules.iter().map(|&(name, verdict, family)| Rule {
            name: name.into(),
            verdict,
            matches: Matches {
                family,
                ..Matches::default()
            },
            log: None,
            place: Place {
                line: NonZeroU32::MIN,
                column: NonZeroU32::MIN,
            },
        });
        Ruleset {
            settings: Settings {
                interfaces: Vec::new(),
                mode: Mode::Native,
                policy: Policy::Pass,
                parser: Parser::with_policy(Policy::Pass),
            },
            rules: rules.collect(),
        }
    }

    fn changes(before: &Ruleset, after: &Ruleset) -> String {
        let before = Before {
            names: before.rules.iter().map(|rule| rule.name.as_str()).collect(),
            ruleset: Some(before),
        };
        Changes::between(&before, after).to_string()
    }

    #[test]
    fn every_kind_of_change_is_told() {
        let before = ruleset(&[
            ("a", Verdict::Pass, None),
            ("b", Verdict::Pass, None),
            ("c", Verdict::Drop, None),
            ("d", Verdict::Drop, None),
        ]);
        let mut after = ruleset(&[
            ("new", Verdict::Drop, None),
            ("c", Verdict::Drop, None),
            ("b", Verdict::Pass, Some(Family::Ipv6)),
            ("a", Verdict::Drop, None),
        ]);
        after.settings.policy = Policy::Drop;
        assert_eq!(
            changes(&before, &after),
            "added `new`; removed `d`; changed `b`, `a`; order changed; settings changed"
        );
        assert_eq!(changes(&before, &before), "no rule changed");
    }

    #[test]
    fn long_lists_are_cut() {
        let names: Vec<String> = (0..7).map(|n| n.to_string()).collect();
        let rules: Vec<_> = names
            .iter()
            .map(|name| (name.as_str(), Verdict::Pass, None))
            .collect();
        assert_eq!(
            changes(&ruleset(&[]), &ruleset(&rules)),
            "added `0`, `1`, `2`, `3`, `4` and 2 more"
        );
    }
}
