//! The files for the proof of verdicts: published ones beside the project, or generated ones in the
//! same formats if there are none.

use std::{
    fs,
    path::{Path, PathBuf},
};

use benches::{
    cost::drawing::any_packets,
    packet::Packet,
    random::Random,
    rulesets::{
        Family, Index, RuleSet, Verdict,
        generate::{self, FilterKind},
        published,
        stream::Regions as _,
        trace::TraceEntry,
        write::{capture::capture, classbench, list::list},
    },
};
use tempfile::TempDir;

/// The number of packets in a generated trace or capture.
const PACKETS: usize = 20_000;
const FRAMES: usize = 2000;

/// The approximate number of rules that the reference evaluator tests for one rule set of a file;
/// with `FIREWALL_LONG=1` it takes minutes.
pub(crate) fn evaluated() -> usize {
    if published::may_be_long() {
        1_500_000_000
    } else {
        100_000_000
    }
}

/// Files that exist as long as the value.
pub(crate) struct Files {
    pub(crate) paths: Vec<PathBuf>,
    _folder: Option<TempDir>,
}

/// The filter files with these endings, or a generated one of each kind with a trace beside it.
pub(crate) fn rule_sets(endings: &[&str], kinds: &[FilterKind], size: usize) -> Files {
    published_or("classbench", endings, |folder| {
        let files = kinds.iter().map(|kind| {
            let set = generate::rule_set(*kind, Family::V4, size, Verdict::Drop, 1);
            let path = folder.join(kind.name());
            fs::write(&path, classbench::rules(&set)).unwrap();
            let trace = folder.join(format!("{}_trace", kind.name()));
            fs::write(trace, classbench::trace(&packets(&set))).unwrap();
            path
        });
        files.collect()
    })
}

/// Packets with the rules from which they are drawn.
fn packets(set: &RuleSet) -> Vec<TraceEntry> {
    let index = Index::new(set);
    let mut random = Random::new(1);
    let numbers = (0..set.rules.len()).cycle().take(PACKETS);
    let entries = numbers.map(|rule| TraceEntry {
        tuple: index.region(rule).unwrap().inside(&mut random),
        rule: Some(rule),
    });
    entries.collect()
}

/// Lists of addresses and prefixes.
pub(crate) fn lists() -> Files {
    published_or("blocklists", &[".txt", ".txt.gz"], |folder| {
        let lists = [Family::V4, Family::V6].into_iter().flat_map(|family| {
            [
                generate::addresses(30_000, family, 6),
                generate::prefixes(10_000, family, 7),
            ]
        });
        let files = (0..).zip(lists).map(|(number, members)| {
            let path = folder.join(format!("{number}.txt"));
            fs::write(&path, list(&members)).unwrap();
            path
        });
        files.collect()
    })
}

/// Captures of packets.
pub(crate) fn captures() -> Files {
    published_or("pcaps", &[".pcap"], |folder| {
        let tuples = any_packets(&[Family::V4, Family::V6], FRAMES, 8);
        let packets = tuples.iter().map(|tuple| tuple.packet().unwrap());
        let frames = (0..).zip(packets).map(|(number, packet): (u16, Packet)| {
            let packet = match number % 3 {
                0 => packet,
                1 => packet.vlan(number),
                _ => packet.service_vlan(1).vlan(2),
            };
            packet.build()
        });
        let path = folder.join("generated.pcap");
        fs::write(&path, capture(&frames.collect::<Vec<_>>())).unwrap();
        vec![path]
    })
}

fn published_or(
    below: &str,
    endings: &[&str],
    generate: impl FnOnce(&Path) -> Vec<PathBuf>,
) -> Files {
    let paths = published::files(below, endings);
    if !paths.is_empty() {
        return Files {
            paths,
            _folder: None,
        };
    }
    let folder = tempfile::tempdir().unwrap();
    Files {
        paths: generate(folder.path()),
        _folder: Some(folder),
    }
}
