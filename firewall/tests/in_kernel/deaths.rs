//! A process is killed before each of its steps, one after the other: filtering goes on with a
//! whole generation, nothing is lost from the counters, and the next process takes over or unloads.

use std::{
    fmt::Debug,
    fs,
    io::Write as _,
    net::UdpSocket,
    os::fd::AsFd as _,
    process::{Child, Stdio},
    time::Duration,
};

use aya::maps::{Array, ArrayOfMaps, Map, MapData};
use nix::sys::signal::Signal;

use crate::{
    machine::{BINARY, Daemon, Machine, json, wait_until},
    reload::{drop_port, idle_rules, udp, under_traffic},
    tracer::{End, kill_at},
};

/// How many packets say how a flow is judged.
const PROBES: u64 = 8;

/// Enough for all steps of any change.
const ENOUGH: usize = 200;

/// The rules of two generations, of which one drops packets for port 2 and one passes them.
fn rules(generation: usize) -> String {
    let one = drop_port("one", 1);
    match generation % 2 {
        0 => one + &drop_port("two", 2),
        _ => drop_port("other", 3) + &one,
    }
}

/// Receives what passes to a port.
struct Probe {
    socket: UdpSocket,
    port: u16,
}

impl Probe {
    fn new(machine: &Machine, port: u16) -> Self {
        let address = (machine.network.link().host.ipv4, port);
        let socket = machine.network.host.run(|| UdpSocket::bind(address));
        let socket = socket.unwrap().unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(60)))
            .unwrap();
        Self { socket, port }
    }

    /// Sends packets, and checks that all were judged by one generation: whether they pass.
    fn passes(&self, machine: &Machine, context: &dyn Debug) -> bool {
        machine.send(&udp(machine, self.port), PROBES);
        let mut arrived = 0;
        while self.socket.recv(&mut [0; 64]).is_ok() {
            arrived += 1;
        }
        assert!(arrived == 0 || arrived == PROBES, "{arrived}: {context:?}");
        arrived == PROBES
    }
}

/// What every command must be able to say in whatever state.
fn ask(machine: &Machine, context: &dyn Debug) -> serde_json::Value {
    for command in ["counters", "status"] {
        let said = machine.run([command]);
        assert!(said.status.success(), "{context:?}: {said:?}");
    }
    machine.status()
}

/// Starts the command and kills it before a step; else until it has brought its rules into force.
fn start_and_kill(machine: &Machine, number: usize, arguments: &[&str]) -> (End, Child) {
    // It waits until it is traced.
    let mut command = machine.command("sh");
    command
        .args(["-c", "read line && exec \"$0\" \"$@\"", BINARY])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = machine.network.host.spawn(&mut command).unwrap();
    let mut gate = child.stdin.take().unwrap();
    let pid = child.id();
    let end = kill_at(pid, number, || {
        gate.write_all(b"\n").unwrap();
        wait_until("the rules are in force or the process is dead", || {
            let said = machine.run(["status", "--json"]);
            let is_done = said.status.success() && {
                let daemon = &json(&said.stdout)["daemon"];
                daemon["pid"] == pid && daemon["generation"].is_u64()
            };
            is_done || is_dead(pid)
        });
    });
    if end != End::Survived {
        child.wait().unwrap();
    }
    (end, child)
}

