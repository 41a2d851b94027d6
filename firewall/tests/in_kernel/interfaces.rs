//! Interfaces that come, go, change their names or refuse, while the daemon runs.

use std::{
    fs,
    os::fd::{AsFd as _, AsRawFd as _},
    path::PathBuf,
    process::Stdio,
    time::Instant,
};

use benches::{
    network::{End, Namespace, Tun},
    packet::Packet,
    traffic::Sender,
};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{
    machine::{Machine, json, wait_until},
    reload::{drop_port, under_traffic},
};

/// Runs `ip` where the daemon is; `words` are separated by spaces.
pub(crate) fn ip(machine: &Machine, words: &str) {
    let mut command = machine.command("ip");
    command.args(words.split(' '));
    let said = machine.finish(command);
    assert!(said.status.success(), "ip {words}: {said:?}");
}

/// Runs several commands of `ip` at once.
fn ip_batch(machine: &Machine, commands: &str) {
    let path = machine.folder.path().join("batch");
    fs::write(&path, commands).unwrap();
    ip(machine, &format!("-batch {}", path.display()));
}

/// Makes a veth pair and brings it up: `fwx<number>`, which is to be filtered, and `fwy<number>`.
pub(crate) fn add(machine: &Machine, number: u32) {
    ip_batch(
        machine,
        &format!(
            "link add fwx{number} type veth peer name fwy{number}\n\
             link set fwx{number} up\nlink set fwy{number} up\n"
        ),
    );
}

/// An interface of the host's namespace as traffic needs it; only a pair knows its addresses.
fn end(machine: &Machine, name: &str) -> End {
    let mut show = machine.command("ip");
    show.args(["-j", "link", "show", name]);
    let said = machine.finish(show);
    let link = &json(&said.stdout)[0];
    End {
        interface: name.to_owned(),
        index: u32::try_from(link["ifindex"].as_u64().unwrap()).unwrap(),
        ..machine.network.link().peer.clone()
    }
}

/// Sends packets for a UDP port into an interface, and out of the other end of its pair.
fn send(machine: &Machine, from: &str, port: u16, count: u64) {
    let end = end(machine, from);
    wait_until("the pair is up", || {
        let mut show = machine.command("ip");
        show.args(["-j", "link", "show", from]);
        json(&machine.finish(show).stdout)[0]["operstate"] == "UP"
    });
    let mut sender = Sender::open(&machine.network.host, &end).unwrap();
    let packet: Packet = machine.network.link().ipv4().udp(40_000, port);
    let frame = packet.build();
    for _ in 0..count {
        sender.send(&frame).unwrap();
    }
}

/// What `status` says of an interface or of a pattern.
fn interface(machine: &Machine, name: &str) -> Option<Value> {
    let status = machine.status();
    let mut interfaces = status["interfaces"].as_array().unwrap().iter();
    interfaces
        .find(|interface| interface["name"] == name)
        .cloned()
}

pub(crate) fn await_state(machine: &Machine, name: &str, state: &str) -> Value {
    let mut last = None;
    wait_until(&format!("`{name}` is {state}"), || {
        last = interface(machine, name);
        last.as_ref().is_some_and(|last| last["state"] == state)
    });
    last.unwrap()
}

pub(crate) fn await_absent(machine: &Machine, name: &str) {
    wait_until(&format!("`{name}` is forgotten"), || {
        interface(machine, name).is_none()
    });
}

fn await_count(machine: &Machine, rule: &str, packets: u64) {
    let mut counted = 0;
    wait_until(
        &format!("{packets} packets are counted by `{rule}`"),
        || {
            counted = machine.counters().get(rule).map_or(0, |count| count.0);
            counted >= packets
        },
    );
    assert_eq!(counted, packets);
}

/// The names of the pinned links.
fn pinned(machine: &Machine) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(machine.pins())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_prefix("link-").map(str::to_owned))
        .collect();
    names.sort();
    names
}

fn write(machine: &Machine, interfaces: &str, rules: &str) -> PathBuf {
    machine.write_file(&format!("[firewall]\ninterfaces = [{interfaces}]\n{rules}"))
}

/// The XDP program of an interface in a namespace.
fn program(machine: &Machine, namespace: &Namespace, name: &str) -> Option<u64> {
    let mut show = machine.command("ip");
    show.args(["-j", "link", "show", name]);
    show.stdout(Stdio::piped());
    let child = namespace.spawn(&mut show).unwrap();
    let output = child.wait_with_output().unwrap();
    let links = json(std::str::from_utf8(&output.stdout).unwrap());
    links[0]["xdp"]["prog"]["id"].as_u64()
}

