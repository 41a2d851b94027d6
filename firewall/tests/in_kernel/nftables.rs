//! The program against nftables: the same frames go through both, each behind a veth pair of its
//! own, and each rule counts the same in both.
//!
//! Left out is what nftables does not see as the firewall does: interfaces, tags, which the kernel
//! takes off before its ingress hook, and frames that the firewall does not read to the end. A
//! failure names the seed of its rule set, which `FIREWALL_SEED=<seed>` runs again alone.

mod script;

use std::{
    env,
    io::Write as _,
    process::{Command, Stdio},
};

use benches::{network::Network, traffic::Sender};
use firewall_ebpf::abi::Reason;
use rules::{
    evaluator::{Fields, decode, evaluate},
    ranges::RangeSet,
    ruleset::{Matches, Ruleset, Verdict},
    testing::{Engine, Random, Shape, probe, ruleset},
};

use self::script::script;
use crate::{
    kernel::Kernel,
    machine::{json, wait_until},
};

/// The shapes of rule sets, how many of each, and the frames for each.
const SHAPES: [Shape; 7] = [
    Shape::Few,
    Shape::Hundreds,
    Shape::Nested,
    Shape::Singles,
    Shape::Negatives,
    Shape::Wildcards,
    Shape::Upper,
];
const RULE_SETS: u64 = 6;
const FRAMES: usize = 400;

/// What an interface with the usual MTU takes, in bytes.
const LENGTHS: std::ops::RangeInclusive<usize> = 14..=1514;

#[test]
#[ignore = "needs root"]
fn nftables_decides_and_counts_alike() {
    let given = env::var("FIREWALL_SEED").ok();
    let seeds: Vec<u64> = match given {
        Some(seed) => vec![seed.parse().unwrap()],
        None => (0..SHAPES.len() as u64 * RULE_SETS).collect(),
    };
    let mut tally = Tally::default();
    Kernel::with(|mut kernel| {
        for seed in &seeds {
            case(&mut kernel, *seed, &mut tally);
        }
    });
    println!("{tally:?}");
    if seeds.len() > 1 {
        assert!(tally.frames > 15_000, "{tally:?}");
        assert!(tally.counted > 4_000, "{tally:?}");
    }
}

#[derive(Debug, Default)]
struct Tally {
    frames: usize,
    /// How often a rule counted.
    counted: u64,
}

fn case(kernel: &mut Kernel, seed: u64, tally: &mut Tally) {
    let shape = SHAPES[(seed % SHAPES.len() as u64) as usize];
    let mut random = Random::new(seed);
    let mut ruleset = ruleset(&mut random, shape);
    ruleset.rules.retain(|rule| is_expressible(&rule.matches));
    let engine = Engine::new(&ruleset, random.bits()).unwrap();
    assert!(kernel.put(engine.image().bytes()));
    let mut frames = Vec::new();
    while frames.len() < FRAMES {
        let frame = probe(&mut random, &ruleset).frame;
        if decode(&frame).is_ok_and(|fields| is_common(&fields, &frame)) {
            frames.push(frame);
        }
    }
    let nftables = Nftables::load(&ruleset);
    let mut slots: Vec<_> = engine.slots().collect();
    slots.sort_by_key(|(_, rule)| *rule);
    // Both verdicts that no rule gives, too: a frame that is lost would be missed.
    let ours = |kernel: &mut Kernel, frames: &[Vec<u8>]| -> Vec<u64> {
        let mut total = 0;
        for slot in slots.iter().map(|(slot, _)| *slot).chain(reasons()) {
            kernel.counted(slot);
        }
        for frame in frames {
            kernel.send(frame);
        }
        let mut counts = vec![0; slots.len()];
        wait_until("every frame has reached the program", || {
            for (count, (slot, _)) in counts.iter_mut().zip(&slots) {
                *count += kernel.counted(*slot).0;
            }
            total += reasons().map(|slot| kernel.counted(slot).0).sum::<u64>();
            let deciding = ruleset.rules.iter().zip(&counts);
            let by_rules = deciding.filter(|(rule, _)| rule.verdict != Verdict::Count);
            total + by_rules.map(|(_, count)| count).sum::<u64>() == frames.len() as u64
        });
        counts
    };
    let counts = ours(kernel, &frames);
    let theirs = nftables.counts(&frames, ruleset.rules.len());
    if counts != theirs {
        for frame in &frames {
            let one = std::slice::from_ref(frame);
            let (counts, theirs) = (ours(kernel, one), nftables.counts(one, ruleset.rules.len()));
            for (rule, (ours, theirs)) in ruleset.rules.iter().zip(counts.iter().zip(&theirs)) {
                let wanted = evaluate(&ruleset, frame, None);
                assert_eq!(
                    ours,
                    theirs,
                    "{shape:?}, seed {seed}: the program and nftables differ in {rule:?} for {}, \
                     of which the evaluator says {wanted:?}: {:?}\n{}",
                    rules::testing::to_hex(frame),
                    decode(frame),
                    script(&ruleset, "the interface")
                );
            }
        }
        panic!("{shape:?}, seed {seed}: {counts:?} here and {theirs:?} there");
    }
    tally.frames += frames.len();
    tally.counted += counts.iter().sum::<u64>();
}