fn is_dead(pid: u32) -> bool {
    !fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
#[ignore = "needs root"]
fn a_reload_can_be_interrupted_at_each_step() {
    let machine = Machine::new();
    let probe = Probe::new(&machine, 2);
    let file = machine.write_rules("pass", &rules(0));
    let mut daemon = Some(machine.apply(&file));
    let mut steps = Vec::new();
    let sent = under_traffic(&machine, 2_000, || {
        for number in 0..ENOUGH {
            machine.write_rules("pass", &rules(number + 1));
            let pid = daemon.as_ref().unwrap().child.id();
            let end = kill_at(pid, number, || {
                machine.run(["reload"]);
            });
            let End::Killed(step) = end else { return };
            steps.push(step);
            daemon.take().unwrap().kill();
            let status = ask(&machine, &steps);
            assert_eq!(status["daemon"], serde_json::Value::Null);
            let passes = probe.passes(&machine, &steps);
            let names = machine.run(["counters", "--json"]).stdout;
            // What the pins tell of is what judges.
            assert_eq!(passes, !names.contains("\"two\""), "{steps:?}");
            daemon = Some(machine.apply(&file));
            let passes = probe.passes(&machine, &steps);
            assert_eq!(passes, number % 2 == 0, "{steps:?}");
        }
        panic!("no end of steps");
    });
    println!("{steps:?}");
    for step in ["pin", "update an element", "remove"] {
        assert!(steps.contains(&step), "{steps:?}");
    }
    let one = machine.counters()["one"];
    assert_eq!(one, (sent.packets[0], sent.bytes[0]), "{steps:?}");
}

#[test]
#[ignore = "needs root"]
fn a_takeover_can_be_interrupted_at_each_step() {
    let machine = Machine::new();
    let probe = Probe::new(&machine, 2);
    let file = machine.write_rules("pass", &rules(0));
    machine.apply(&file).kill();
    let mut steps = Vec::new();
    let mut last = None;
    let sent = under_traffic(&machine, 2_000, || {
        for number in 0..ENOUGH {
            machine.write_rules("pass", &rules(number));
            let (end, child) = start_and_kill(&machine, number, &["apply", file.to_str().unwrap()]);
            let End::Killed(step) = end else {
                last = Some((number, child));
                return;
            };
            steps.push(step);
            ask(&machine, &steps);
            probe.passes(&machine, &steps);
            // The next one begins where this one began.
            machine.apply(&file).kill();
            assert_eq!(probe.passes(&machine, &steps), number % 2 == 1, "{steps:?}");
        }
        panic!("no end of steps");
    });
    println!("{steps:?}");
    for step in ["pin", "update a link", "rename"] {
        assert!(steps.contains(&step), "{steps:?}");
    }
    let (number, mut child) = last.unwrap();
    assert_eq!(probe.passes(&machine, &steps), number % 2 == 1);
    let one = machine.counters()["one"];
    assert_eq!(one, (sent.packets[0], sent.bytes[0]), "{steps:?}");
    let objects = machine.objects();
    assert!(machine.run(["unload"]).status.success());
    child.wait().unwrap();
    machine.assert_nothing_left(&objects);
}

#[test]
#[ignore = "needs root"]
fn a_change_of_all_maps_can_be_interrupted_at_each_step() {
    let machine = Machine::new();
    let probe = Probe::new(&machine, 2);
    let mut steps = Vec::new();
    for number in 0..ENOUGH {
        let file = machine.write_rules("pass", &rules(0));
        let daemon = machine.apply(&file);
        let mut next = None;
        let mut survived = false;
        let sent = under_traffic(&machine, 2_000, || {
            machine.write_rules("pass", &(rules(1) + &idle_rules(100)));
            let end = kill_at(daemon.child.id(), number, || {
                machine.run(["reload"]);
            });
            let End::Killed(step) = end else {
                survived = true;
                return;
            };
            steps.push(step);
            ask(&machine, &steps);
            probe.passes(&machine, &steps);
            // In turn: another takes over, or all is unloaded from this state.
            if number % 2 == 0 {
                next = Some(machine.apply(&file));
                assert!(probe.passes(&machine, &steps));
            }
        });
        if next.is_some() || survived {
            let one = machine.counters()["one"];
            assert_eq!(one, (sent.packets[0], sent.bytes[0]), "{steps:?}");
        }
        let objects = machine.objects();
        if !survived {
            daemon.kill();
        }
        let said = machine.run(["unload"]);
        assert!(said.status.success(), "{steps:?}: {said:?}");
        machine.assert_nothing_left(&objects);
        if survived {
            println!("{steps:?}");
            for step in ["pin", "update a link", "update an element", "rename"] {
                assert!(steps.contains(&step), "{steps:?}");
            }
            return;
        }
    }
    panic!("no end of steps");
}

#[test]
#[ignore = "needs root"]
fn the_first_apply_can_be_interrupted_at_each_step() {
    let machine = Machine::new();
    let probe = Probe::new(&machine, 2);
    let file = machine.write_rules("pass", &rules(0));
    let mut steps = Vec::new();
    for number in 0..ENOUGH {
        let apply = ["apply", file.to_str().unwrap()];
        let (end, mut child) = start_and_kill(&machine, number, &apply);
        let survived = end == End::Survived;
        if let End::Killed(step) = end {
            steps.push(step);
        }
        // Attached or not: nothing in between.
        let is_filtered = machine.attached().is_some();
        assert_eq!(probe.passes(&machine, &steps), !is_filtered, "{steps:?}");
        if number % 2 == 0 && !survived {
            let daemon = machine.apply(&file);
            assert!(!probe.passes(&machine, &steps));
            drop(daemon);
        }
        let said = machine.run(["unload"]);
        assert!(said.status.success(), "{steps:?}: {said:?}");
        child.wait().unwrap();
        machine.assert_nothing_left(&std::collections::BTreeSet::new());
        if survived {
            println!("{steps:?}");
            for step in ["make a folder", "pin", "create a link", "rename"] {
                assert!(steps.contains(&step), "{steps:?}");
            }
            return;
        }
    }
    panic!("no end of steps");
}

/// Kills the daemon that `load` starts before each step of its unload, and returns the steps. After each, `check` looks
/// at what is left, and nothing is after `firewall unload`.
pub(super) fn unload_at_each_step<'m>(
    machine: &'m Machine,
    load: impl Fn() -> Daemon<'m>,
    check: impl Fn(&[&str]),
) -> Vec<&'static str> {
    let mut steps = Vec::new();
    for number in 0..ENOUGH {
        let mut daemon = load();
        let objects = machine.objects();
        let pid = daemon.child.id();
        let end = kill_at(pid, number, || {
            daemon.signal(Signal::SIGTERM);
            wait_until("it has ended", || is_dead(pid));
        });
        if let End::Killed(step) = end {
            steps.push(step);
        }
        check(&steps);
        daemon.wait();
        let said = machine.run(["unload"]);
        assert!(said.status.success(), "{steps:?}: {said:?}");
        machine.assert_nothing_left(&objects);
        if end == End::Survived {
            println!("{steps:?}");
            return steps;
        }
    }
    panic!("no end of steps");
}

