//! The table outlives reloads, daemons and programs, and goes with the last rule that asks for states.

use std::fs;

use benches::features::Feature;
use nix::sys::signal::Signal;

use super::{
    Connection, Datagrams, Family, PORT, REPLIES, STATES, counted, flows, how_many, ping, write,
};
use crate::{
    machine::{Machine, wait_until},
    tracer::{End, kill_at},
};

/// The least that a table may have, and the UDP flows that fill a part of it.
const LEAST: u32 = 1_024;
const MANY: u16 = 100;

/// The setting of so many slots, and of timeouts that no test lasts as long as.
fn slots(max: u32) -> String {
    format!(
        "[flows]\nmax = {max}\n\
         [flows.timeouts]\nudp = \"1h\"\nudp_answered = \"1h\"\nicmp_echo = \"1h\"\n"
    )
}

/// Connections of both families, and many other flows.
struct Talks {
    connections: Vec<Connection>,
    datagrams: Vec<Datagrams>,
}

impl Talks {
    fn open(machine: &Machine) -> Self {
        let link = machine.network.link();
        let mut talks = Self {
            connections: Vec::new(),
            datagrams: Vec::new(),
        };
        for family in Family::ALL {
            talks
                .connections
                .push(Connection::open(machine, link, family, PORT));
            for port in 0..MANY {
                let datagrams = Datagrams::open(machine, link, family, 1_000 + port);
                if port % 2 == 0 {
                    datagrams.goes_on();
                } else {
                    datagrams.asks();
                }
                talks.datagrams.push(datagrams);
            }
            ping(machine, link, family);
        }
        talks.go_on();
        talks
    }

    fn go_on(&mut self) {
        for connection in &mut self.connections {
            connection.goes_on();
        }
    }

    /// Everyone who has been asked answers.
    fn all_answer(&self) {
        for datagrams in &self.datagrams {
            datagrams.goes_on();
        }
    }
}

/// The pins of the table and of the programs that need it.
fn pins(machine: &Machine) -> Vec<String> {
    let names = fs::read_dir(machine.pins()).unwrap();
    let mut names: Vec<String> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| {
            ["flow", "egress", "program-"]
                .iter()
                .any(|of| name.starts_with(of))
        })
        .collect();
    names.sort();
    names
}

fn reload(machine: &Machine) {
    let said = machine.run(["reload"]);
    assert!(said.status.success(), "{said:?}");
}

#[test]
#[ignore = "needs root"]
fn flows_outlive_reloads_other_sizes_deaths_and_rollbacks() {
    let machine = Machine::new();
    let file = write(&machine, &slots(LEAST * 2));
    let mut daemon = machine.apply(&file);
    let mut talks = Talks::open(&machine);
    let before = flows(&machine);
    assert_eq!(before.len(), 2 * (usize::from(MANY) + 2));
    let mut check = |what: &str, max: u32| {
        talks.go_on();
        assert_eq!(flows(&machine), before, "{what}");
        assert_eq!(super::listing(&machine)["max"], max, "{what}");
        assert_eq!(counted(&machine, "policy"), 0, "{what}");
    };
    reload(&machine);
    check("reload", LEAST * 2);
    let more = "[[rule]]\nname = \"more\"\naction = \"pass\"\nproto = \"udp\"\ndport = 9\n";
    write(&machine, &(slots(LEAST * 2) + more));
    reload(&machine);
    check("another rule", LEAST * 2);
    write(&machine, &slots(LEAST * 16));
    reload(&machine);
    check("more slots", LEAST * 16);
    assert!(machine.run(["rollback"]).status.success());
    check("rollback", LEAST * 2);
    write(&machine, &slots(LEAST));
    reload(&machine);
    check("fewer slots", LEAST);
    daemon.kill();
    check("no daemon", LEAST);
    daemon = machine.apply(&file);
    check("another daemon", LEAST);
    daemon.kill();
    write(&machine, &slots(LEAST * 4));
    daemon = machine.apply(&file);
    check("another daemon and size", LEAST * 4);
    let path = write(&machine, &slots(LEAST * 8));
    let path = path.to_str().unwrap();
    let said = machine.run(["apply", "--confirm", "1s", path]);
    assert!(said.status.success(), "{said:?}");
    check("rules to be confirmed", LEAST * 8);
    wait_until("the rules are taken back", || {
        super::listing(&machine)["max"] == LEAST * 4
    });
    check("rules that nobody confirmed", LEAST * 4);
    // Keys and addresses are those of the first table: each flow is found, not only listed.
    talks.all_answer();
    assert_eq!(counted(&machine, "policy"), 0);
    assert_eq!(counted(&machine, "new"), 0);
    let objects = machine.objects();
    daemon.signal(Signal::SIGTERM);
    assert!(daemon.wait().success());
    machine.assert_nothing_left(&objects);
}

