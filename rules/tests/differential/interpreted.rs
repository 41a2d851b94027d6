//! Walks that are done again by an interpreter of Rust that finds undefined behaviour, Miri, which is
//! too slow to compile rule sets: it is handed images of every structure, packets, and what came of them.

use std::{collections::BTreeSet, env, fs};

use rules::{evaluator::evaluate, walker::walk};
use rules_testing::{Engine, Probe, Random, Shape, probe, ruleset};

use crate::parts::{Part, parts};

/// The file through which walks are handed over.
const FILE: &str = "FIREWALL_WALKS";

/// The parts that images must have among them: all but those of many thousands of rules.
const WANTED: [Part; 14] = [
    Part::Cells,
    Part::Grid,
    Part::Wide,
    Part::Records,
    Part::Pairs,
    Part::Lists,
    Part::Tables,
    Part::Rows,
    Part::References,
    Part::Pair,
    Part::Pages,
    Part::Uniform,
    Part::Multibit,
    Part::Hash,
];

/// Images of each shape of rule sets, and packets for each image.
const IMAGES: usize = 3;
const PACKETS: usize = 8;

/// The maximum number of bytes of an image.
const MOST: usize = 8 << 20;

/// Writes walks over images that have every part, when the environment says where to.
#[test]
#[cfg_attr(miri, ignore = "too slow")]
fn walks_to_interpret_go_through_every_structure() {
    let mut found = BTreeSet::new();
    let mut file = Vec::new();
    for (shape, turn) in Shape::ALL
        .into_iter()
        .flat_map(|shape| (0..IMAGES).map(move |turn| (shape, turn)))
    {
        let random = &mut Random::new((turn as u64) << 8 | shape as u64);
        let (ruleset, engine) = loop {
            let ruleset = ruleset(random, shape);
            if let Ok(engine) = Engine::new(&ruleset, 1)
                && engine.image().bytes().len() <= MOST
            {
                break (ruleset, engine);
            }
        };
        found.extend(parts(engine.image()));
        put(&mut file, engine.image().bytes());
        put(&mut file, &(PACKETS as u32).to_le_bytes());
        for _ in 0..PACKETS {
            let probe = probe(random, &ruleset);
            let wanted = evaluate(&ruleset, &probe.frame, engine.interface(&probe));
            assert_eq!(engine.judge(&probe), Ok(wanted), "{}", probe.hex());
            put(&mut file, &probe.interface.to_le_bytes());
            put(&mut file, &probe.frame);
            put(&mut file, walked(engine.image().bytes(), &probe).as_bytes());
        }
    }
    for part in WANTED {
        assert!(found.contains(&part), "{part:?} is not in {found:?}");
    }
    walk_again(&file);
    if let Some(path) = env::var_os(FILE) {
        fs::write(path, file).unwrap();
    }
}

/// Does the walks again that were written.
#[cfg(miri)]
#[test]
fn walks_that_were_written_are_the_same_again() {
    let path = env::var_os(FILE).expect("`make miri` says where the walks are");
    let walks = walk_again(&fs::read(path).unwrap());
    println!("{walks} walks");
}

/// Does the walks in `file` again, and returns how many there are.
fn walk_again(file: &[u8]) -> usize {
    let mut rest = file;
    let mut walks = 0;
    while !rest.is_empty() {
        let image = take(&mut rest);
        for _ in 0..number(take(&mut rest)) {
            let probe = Probe {
                interface: number(take(&mut rest)),
                frame: take(&mut rest).to_vec(),
            };
            assert_eq!(
                walked(image, &probe).as_bytes(),
                take(&mut rest),
                "{}",
                probe.hex()
            );
            walks += 1;
        }
    }
    assert_eq!(walks, Shape::ALL.len() * IMAGES * PACKETS);
    walks
}

fn walked(image: &[u8], probe: &Probe) -> String {
    format!("{:?}", walk(image, &probe.frame, probe.interface))
}

fn put(file: &mut Vec<u8>, bytes: &[u8]) {
    file.extend((bytes.len() as u32).to_le_bytes());
    file.extend(bytes);
}

fn take<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let (length, behind) = rest.split_at(4);
    let (bytes, behind) = behind.split_at(number(length) as usize);
    *rest = behind;
    bytes
}

#[expect(clippy::unwrap_used, reason = "how a test fails")]
fn number(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes.try_into().unwrap())
}
