//! Tests with packets that came before, random ones: the evaluator, the walker and the programs in the kernel say the same of
//! each sequence, and what the evaluator says is what the tests expect.

use std::{fs, path::Path, sync::Arc, time::Duration};

use benches::features::Feature;
use rules::{
    Context,
    diagnostics::Source,
    evaluator::{Outcome, evaluate, flows::Tracker},
    field::State,
    model::{Direction, Ruleset, Verdict},
    text::hexadecimal,
};
use rules_testing::{
    Random,
    flows::{Conversation, Turn, frame},
};

use crate::{
    conversations::{self, TOPICS},
    flows::{REPLIES, STATES},
    machine::Machine,
};

/// Timeouts that are no multiples of the units of stamps.
const TIMEOUTS: &str = r#"
[flows.timeouts]
tcp_opening = "2m"
tcp_incoming = "1m"
tcp = "24h"
tcp_half_closed = "3599s"
tcp_closed = "121s"
tcp_reset = "10m"
udp = "30s"
udp_answered = "2m"
icmp_echo = "33s"
other = "10m"
"#;

/// A rule for packets out.
const OUT: &str = r#"
[[rule]]
name = "never to this port"
action = "drop"
direction = "out"
proto = "udp"
dport = 1
"#;

/// A frame that goes in or out.
fn packet(turn: Turn) -> Option<(Vec<u8>, Direction)> {
    match turn {
        Turn::In(datagram) => Some((frame(&datagram), Direction::In)),
        Turn::Out(datagram) => Some((frame(&datagram), Direction::Out)),
        Turn::Wait(_) => None,
    }
}

fn written((frame, direction): &(Vec<u8>, Direction)) -> String {
    let digits = hexadecimal::digits(frame);
    format!("\"{} hex {digits}\"", direction.as_str())
}

/// What happens to a packet in a sequence: the verdict, what decided, and the state.
fn judge(
    ruleset: &Ruleset,
    tracker: &mut Tracker<'_>,
    (frame, direction): &(Vec<u8>, Direction),
    interface: &str,
) -> (Verdict, Outcome, Option<State>) {
    let context = match direction {
        Direction::In => Context::arriving(Some(interface)),
        Direction::Out => Context::sent(Some(interface)),
    };
    let state = tracker.see(frame, &context).map(|seen| seen.state);
    let context = context.in_state(state.unwrap_or(State::New));
    let found = evaluate(ruleset, frame, &context);
    if found.verdict == Verdict::Pass {
        tracker.passed(frame, &context);
    }
    (found.verdict, found.outcome, state)
}

/// Random tests, the number of their packets, and the states of the last ones.
fn random_tests(ruleset: &Ruleset, interface: &str, tests: u64) -> (String, usize, [usize; 4]) {
    let mut text = String::new();
    let (mut packets, mut met) = (0, [0; 4]);
    for seed in 0..tests {
        let mut random = Random::new(seed);
        let mut conversation = Conversation::new(!seed);
        let mut tracker = Tracker::new(ruleset);
        let mut given = Vec::new();
        let wanted = random.within(1, 30);
        while given.len() < wanted {
            let Some(packet) = packet(conversation.turn()) else {
                continue;
            };
            // Only packets that pass came before; another one changes nothing.
            let mut tried = tracker.clone();
            if judge(ruleset, &mut tried, &packet, interface).0 == Verdict::Pass {
                tracker = tried;
                given.push(packet);
            }
        }
        let kept: Vec<u64> = ruleset
            .settings
            .flows
            .timeouts
            .iter()
            .map(|(_, timeout)| timeout.as_secs())
            .collect();
        let after = match random.below(4) {
            0 => 0,
            1 => random.within(1, 40) as u64,
            _ => random.pick([0, 0, 1, 3, 31]) + kept[random.below(kept.len())],
        };
        tracker.wait(Duration::from_secs(after));
        let packet = loop {
            if let Some(packet) = packet(conversation.turn()) {
                break packet;
            }
        };
        let (verdict, outcome, state) = judge(ruleset, &mut tracker, &packet, interface);
        if let Some(state) = state {
            met[state as usize] += 1;
        }
        let by = match outcome {
            Outcome::Rule(id) => format!("rule = \"{}\"", ruleset.rules[id.0 as usize].name),
            Outcome::Reason(reason) => format!("reason = \"{}\"", reason.name()),
        };
        packets += given.len() + 1;
        let given: Vec<String> = given.iter().map(written).collect();
        text += &format!(
            "[[test]]\nname = \"{seed}\"\ngiven = [{}]\nafter = {after}\npacket = {}\n\
             expect = \"{}\"\n{by}\n",
            given.join(", "),
            written(&packet),
            verdict.as_str()
        );
    }
    (text, packets, met)
}

