//! Updates of images against full builds and the reference evaluator: chains of small changes to
//! the address sets of random rule sets.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use rules::{
    compiler::{CompileError, Compiled, Image, Obstacle, Part as Planned, SearchForm, compile},
    evaluator::evaluate,
    field::{AddressSet, RangeSet, Value},
    model::{Matches, RuleAction, Ruleset},
};
use rules_testing::{Engine, Probe, Random, Setting, Shape, ask_for_states, probe, ruleset};

use super::{
    Case,
    parts::{Part, parts},
};

/// The number of updates of one rule set, each of which changes the previous result.
const CHAIN: usize = 6;

macro_rules! shapes {
    ($($name:ident: $shape:ident, $rulesets:literal x $packets:literal, $percent:literal % of $parts:expr;)*) => {
        $(#[test]
        fn $name() {
            let tally = run(Shape::$shape, $rulesets, $packets);
            println!("{:?}: {tally:?}", Shape::$shape);
            assert!(tally.updates * 100 > tally.tried * $percent, "{tally:?}");
            for part in $parts {
                assert!(tally.parts.contains(&part), "{part:?}: {tally:?}");
            }
        })*

        #[test]
        fn every_shape_is_updated() {
            let tried = [$(Shape::$shape),*];
            assert!(Shape::ALL.iter().all(|shape| tried.contains(shape)));
        }
    };
}

shapes! {
    few_rules: Few, 300 x 60, 30 % of [Part::Cells];
    hundreds_of_rules: Hundreds, 20 x 200, 30 % of [Part::Grid, Part::Rows, Part::Multibit];
    thousands_of_rules: Thousands, 4 x 400, 30 % of [Part::Pairs, Part::Records, Part::Pages];
    nested_prefixes: Nested, 100 x 60, 30 % of [Part::Cells];
    single_addresses: Singles, 50 x 100, 30 % of [Part::Grid, Part::Multibit, Part::Hash];
    negatives: Negatives, 50 x 100, 30 % of [Part::Cells, Part::Pages];
    interfaces: Interfaces, 50 x 100, 30 % of [Part::Grid];
    many_count_rules: Counts, 50 x 100, 30 % of [Part::Rows];
    wildcards: Wildcards, 100 x 60, 30 % of [Part::Cells];
    ports_flags_and_messages: Upper, 50 x 100, 30 % of [Part::Grid];
    ethertypes_tags_and_other_details: Details, 50 x 100, 30 % of [Part::Cells];
    long_address_lists: Blocklist, 20 x 200, 30 % of [Part::References];
    long_lists_in_few_networks: Dense, 10 x 400, 30 % of [Part::Pair];
    long_lists_in_many_networks: Scattered, 10 x 400, 30 % of [Part::Uniform];
}

/// Statistics of the updates.
#[derive(Debug, Default)]
struct Tally {
    tried: usize,
    /// The number of changes applied as updates.
    updates: usize,
    /// The maximum number of updates after one full build.
    longest: u32,
    /// The reasons why the others needed a full build.
    obstacles: BTreeMap<String, usize>,
    /// The parts that occurred in the updated images.
    parts: BTreeSet<Part>,
}

fn run(shape: Shape, rulesets: usize, packets: usize) -> Tally {
    let mut tally = Tally::default();
    let mut seeds = Random::new(0x0dd ^ shape as u64);
    for _ in 0..rulesets {
        let seed = seeds.bits();
        let _at_panic = Case { shape, seed };
        let random = &mut Random::new(seed);
        let mut first = ruleset(random, shape);
        if seed.is_multiple_of(4) {
            ask_for_states(random, &mut first);
        }
        chain(random, first, packets, &mut tally);
    }
    tally
}

