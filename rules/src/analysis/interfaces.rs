//! Classes of interfaces that rules can distinguish, and groups of IPv4 options.
//!
//! Rules name interfaces by patterns, which cannot be listed as values. All names that the same
//! patterns match are one class. Each class is found together with one of its names, by following
//! all patterns at once through all possible names, the shortest first.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use super::budget::{Budget, Exhausted};
use crate::{
    field::{InterfaceMatch, InterfacePattern, LOOPBACK, OptionGroups},
    model::Ruleset,
};

/// The classes of interfaces in each place where packets have one, groups of IPv4 options, and
/// whether states matter.
#[derive(Clone, Debug)]
pub(super) struct Interfaces {
    /// Those at which packets are filtered.
    pub(super) attached: InterfaceClasses,
    /// Those on which packets arrived that are forwarded: any of the machine.
    pub(super) origins: InterfaceClasses,
    /// The groups of options.
    pub(super) options: OptionGroups,
    /// Whether rules tell the states of packets apart.
    pub(super) asks_for_states: bool,
}

impl Interfaces {
    /// The classes that the rule sets tell apart.
    pub(super) fn new(rulesets: &[&Ruleset], budget: &mut Budget) -> Result<Self, Exhausted> {
        let rules = rulesets.iter().flat_map(|set| &set.rules);
        let options = rules.filter_map(|rule| rule.matches.ip_option.as_ref());
        Ok(Self {
            attached: InterfaceClasses::attached(rulesets, budget)?,
            origins: InterfaceClasses::origins(rulesets, budget)?,
            options: OptionGroups::new(options),
            asks_for_states: rulesets.iter().any(|ruleset| ruleset.asks_for_states()),
        })
    }

    /// Whether the sets of groups of options are too many to look at each.
    pub(super) fn has_too_many_options(&self) -> bool {
        self.options.len() > MAX_OPTION_GROUPS
    }
}

/// Classes of interface names.
#[derive(Clone, Debug)]
pub(super) struct InterfaceClasses {
    patterns: Vec<InterfacePattern>,
    /// One name of each class.
    names: Vec<String>,
    by_fit: HashMap<Vec<bool>, usize>,
}

/// The maximum number of groups of options whose sets are enumerated; one rule set has at most 8.
const MAX_OPTION_GROUPS: usize = 12;

/// Familiar names, which represent their classes where possible.
const FAMILIAR: [&str; 4] = ["eth0", "eth1", "wlan0", "lo"];

impl InterfaceClasses {
    /// The classes of the names that one of the rule sets is attached to; a rule set that is
    /// attached to none counts as attached to all.
    fn attached(rulesets: &[&Ruleset], budget: &mut Budget) -> Result<Self, Exhausted> {
        let attached = rulesets.iter().flat_map(|set| &set.settings.interfaces);
        let rules = rulesets.iter().flat_map(|set| &set.rules);
        let named = rules.filter_map(|rule| rule.matches.interface.as_ref());
        let named = named.flat_map(|of| of.positives.iter().chain(&of.negatives));
        let mut seen = HashSet::new();
        // A name that a glob of `interfaces` fits and does not select is in a class of its own.
        let mut globs = attached.clone().filter(|pattern| pattern.is_glob());
        let loopback = globs.any(|glob| glob.matches(LOOPBACK));
        let loopback = loopback
            .then(|| InterfacePattern::parse(LOOPBACK))
            .flatten();
        let patterns: Vec<_> = attached
            .chain(named)
            .chain(&loopback)
            .filter(|p| seen.insert(*p))
            .cloned()
            .collect();
        let any = rulesets
            .iter()
            .any(|set| set.settings.interfaces.is_empty());
        let is_attached = |name: &str| {
            let mut attached = rulesets.iter().flat_map(|set| &set.settings.interfaces);
            any || attached.any(|pattern| pattern.selects(name))
        };
        Self::of(patterns, is_attached, budget)
    }

    /// The classes of all names.
    fn origins(rulesets: &[&Ruleset], budget: &mut Budget) -> Result<Self, Exhausted> {
        let rules = rulesets.iter().flat_map(|set| &set.rules);
        let named = rules.filter_map(|rule| rule.matches.in_interface.as_ref());
        let named = named.flat_map(|of| of.positives.iter().chain(&of.negatives));
        let mut seen = HashSet::new();
        let patterns = named.filter(|p| seen.insert(*p)).cloned().collect();
        Self::of(patterns, |_| true, budget)
    }

