//! Limits of the process: open files, and memory for what clients do not read.

use std::{
    fs,
    io::Write as _,
    os::unix::net::UnixStream,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    interfaces::ip,
    machine::{BINARY, Daemon, Machine, json, wait_until},
    reload::drop_port,
};

/// The veth pairs of the tests.
const PAIRS: usize = 60;

/// Makes the pairs; the names of all their ends begin with `fwx`.
fn add_pairs(machine: &Machine) {
    let mut commands = String::new();
    for number in 0..PAIRS {
        commands += &format!("link add fwx{number}a type veth peer name fwx{number}b\n");
    }
    let path = machine.folder.path().join("batch");
    fs::write(&path, commands).unwrap();
    ip(machine, &format!("-batch {}", path.display()));
}

/// Starts a daemon on all `fwx*` with a soft and a hard limit of open files.
fn start<'m>(machine: &'m Machine, limits: &str) -> Daemon<'m> {
    let rules = format!(
        "[firewall]\ninterfaces = [\"fwx*\"]\nmode = \"generic\"\npolicy = \"pass\"\n{}",
        drop_port("one", 1)
    );
    let rules = machine.write_file(&rules);
    let mut command = machine.command("prlimit");
    command
        .arg(format!("--nofile={limits}"))
        .args([BINARY, "apply"])
        .arg(rules);
    let daemon = machine.spawn(command);
    machine.await_daemon(&daemon);
    daemon
}

/// How many interfaces have a state, by `status`, and the errors of those that are refused.
fn states(machine: &Machine) -> (usize, Vec<String>) {
    let status = machine.status();
    let all = status["interfaces"].as_array().unwrap();
    let is = |one: &&Value, state: &str| one["state"] == state;
    let refused = all.iter().filter(|one| is(one, "refused"));
    let errors = refused.map(|one| one["error"].as_str().unwrap().to_owned());
    let attached = all.iter().filter(|one| is(one, "attached")).count();
    (attached, errors.collect())
}

#[test]
#[ignore = "needs root"]
fn a_soft_limit_of_open_files_is_raised() {
    let machine = Machine::new();
    add_pairs(&machine);
    let _daemon = start(&machine, "64:4096");
    assert_eq!(states(&machine), (2 * PAIRS, Vec::new()));
}

#[test]
#[ignore = "needs root"]
fn interfaces_beyond_the_limit_of_open_files_are_shown_and_the_daemon_still_answers() {
    let machine = Machine::new();
    let daemon = start(&machine, "100:100");
    add_pairs(&machine);
    let (mut attached, mut errors) = (0, Vec::new());
    wait_until("every interface is attached or refused", || {
        (attached, errors) = states(&machine);
        attached + errors.len() == 2 * PAIRS
    });
    assert!(
        attached >= 20 && errors.len() >= 30,
        "{attached} are attached"
    );
    for error in errors {
        assert!(error.ends_with(": too many open files"), "{error}");
    }
    // What links leave is enough to be asked.
    let clients: Vec<_> = (0..10)
        .map(|_| UnixStream::connect(machine.run_folder().join("test.sock")).unwrap())
        .collect();
    assert!(machine.run(["ban", "203.0.113.7"]).status.success());
    let log = machine.log().len();
    thread::sleep(Duration::from_secs(2));
    let more = machine.log().len() - log;
    assert!(more < 1 << 12, "{more} bytes were logged in two seconds");
    drop(clients);
    // Those that go make room.
    let commands: String = (0..PAIRS - 10)
        .map(|number| format!("link delete fwx{number}a\n"))
        .collect();
    let path = machine.folder.path().join("batch");
    fs::write(&path, commands).unwrap();
    ip(&machine, &format!("-batch {}", path.display()));
    wait_until("the others are filtered", || {
        assert!(machine.run(["reload"]).status.success());
        states(&machine) == (20, Vec::new())
    });
    assert!(daemon.child.id() > 0);
}

#[test]
#[ignore = "needs root"]
fn clients_that_read_nothing_take_little_memory() {
    const CLIENTS: usize = 60;
    let machine = Machine::new();
    let daemon = machine.apply(&machine.write_rules("pass", &drop_port("one", 1)));
    let before = daemon.memory();
    let request = |items: usize| {
        let items = vec!["\"x\""; items].join(",");
        format!("{{\"command\":\"unban\",\"prefixes\":[{items}]}}\n")
    };
    // As many as fit a line would be answered with megabytes.
    let refused = json(&machine.order(&request(16_000)));
    assert_eq!(refused["answer"], "failed", "{refused}");
    // Each is refused, with a message.
    let lines = request(1000).repeat(20);
    let mut most = 0;
    let mut clients: Vec<UnixStream> = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = UnixStream::connect(machine.run_folder().join("test.sock")).unwrap();
        client.set_nonblocking(true).unwrap();
        // As much as the socket takes.
        let _ = client.write(lines.as_bytes());
        clients.push(client);
    }
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(3) {
        most = most.max(daemon.memory());
        thread::sleep(Duration::from_millis(50));
    }
    println!("{before} bytes, and at most {most} with {CLIENTS} clients");
    assert!(most < before + (24 << 20), "{before} bytes, then {most}");
    // Others are answered meanwhile.
    assert!(machine.run(["ban", "203.0.113.7"]).status.success());
}
