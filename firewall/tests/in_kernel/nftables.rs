//! The program against nftables: the same frames go through both, and in both the same rules count,
//! the same rule or reason decides, and as many frames pass.
//!
//! Left out is what nftables does not see as the firewall does: interfaces; tags, which the kernel
//! takes off before its ingress hook; later fragments, in which nftables looks for ports and messages;
//! IPv6 authentication headers, at which it ends; and frames that the firewall does not read to the end.
//! A failure names the seed of its rule set, which `FIREWALL_SEED=<seed>` runs again alone.

mod script;
mod sent;

use std::{
    collections::BTreeMap,
    env,
    io::{self, Write as _},
    process::Stdio,
};

use benches::{
    network::{Namespace, Network},
    tools,
    traffic::Sender,
};
use firewall_ebpf::abi::{Direction, Reason};
use rules::{
    Context,
    evaluator::{Fields, decode, evaluate},
    field::RangeSet,
    model::{Matches, RuleId, Ruleset},
    text::hexadecimal,
};
use rules_testing::{Engine, Probe, Random, Shape, probe, ruleset};

use self::script::{PASSED, REASONS, TOTAL, reason_counter, rule_counter, script};
use crate::{
    kernel::{Kernel, UNKNOWN},
    machine::{json, wait_until},
    test_run::Action,
};

/// The shapes of rule sets, how many of each, and the frames for each.
const SHAPES: [Shape; 8] = [
    Shape::Few,
    Shape::Hundreds,
    Shape::Nested,
    Shape::Singles,
    Shape::Negatives,
    Shape::Wildcards,
    Shape::Upper,
    Shape::Details,
];
const RULE_SETS: u64 = 12;
const FRAMES: usize = 400;

/// What an interface with the usual MTU takes, in bytes.
const LENGTHS: std::ops::RangeInclusive<usize> = 14..=1514;

/// How many packets each counter has seen, without those that have seen none.
pub(crate) type Counts = BTreeMap<String, u64>;

#[test]
#[ignore = "needs root"]
fn nftables_decides_and_counts_alike() {
    let given = env::var("FIREWALL_SEED").ok();
    let seeds: Vec<u64> = match given {
        Some(seed) => vec![seed.parse().unwrap()],
        None => (0..SHAPES.len() as u64 * RULE_SETS).collect(),
    };
    let mut tally = Counts::new();
    Kernel::with(|mut kernel| {
        for seed in &seeds {
            for (name, count) in case(&mut kernel, *seed) {
                let key = if name.starts_with("rule") {
                    "rules"
                } else {
                    &name
                };
                *tally.entry(key.to_owned()).or_default() += count;
            }
        }
    });
    println!("{tally:?}");
    if seeds.len() > 1 {
        assert!(tally["rules"] > 30_000, "{tally:?}");
        assert!(
            REASONS
                .iter()
                .all(|reason| tally[&reason_counter(*reason)] > 50),
            "{tally:?}"
        );
    }
}

/// Judges frames by the rule set of a seed; what both have counted.
fn case(kernel: &mut Kernel, seed: u64) -> Counts {
    let shape = SHAPES[(seed % SHAPES.len() as u64) as usize];
    let mut random = Random::new(seed);
    let mut ruleset = ruleset(&mut random, shape);
    ruleset.rules.retain(|rule| rule.direction == Direction::In);
    ruleset.rules.retain(|rule| is_expressible(&rule.matches));
    let engine = Engine::new(&ruleset, random.bits()).unwrap();
    let is_in_force = kernel.put(engine.image().bytes());
    assert!(is_in_force, "seed {seed}: the image is too long");
    let mut frames = Vec::new();
    while frames.len() < FRAMES {
        let frame = probe(&mut random, &ruleset).frame;
        if decode(&frame).is_ok_and(|fields| is_common(&fields, &frame)) {
            frames.push(frame);
        }
    }
    let nftables = Nftables::load(&ruleset);
    let slots = slots(&engine);
    let ours = ours(kernel, &slots, &frames);
    let theirs = nftables.counts(&frames);
    if ours != theirs {
        for frame in &frames {
            let one = std::slice::from_ref(frame);
            let (ours, theirs) = (self::ours(kernel, &slots, one), nftables.counts(one));
            assert_eq!(
                ours,
                theirs,
                "{shape:?}, seed {seed}: the program and nftables differ for {}, {:?}\n\
                 the evaluator says {:?}; {}",
                hexadecimal::digits(frame),
                decode(frame),
                evaluate(&ruleset, frame, &Context::arriving(None)),
                named(&ruleset, &ours, &theirs),
            );
        }
        panic!("{shape:?}, seed {seed}: {ours:?} here and {theirs:?} there, of no frame alone");
    }
    ours
}

/// The slot and the name of each counter.
fn slots(engine: &Engine) -> Vec<(u32, String)> {
    let rules = engine
        .slots()
        .map(|(slot, rule)| (slot, rule_counter(rule)));
    let reasons = Reason::ALL.iter().flat_map(|reason| {
        [false, true].map(|dropped| (reason.slot(Direction::In, dropped), reason_counter(*reason)))
    });
    rules.chain(reasons).collect()
}

