//! Conversations in both directions through the programs in the kernel: each packet has the state that a plain map says,
//! and its verdict.

use std::time::Duration;

use aya::maps::{Array, Map, MapData, PerCpuArray};
use firewall_ebpf::{
    abi::{self, BLOCK},
    flows::{FINE_UNIT, SETTINGS_WORDS, Settings, TAG_LINES},
    state::State,
};
use rules::{
    Context,
    evaluator::flows::{Content, Datagram, FlowMap},
};
use rules_testing::flows::{Conversation, TIMEOUTS, Turn, frame};

use crate::{
    flows::{REPLIES, STATES},
    machine::Machine,
    test_run::{Action, EgressProgram, Program, action},
};

/// [`TIMEOUTS`] in the language.
const TIMEOUTS_WRITTEN: &str = r#"
[flows.timeouts]
tcp_opening = "128s"
tcp = "24h"
tcp_half_closed = "3584s"
tcp_closed = "160s"
tcp_reset = "608s"
udp = "32s"
udp_answered = "192s"
icmp_echo = "64s"
other = "640s"
"#;

/// Rules for what [`Conversation`] says, behind those that pass answers.
pub(super) const TOPICS: &str = r#"
[[rule]]
name = "no marked packets"
action = "drop"
state = "new"
dscp = 63
[[rule]]
name = "names"
action = "pass"
state = "new"
proto = ["tcp", "udp"]
dport = 53
ttl = 254
[[rule]]
name = "web"
action = "pass"
proto = "tcp"
dport = 443
[[rule]]
name = "tunnels"
action = "pass"
state = "!invalid"
proto = 47
[[rule]]
name = "later"
action = "drop"
state = "new"
proto = "udp"
dport = [53, 443]
"#;

/// Seconds after which a table is emptied: stamps would become ambiguous.
const SPAN: u64 = 4 * 3_600;

/// The programs of an instance without a daemon, and its table.
struct Programs {
    xdp: Program,
    egress: EgressProgram,
    settings: Array<MapData, [u64; SETTINGS_WORDS]>,
    tags: Array<MapData, [u32; TAG_LINES as usize]>,
    fragments: Array<MapData, u64>,
    counters: PerCpuArray<MapData, [[u64; 2]; BLOCK as usize]>,
    /// The counter slots of the rules named like states.
    slots: [u32; 4],
    counted: [u64; 4],
    machine: Machine,
}

impl Programs {
    fn new() -> Self {
        let machine = Machine::new();
        let rules = machine.write_rules(
            "drop",
            &format!("{TIMEOUTS_WRITTEN}{STATES}{REPLIES}{TOPICS}"),
        );
        machine.apply(&rules).kill();
        let pinned = |name| MapData::from_pin(machine.pins().join(name)).unwrap();
        let snapshot = firewall::CounterSnapshot::read(&machine.config()).unwrap();
        let slot = |name: &str| {
            let mut rules = snapshot.rules.iter();
            let slot = rules.find(|rule| rule.name == name).unwrap().slot;
            serde_json::to_value(slot).unwrap().as_u64().unwrap() as u32
        };
        let mut settings: Array<_, [u64; SETTINGS_WORDS]> =
            Array::try_from(Map::Array(pinned("flow-settings"))).unwrap();
        // The time is what the test says.
        let mut words = settings.get(&0, 0).unwrap();
        words[Settings::CLOCK] = 0;
        settings.set(0, words, 0).unwrap();
        let xdp = Program::of(&machine);
        // It is not pinned.
        let maps = xdp.0.info().unwrap().map_ids().unwrap().unwrap();
        let mut maps = maps.into_iter().map(|id| MapData::from_id(id).unwrap());
        let fragments = maps
            .find(|map| map.info().unwrap().name_as_str() == Some(abi::FLOW_FRAGMENTS))
            .unwrap();
        Self {
            xdp,
            fragments: Array::try_from(Map::Array(fragments)).unwrap(),
            egress: EgressProgram::of(&machine),
            settings,
            tags: Array::try_from(Map::Array(pinned("flow-tags"))).unwrap(),
            counters: PerCpuArray::try_from(Map::PerCpuArray(pinned("counters"))).unwrap(),
            slots: State::ALL.map(|state| slot(state.as_str())),
            counted: [0; 4],
            machine,
        }
    }

    fn empty(&mut self) {
        for index in 0..self.fragments.len() {
            self.fragments.set(index, 0, 0).unwrap();
        }
        for index in 0..self.tags.len() {
            self.tags.set(index, [0; TAG_LINES as usize], 0).unwrap();
        }
    }

