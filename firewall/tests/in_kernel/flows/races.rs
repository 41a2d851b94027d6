//! Two CPUs that write the same lines of the table: what they tear apart is no flow, and is whole again afterwards.
//!
//! `FIREWALL_ROUNDS=<n>` has them write n times as long.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use aya::maps::{Array, Map, MapData};
use benches::network::Link;
use firewall_ebpf::flows::{
    HASH_KEYS, Keys, LINE_SLOTS, Protocol, SETTINGS_WORDS, Settings, Slot, TAG_LINES, places,
};
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};
use rules::{
    Context,
    packet::{
        Packet,
        tcp_flags::{ACK, FIN, PSH, RST, SYN},
    },
};
use rules_testing::Random;

use super::{Family, events, write};
use crate::{
    machine::{Machine, rounds},
    test_run::{Action, EgressProgram, Program},
};

/// How long they write, in a round.
const TIME: Duration = Duration::from_secs(5);

/// The pairs of flows of which slots have a word each.
const PAIRS: usize = 2_000;

/// The slots of the table, and the lines that the flows are in.
const SLOTS: u32 = 1_024;
const LINES: u32 = 2;

/// The flows of a protocol in these lines: far more than there is room for.
const FLOWS: usize = 256;

/// The IPv6 flows, in any line.
const IPV6_FLOWS: u16 = 2_048;

/// How often the kernel runs a program in one call.
const OFTEN: u32 = 1_000;

/// The kernel runs programs by the loopback interface.
const LOOPBACK: u32 = 1;

/// The keys of the table of a machine.
struct TableKeys([u64; HASH_KEYS]);

impl TableKeys {
    fn of(machine: &Machine) -> Self {
        let pinned = MapData::from_pin(machine.pins().join("flow-settings")).unwrap();
        let settings: Array<_, [u64; SETTINGS_WORDS]> =
            Array::try_from(Map::Array(pinned)).unwrap();
        let words = settings.get(&0, 0).unwrap();
        Self(std::array::from_fn(|index| words[Settings::KEYS + index]))
    }
}

impl Keys for TableKeys {
    fn key(&self, index: usize) -> u64 {
        self.0[index]
    }
}

/// The ends of a flow that the host begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Ends {
    own: SocketAddr,
    far: SocketAddr,
    is_tcp: bool,
}

impl Ends {
    fn ipv4(link: &Link, is_tcp: bool, own: u16, far: u16) -> Self {
        Self {
            own: (link.host.ipv4, own).into(),
            far: (link.peer.ipv4, far).into(),
            is_tcp,
        }
    }

    /// The ends and the protocol in its slot; of IPv4 alone.
    fn slot(self) -> Slot {
        let end = |address: SocketAddr| {
            let ip = match address.ip() {
                IpAddr::V4(ip) => ip,
                IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
            };
            u64::from(ip.to_bits()) << 16 | u64::from(address.port())
        };
        let (one, other) = (end(self.own), end(self.far));
        let protocol = if self.is_tcp {
            Protocol::Tcp
        } else {
            Protocol::Udp
        };
        Slot {
            first: one.min(other) << 16 | protocol as u64,
            second: one.max(other) << 16,
        }
    }

    /// The lines of the table that it may be in, and its tag.
    fn places(self, keys: &TableKeys) -> ([u32; 2], u8) {
        let (lines, tag) = places(keys, self.slot());
        (lines.map(|line| line % (SLOTS / LINE_SLOTS)), tag)
    }

    fn packet(self, flags: u8, is_out: bool) -> Vec<u8> {
        let (from, to) = if is_out {
            (self.own, self.far)
        } else {
            (self.far, self.own)
        };
        let packet = Packet::ip(from.ip(), to.ip()).unwrap();
        if self.is_tcp {
            let payload: &[u8] = if flags & PSH == 0 { &[] } else { b"data" };
            packet
                .tcp(from.port(), to.port(), flags)
                .payload(payload)
                .build()
        } else {
            packet.udp(from.port(), to.port()).payload(b"data").build()
        }
    }
}