#[test]
#[ignore = "needs root"]
fn an_unload_can_be_interrupted_at_each_step() {
    let machine = Machine::new();
    let probe = Probe::new(&machine, 2);
    let load = || {
        let file = machine.write_rules("pass", &rules(0));
        let daemon = machine.apply(&file);
        // Something is kept of the generation before, too.
        machine.write_rules("pass", &(rules(0) + &drop_port("more", 4)));
        assert!(machine.run(["reload"]).status.success());
        daemon
    };
    let steps = unload_at_each_step(&machine, load, |steps| {
        let is_filtered = machine.attached().is_some();
        assert_eq!(probe.passes(&machine, &steps), !is_filtered, "{steps:?}");
    });
    for step in [
        "detach a link",
        "delete an element",
        "remove",
        "remove a folder",
    ] {
        assert!(steps.contains(&step), "{steps:?}");
    }
}

#[test]
#[ignore = "needs root"]
fn rules_that_are_to_be_confirmed_can_be_interrupted_at_each_step() {
    let machine = Machine::new();
    let file = machine.write_rules("pass", &rules(0));
    let other = machine.folder.path().join("other.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&other, text + &drop_port("more", 4)).unwrap();
    let mut daemon = Some(machine.apply(&file));
    let mut steps = Vec::new();
    for number in 0..ENOUGH {
        let before = machine.status()["generation"].as_u64().unwrap();
        let pid = daemon.as_ref().unwrap().child.id();
        let survived = End::Survived
            == kill_at(pid, number, || {
                // Handed to the daemon; if that dies, this does not take its place.
                let request = format!(
                    "{{\"command\":\"apply\",\"file\":\"{}\",\"confirm_ms\":3600000}}\n",
                    other.display()
                );
                machine.order(&request);
            });
        steps.push(survived);
        let status = machine.status();
        let is_new = status["generation"] == before + 1;
        // In force and waiting are one and the same.
        assert_eq!(status["waiting"].is_object(), is_new, "{number}: {status}");
        assert!(is_new || status["generation"] == before);
        if is_new {
            assert_eq!(status["waiting"]["returns_to"], before);
        }
        if survived {
            assert!(is_new);
            assert!(steps.len() > 4, "{steps:?}");
            return;
        }
        daemon.take().unwrap().kill();
        daemon = Some(machine.apply(&file));
        let status = machine.status();
        assert_eq!(status["waiting"].is_object(), is_new, "{number}: {status}");
        assert_eq!(status["rules"]["count"], if is_new { 3 } else { 2 });
        if is_new {
            assert!(machine.run(["rollback"]).status.success());
            assert_eq!(machine.status()["rules"]["count"], 2);
        }
    }
    panic!("no end of steps");
}

/// Changes the image in force.
fn put_in_force(machine: &Machine, change: impl FnOnce(&[u8]) -> Vec<u8>) {
    const IMAGE: usize = 1 << 16;
    let images = MapData::from_pin(machine.pins().join("images")).unwrap();
    let mut images = ArrayOfMaps::<_, MapData>::try_from(Map::ArrayOfMaps(images)).unwrap();
    let map = Map::Array(images.get(&0, 0).unwrap());
    let image = Array::<_, [u8; IMAGE]>::try_from(map)
        .unwrap()
        .get(&0, 0)
        .unwrap();
    let mut bytes = change(&image);
    bytes.resize(IMAGE, 0);
    let definition = aya_obj::Map::new_from_params(
        aya_obj::generated::bpf_map_type::BPF_MAP_TYPE_ARRAY as u32,
        4,
        IMAGE as u32,
        1,
        aya_obj::generated::BPF_F_MMAPABLE,
    );
    let map = MapData::create(definition, "test", None).unwrap();
    let written = map.fd().as_fd().try_clone_to_owned().unwrap();
    let mut array = Array::<_, [u8; IMAGE]>::try_from(Map::Array(map)).unwrap();
    array
        .set(0, <[u8; IMAGE]>::try_from(bytes).unwrap(), 0)
        .unwrap();
    let map = MapData::from_fd(written).unwrap();
    images.set(0, &map, 0).unwrap();
}

/// Gives the image in force a layout of another version, which its program does not look at.
fn give_other_layout(machine: &Machine) {
    put_in_force(machine, |image| {
        let mut bytes = image.to_vec();
        assert_eq!(bytes[..3], *b"FWI");
        bytes[3] = 0xfe;
        bytes
    });
}

#[test]
#[ignore = "needs root"]
fn what_a_version_with_another_layout_loaded_is_taken_over_with_its_counts_and_bans() {
    let machine = Machine::new();
    let one = drop_port("one", 1);
    let file = machine.write_rules("pass", &one);
    let daemon = machine.apply(&file);
    machine.write_rules("pass", &(drop_port("two", 2) + &one));
    assert!(machine.run(["reload"]).status.success());
    let banned = machine.run(["ban", "203.0.113.7", "--reason", "test"]);
    assert!(banned.status.success(), "{banned:?}");
    assert_eq!(machine.status()["previous"]["generation"], 1);
    let mut daemon = Some(daemon);
    let sent = under_traffic(&machine, 2_000, || {
        daemon.take().unwrap().kill();
        give_other_layout(&machine);
        // Its metadata are read, and its tables are not.
        assert_eq!(machine.status()["generation"], 2);
        let explained = machine.run(["explain", "--live", "udp 192.0.2.2:1 > 192.0.2.1:1"]);
        assert_eq!(explained.status.code(), Some(1), "{explained:?}");
        daemon = Some(machine.apply(&file));
    });
    let one = machine.counters()["one"];
    assert_eq!(one, (sent.packets[0], sent.bytes[0]));
    let status = machine.status();
    assert_eq!(status["generation"], 3);
    // It never comes back: this version cannot classify by it.
    assert_eq!(status["previous"], serde_json::Value::Null);
    assert!(!machine.run(["rollback"]).status.success());
    assert!(machine.run(["bans"]).stdout.contains("203.0.113.7"));
    let objects = machine.objects();
    assert!(machine.run(["unload"]).status.success());
    daemon.unwrap().wait();
    machine.assert_nothing_left(&objects);
}

#[test]
#[ignore = "needs root"]
fn rules_of_another_layout_that_wait_for_their_confirmation_stay_in_force() {
    let machine = Machine::new();
    let file = machine.write_rules("pass", &drop_port("one", 1));
    let daemon = machine.apply(&file);
    machine.write_rules("pass", &drop_port("two", 2));
    let applied = machine.run(["apply", "--confirm", "1s", file.to_str().unwrap()]);
    assert!(applied.status.success(), "{applied:?}");
    daemon.kill();
    give_other_layout(&machine);
    // Also when their time is over: the rules before them cannot come back.
    std::thread::sleep(Duration::from_millis(1_100));
    let said = machine.run(["apply", file.to_str().unwrap()]);
    assert_eq!(said.status.code(), Some(1));
    assert!(
        said.stderr.contains(
            "generation 2 was loaded by another version of this program, and cannot come back"
        ),
        "{said:?}"
    );
    let probe = Probe::new(&machine, 2);
    assert!(!probe.passes(&machine, &"port 2"));
    assert!(machine.run(["confirm"]).status.success());
    let _daemon = machine.apply(&file);
    assert!(!probe.passes(&machine, &"port 2"));
}

#[test]
#[ignore = "needs root"]
fn what_another_version_loaded_goes_on_filtering_until_somebody_decides() {
    let machine = Machine::new();
    let file = machine.write_rules("pass", &drop_port("one", 1));
    machine.apply(&file).kill();
    let other = br#"{"abi":4000000000,"state":4000000000,"all":"else may differ"}"#;
    put_in_force(&machine, |image| {
        rules::compiler::reissue(image, other).unwrap()
    });

    let program = machine.attached();
    let said = machine.run(["apply", file.to_str().unwrap()]);
    assert_eq!(said.status.code(), Some(1));
    assert_eq!(
        said.stderr,
        "error: cannot take over what is loaded: what is loaded has version 4000000000 of the \
         kernel interface, this program has version 4, which cannot read its counters, bans and flows\n\
         help: it goes on filtering; use the version of this program that loaded it, or remove it \
         with `firewall unload`: filtering stops until the next `firewall apply`\n"
            .replace(
                "version 4,",
                &format!("version {},", firewall_ebpf::abi::VERSION)
            )
    );
    for command in ["status", "counters", "confirm"] {
        let said = machine.run([command]);
        assert_eq!(said.status.code(), Some(1), "{command}");
        assert!(
            said.stderr
                .contains("\nhelp: use the version of this program"),
            "{said:?}"
        );
    }
    assert_eq!(machine.attached(), program);
    assert!(!Probe::new(&machine, 1).passes(&machine, &"port 1"));
    assert!(machine.run(["unload"]).status.success());
    assert_eq!(machine.attached(), None);
}