    fn set_time(&mut self, seconds: u64) {
        let mut words = self.settings.get(&0, 0).unwrap();
        words[Settings::LATER] = seconds / u64::from(FINE_UNIT);
        self.settings.set(0, words, 0).unwrap();
    }

    /// The state that a packet in has, by the rule that has counted it, and whether it passes.
    fn receive(&mut self, frame: &[u8]) -> (State, bool) {
        let options = aya::programs::TestRunOptions {
            data_in: Some(frame),
            ..aya::programs::TestRunOptions::new()
        };
        let run = aya::programs::TestRun::test_run(&self.xdp.0, options).unwrap();
        let passes = action(run.return_value) == Action::Pass;
        let blocks = self.counters.get(&(self.slots[0] / BLOCK), 0).unwrap();
        let mut counted = Vec::new();
        for state in State::ALL {
            let number = state as usize;
            let at = (self.slots[number] % BLOCK) as usize;
            let sum: u64 = blocks.iter().map(|block| block[at][0]).sum();
            if sum != self.counted[number] {
                assert_eq!(sum, self.counted[number] + 1);
                counted.push(state);
            }
            self.counted[number] = sum;
        }
        assert_eq!(counted.len(), 1, "{counted:?}");
        (counted[0], passes)
    }

    fn send(&self, frame: &[u8]) {
        let ran = self.egress.run(frame, &Context::sent(LOOPBACK)).unwrap();
        assert_eq!(ran, Some(Action::Pass));
    }
}

const LOOPBACK: u32 = 1;

/// Whether the rules let in what a packet out may be an answer to: to the port or of the protocol that it is from.
fn lets_in(datagram: &Datagram) -> bool {
    match datagram.content {
        Content::Tcp { sport, .. } => matches!(sport, 53 | 443),
        // The last rule decides what the one about the time to live may not.
        Content::Udp { sport, .. } => sport == 53,
        Content::Protocol(number) => number == 47,
        Content::Echo { .. } | Content::Error(_) | Content::Message => false,
    }
}

/// Whether the rules pass a packet in of a state. The packets have another time to live than one rule wants.
fn passes(datagram: &Datagram, state: State) -> bool {
    match state {
        State::Established | State::Related => true,
        State::New | State::Invalid => match datagram.content {
            Content::Tcp { dport, .. } => dport == 443,
            Content::Protocol(number) => number == 47 && state == State::New,
            Content::Udp { .. } | Content::Echo { .. } | Content::Error(_) | Content::Message => {
                false
            }
        },
    }
}

#[test]
#[ignore = "needs root"]
fn conversations_have_the_states_of_a_plain_map() {
    const SEEDS: u64 = 40;
    const TURNS: usize = 25_000;
    let rounds = std::env::var("FIREWALL_ROUNDS").map_or(1, |rounds| rounds.parse().unwrap());
    let mut programs = Programs::new();
    let mut met = [0_u64; 4];
    for seed in 0..SEEDS * rounds {
        let mut conversation = Conversation::new(seed);
        let mut map = FlowMap::new(TIMEOUTS);
        programs.empty();
        programs.set_time(0);
        let mut told: Vec<Turn> = Vec::new();
        for _ in 0..TURNS {
            let turn = conversation.turn();
            told.push(turn.clone());
            match turn {
                Turn::Wait(seconds) => {
                    if map.now().as_secs() + seconds > SPAN {
                        map = FlowMap::new(TIMEOUTS);
                        programs.empty();
                    } else {
                        map.wait(Duration::from_secs(seconds));
                    }
                    programs.set_time(map.now().as_secs());
                }
                Turn::In(datagram) => {
                    let expected = map.received(&datagram, lets_in);
                    let (state, has_passed) = programs.receive(&frame(&datagram));
                    let last = &told[told.len().saturating_sub(12)..];
                    assert_eq!(state, expected, "seed {seed}, {last:#?}");
                    assert_eq!(has_passed, passes(&datagram, state), "{last:#?}");
                    met[state as usize] += 1;
                }
                Turn::Out(datagram) => {
                    map.sent(&datagram, lets_in(&datagram));
                    programs.send(&frame(&datagram));
                }
            }
        }
        let listed = firewall::FlowListing::read(&programs.machine.config()).unwrap();
        assert_eq!(listed.flows.len(), map.len(), "seed {seed}");
    }
    println!("{met:?} packets in of each state");
    assert!(met.iter().all(|count| *count > 5_000), "{met:?}");
}