/// What is sent, and what looks like an answer to two halves of it.
struct Plan {
    sent: Vec<Ends>,
    /// Each has an own end and a far one of flows of the same lines, which were never sent together; its tag is that of one
    /// of them.
    mixed: Vec<Ends>,
    /// The same with any tag.
    others: Vec<Ends>,
}

impl Plan {
    fn new(machine: &Machine, link: &Link) -> Self {
        let keys = TableKeys::of(machine);
        let is_near = |ends: Ends| ends.places(&keys).0.iter().any(|&line| line < LINES);
        let are_near = |ends: Ends| ends.places(&keys).0.iter().all(|&line| line < LINES);
        let mut random = Random::new(u64::from(std::process::id()));
        let mut plan = Self {
            sent: Vec::new(),
            mixed: Vec::new(),
            others: Vec::new(),
        };
        for is_tcp in [false, true] {
            let mut sent = Vec::new();
            // Each port is in one of them only.
            let mut own_ports: BTreeSet<u16> = BTreeSet::new();
            let mut far_ports: BTreeSet<u16> = BTreeSet::new();
            while sent.len() < FLOWS {
                let mut port = || random.within(1_024, 65_535) as u16;
                let (own, far) = (port(), port());
                let ends = Ends::ipv4(link, is_tcp, own, far);
                if are_near(ends) && !own_ports.contains(&own) && !far_ports.contains(&far) {
                    own_ports.insert(own);
                    far_ports.insert(far);
                    sent.push(ends);
                }
            }
            for one in &sent {
                for other in sent.iter().filter(|other| *other != one) {
                    let mixed = Ends {
                        far: other.far,
                        ..*one
                    };
                    if !is_near(mixed) {
                        continue;
                    }
                    let tag = mixed.places(&keys).1;
                    if [one, other].iter().any(|of| of.places(&keys).1 == tag) {
                        plan.mixed.push(mixed);
                    } else {
                        plan.others.push(mixed);
                    }
                }
            }
            plan.sent.append(&mut sent);
        }
        let (own, far) = (Family::Ipv6.of(&link.host), Family::Ipv6.of(&link.peer));
        let ipv6 = |one: u16, other: u16| Ends {
            own: (own, 10_000 + one).into(),
            far: (far, 20_000 + other).into(),
            is_tcp: one.is_multiple_of(2),
        };
        plan.sent.extend((0..IPV6_FLOWS).map(|one| ipv6(one, one)));
        let others = (0..IPV6_FLOWS).map(|one| ipv6(one, (one + 2) % IPV6_FLOWS));
        plan.others.extend(others);
        plan
    }
}

/// What a CPU has run.
#[derive(Debug, Default)]
struct Runs {
    out: AtomicU64,
    answers: AtomicU64,
    answers_passed: AtomicU64,
    mixed: AtomicU64,
}

/// The programs of a machine, and the packets of a plan.
struct Cpu {
    xdp: Program,
    egress: EgressProgram,
}

impl Cpu {
    fn new(machine: &Machine) -> Self {
        Self {
            xdp: Program::of(machine),
            egress: EgressProgram::of(machine),
        }
    }

    /// Sends a packet again and again.
    fn send(&self, frame: &[u8], times: u32) {
        let context = Context::sent(LOOPBACK);
        let ran = self.egress.run_often(frame, &context, times).unwrap();
        assert_eq!(ran, Some(Action::Pass));
    }

    fn passes(&self, frame: &[u8]) -> bool {
        self.xdp.run(frame).unwrap() == Action::Pass
    }