    /// The classes of the possible names that these patterns tell apart.
    fn of(
        patterns: Vec<InterfacePattern>,
        is_possible: impl Fn(&str) -> bool,
        budget: &mut Budget,
    ) -> Result<Self, Exhausted> {
        let mut classes = Self {
            patterns,
            names: Vec::new(),
            by_fit: HashMap::new(),
        };
        for name in FAMILIAR.into_iter().filter(|name| is_possible(name)) {
            classes.add(name);
        }
        let exact = classes.patterns.clone();
        for name in exact
            .iter()
            .filter(|p| !p.is_glob() && is_possible(p.as_str()))
        {
            classes.add(name.as_str());
        }
        for name in InterfaceWalk::new(&classes.patterns).names(budget)? {
            if is_possible(&name) {
                classes.add(&name);
            }
        }
        Ok(classes)
    }

    /// The number of classes.
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// A name of the class.
    pub(super) fn name(&self, class: usize) -> Option<&str> {
        self.names.get(class).map(String::as_str)
    }

    /// The class of a name; `None` when nothing is attached to it.
    pub(super) fn class(&self, name: &str) -> Option<usize> {
        self.by_fit.get(&self.fit(name)).copied()
    }

    /// The classes that match.
    pub(super) fn matching(&self, wanted: &InterfaceMatch) -> Vec<(u128, u128)> {
        let classes = (0_u128..).zip(&self.names);
        let matching = classes.filter(|(_, name)| wanted.matches(name));
        matching.map(|(class, _)| (class, class)).collect()
    }

    fn add(&mut self, name: &str) {
        let next = self.names.len();
        self.by_fit.entry(self.fit(name)).or_insert_with(|| {
            self.names.push(name.to_owned());
            next
        });
    }

    fn fit(&self, name: &str) -> Vec<bool> {
        self.patterns.iter().map(|p| p.matches(name)).collect()
    }
}

/// The state of all patterns after the first bytes of a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    /// For each glob, its reachable positions as a bit set.
    globs: Vec<u32>,
    /// The first bytes themselves, as long as a pattern without wildcards begins with them.
    exact: Option<Vec<u8>>,
}

/// A search through all names.
struct InterfaceWalk<'a> {
    globs: Vec<&'a [u8]>,
    exact: BTreeSet<&'a [u8]>,
    /// The bytes that globs name.
    letters: BTreeSet<u8>,
}

impl<'a> InterfaceWalk<'a> {
    fn new(patterns: &'a [InterfacePattern]) -> Self {
        let bytes = |p: &'a InterfacePattern| p.as_str().as_bytes();
        let globs: Vec<_> = patterns.iter().filter(|p| p.is_glob()).map(bytes).collect();
        let letters = globs.iter().flat_map(|glob| glob.iter().copied());
        let letters = letters
            .filter(|byte| !matches!(byte, b'*' | b'?'))
            .collect();
        let exact = patterns
            .iter()
            .filter(|p| !p.is_glob())
            .map(bytes)
            .collect();
        Self {
            globs,
            exact,
            letters,
        }
    }

    /// A list of names that contains at least one of each class.
    fn names(&self, budget: &mut Budget) -> Result<Vec<String>, Exhausted> {
        let start = State {
            globs: self.globs.iter().map(|glob| closure(glob, 1)).collect(),
            exact: Some(Vec::new()),
        };
        let mut names = Vec::new();
        let mut seen = HashSet::from([start.clone()]);
        let mut queue = VecDeque::from([(start, Vec::new())]);
        while let Some((state, name)) = queue.pop_front() {
            let text = str::from_utf8(&name).ok();
            names.extend(text.filter(|name| is_name(name)).map(str::to_owned));
            if name.len() == InterfacePattern::MAX_NAME_LEN {
                continue;
            }
            for byte in self.bytes(&state) {
                budget.spend(1 + self.globs.len())?;
                let next = self.step(&state, byte);
                if seen.insert(next.clone()) {
                    let mut name = name.clone();
                    name.push(byte);
                    queue.push_back((next, name));
                }
            }
        }
        Ok(names)
    }