#[expect(clippy::panic, reason = "how a test fails")]
fn chain(random: &mut Random, first: Ruleset, packets: usize, tally: &mut Tally) {
    let mut before = Arc::new(first);
    let seed = random.bits();
    let setting =
        |update: usize| Setting::new(&before, seed).with_metadata(vec![update as u8; update * 3]);
    let settings: Vec<Setting> = (0..=CHAIN).map(setting).collect();
    let first = Compiled::new(Arc::clone(&before), &settings[0].target(), |_| ());
    let mut compiled = match first {
        Ok(compiled) => compiled,
        Err(CompileError::TooManyCombinations { .. } | CompileError::TooMuchWork { .. }) => return,
        Err(error) => panic!("{error}"),
    };
    for setting in &settings[1..] {
        let Some((after, aimed)) = changed(random, &before) else {
            return;
        };
        let after = Arc::new(after);
        let Ok(full) = compile(&after, &setting.target()) else {
            return;
        };
        let old = compiled.image().bytes().to_vec();
        tally.tried += 1;
        match compiled.update(Arc::clone(&after), &setting.target()) {
            Ok(updated) => {
                assert_eq!(compiled.image().bytes(), old);
                assert_plan(updated.image(), &full);
                tally.updates += 1;
                tally.longest = tally.longest.max(updated.updates());
                compiled = updated;
            }
            Err(obstacle) => {
                *tally.obstacles.entry(obstacle.to_string()).or_default() += 1;
                let built = Compiled::new(Arc::clone(&after), &setting.target(), |_| ());
                compiled = built.unwrap_or_else(|error| panic!("{error}"));
                assert_eq!(compiled.image(), &full);
                before = after;
                continue;
            }
        }
        let updated = Engine::of(compiled.image().clone(), setting);
        tally.parts.extend(parts(updated.image()));
        let full = Engine::of(full, setting);
        for packet in 0..packets {
            let probe = match packet % 3 {
                0 => probe(random, &after),
                1 => probe(random, &before),
                _ => probe(random, &aimed),
            };
            check(&after, &updated, &full, &probe);
        }
        before = after;
    }
}

fn check(ruleset: &Ruleset, updated: &Engine, full: &Engine, probe: &Probe) {
    let wanted = evaluate(ruleset, &probe.frame, &updated.context(probe));
    assert_eq!(full.judge(probe).as_ref(), Ok(&wanted), "{}", probe.hex());
    assert_eq!(
        updated.judge(probe).as_ref(),
        Ok(&wanted),
        "{}",
        probe.hex()
    );
}

/// The plan of an updated image equals that of a full build, or exceeds it where that is allowed.
fn assert_plan(updated: &Image, full: &Image) {
    assert_eq!(updated.plan().bytes, updated.bytes().len());
    let addresses = |image: &Image| {
        let sections = image.plan().sections.clone();
        let parts = sections.into_iter().flat_map(|section| section.parts);
        parts
            .filter_map(|part| {
                let Planned::Address {
                    field,
                    form,
                    classes,
                    intervals,
                    loads,
                    bytes: _,
                    chain: _,
                    nodes: _,
                } = part
                else {
                    return None;
                };
                Some((field, classes, intervals, loads, form))
            })
            .collect::<Vec<_>>()
    };
    for (updated, full) in addresses(updated).into_iter().zip(addresses(full)) {
        assert_eq!((updated.0, updated.2), (full.0, full.2));
        assert!(updated.1 >= full.1, "{updated:?} {full:?}");
        // A full build may choose another form of search, also for addresses that are not in the
        // hash table.
        assert!(
            updated.3 >= full.3 || updated.4 != full.4 || full.4 == SearchForm::Hash,
            "{updated:?} {full:?}"
        );
    }
}

/// The rule set with one set changed in all rules that name it, and that rule set with only the
/// changed members in the set; `None` if no rule names a set.
fn changed(random: &mut Random, ruleset: &Ruleset) -> Option<(Ruleset, Ruleset)> {
    let rules = ruleset.rules.iter().enumerate();
    let sets: Vec<(usize, &Arc<AddressSet>)> = rules
        .flat_map(|(index, rule)| {
            let sides = [&rule.matches.src, &rule.matches.dst];
            sides.into_iter().flatten().map(move |set| (index, set))
        })
        .collect();
    // A set with many ranges is preferred.
    let bounds = |set: &AddressSet| {
        let bounds = set.v4.complement().ranges().len() + set.v6.complement().ranges().len();
        bounds.min(4)
    };
    let some = (0..4).filter_map(|_| random.element(&sets).copied());
    let (index, any) = some.max_by_key(|(_, set)| bounds(set))?;
    // Rarely only one of the rules that name the same set changes.
    let alone = random.percent(5).then_some(index);
    let is_some = [
        !any.v4.is_empty() && !any.v4.is_full(),
        !any.v6.is_empty() && !any.v6.is_full(),
    ];
    if is_some == [true, false] || is_some[0] == is_some[1] && random.percent(60) {
        let new = edit(random, &any.v4, |bits| (bits >> 96) as u32);
        Some(replaced(ruleset, alone, |set| &mut set.v4, &any.v4, &new))
    } else {
        let new = edit(random, &any.v6, |bits| bits);
        Some(replaced(ruleset, alone, |set| &mut set.v6, &any.v6, &new))
    }
}