    /// Runs random packets until it is to stop. Whatever has passed and was never sent ends it.
    fn write(&self, plan: &Plan, seed: u64, runs: &Runs, stop: &AtomicBool) -> Vec<Ends> {
        let mut random = Random::new(seed);
        let mut wrong = Vec::new();
        let add = |number: &AtomicU64| number.fetch_add(1, Ordering::Relaxed);
        let few = plan.sent.len() - usize::from(IPV6_FLOWS);
        while !stop.load(Ordering::Relaxed) {
            // Mostly those of the same lines.
            let sent = if random.percent(80) {
                &plan.sent[..few]
            } else {
                &plan.sent
            };
            let ends = *random.element(sent).unwrap();
            match random.below(10) {
                0..6 => {
                    let flags = random.pick([SYN, PSH | ACK, PSH | ACK, FIN | ACK, ACK, RST]);
                    // As fast as the kernel can: so the CPUs meet.
                    self.send(&ends.packet(flags, true), random.pick([1, OFTEN]));
                    add(&runs.out);
                }
                6 => {
                    let flags = random.pick([SYN | ACK, ACK, PSH | ACK, FIN | ACK, RST]);
                    add(&runs.answers);
                    if self.passes(&ends.packet(flags, false)) {
                        add(&runs.answers_passed);
                    }
                }
                kind => {
                    let mixed = if kind < 9 { &plan.mixed } else { &plan.others };
                    let Some(&ends) = random.element(mixed) else {
                        continue;
                    };
                    let flags = random.pick([SYN | ACK, ACK, PSH | ACK, RST]);
                    add(&runs.mixed);
                    if self.passes(&ends.packet(flags, false)) {
                        wrong.push(ends);
                    }
                }
            }
        }
        wrong
    }
}

/// The CPUs that this process may run on, the first one twice if it is the only one.
fn two_cpus() -> [usize; 2] {
    let allowed = sched_getaffinity(Pid::from_raw(0)).unwrap();
    let mut cpus = (0..CpuSet::count()).filter(|&cpu| allowed.is_set(cpu).unwrap());
    let first = cpus.next().unwrap();
    [first, cpus.next().unwrap_or(first)]
}

fn stay_on(cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu).unwrap();
    sched_setaffinity(Pid::from_raw(0), &set).unwrap();
}

/// Ends the CPUs, also when the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
#[ignore = "needs root"]
fn two_cpus_that_write_the_same_lines_let_nothing_in() {
    let machine = Machine::new();
    machine
        .apply(&write(&machine, &format!("[flows]\nmax = {SLOTS}\n")))
        .kill();
    let link = machine.network.link();
    let plan = Plan::new(&machine, link);
    assert!(!plan.mixed.is_empty());
    let cpus = two_cpus();
    let runs = Runs::default();
    let stop = AtomicBool::new(false);
    let on = cpus.map(|_| Cpu::new(&machine));
    thread::scope(|scope| {
        let _stop = Stop(&stop);
        let writing = [0, 1].map(|number| {
            let (on, plan, runs, stop) = (&on[number], &plan, &runs, &stop);
            scope.spawn(move || {
                stay_on(cpus[number]);
                on.write(plan, number as u64, runs, stop)
            })
        });
        for _ in 0..rounds() {
            thread::sleep(TIME);
        }
        stop.store(true, Ordering::Relaxed);
        for thread in writing {
            let wrong = thread.join().unwrap();
            assert_eq!(wrong, [], "these were never sent");
        }
    });
    let evicted = events(&machine)["evicted_unanswered"].as_u64().unwrap();
    println!("{runs:?}; {evicted} flows gave way");
    let answers_passed = runs.answers_passed.into_inner();
    assert!(answers_passed > 100, "{answers_passed}");
    // A call makes one flow, unless the other CPU takes it away meanwhile.
    let calls = runs.out.into_inner();
    assert!(
        cpus[0] == cpus[1] || evicted > calls * 2,
        "the CPUs have never met"
    );
    // No flow has an end of one and an end of another.
    let known: BTreeSet<_> = plan.sent.iter().copied().collect();
    let listing = firewall::FlowListing::read(&machine.config()).unwrap();
    for flow in listing.flows {
        let address = |end: firewall::FlowEnd| SocketAddr::new(end.address, end.port.unwrap());
        let ends = Ends {
            own: address(flow.from),
            far: address(flow.to),
            is_tcp: flow.protocol == "tcp",
        };
        assert!(known.contains(&ends), "{ends:?}");
    }
    // Each is known again with the next packet out.
    let cpu = Cpu::new(&machine);
    for ends in &plan.sent {
        cpu.send(&ends.packet(SYN, true), 1);
        assert!(cpu.passes(&ends.packet(SYN | ACK, false)), "{ends:?}");
        cpu.send(&ends.packet(PSH | ACK, true), 1);
        assert!(cpu.passes(&ends.packet(PSH | ACK, false)), "{ends:?}");
    }
    for ends in plan.mixed.iter().chain(&plan.others) {
        assert!(!cpu.passes(&ends.packet(ACK, false)), "{ends:?}");
    }
}