#[test]
#[ignore = "needs root"]
fn random_sequences_have_the_same_result_everywhere() {
    run_random_tests(OUT);
}

#[test]
#[ignore = "needs root"]
fn random_sequences_have_the_same_result_where_rules_ask_for_states_out() {
    run_random_tests(&format!("{OUT}{}", conversations::OUT));
}

fn run_random_tests(out: &str) {
    const TESTS: u64 = 400;
    let machine = Machine::new();
    let interface = machine.interface();
    let settings = format!(
        "[firewall]\ninterfaces = [\"{interface}\"]\npolicy = \"drop\"\n{TIMEOUTS}{STATES}{REPLIES}{out}{TOPICS}"
    );
    let source = Arc::new(Source::new("rules.toml", settings.as_str()));
    let loaded = rules::load(&source, |_| Err::<Source, _>("no lists")).unwrap();
    let (tests, packets, met) = random_tests(&loaded.ruleset, interface, TESTS);
    println!("{packets} packets; the states of the last ones: {met:?}");
    assert!(met.iter().all(|count| *count > 5), "{met:?}");
    let file = machine.write_file(&format!("{settings}{tests}"));
    let said = machine.run(["check", file.to_str().unwrap()]);
    assert!(said.status.success(), "{}", said.stderr);
    let daemon = machine.start_logging(&file, "debug");
    machine.await_daemon(&daemon);
    let grouped = firewall_text(packets);
    let agree = format!(
        "{grouped} packets of the tests have the same result in the kernel and in user space"
    );
    let log = machine.log();
    assert!(log.contains(&agree), "{agree}\n{log}");
    assert!(!log.contains("were run in user space only"), "{log}");
    // The flows of the tests are none of those in force.
    let flows = machine.run(["flows", "--count"]);
    assert_eq!(flows.stdout, "0\n", "{flows:?}");
}

#[test]
#[ignore = "needs root"]
fn samples_pass_their_tests_in_the_kernel() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rules/samples");
    for name in ["home.toml", "laptop.toml", "router.toml", "web.toml"] {
        let machine = Machine::with_links(4);
        let mut text = fs::read_to_string(samples.join(name)).unwrap();
        text = text.replace("[\"en*\", \"eth*\", \"wl*\"]", "[\"eth0\"]");
        for (link, known) in machine
            .network
            .links()
            .iter()
            .zip(["eth0", "eth1", "eth2", "wg0"])
        {
            text = text.replace(known, &link.host.interface);
        }
        let lists = machine.folder.path().join("lists");
        fs::create_dir(&lists).unwrap();
        fs::copy(samples.join("lists/drop.txt"), lists.join("drop.txt")).unwrap();
        let source = Arc::new(Source::new(name, text.as_str()));
        let loaded = rules::load(&source, |list| {
            fs::read(samples.join(list)).map(|bytes| Source::new(list, bytes))
        });
        let tests = loaded.unwrap().tests;
        let packets: usize = tests.iter().map(|test| test.sequence().count()).sum();
        let file = machine.write_file(&text);
        let daemon = machine.start_logging(&file, "debug");
        machine.await_daemon(&daemon);
        let log = machine.log();
        // Before Linux 5.11 forwarded packets are not tried, nor what follows them.
        if Feature::TestRunForwarded.is_expected().unwrap() {
            let agree = format!(
                "{packets} packets of the tests have the same result in the kernel and in user space"
            );
            assert!(log.contains(&agree), "{name}: {agree}\n{log}");
            assert!(
                !log.contains("were run in user space only"),
                "{name}\n{log}"
            );
        }
    }
}

/// A number as it is shown.
fn firewall_text(number: usize) -> String {
    let digits = number.to_string();
    match digits.len() {
        0..=3 => digits,
        length => format!("{},{}", &digits[..length - 3], &digits[length - 3..]),
    }
}
