//! Measures the time to read and compile rules, completely and after a small change.

use std::{
    collections::BTreeSet, error::Error, hint::black_box, num::NonZeroU32, sync::Arc,
    time::Duration,
};

use benches::rulesets::{
    Family, Verdict,
    generate::{self, FilterKind},
    write,
};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use firewall_ebpf::abi::{FIRST_RULE_SLOT, MAX_IMAGE_SIZE};
use rules::{
    compiler::{Compiled, InterfaceIndex, Target, compile},
    diagnostics::{Diagnostic, Source, render},
    field::{AddressSet, RangeSet},
    language::lists,
    load,
    model::{
        self, Direction, Flows, Matches, Mode, Parser, Place, ReasonLogs, Rule, RuleAction,
        Ruleset, Settings,
    },
};

const INTERFACE: &str = "fw-test0";

/// The number of addresses of the long list.
const ADDRESSES: usize = 1_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    rule_sets(&mut criterion)?;
    long_list(&mut criterion)?;
    criterion.final_summary();
    Ok(())
}

/// The target of compilations.
struct CompileSetting {
    interfaces: Vec<(InterfaceIndex, String)>,
    slots: Vec<u32>,
}

impl CompileSetting {
    fn new(ruleset: &Ruleset) -> Self {
        Self {
            interfaces: vec![(InterfaceIndex(7), INTERFACE.to_owned())],
            slots: (FIRST_RULE_SLOT..).take(ruleset.rules.len()).collect(),
        }
    }

    fn target(&self) -> Target<'_> {
        Target {
            interfaces: &self.interfaces,
            slots: &self.slots,
            metadata: &[],
            max_bytes: MAX_IMAGE_SIZE as usize,
        }
    }
}

/// Rule files in the style of ClassBench.
fn rule_sets(criterion: &mut Criterion) -> Result<(), Box<dyn Error>> {
    for size in [1_000, 10_000, 100_000] {
        let mut parsing = criterion.benchmark_group("parse");
        parsing.throughput(Throughput::Elements(size as u64));
        let mut rulesets = Vec::new();
        for kind in FilterKind::ALL {
            let set = generate::rule_set(kind, Family::V4, size, Verdict::Drop, 1);
            let settings = write::firewall::Settings {
                interface: INTERFACE,
                mode: "native",
            };
            let text = write::firewall::rules(&set, settings);
            let source = Arc::new(Source::new("rules.toml", text));
            let read = || load(&source, |_| Err::<Source, _>("no such file"));
            rulesets.push((kind, read().map_err(shown)?.ruleset));
            parsing.bench_function(BenchmarkId::new(kind.name(), size), |bencher| {
                bencher.iter_with_large_drop(read);
            });
        }
        parsing.finish();
        let mut compiling = criterion.benchmark_group("compile");
        compiling.throughput(Throughput::Elements(size as u64));
        for (kind, ruleset) in rulesets {
            let setting = CompileSetting::new(&ruleset);
            // The compiler refuses some generated sets of that size.
            if let Err(error) = compile(&ruleset, &setting.target()) {
                println!("{} of {size} rules: {error}", kind.name());
                continue;
            }
            compiling.bench_function(BenchmarkId::new(kind.name(), size), |bencher| {
                bencher.iter_with_large_drop(|| compile(black_box(&ruleset), &setting.target()));
            });
        }
        compiling.finish();
    }
    Ok(())
}

/// One rule with a long list, of which ten addresses change.
fn long_list(criterion: &mut Criterion) -> Result<(), Box<dyn Error>> {
    let list = generate::addresses(ADDRESSES, Family::V4, 1);
    let source = Arc::new(Source::new("listed.txt", write::list::list(&list)));
    let set = lists::parse(&source).map_err(shown)?;
    let before = Arc::new(with_list(set.clone()));
    let after = Arc::new(with_list(changed(&set)));
    let setting = CompileSetting::new(&before);
    let compiled = Compiled::new(Arc::clone(&before), &setting.target(), |_| ())?;
    let updated = compiled.update(Arc::clone(&after), &setting.target())?;
    println!(
        "image of {} bytes, {} bytes after the update",
        compiled.image().bytes().len(),
        updated.image().bytes().len()
    );

    let mut group = criterion.benchmark_group("addresses");
    group.throughput(Throughput::Elements(ADDRESSES as u64));
    group.bench_function("parse", |bencher| {
        bencher.iter_with_large_drop(|| lists::parse(&source));
    });
    group.bench_function("compile", |bencher| {
        bencher.iter_with_large_drop(|| compile(black_box(&after), &setting.target()));
    });
    group.bench_function("update", |bencher| {
        bencher.iter_batched(
            || Arc::clone(&after),
            |after| compiled.update(after, &setting.target()),
            BatchSize::PerIteration,
        );
    });
    group.finish();
    Ok(())
}

/// Five addresses fewer and five more.
fn changed(set: &AddressSet) -> AddressSet {
    let ranges = set.v4.ranges();
    let some: BTreeSet<usize> = (1..=5).map(|part| ranges.len() * part / 6).collect();
    let at = |index: &usize| ranges.get(*index).map(|(first, _)| *first);
    let fewer: Vec<u32> = some.iter().filter_map(at).collect();
    let more = fewer.iter().map(|address| address ^ 0x1234);
    let single = |address: u32| (address, address);
    let more = RangeSet::from_ranges(more.map(single).collect());
    let fewer = RangeSet::from_ranges(fewer.into_iter().map(single).collect());
    AddressSet {
        v4: set.v4.difference(&fewer).union(&more),
        v6: RangeSet::empty(),
    }
}

/// A rule set that drops packets from the set.
fn with_list(set: AddressSet) -> Ruleset {
    Ruleset {
        settings: Settings {
            interfaces: Vec::new(),
            mode: Mode::Native,
            policy: model::Verdict::Pass,
            policy_out: model::Verdict::Pass,
            parser: Parser::with_policy(model::Verdict::Pass),
            flows: Flows::default(),
            logs: ReasonLogs::default(),
        },
        rules: vec![Rule {
            name: "blocklist".to_owned(),
            direction: Direction::In,
            action: RuleAction::Drop,
            matches: Matches {
                src: Some(Arc::new(set)),
                ..Matches::default()
            },
            log: None,
            comment: None,
            place: Place {
                line: NonZeroU32::MIN,
                column: NonZeroU32::MIN,
            },
        }],
        disabled: Vec::new(),
    }
}

fn shown(diagnostics: Vec<Diagnostic>) -> String {
    let shown: Vec<String> = diagnostics.iter().take(5).map(render).collect();
    shown.join("\n")
}
