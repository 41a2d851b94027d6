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
    model::{Direction, FlowNeeds},
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
tcp_incoming = "96s"
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

/// Rules for packets out, which count their states, and drop some.
pub(super) const OUT: &str = r#"
[[rule]]
name = "new out"
action = "count"
direction = "out"
state = "new"
[[rule]]
name = "established out"
action = "count"
direction = "out"
state = "established"
[[rule]]
name = "related out"
action = "count"
direction = "out"
state = "related"
[[rule]]
name = "invalid out"
action = "count"
direction = "out"
state = "invalid"
[[rule]]
name = "no questions to this port"
action = "drop"
direction = "out"
state = "new"
proto = "udp"
dport = 1
[[rule]]
name = "nothing that cannot be"
action = "drop"
direction = "out"
state = "invalid"
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
    /// Likewise those for packets out, if there are any.
    slots_out: Option<[u32; 4]>,
    counted_out: [u64; 4],
    machine: Machine,
}

impl Programs {
    fn new(needs: FlowNeeds) -> Self {
        let machine = Machine::new();
        let out = if needs == FlowNeeds::OutgoingStates {
            OUT
        } else {
            ""
        };
        let rules = machine.write_rules(
            "drop",
            &format!("{TIMEOUTS_WRITTEN}{STATES}{REPLIES}{TOPICS}{out}"),
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
            slots_out: (needs == FlowNeeds::OutgoingStates)
                .then(|| State::ALL.map(|state| slot(&format!("{} out", state.as_str())))),
            counted_out: [0; 4],
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
        (self.counted(Direction::In), passes)
    }

    /// The state of the last packet of a direction, by the rule that has counted it.
    fn counted(&mut self, direction: Direction) -> State {
        let (slots, before) = match (direction, self.slots_out) {
            (Direction::Out, Some(slots)) => (slots, &mut self.counted_out),
            (Direction::In | Direction::Out, _) => (self.slots, &mut self.counted),
        };
        let mut counted = Vec::new();
        for state in State::ALL {
            let number = state as usize;
            let blocks = self.counters.get(&(slots[number] / BLOCK), 0).unwrap();
            let at = (slots[number] % BLOCK) as usize;
            let sum: u64 = blocks.iter().map(|block| block[at][0]).sum();
            if sum != before[number] {
                assert_eq!(sum, before[number] + 1);
                counted.push(state);
            }
            before[number] = sum;
        }
        assert_eq!(counted.len(), 1, "{counted:?}");
        counted[0]
    }

    /// Whether a packet out passes, and the state that it has, if rules ask for it.
    fn send(&mut self, frame: &[u8]) -> (Option<State>, bool) {
        let ran = self.egress.run(frame, &Context::sent(LOOPBACK)).unwrap();
        let state = self
            .slots_out
            .is_some()
            .then(|| self.counted(Direction::Out));
        (state, ran == Some(Action::Pass))
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

/// Whether the rules pass a packet out of a state.
fn passes_out(datagram: &Datagram, state: State) -> bool {
    match state {
        State::New => !matches!(datagram.content, Content::Udp { dport: 1, .. }),
        State::Established | State::Related => true,
        State::Invalid => false,
    }
}

#[test]
#[ignore = "needs root"]
fn conversations_have_the_states_of_a_plain_map() {
    converse(FlowNeeds::Incoming);
}

#[test]
#[ignore = "needs root"]
fn conversations_have_the_states_of_a_plain_map_in_both_directions() {
    converse(FlowNeeds::OutgoingStates);
}

fn converse(needs: FlowNeeds) {
    const SEEDS: u64 = 40;
    const TURNS: usize = 25_000;
    let rounds = std::env::var("FIREWALL_ROUNDS").map_or(1, |rounds| rounds.parse().unwrap());
    let mut programs = Programs::new(needs);
    let mut met = [0_u64; 4];
    let mut met_out = [0_u64; 4];
    for seed in 0..SEEDS * rounds {
        let mut conversation = Conversation::new(seed);
        let mut map = FlowMap::new(TIMEOUTS, needs);
        programs.empty();
        programs.set_time(0);
        let mut told: Vec<Turn> = Vec::new();
        for _ in 0..TURNS {
            let turn = conversation.turn();
            told.push(turn.clone());
            match turn {
                Turn::Wait(seconds) => {
                    if map.now().as_secs() + seconds > SPAN {
                        map = FlowMap::new(TIMEOUTS, needs);
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
                    if has_passed && state == State::New {
                        map.admitted(&datagram);
                    }
                    met[state as usize] += 1;
                }
                Turn::Out(datagram) => {
                    let (state, has_passed) = programs.send(&frame(&datagram));
                    let last = &told[told.len().saturating_sub(12)..];
                    if let Some(state) = state {
                        assert_eq!(state, map.leaving(&datagram), "seed {seed}, {last:#?}");
                        assert_eq!(has_passed, passes_out(&datagram, state), "{last:#?}");
                        met_out[state as usize] += 1;
                    } else {
                        assert!(has_passed, "{last:#?}");
                    }
                    if has_passed {
                        map.sent(&datagram, lets_in(&datagram));
                    }
                }
            }
        }
        let listed = firewall::FlowListing::read(&programs.machine.config()).unwrap();
        assert_eq!(
            listed.flows.len() + listed.handshakes as usize,
            map.len(),
            "seed {seed}"
        );
    }
    println!("{met:?} packets in of each state, {met_out:?} packets out");
    assert!(met.iter().all(|count| *count > 5_000), "{met:?}");
    let has_states = needs == FlowNeeds::OutgoingStates;
    assert!(
        !has_states || met_out.iter().all(|count| *count > 5_000),
        "{met_out:?}"
    );
}
