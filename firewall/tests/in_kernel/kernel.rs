//! The program in the kernel with any image, without a daemon in between: the daemon loads it and
//! is killed, and what it leaves is given one image after the other.

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write as _,
    fs,
    mem::offset_of,
    net::Ipv4Addr,
};

use aya::{
    maps::{Array, ArrayOfMaps, HashMap, Map, MapData, PerCpuArray, RingBuf},
    programs::{TestRun as _, TestRunOptions},
};
use aya_obj::generated::{BPF_F_MMAPABLE, bpf_map_type};
use benches::{features::Feature, network::Namespace, tools};
use firewall_ebpf::{
    abi::{BLOCK, Direction},
    packet_log::{Event, LogLimiter, MAX_LOGGING, OUT, SNAP_LEN},
};
use rules_testing::{INTERFACES, Probe};

use crate::{
    machine::{Count, Machine, said},
    test_run::{Action, EgressProgram, Program, action},
};

/// The byte length of the images.
const IMAGE: usize = 4 << 20;

/// How many addresses the daemon is given, so that its image needs that length.
const ADDRESSES: u32 = 150_000;

/// How many rules the daemon is given, so that there are counters for 10,000 in any order.
const RULES: u32 = 20_000;

/// The frames that a test run takes, in bytes.
const FRAMES: std::ops::RangeInclusive<usize> = 14..=3000;

/// The program, and what it reads and writes.
pub(crate) struct Kernel {
    program: Program,
    egress: EgressProgram,
    image: Array<MapData, [u8; IMAGE]>,
    counters: PerCpuArray<MapData, [[u64; 2]; BLOCK as usize]>,
    limiters: HashMap<MapData, u32, [u64; size_of::<LogLimiter>() / 8]>,
    limited: HashSet<u32>,
    events: RingBuf<MapData>,
    /// What the counters had when they were last asked for.
    before: BTreeMap<u32, Count>,
    /// Whether frames can arrive on any interface, and not on the loopback interface alone.
    takes_interfaces: bool,
    _machine: Machine,
}

impl Kernel {
    /// Runs `work` where the interfaces are those that random rule sets are about.
    pub(crate) fn with<T: Send>(work: impl FnOnce(Self) -> T + Send) -> T {
        let kernel = Self::new();
        let interfaces = interfaces();
        interfaces.run(|| work(kernel)).unwrap()
    }

    fn new() -> Self {
        let machine = Machine::new();
        let mut list = String::new();
        for number in 0..ADDRESSES {
            let scattered = number.wrapping_mul(0x9e37_79b9) | 1;
            writeln!(list, "{}", Ipv4Addr::from(scattered)).unwrap();
        }
        fs::write(machine.folder.path().join("list.txt"), list).unwrap();
        let mut rules = String::from(
            "[sets]\nlist = { file = \"list.txt\" }\n\
             [[rule]]\nname = \"list\"\naction = \"drop\"\nsrc = \"@list\"\n\
             [[rule]]\nname = \"out\"\naction = \"count\"\ndirection = \"out\"\n",
        );
        for number in 0..RULES {
            let address = Ipv4Addr::from(0x0a00_0000 + number);
            writeln!(
                rules,
                "[[rule]]\nname = \"{number}\"\naction = \"pass\"\ndst = \"{address}\""
            )
            .unwrap();
        }
        machine.apply(&machine.write_rules("pass", &rules)).kill();
        let definition = aya_obj::Map::new_from_params(
            bpf_map_type::BPF_MAP_TYPE_ARRAY as u32,
            size_of::<u32>() as u32,
            IMAGE as u32,
            1,
            BPF_F_MMAPABLE,
        );
        let image = MapData::create(definition, "test", None).unwrap();
        let pinned = |name| MapData::from_pin(machine.pins().join(name)).unwrap();
        let images = Map::ArrayOfMaps(pinned("images"));
        let mut images = ArrayOfMaps::<_, MapData>::try_from(images).unwrap();
        // Fails unless the image of the daemon has this length too.
        images.set(0, &image, 0).unwrap();
        Self {
            program: Program::of(&machine),
            egress: EgressProgram::of(&machine),
            image: Array::try_from(Map::Array(image)).unwrap(),
            counters: PerCpuArray::try_from(Map::PerCpuArray(pinned("counters"))).unwrap(),
            limiters: HashMap::try_from(Map::HashMap(pinned("log-limiters"))).unwrap(),
            limited: HashSet::new(),
            events: RingBuf::try_from(Map::RingBuf(pinned("events"))).unwrap(),
            before: BTreeMap::new(),
            takes_interfaces: Feature::TestRunInterfaces.is_expected().unwrap(),
            _machine: machine,
        }
    }