#[test]
#[ignore = "needs root"]
fn without_a_daemon_new_flows_are_answered_too() {
    let machine = Machine::new();
    let file = write(&machine, "");
    machine.apply(&file).kill();
    let link = machine.network.link();
    for family in Family::ALL {
        Connection::open(&machine, link, family, PORT).goes_on();
        Datagrams::open(&machine, link, family, PORT).goes_on();
        ping(&machine, link, family);
    }
    assert_eq!(how_many(&machine), 6);
    assert_eq!(counted(&machine, "policy"), 0);
    let said = machine.run(["flows", "--delete", "--all"]);
    assert!(said.status.success(), "{said:?}");
    assert_eq!(how_many(&machine), 0);
    let objects = machine.objects();
    assert!(machine.run(["unload"]).status.success());
    machine.assert_nothing_left(&objects);
}

#[test]
#[ignore = "needs root"]
fn rules_without_states_have_no_table_and_no_program_for_it() {
    let machine = Machine::new();
    let without = "[[rule]]\nname = \"old\"\naction = \"pass\"\nsport = 7\n";
    let file = machine.write_rules("drop", without);
    let _daemon = machine.apply(&file);
    assert_eq!(pins(&machine), Vec::<String>::new());
    let link = machine.network.link();
    let mut connection = Connection::open(&machine, link, Family::Ipv4, PORT);
    let has_links = Feature::TcxLinks.is_expected().unwrap();
    for round in 0..2 {
        machine.write_rules("drop", &format!("{REPLIES}{without}"));
        reload(&machine);
        let names = pins(&machine);
        for name in ["flows", "flow-tags", "flow-trackers"] {
            assert!(names.contains(&name.to_owned()), "{round}: {names:?}");
        }
        assert!(!has_links || names.iter().any(|name| name.starts_with("egress")));
        // A connection that is there already is noted when the host says something.
        connection.goes_on();
        assert_eq!(how_many(&machine), 0, "a rule lets its answers in");
        let datagrams = Datagrams::open(&machine, link, Family::Ipv6, PORT + 1);
        datagrams.goes_on();
        assert_eq!(how_many(&machine), 1);
        let objects = machine.objects();
        machine.write_rules("drop", without);
        reload(&machine);
        assert_eq!(pins(&machine), Vec::<String>::new());
        let said = machine.run(["flows"]);
        assert_eq!(said.status.code(), Some(1), "{said:?}");
        assert!(said.stderr.contains("no flow is tracked"), "{said:?}");
        let status = machine.status();
        let hooks = status["traffic_control"].as_array().map_or(0, Vec::len);
        assert_eq!(hooks, 0, "{status}");
        connection.goes_on();
        wait_until("the kernel frees the table and its programs", || {
            let left = benches::objects::all().unwrap();
            objects.intersection(&left).count() <= machine.objects().len()
        });
    }
    // Rules that only count states have it, too.
    let file = machine.write_rules("pass", STATES);
    assert!(file.exists());
    reload(&machine);
    assert!(!pins(&machine).is_empty());
    connection.goes_on();
}