/// The table of a machine, for who writes it by hand.
struct Table {
    lines: Array<MapData, [u64; 2 * LINE_SLOTS as usize]>,
    tags: Array<MapData, [u32; TAG_LINES as usize]>,
    keys: TableKeys,
}

impl Table {
    fn of(machine: &Machine) -> Self {
        let pinned = |name| Map::Array(MapData::from_pin(machine.pins().join(name)).unwrap());
        Self {
            lines: Array::try_from(pinned("flows")).unwrap(),
            tags: Array::try_from(pinned("flow-tags")).unwrap(),
            keys: TableKeys::of(machine),
        }
    }

    /// The words of a flow, which is in one of its lines.
    fn words(&self, ends: Ends) -> [u64; 2] {
        let of = ends.slot();
        let lines = ends.places(&self.keys).0;
        let words = lines.map(|line| self.lines.get(&line, 0).unwrap());
        let mut slots = words.as_flattened().chunks(2);
        let is_its =
            |slot: &&[u64]| slot[0] >> 16 == of.first >> 16 && slot[1] >> 16 == of.second >> 16;
        let slot = slots.find(is_its).unwrap();
        [slot[0], slot[1]]
    }

    fn empty(&mut self) {
        for index in 0..self.tags.len() {
            self.tags.set(index, [0; TAG_LINES as usize], 0).unwrap();
        }
    }

    /// Stores words in the first slot where a flow would be looked for, with its tag.
    fn store(&mut self, ends: Ends, [first, second]: [u64; 2]) {
        let (lines, tag) = ends.places(&self.keys);
        let line = lines[0];
        let mut words = [0; 2 * LINE_SLOTS as usize];
        words[..2].copy_from_slice(&[first, second]);
        self.lines.set(line, words, 0).unwrap();
        let mut tags = [0; TAG_LINES as usize];
        tags[(line % TAG_LINES) as usize] = u32::from(tag);
        self.tags.set(line / TAG_LINES, tags, 0).unwrap();
    }
}

#[test]
#[ignore = "needs root"]
fn words_of_two_flows_let_nothing_in_and_are_replaced() {
    let machine = Machine::new();
    machine
        .apply(&write(&machine, &format!("[flows]\nmax = {SLOTS}\n")))
        .kill();
    let link = machine.network.link();
    let cpu = Cpu::new(&machine);
    let mut table = Table::of(&machine);
    let mut random = Random::new(3);
    let mut let_in = 0;
    for number in 0..PAIRS {
        let is_tcp = number.is_multiple_of(2);
        let mut ends = || {
            let [own, far] = [(); 2].map(|()| random.within(1_024, 65_535) as u16);
            Ends::ipv4(link, is_tcp, own, far)
        };
        let (one, other) = (ends(), ends());
        let mixed = Ends {
            far: other.far,
            ..one
        };
        let sent = |ends: Ends| ends.packet(SYN, true);
        let answers = |ends: Ends| cpu.passes(&ends.packet(SYN | ACK, false));
        table.empty();
        cpu.send(&sent(one), 1);
        cpu.send(&sent(other), 1);
        assert!(answers(one) && answers(other));
        // Which is the first end, addresses say: the host's is the smaller one.
        let words = [table.words(one)[0], table.words(other)[1]];
        // By hand it is found as by the programs.
        let own = table.words(one);
        table.empty();
        table.store(one, own);
        assert!(answers(one));
        // Where it would be found, if the words were of a flow.
        table.empty();
        table.store(mixed, words);
        let_in += u32::from(answers(mixed));
        // Where one of the two was.
        table.empty();
        table.store(one, words);
        assert!(!answers(one) && !answers(other) && !answers(mixed));
        cpu.send(&sent(one), 1);
        cpu.send(&sent(other), 1);
        assert!(answers(one) && answers(other));
        assert!(!answers(mixed));
    }
    println!("{let_in} of {PAIRS} mixed pairs match by chance");
    // One in 4,096 does.
    assert!(let_in <= 6, "{let_in}");
}