#[test]
#[ignore = "needs root"]
fn an_interface_is_filtered_once_it_appears_and_forgotten_when_it_goes() {
    let machine = Machine::new();
    let _daemon = machine.apply(&write(&machine, "\"fwx*\"", &drop_port("one", 1)));
    await_state(&machine, "fwx*", "waiting");
    assert_eq!(pinned(&machine), Vec::<String>::new());
    let mut sent = 0;
    for _ in 0..3 {
        ip(&machine, "link add fwx0 type veth peer name fwy0");
        let begin = Instant::now();
        let host = &machine.network.host;
        while program(&machine, host, "fwx0").is_none() {
            assert!(begin.elapsed() < crate::machine::patience());
        }
        eprintln!("attached within {:?} of its appearance", begin.elapsed());
        ip_batch(&machine, "link set fwx0 up\nlink set fwy0 up\n");
        let there = await_state(&machine, "fwx0", "attached");
        assert_eq!(there["mode"], "native");
        assert_eq!(interface(&machine, "fwx*"), None);
        send(&machine, "fwy0", 1, 5);
        sent += 5;
        await_count(&machine, "one", sent);
        ip(&machine, "link delete fwx0");
        await_absent(&machine, "fwx0");
        await_state(&machine, "fwx*", "waiting");
        assert_eq!(pinned(&machine), Vec::<String>::new());
    }
    // No rule names an interface: the rules are those of the beginning.
    assert_eq!(machine.status()["generation"], 1);
}

#[test]
#[ignore = "needs root"]
fn a_named_interface_that_vanishes_and_returns_does_not_disturb_the_others() {
    let machine = Machine::new();
    add(&machine, 0);
    let rules = format!("\"{}\", \"fwx0\"", machine.interface());
    let rules = write(&machine, &rules, &drop_port("one", 1));
    let _daemon = machine.apply(&rules);
    let sent = under_traffic(&machine, 5_000, || {
        for _ in 0..4 {
            await_state(&machine, "fwx0", "attached");
            ip(&machine, "link delete fwx0");
            await_state(&machine, "fwx0", "waiting");
            // What is waited for is no error of a reload.
            assert!(machine.run(["reload"]).status.success());
            add(&machine, 0);
        }
        await_state(&machine, "fwx0", "attached");
    });
    await_count(&machine, "one", sent.packets[0]);
    send(&machine, "fwy0", 1, 7);
    await_count(&machine, "one", sent.packets[0] + 7);
}

#[test]
#[ignore = "needs root"]
fn rules_that_name_interfaces_follow_their_names() {
    let machine = Machine::new();
    let rule = |name: &str| {
        format!(
            "[[rule]]\nname = \"{name}\"\naction = \"drop\"\nproto = \"udp\"\ndport = 1\n\
             interface = \"{name}\"\n"
        )
    };
    let rules = rule("fwx0") + &rule("fwx1") + &drop_port("other", 1);
    for number in 0..3 {
        add(&machine, number);
    }
    ip_batch(
        &machine,
        "link set fwx2 down\nlink set fwx2 name other2\nlink set other2 up\n",
    );
    let path = write(&machine, "\"fwx*\"", &rules);
    let _daemon = machine.apply(&path);
    assert_eq!(pinned(&machine), ["fwx0", "fwx1"]);
    // From now on the file is of no use.
    fs::write(&path, "no rules").unwrap();

    // Into the glob.
    ip_batch(
        &machine,
        "link set other2 down\nlink set other2 name fwx2\nlink set fwx2 up\n",
    );
    await_state(&machine, "fwx2", "attached");
    send(&machine, "fwy2", 1, 2);
    await_count(&machine, "other", 2);
    send(&machine, "fwy1", 1, 3);
    await_count(&machine, "fwx1", 3);

    // Two exchange their names.
    let exchange = "link set fwx0 down\nlink set fwx1 down\n\
                    link set fwx0 name fwx9\nlink set fwx1 name fwx0\nlink set fwx9 name fwx1\n\
                    link set fwx0 up\nlink set fwx1 up\n";
    let indexes = ["fwx0", "fwx1"].map(|name| end(&machine, name).index);
    ip_batch(&machine, exchange);
    wait_until("the names are known", || {
        let index = |name| interface(&machine, name).map(|it| it["index"].clone());
        index("fwx1") == Some(indexes[0].into())
            && index("fwx0") == Some(indexes[1].into())
            && pinned(&machine) == ["fwx0", "fwx1", "fwx2"]
            && machine
                .log()
                .contains("interfaces have changed: generation 3")
    });
    send(&machine, "fwy1", 1, 5);
    await_count(&machine, "fwx0", 5);
    send(&machine, "fwy0", 1, 7);
    await_count(&machine, "fwx1", 3 + 7);

    // Out of the glob, and another takes the name.
    ip_batch(
        &machine,
        "link set fwx2 down\nlink set fwx2 name other2\nlink set other2 up\n\
         link add fwx2 type veth peer name fwy3\nlink set fwx2 up\nlink set fwy3 up\n",
    );
    wait_until("the old one is not filtered, and the new one is", || {
        let host = &machine.network.host;
        program(&machine, host, "other2").is_none() && program(&machine, host, "fwx2").is_some()
    });
    send(&machine, "fwy3", 1, 11);
    await_count(&machine, "other", 2 + 11);
    wait_until("the pins have the names of the interfaces", || {
        pinned(&machine) == ["fwx0", "fwx1", "fwx2"]
    });
    let reload = machine.run(["reload"]);
    assert_eq!(
        reload.status.code(),
        Some(3),
        "the file was read: {reload:?}"
    );
}

