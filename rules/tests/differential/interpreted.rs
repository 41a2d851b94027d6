//! Walks that Miri, an interpreter of Rust that detects undefined behaviour, repeats. It is too
//! slow to compile rule sets, so it gets images with every structure, packets, and the expected
//! results.

use std::{collections::BTreeSet, env, fs};

use rules::{Context, evaluator::evaluate, field::State, model::Direction, walker::walk};
use rules_testing::{Engine, Probe, Random, Shape, probe, ruleset};

use crate::parts::{Part, parts};

/// The environment variable that names the file with the walks.
const FILE: &str = "FIREWALL_WALKS";

/// The parts that the images together must contain: all except those of many thousands of rules.
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

/// The numbers of images per shape, and of packets per image.
const IMAGES: usize = 3;
const PACKETS: usize = 8;

/// The maximum size of an image in bytes.
const MOST: usize = 8 << 20;

/// Writes walks over images that together contain every part, if the environment names a file.
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
            let wanted = evaluate(&ruleset, &probe.frame, &engine.context(&probe));
            assert_eq!(engine.judge(&probe), Ok(wanted), "{}", probe.hex());
            put_context(&mut file, &probe.context);
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

/// Repeats the walks in the file.
#[cfg(miri)]
#[test]
fn walks_that_were_written_are_the_same_again() {
    let path = env::var_os(FILE).expect("`make miri` says where the walks are");
    let walks = walk_again(&fs::read(path).unwrap());
    println!("{walks} walks");
}

/// Repeats the walks in `file`, and returns their number.
fn walk_again(file: &[u8]) -> usize {
    let mut rest = file;
    let mut walks = 0;
    while !rest.is_empty() {
        let image = take(&mut rest);
        for _ in 0..number(take(&mut rest)) {
            let probe = Probe {
                context: context(&mut rest),
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
    format!("{:?}", walk(image, &probe.frame, &probe.context))
}

/// The direction, the interfaces (0 where there is none), the mark and the state.
fn put_context(file: &mut Vec<u8>, context: &Context<u32>) {
    let Context {
        direction,
        interface,
        in_interface,
        mark,
        state,
    } = *context;
    for word in [
        direction.index(),
        interface,
        in_interface.unwrap_or(0),
        mark,
        state.number(),
    ] {
        put(file, &word.to_le_bytes());
    }
}

fn context(rest: &mut &[u8]) -> Context<u32> {
    let mut word = || number(take(rest));
    let direction = match word() {
        0 => Direction::In,
        _ => Direction::Out,
    };
    let (interface, in_interface, mark) = (word(), word(), word());
    let number = word();
    let mut states = State::ALL.into_iter();
    let state = states
        .find(|state| state.number() == number)
        .unwrap_or_default();
    Context {
        direction,
        interface,
        in_interface: (in_interface != 0).then_some(in_interface),
        mark,
        state,
    }
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