    /// The bytes that patterns distinguish from this state on, and one that none names.
    fn bytes(&self, state: &State) -> BTreeSet<u8> {
        let mut bytes = self.letters.clone();
        if let Some(prefix) = &state.exact {
            let behind = self.exact.range(prefix.as_slice()..);
            let behind = behind.take_while(|name| name.starts_with(prefix));
            bytes.extend(behind.filter_map(|name| name.get(prefix.len())));
        }
        let mut others = (b'0'..=b'9').chain(b'a'..=b'z').chain(b'!'..=b'~');
        let is_free =
            |byte: &u8| !bytes.contains(byte) && !matches!(byte, b'/' | b':' | b'*' | b'?');
        let other = others.find(is_free);
        bytes.extend(other);
        bytes
    }

    fn step(&self, state: &State, byte: u8) -> State {
        let globs = self.globs.iter().zip(&state.globs);
        let exact = state.exact.as_ref().and_then(|prefix| {
            let mut longer = prefix.clone();
            longer.push(byte);
            let next = self.exact.range(longer.as_slice()..).next();
            next.is_some_and(|name| name.starts_with(&longer))
                .then_some(longer)
        });
        State {
            globs: globs
                .map(|(glob, reached)| step(glob, *reached, byte))
                .collect(),
            exact,
        }
    }
}

/// The positions after `byte`.
fn step(glob: &[u8], reached: u32, byte: u8) -> u32 {
    let mut next = 0;
    for (at, wanted) in glob.iter().enumerate() {
        if reached & 1 << at != 0 {
            match wanted {
                b'*' => next |= 1 << at,
                b'?' => next |= 2 << at,
                wanted if *wanted == byte => next |= 2 << at,
                _ => {}
            }
        }
    }
    closure(glob, next)
}

/// The positions, and those after each `*` among them.
fn closure(glob: &[u8], mut reached: u32) -> u32 {
    for (at, wanted) in glob.iter().enumerate() {
        if *wanted == b'*' && reached & 1 << at != 0 {
            reached |= 2 << at;
        }
    }
    reached
}

/// Whether an interface can have the name.
fn is_name(text: &str) -> bool {
    InterfacePattern::parse(text).is_some_and(|pattern| !pattern.is_glob())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        Direction, Flows, Matches, Mode, Parser, Place, ReasonLogs, Rule, RuleAction, Settings,
        Verdict,
    };

    fn classes(attached: &[&str], named: &[&str]) -> InterfaceClasses {
        let pattern = |text: &&str| InterfacePattern::parse(text).unwrap();
        let place = Place {
            line: std::num::NonZeroU32::MIN,
            column: std::num::NonZeroU32::MIN,
        };
        let rules = named.iter().map(|name| Rule {
            name: (*name).to_owned(),
            direction: Direction::In,
            action: RuleAction::Drop,
            matches: Matches {
                interface: Some(InterfaceMatch {
                    positives: vec![pattern(name)],
                    negatives: Vec::new(),
                }),
                ..Matches::default()
            },
            log: None,
            comment: None,
            place,
        });
        let ruleset = Ruleset {
            settings: Settings {
                interfaces: attached.iter().map(pattern).collect(),
                mode: Mode::Native,
                policy: Verdict::Pass,
                policy_out: Verdict::Pass,
                parser: Parser::with_policy(Verdict::Pass),
                flows: Flows::default(),
                logs: ReasonLogs::default(),
            },
            rules: rules.collect(),
            disabled: Vec::new(),
        };
        let found = Interfaces::new(&[&ruleset], &mut Budget::default());
        found.unwrap().attached
    }

    #[test]
    fn every_combination_of_patterns_that_a_name_fits_is_a_class() {
        let found = classes(&[], &["eth*", "*0", "eth0", "?th1"]);
        // eth0; eth*0; eth1; eth* else; *0 else; ?th1 else; none.
        assert_eq!(found.len(), 7, "{:?}", found.names);
        for name in ["eth0", "eth10", "eth1", "eth", "br0", "ath1", "lo"] {
            assert!(found.class(name).is_some(), "{name}");
        }
        assert_eq!(found.class("eth9"), found.class("ethernet"));
    }

    #[test]
    fn names_to_which_nothing_is_attached_are_in_no_class() {
        let found = classes(&["wan?"], &["wan0", "lan0"]);
        assert_eq!(found.class("lan0"), None);
        assert_eq!(found.class("wan"), None);
        assert_ne!(found.class("wan0"), found.class("wan1"));
        assert_eq!(found.len(), 2, "{:?}", found.names);
    }

    #[test]
    fn a_class_is_only_found_when_a_name_can_be_so_long() {
        let found = classes(&["abcdefgh*"], &["*ijklmnop", "*ijklmno"]);
        assert_eq!(found.len(), 2, "{:?}", found.names);
    }
}