#[test]
#[ignore = "needs root"]
fn an_interface_in_another_network_namespace_is_left_alone_until_it_returns() {
    let machine = Machine::new();
    add(&machine, 0);
    let _daemon = machine.apply(&write(&machine, "\"fwx0\"", &drop_port("one", 1)));
    let descriptor = |namespace: &Namespace| {
        let number = namespace.as_fd().as_raw_fd();
        format!("/proc/{}/fd/{number}", std::process::id())
    };
    let peer = &machine.network.peer;
    ip(
        &machine,
        &format!("link set fwx0 netns {}", descriptor(peer)),
    );
    wait_until("it is not filtered there", || {
        program(&machine, peer, "fwx0").is_none()
    });
    await_state(&machine, "fwx0", "waiting");
    assert_eq!(pinned(&machine), Vec::<String>::new());
    let mut back = machine.command("ip");
    let home = descriptor(&machine.network.host);
    back.args(["link", "set", "fwx0", "netns", &home]);
    assert!(peer.spawn(&mut back).unwrap().wait().unwrap().success());
    await_state(&machine, "fwx0", "attached");
    ip(&machine, "link set fwx0 up");
    send(&machine, "fwy0", 1, 3);
    await_count(&machine, "one", 3);
}

#[test]
#[ignore = "needs root"]
fn one_that_refuses_is_told_and_tried_again_and_hinders_nothing() {
    let machine = Machine::new();
    add(&machine, 0);
    let _daemon = machine.apply(&write(&machine, "\"fwx*\"", &drop_port("one", 1)));
    // With a link layer that is not understood; occupied; with settings that native mode does not take.
    let tun = machine.network.host.run(|| Tun::new("fwz7"));
    let tun = tun.unwrap().unwrap();
    tun.set_link_layer(libc::ARPHRD_IEEE80211).unwrap();
    ip(&machine, "link set fwz7 name fwx7");
    ip_batch(
        &machine,
        "link add fwz1 type veth peer name fwy1\nlink set fwz1 up\nlink set fwy1 up\n",
    );
    crate::company::load(&machine, "fwz1");
    wait_until("another has its program there", || {
        program(&machine, &machine.network.host, "fwz1").is_some()
    });
    ip_batch(
        &machine,
        "link set fwz1 down\nlink set fwz1 name fwx1\nlink set fwx1 up\n\
         link add fwx2 numrxqueues 1 numtxqueues 1 type veth peer name fwy2 numrxqueues 2 numtxqueues 2\n\
         link set fwx2 up\nlink set fwy2 up\n",
    );
    let refused = [
        (
            "fwx7",
            "the packets on interface `fwx7` begin with neither an Ethernet nor an IP header",
        ),
        // The daemon may not ask for the name of a program that came later.
        ("fwx1", "interface `fwx1` already has an XDP program: id "),
        (
            "fwx2",
            "the driver of `fwx2` refuses a native XDP program with its present settings",
        ),
    ];
    for (name, error) in refused {
        let told = await_state(&machine, name, "refused");
        let its = told["error"].as_str().unwrap();
        assert!(its.starts_with(error), "{told}");
        assert!(told["help"].is_string(), "{told}");
        let text = machine.run(["status"]).stdout;
        assert!(text.contains(&format!("no: {error}")), "{text}");
        let line = format!("`{name}` is not filtered: {error}");
        assert_eq!(machine.log().matches(&line).count(), 1, "{}", machine.log());
    }
    assert_eq!(interface(&machine, "fwx0").unwrap()["state"], "attached");
    send(&machine, "fwy0", 1, 3);
    await_count(&machine, "one", 3);
    // Rules can be changed all the same.
    write(
        &machine,
        "\"fwx*\"",
        &(drop_port("one", 1) + &drop_port("two", 2)),
    );
    let reload = machine.run(["reload"]);
    assert!(reload.status.success(), "{reload:?}");
    send(&machine, "fwy0", 2, 2);
    await_count(&machine, "two", 2);

    // What is mended is noticed.
    ip(&machine, "link set fwx1 xdp off");
    await_state(&machine, "fwx1", "attached");
    send(&machine, "fwy1", 1, 4);
    await_count(&machine, "one", 3 + 4);
    ip_batch(&machine, "link delete fwx2\nlink delete fwx7\n");
    await_absent(&machine, "fwx2");
    await_absent(&machine, "fwx7");
}