/// Kills the daemon at each step of a reload from one of the rule sets to the next one, in turn; `check` is
/// called after each death, and again with a daemon.
fn die_at_each_step(
    machine: &Machine,
    rule_sets: &[&dyn Fn(&Machine)],
    mut check: impl FnMut(&[&str], bool),
) -> Vec<&'static str> {
    /// Enough for all steps of any change.
    const ENOUGH: usize = 400;
    rule_sets[0](machine);
    let file = machine.folder.path().join("rules.toml");
    let mut daemon = Some(machine.apply(&file));
    let mut steps = Vec::new();
    let mut survived = 0;
    for number in 0..ENOUGH {
        rule_sets[(number + 1) % rule_sets.len()](machine);
        let pid = daemon.as_ref().unwrap().child.id();
        let end = kill_at(pid, number / rule_sets.len(), || {
            machine.run(["reload"]);
        });
        if let End::Killed(step) = end {
            steps.push(step);
            daemon.take().unwrap().kill();
            check(&steps, false);
            daemon = Some(machine.apply(&file));
            survived = 0;
        } else {
            survived += 1;
        }
        check(&steps, true);
        if survived == rule_sets.len() {
            let objects = machine.objects();
            drop(daemon);
            machine.assert_nothing_left(&objects);
            println!("{steps:?}");
            return steps;
        }
    }
    panic!("no end of steps: {steps:?}");
}

#[test]
#[ignore = "needs root"]
fn a_change_of_size_can_be_interrupted_at_each_step() {
    let machine = Machine::new();
    let small = |machine: &Machine| drop(write(machine, &slots(LEAST)));
    let large = |machine: &Machine| drop(write(machine, &slots(LEAST * 2)));
    let mut talks = None;
    let mut before = Vec::new();
    let steps = die_at_each_step(&machine, &[&small, &large], |steps, _| {
        let talks = talks.get_or_insert_with(|| {
            let talks = Talks::open(&machine);
            before = flows(&machine);
            talks
        });
        talks.go_on();
        let now = flows(&machine);
        assert_eq!(now, before, "{steps:?}");
        assert_eq!(counted(&machine, "policy"), 0, "{steps:?}");
    });
    for step in ["pin", "update a link", "rename"] {
        assert!(steps.contains(&step), "{step}: {steps:?}");
    }
}

#[test]
#[ignore = "needs root"]
fn states_come_and_go_whole_when_a_process_is_killed_at_any_step() {
    let machine = Machine::new();
    // Rules without states let the answers in by their port.
    let answers = "[[rule]]\nname = \"old\"\naction = \"pass\"\nsport = 7\n";
    let without = |machine: &Machine| drop(machine.write_rules("drop", answers));
    let with = |machine: &Machine| drop(write(machine, ""));
    let mut connection = None;
    let steps = die_at_each_step(&machine, &[&without, &with], |steps, is_settled| {
        let link = machine.network.link();
        let connection: &mut Connection =
            connection.get_or_insert_with(|| Connection::open(&machine, link, Family::Ipv4, PORT));
        // It is noted, at the latest, when the host says something.
        connection.goes_on();
        Datagrams::open(&machine, link, Family::Ipv6, PORT).goes_on();
        let tracks = machine.run(["flows"]).status.success();
        let asks = machine
            .run(["counters", "--json"])
            .stdout
            .contains("\"replies\"");
        // A table that nothing asks for any more may be left by a process that has been killed, until the next one.
        assert!(tracks || !asks, "{steps:?}");
        assert!(!is_settled || tracks == asks, "{steps:?}");
    });
    for step in ["pin", "create a link", "detach a link", "remove"] {
        assert!(steps.contains(&step), "{step}: {steps:?}");
    }
}