fn reasons() -> impl Iterator<Item = u32> {
    Reason::ALL.into_iter().map(Reason::slot)
}

/// Whether nft has such rules. Of a range of all values it makes no condition, and so matches
/// packets without any.
fn is_expressible(matches: &Matches) -> bool {
    let icmp = matches.icmp.as_ref();
    let is_full = matches.sport.as_ref().is_some_and(RangeSet::is_full)
        || matches.dport.as_ref().is_some_and(RangeSet::is_full)
        || matches.tcp_flags.as_ref().is_some_and(RangeSet::is_full)
        || icmp.is_some_and(|icmp| icmp.v4.is_full() || icmp.v6.is_full());
    // A code stands behind its type in one field of nft, which has names for both apart only.
    let has_codes = icmp.is_some_and(|icmp| {
        let mut ranges = icmp.v4.ranges().iter().chain(icmp.v6.ranges());
        ranges.any(|(first, last)| first & 0xff != 0 || last & 0xff != 0xff)
    });
    // What nft 1.0.6 writes of these in lists takes it down when it reads them back.
    let is_detail = matches.ethertype.is_some()
        || matches.src_mac.is_some()
        || matches.dst_mac.is_some()
        || matches.length.is_some()
        || matches.dscp.is_some()
        || matches.fragment.is_some();
    matches.interface.is_none() && !is_full && !has_codes && !is_detail
}

/// Whether both read the frame: without a tag, and without a next header in a later fragment that
/// nftables takes for one which is there (`ipv6_find_hdr`, `net/ipv6/exthdrs_core.c`).
fn is_common(fields: &Fields, frame: &[u8]) -> bool {
    let extension = matches!(fields.protocol, Some(0 | 43 | 44 | 51 | 59 | 60));
    // nftables looks for ports and messages in later fragments too.
    let has_header = fields.sport.is_some() || fields.icmp.is_some();
    let is_later_fragment = fields.is_fragment == Some(true) && !has_header;
    let is_jumbogram = fields.length.is_some_and(|length| length > 1500);
    LENGTHS.contains(&frame.len())
        && fields.vlan.is_none()
        && !is_jumbogram
        && !is_later_fragment
        && !has_authentication(frame)
        && !(extension && fields.is_fragment == Some(true))
}

/// Whether an IPv6 packet without a tag has an authentication header, which nftables takes for the
/// upper-layer protocol (`nft_set_pktinfo_ipv6`, `include/net/netfilter/nf_tables_ipv6.h`).
fn has_authentication(frame: &[u8]) -> bool {
    let byte = |at: usize| frame.get(at).copied().unwrap_or_default();
    let (mut next, mut at) = (byte(20), 54);
    while byte(12) == 0x86 && byte(13) == 0xdd && matches!(next, 0 | 43 | 44 | 60) {
        let length = if next == 44 { 0 } else { byte(at + 1) };
        next = byte(at);
        at += 8 * (usize::from(length) + 1);
    }
    byte(12) == 0x86 && byte(13) == 0xdd && next == 51
}

/// nftables at the ingress hook of an interface.
struct Nftables {
    network: Network,
}

impl Nftables {
    fn load(ruleset: &Ruleset) -> Self {
        let network = Network::new().unwrap();
        let nftables = Self { network };
        let device = &nftables.network.link().host.interface;
        nftables.run(&["-f", "-"], &script(ruleset, device));
        nftables
    }

    /// What each rule counts when these frames are sent.
    fn counts(&self, frames: &[Vec<u8>], rules: usize) -> Vec<u64> {
        let before = self.read(rules);
        let link = self.network.link();
        let mut sender = Sender::open(&self.network.peer, &link.peer).unwrap();
        for frame in frames {
            sender.send(frame).unwrap();
        }
        let mut after = self.read(rules);
        wait_until("every frame has reached nftables", || {
            after = self.read(rules);
            after.all - before.all == frames.len() as u64
        });
        let both = after.by_rule.iter().zip(&before.by_rule);
        both.map(|(after, before)| after - before).collect()
    }

    fn read(&self, rules: usize) -> Counts {
        // A listing of the rules takes nft 1.0.6 down when they name bytes by their places.
        let listing = json(&self.run(&["-j", "list", "counters"], ""));
        let mut counts = Counts {
            all: 0,
            by_rule: vec![0; rules],
        };
        for object in listing["nftables"].as_array().unwrap() {
            let counter = &object["counter"];
            let Some(name) = counter["name"].as_str() else {
                continue;
            };
            let count = match name.strip_prefix("rule") {
                Some(number) => &mut counts.by_rule[number.parse::<usize>().unwrap()],
                None => &mut counts.all,
            };
            *count = counter["packets"].as_u64().unwrap();
        }
        counts
    }

    fn run(&self, arguments: &[&str], input: &str) -> String {
        let mut command = Command::new("nft");
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = self.network.host.spawn(&mut command).unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).unwrap();
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "nft {arguments:?}: {complaint}");
        String::from_utf8(output.stdout).unwrap()
    }
}

struct Counts {
    /// Of all packets.
    all: u64,
    by_rule: Vec<u64>,
}