#[test]
#[ignore = "needs root"]
fn a_hundred_interfaces_at_once_are_attached_in_a_few_steps() {
    const COUNT: usize = 100;
    let machine = Machine::new();
    // This rule makes every change of the interfaces one of the rules.
    let named = "[[rule]]\nname = \"named\"\naction = \"drop\"\ninterface = \"fwx42\"\n\
                 proto = \"udp\"\ndport = 1\n";
    let _daemon = machine.apply(&write(&machine, "\"fwx*\"", named));
    let mut commands = String::new();
    for number in 0..COUNT {
        commands += &format!("link add fwx{number} type veth peer name fwy{number}\n");
    }
    commands += "link set fwx42 up\nlink set fwy42 up\n";
    let begin = Instant::now();
    ip_batch(&machine, &commands);
    let made = begin.elapsed();
    wait_until("all are attached", || pinned(&machine).len() == COUNT);
    let attached = begin.elapsed();
    send(&machine, "fwy42", 1, 3);
    await_count(&machine, "named", 3);
    let generations = machine.status()["generation"].as_u64().unwrap() - 1;
    eprintln!(
        "{COUNT} made in {made:?}, attached after {attached:?}, in {generations} generations"
    );
    assert!(generations <= 40, "{generations} generations");
    let commands: String = (0..COUNT)
        .map(|n| format!("link delete fwx{n}\n"))
        .collect();
    ip_batch(&machine, &commands);
    wait_until("all are forgotten", || pinned(&machine).is_empty());
    await_state(&machine, "fwx*", "waiting");
}

#[test]
#[ignore = "needs root"]
fn events_that_are_lost_are_made_up_for() {
    let machine = Machine::new();
    let daemon = machine.apply(&write(&machine, "\"fwx*\"", &drop_port("one", 1)));
    // More events than the socket of a daemon that does not read has room for.
    daemon.signal(Signal::SIGSTOP);
    let mut commands = "link add fwz0 type veth peer name fwy9\n".to_owned();
    for round in 0..400 {
        commands += &format!("link set fwz0 mtu {}\n", 1400 + round % 2);
    }
    ip_batch(&machine, &commands);
    let sockets = fs::read_to_string(format!("/proc/{}/net/netlink", daemon.child.id())).unwrap();
    let drops = |line: &str| line.split_whitespace().nth(8).unwrap().parse::<u64>().ok();
    let lost: u64 = sockets.lines().skip(1).filter_map(drops).sum();
    assert!(lost > 0, "{sockets}");
    add(&machine, 0);
    daemon.signal(Signal::SIGCONT);
    await_state(&machine, "fwx0", "attached");
    send(&machine, "fwy0", 1, 3);
    await_count(&machine, "one", 3);
}

#[test]
#[ignore = "needs root"]
fn a_new_daemon_waits_for_what_the_one_before_waited_for() {
    let machine = Machine::new();
    let rules = write(&machine, "\"fwx0\"", &drop_port("one", 1));
    let refused = machine.run(["apply", rules.to_str().unwrap()]);
    assert_eq!(
        refused.stderr,
        "error: no interface is called `fwx0`\nhelp: there are `lo`, `fw-host0`; `--wait` attaches \
         to interfaces once they are there\n"
    );
    add(&machine, 0);
    machine.apply(&rules).kill();
    ip(&machine, "link delete fwx0");
    let daemon = machine.apply(&rules);
    await_state(&machine, "fwx0", "waiting");
    daemon.kill();
    // Another file is looked at as any other.
    let other = write(&machine, "\"fwx0\"", &drop_port("two", 2));
    let refused = machine.run(["apply", other.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let mut command = machine.command(crate::machine::BINARY);
    command.args(["apply", "--wait", other.to_str().unwrap()]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = machine.network.host.spawn(&mut command).unwrap();
    await_state(&machine, "fwx0", "waiting");
    add(&machine, 0);
    await_state(&machine, "fwx0", "attached");
    send(&machine, "fwy0", 2, 3);
    await_count(&machine, "two", 3);
    assert!(machine.run(["unload"]).status.success());
    assert!(child.wait().unwrap().success());
}