/// What the program counts of these frames.
fn ours(kernel: &mut Kernel, slots: &[(u32, String)], frames: &[Vec<u8>]) -> Counts {
    for (slot, _) in slots {
        kernel.counted(*slot);
    }
    let mut passed = 0;
    for frame in frames {
        let probe = Probe {
            frame: frame.clone(),
            context: Context::arriving(UNKNOWN),
        };
        passed += u64::from(kernel.run(&probe) == Some(Action::Pass));
    }
    let mut counts = Counts::from([(PASSED.to_owned(), passed)]);
    for (slot, name) in slots {
        *counts.entry(name.clone()).or_default() += kernel.counted(*slot).0;
    }
    counts.retain(|_, count| *count > 0);
    counts
}

/// The rules that count differently.
fn named(ruleset: &Ruleset, ours: &Counts, theirs: &Counts) -> String {
    let differ = |id: RuleId| ours.get(&rule_counter(id)) != theirs.get(&rule_counter(id));
    let rules = ruleset.iter().filter(|(id, _)| differ(*id));
    rules
        .map(|(id, rule)| format!("{id:?}: {rule:?}\n"))
        .collect()
}

/// Whether nft has such rules.
fn is_expressible(matches: &Matches) -> bool {
    let icmp = matches.icmp.as_ref();
    // Of a range of all values nft makes no condition, and so matches packets without any.
    let is_full = matches.sport.as_ref().is_some_and(RangeSet::is_full)
        || matches.dport.as_ref().is_some_and(RangeSet::is_full)
        || matches.tcp_flags.as_ref().is_some_and(RangeSet::is_full)
        || icmp.is_some_and(|icmp| icmp.v4.is_full() || icmp.v6.is_full());
    // A code stands behind its type in one field of nft, which has names for both apart only.
    let has_codes = icmp.is_some_and(|icmp| {
        let mut ranges = icmp.v4.ranges().iter().chain(icmp.v6.ranges());
        ranges.any(|(first, last)| first & 0xff != 0 || last & 0xff != 0xff)
    });
    matches.interface.is_none()
        && matches.vlan.is_none()
        && matches.ip_option.is_none()
        && !is_full
        && !has_codes
}

/// Whether both read the frame alike: without a tag or a PPPoE session, and without a next header in a fragment that
/// nftables takes for one which is there (`ipv6_find_hdr`, `net/ipv6/exthdrs_core.c`).
fn is_common(fields: &Fields, frame: &[u8]) -> bool {
    let names_extension = matches!(fields.protocol, Some(0 | 43 | 44 | 51 | 59 | 60));
    let is_ambiguous = names_extension && fields.is_fragment == Some(true);
    let has_header = fields.sport.is_some() || fields.icmp.is_some();
    let is_later_fragment = fields.is_fragment == Some(true) && !has_header;
    LENGTHS.contains(&frame.len())
        && fields.vlan.is_none()
        && frame.get(12..14) != Some(&[0x88, 0x64])
        && !is_later_fragment
        && !has_authentication(frame)
        && !is_ambiguous
}

/// Whether an IPv6 packet without a tag has an authentication header, which nftables takes for the
/// upper-layer protocol (`nft_set_pktinfo_ipv6`, `include/net/netfilter/nf_tables_ipv6.h`).
fn has_authentication(frame: &[u8]) -> bool {
    let byte = |at: usize| frame.get(at).copied().unwrap_or_default();
    let is_ipv6 = byte(12) == 0x86 && byte(13) == 0xdd;
    let (mut next, mut at) = (byte(20), 54);
    while is_ipv6 && matches!(next, 0 | 43 | 44 | 60) {
        let length = if next == 44 { 0 } else { byte(at + 1) };
        next = byte(at);
        at += 8 * (usize::from(length) + 1);
    }
    is_ipv6 && next == 51
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
        nft(
            &nftables.network.host,
            &["-f", "-"],
            &script(ruleset, device),
        );
        nftables
    }

    /// What is counted when these frames are sent.
    fn counts(&self, frames: &[Vec<u8>]) -> Counts {
        take(&self.network.host);
        let link = self.network.link();
        let mut sender = Sender::open(&self.network.peer, &link.peer).unwrap();
        for frame in frames {
            sender.send(frame).unwrap();
        }
        let mut counts = Counts::new();
        wait_until("every frame has reached nftables", || {
            for (name, count) in take(&self.network.host) {
                *counts.entry(name).or_default() += count;
            }
            counts.get(TOTAL) == Some(&(frames.len() as u64))
        });
        counts.remove(TOTAL);
        counts
    }
}

/// What nftables counted in a namespace since this was last asked for.
///
/// `nft list counters` reads the rules too, of which nft 1.0.6 cannot decode all.
pub(crate) fn take(namespace: &Namespace) -> Counts {
    let listing = json(&nft(namespace, &["-j", "reset", "counters"], ""));
    let objects = listing["nftables"].as_array().unwrap().iter();
    let counters = objects.filter_map(|object| object.get("counter"));
    counters
        .map(|counter| {
            let name = counter["name"].as_str().unwrap().to_owned();
            (name, counter["packets"].as_u64().unwrap())
        })
        .filter(|(_, packets)| *packets > 0)
        .collect()
}

/// Runs nft in a namespace.
pub(crate) fn nft(namespace: &Namespace, arguments: &[&str], input: &str) -> String {
    let mut command = tools::command("nft");
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = namespace.spawn(&mut command).unwrap();
    let mut stdin = child.stdin.take().unwrap();
    match stdin.write_all(input.as_bytes()) {
        // What nft says of it comes below.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        written => written.unwrap(),
    }
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    let status = output.status;
    assert!(status.success(), "nft {arguments:?}: {status}: {complaint}");
    String::from_utf8(output.stdout).unwrap()
}
