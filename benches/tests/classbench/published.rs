//! The proof on files of rule sets, lists and captures.

use std::path::{Path, PathBuf};

use benches::{
    rulesets::{
        AddressList, ReadError, Verdict, capture, classbench,
        generate::FilterKind,
        ports::has_ports,
        published,
        trace::{TraceEntry, trace_of},
    },
    tuple::Tuple,
};
use rules::{
    captures::CaptureError,
    evaluator::{Fields, decode},
};

use crate::{data, proof};

/// Proves the verdicts of every file, and fails with all errors.
fn all(files: &[PathBuf], prove: impl Fn(&Path) -> Result<(), String>) {
    let failures: Vec<_> = files.iter().filter_map(|path| prove(path).err()).collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

fn rule_set(path: &Path) -> Result<(), String> {
    let set = classbench::read_rules(path, Verdict::Drop).unwrap();
    let tuples: Vec<_> = trace_of(path)
        .unwrap()
        .iter()
        .map(|entry| entry.tuple)
        .collect();
    let name = published::name(path);
    proof::rule_set(name, &set, 100_000, &tuples, data::evaluated())
}

/// Filter files and traces are read correctly: a packet drawn from a rule matches it, unless its
/// protocol has no ports and the rule has a condition on them.
#[test]
fn packets_of_traces_match_the_rules_that_they_were_drawn_from() {
    let files = data::rule_sets(&["_100k.gz"], &FilterKind::ALL, 10_000);
    for path in &files.paths {
        let set = classbench::read_rules(path, Verdict::Drop).unwrap();
        for TraceEntry { tuple, rule } in trace_of(path).unwrap() {
            let rule = &set.rules[rule.unwrap()];
            let asks_for_ports = !rule.sport.is_any() || !rule.dport.is_any();
            assert!(
                rule.matches(&tuple) || asks_for_ports && !has_ports(tuple.protocol),
                "{tuple:?} {rule:?}"
            );
        }
    }
}

#[test]
fn rule_sets_of_1k() {
    let files = data::rule_sets(&["_1k.gz"], &FilterKind::ALL, 1000);
    all(&files.paths, rule_set);
}

#[test]
fn rule_sets_of_10k_to_50k() {
    let endings = ["_10k.gz", "_20k.gz", "_50k.gz"];
    let files = data::rule_sets(&endings, &FilterKind::ALL, 10_000);
    all(&files.paths, rule_set);
}

#[test]
fn rule_sets_of_100k_and_their_traces() {
    // Generated rules of other kinds may be refused.
    let files = data::rule_sets(&["_100k.gz"], &[FilterKind::Acl], 100_000);
    all(&files.paths, rule_set);
}

#[test]
fn blocklists() {
    all(&data::lists().paths, |path| {
        let list = AddressList::read(path).unwrap();
        proof::address_list(published::name(path), &list, 50_000)
    });
}

/// The fields read from packets of captures are those that the reference evaluator reads, if it
/// accepts the packet as well-formed.
#[test]
fn captures() {
    let (mut frames, mut compared) = (0, 0);
    let files = data::captures();
    for path in &files.paths {
        let found = match capture::read_frames(path) {
            Ok(found) => found,
            Err(ReadError::Capture { fault, .. }) => match fault {
                CaptureError::NoCapture | CaptureError::NotEthernet { .. } => continue,
                // Some are deliberately damaged.
                CaptureError::Damaged { .. } | CaptureError::Unreadable { .. } => continue,
            },
            Err(error) => panic!("{error}"),
        };
        for frame in found {
            frames += 1;
            let Ok(Fields {
                src: Some(src),
                dst: Some(dst),
                protocol: Some(protocol),
                sport,
                dport,
                tcp_flags,
                ..
            }) = decode(&frame)
            else {
                continue;
            };
            if let Some(tuple) = capture::tuple(&frame) {
                let expected = Tuple {
                    src,
                    dst,
                    protocol,
                    sport: sport.unwrap_or(0),
                    dport: dport.unwrap_or(0),
                    tcp_flags: tcp_flags.unwrap_or(0),
                };
                assert_eq!(tuple, expected, "{}: {frame:x?}", path.display());
                compared += 1;
            }
        }
    }
    println!("{frames} frames, {compared} compared");
    assert!(compared > frames / 2);
}