fn replaced<T: Value>(
    ruleset: &Ruleset,
    alone: Option<usize>,
    part: impl Fn(&mut AddressSet) -> &mut RangeSet<T>,
    old: &RangeSet<T>,
    new: &RangeSet<T>,
) -> (Ruleset, Ruleset) {
    let replace = |by: &RangeSet<T>| {
        let mut ruleset = ruleset.clone();
        for (index, rule) in ruleset.rules.iter_mut().enumerate() {
            if alone.is_some_and(|alone| alone != index) {
                continue;
            }
            let sides = [&mut rule.matches.src, &mut rule.matches.dst];
            for set in sides.into_iter().flatten() {
                // All sets are copied, as if read from files again.
                let mut copy = AddressSet::clone(set);
                if part(&mut copy) == old {
                    part(&mut copy).clone_from(by);
                }
                *set = Arc::new(copy);
            }
        }
        ruleset
    };
    (replace(new), replace(&old.symmetric_difference(new)))
}

/// Removes and adds some members, at the bounds of ranges, inside them, and far away.
fn edit<T: Value>(
    random: &mut Random,
    set: &RangeSet<T>,
    value: impl Fn(u128) -> T,
) -> RangeSet<T> {
    let before = set;
    let mut set = set.clone();
    for _ in 0..random.within(1, 4) {
        let any = value(random.wide_bits());
        let (first, last) = random.element(set.ranges()).copied().unwrap_or((any, any));
        let one = |value: T| RangeSet::from_ranges(vec![(value, value)]);
        let range = |a: T, b: T| RangeSet::from_ranges(vec![(a.min(b), a.max(b))]);
        set = match random.below(16) {
            0 => set.union(&one(any)),
            1 => set.union(&one(first.previous().unwrap_or(any))),
            2 => set.union(&one(last.next().unwrap_or(any))),
            3 | 4 => set.difference(&one(first)),
            5 | 6 => set.difference(&one(last)),
            7 => set.difference(&range(first, last)),
            8 => set.union(&range(last, last.next().and_then(T::next).unwrap_or(last))),
            9 => set.difference(&range(first, first.next().unwrap_or(first))),
            10 => set.union(&one(T::MIN)),
            11 => set.union(&one(T::MAX)),
            12 => set.difference(&one(T::MIN)).difference(&one(T::MAX)),
            // From one range to the next, with everything between them.
            13 => {
                let at = set.ranges().partition_point(|(start, _)| *start <= last);
                let next = set.ranges().get(at).map_or(last, |(start, _)| *start);
                set.union(&range(last, next))
            }
            14 if any.min(first) < first => set.union(&range(any, first)),
            _ => set.difference(&one(any)).union(&one(first)),
        };
    }
    let gone = set.is_empty() || set.is_full();
    if gone && random.percent(90) {
        return before.clone();
    }
    set
}

#[test]
fn what_is_no_longer_used_is_gone_after_the_next_full_build() {
    // 65,536 networks of which every other one is listed, half of them with a hole.
    let network = |number: u32| number << 15;
    // At a different place in each, otherwise equal nodes would be stored once.
    let hole = |number: u32| network(number) + 77 + number % 0x7000;
    let listed = |holes: u32| {
        let ranges = (0..1 << 16).map(|number| 2 * number).flat_map(|number| {
            let (first, last) = (network(number), network(number) | 0x7fff);
            match number < holes {
                true => [(first, hole(number) - 1), (hole(number) + 1, last)],
                false => [(first, last), (first, last)],
            }
        });
        let set = AddressSet {
            v4: RangeSet::from_ranges(ranges.collect()),
            v6: RangeSet::empty(),
        };
        Arc::new(super::limits::ruleset([(
            RuleAction::Drop,
            Matches {
                src: Some(Arc::new(set)),
                ..Matches::default()
            },
        )]))
    };
    let after = listed(1 << 15);
    let setting = Setting::new(&after, 1);
    let mut compiled =
        Compiled::new(listed(1 << 14), &setting.target(), |_| ()).expect("a list fits");
    let first = compiled.image().bytes().len();
    let mut holes = 1 << 14;
    let obstacle = loop {
        holes += 64;
        match compiled.update(listed(holes), &setting.target()) {
            Ok(updated) => compiled = updated,
            Err(obstacle) => break obstacle,
        }
        let length = compiled.image().bytes().len();
        assert!(length <= first + first / 4, "{first} {length}");
    };
    assert_eq!(obstacle, Obstacle::Growth);
    assert!(compiled.updates() > 10, "{}", compiled.updates());
    let full = Compiled::new(Arc::clone(compiled.ruleset()), &setting.target(), |_| ());
    let full = full.expect("a list fits");
    assert_eq!(full.updates(), 0);
    assert!(full.image().bytes().len() < compiled.image().bytes().len());
    full.update(listed(holes), &setting.target())
        .expect("there is room again");
}