    /// Puts an image in force; `false` when it is too long.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> bool {
        if bytes.len() > IMAGE {
            return false;
        }
        let mut whole = vec![0; IMAGE];
        whole[..bytes.len()].copy_from_slice(bytes);
        let whole: Box<[u8; IMAGE]> = whole.into_boxed_slice().try_into().unwrap();
        self.image.set(0, whole, 0).unwrap();
        true
    }

    /// Has every packet of the rules with these counter slots be emitted; of some of them, when there are
    /// too many. Returns which.
    pub(crate) fn limit(&mut self, slots: &HashSet<u32>) -> &HashSet<u32> {
        for slot in self.limited.drain() {
            self.limiters.remove(&slot).unwrap();
        }
        for slot in slots.iter().take(MAX_LOGGING as usize) {
            // No interval: none comes too early.
            self.limiters.insert(*slot, [0; _], 0).unwrap();
            self.limited.insert(*slot);
        }
        &self.limited
    }

    /// The events since they were last asked for.
    pub(crate) fn events(&mut self) -> Vec<Told> {
        let mut events = Vec::new();
        while let Some(bytes) = self.events.next() {
            let number = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
            let captured = number(offset_of!(Event, captured)) as usize;
            events.push(Told {
                slot: number(offset_of!(Event, slot)),
                what: number(offset_of!(Event, what)),
                interface: number(offset_of!(Event, interface)),
                length: number(offset_of!(Event, length)),
                bytes: bytes[offset_of!(Event, bytes)..][..captured].to_vec(),
            });
        }
        events
    }

    /// Has a packet arrive where this kernel lets it, for rules to which all interfaces are alike.
    pub(crate) fn place(&self, probe: &mut Probe) {
        if !self.takes_interfaces && probe.context.direction == Direction::In {
            probe.context.interface = LOOPBACK;
        }
    }

    /// Runs the program on a packet; `None` when the kernel takes no such frame, or lets none arrive
    /// on such an interface.
    pub(crate) fn run(&self, probe: &Probe) -> Option<Action> {
        let is_there = INTERFACES
            .iter()
            .any(|(index, _)| *index == probe.context.interface)
            || probe.context.interface == UNKNOWN;
        if !FRAMES.contains(&probe.frame.len()) || !is_there {
            return None;
        }
        if probe.context.direction == Direction::Out {
            if probe.frame.len() < shortest_out(&probe.frame) {
                return None;
            }
            return self.egress.run(&probe.frame, &probe.context).unwrap();
        }
        if !self.takes_interfaces && probe.context.interface != LOOPBACK {
            return None;
        }
        // `struct xdp_md`, `include/uapi/linux/bpf.h`: the end of the data and the interface.
        let context = [
            0,
            probe.frame.len() as u32,
            0,
            probe.context.interface,
            0,
            0,
        ];
        let context: Vec<u8> = context.into_iter().flat_map(u32::to_ne_bytes).collect();
        let options = TestRunOptions {
            data_in: Some(&probe.frame),
            ctx_in: self.takes_interfaces.then_some(&*context),
            ..TestRunOptions::new()
        };
        let result = self.program.0.test_run(options).unwrap();
        Some(action(result.return_value))
    }

    /// What the counter of a slot has counted since it was last asked for.
    pub(crate) fn counted(&mut self, slot: u32) -> Count {
        let values = self.counters.get(&(slot / BLOCK), 0).unwrap();
        let at = (slot % BLOCK) as usize;
        let sum = |part: usize| values.iter().map(|block| block[at][part]).sum::<u64>();
        let now = (sum(0), sum(1));
        let before = self.before.insert(slot, now).unwrap_or_default();
        (now.0 - before.0, now.1 - before.1)
    }
}

/// What an event says of a packet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) slot: u32,
    what: u32,
    interface: u32,
    length: u32,
    bytes: Vec<u8>,
}

impl Told {
    /// What is to be emitted of a packet that a rule with this slot passes, drops or counts.
    pub(crate) fn of(probe: &Probe, slot: u32, what: u32) -> Self {
        let what = match probe.context.direction {
            Direction::In => what,
            Direction::Out => what | OUT,
        };
        Self {
            slot,
            what,
            interface: probe.context.interface,
            length: probe.frame.len() as u32,
            bytes: probe.frame[..probe.frame.len().min(SNAP_LEN as usize)].to_vec(),
        }
    }
}

/// The shortest packet out that a test run takes: one with an IP header after that of Ethernet
/// (`bpf_prog_test_run_skb`, `net/bpf/test_run.c`).
fn shortest_out(frame: &[u8]) -> usize {
    match frame[12..14] {
        [0x08, 0x00] => 14 + 20,
        [0x86, 0xdd] => 14 + 40,
        _ => 14 + 1,
    }
}

/// The loopback interface, on which frames arrive unless a test run says otherwise.
const LOOPBACK: u32 = 1;

/// The index of an interface that no image knows.
pub(crate) const UNKNOWN: u32 = 4;

/// A namespace with the interfaces of [`INTERFACES`], which are ends of veth pairs, and one more.
fn interfaces() -> Namespace {
    let namespace = Namespace::new().unwrap();
    let mut names: Vec<_> = INTERFACES
        .into_iter()
        .filter(|(_, name)| *name != "lo")
        .collect();
    names.push((UNKNOWN, "unknown"));
    let (pairs, []) = names.as_chunks() else {
        panic!("{names:?} are no pairs");
    };
    for [(index, name), (peer_index, peer)] in pairs {
        let mut command = tools::command("ip");
        command
            .args(["link", "add", name, "index", &index.to_string()])
            .args(["type", "veth", "peer", "name", peer])
            .args(["index", &peer_index.to_string()]);
        let child = namespace.spawn(&mut command).unwrap();
        let said = said(child.wait_with_output().unwrap());
        assert!(said.status.success(), "{said:?}");
    }
    namespace
}
