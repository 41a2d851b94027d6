//! What the machine sends and forwards, filtered at the egress hook of traffic control.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    path::PathBuf,
    thread,
    time::Duration,
};

use benches::{classifier::Classifier, features::Feature};
use nix::sys::signal::Signal;
use rules::packet::Packet;
use serde_json::Value;

use crate::{
    deaths::unload_at_each_step,
    interfaces::ip,
    machine::{Machine, Said, wait_until},
    reload::drop_port,
    tracer::{End, kill_at},
};

/// A rule that drops packets out to a UDP port.
fn drop_out(name: &str, port: u16) -> String {
    format!("{}direction = \"out\"\n", drop_port(name, port))
}

/// Sends packets from the machine to its peer, and returns how many arrive.
pub(super) fn arriving(machine: &Machine, port: u16, count: u64) -> u64 {
    arriving_at(machine, machine.network.link().peer.ipv4, port, count)
}

fn arriving_at(machine: &Machine, address: Ipv4Addr, port: u16, count: u64) -> u64 {
    let receiver = machine
        .network
        .peer
        .run(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)))
        .unwrap()
        .unwrap();
    receiver
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    machine
        .network
        .host
        .run(|| {
            let sender = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
            for _ in 0..count {
                // A packet that is dropped is an error for its sender.
                let _ = sender.send_to(&[0; 32], (address, port));
            }
        })
        .unwrap();
    let mut arrived = 0;
    while receiver.recv(&mut [0; 64]).is_ok() {
        arrived += 1;
    }
    arrived
}

/// What `status` says of the programs at the hooks of traffic control.
fn at_hooks(machine: &Machine) -> Vec<Value> {
    let status = machine.status();
    status["traffic_control"]
        .as_array()
        .cloned()
        .unwrap_or_default()
}

/// The names of the pins that begin so.
fn pins(machine: &Machine, prefix: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(machine.pins())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(prefix))
        .collect();
    names.sort();
    names
}

fn tool(machine: &Machine, program: &str, words: &str) -> Said {
    let mut command = machine.command(program);
    command.args(words.split(' '));
    machine.finish(command)
}

#[test]
#[ignore = "needs root"]
fn what_is_sent_is_filtered_and_counted() {
    let machine = Machine::new();
    let rules = machine.write_rules("pass", &drop_out("no eight", 8));
    let mut daemon = machine.apply(&rules);
    assert_eq!(arriving(&machine, 8, 3), 0);
    assert_eq!(arriving(&machine, 9, 3), 3);
    // The Ethernet, IP and UDP headers, and 32 bytes.
    let bytes = 3 * (14 + 20 + 8 + 32);
    assert_eq!(machine.counters()["no eight"], (3, bytes));
    let hooks = at_hooks(&machine);
    assert_eq!(hooks.len(), 1, "{hooks:?}");
    assert_eq!(hooks[0]["hook"], "egress");
    assert_eq!(hooks[0]["interface"], machine.interface());
    assert_eq!(hooks[0]["state"], "attached");
    assert_eq!(hooks[0]["order"][0]["own"], true);
    let text = machine.run(["status"]).stdout;
    assert!(text.contains("firewall_egress (id "), "{text}");
    let objects = machine.objects();
    daemon.signal(Signal::SIGTERM);
    daemon.wait();
    assert_eq!(arriving(&machine, 8, 3), 3);
    machine.assert_nothing_left(&objects);
}

#[test]
#[ignore = "needs root"]
fn no_program_is_where_no_rule_needs_one() {
    let machine = Machine::new();
    let rules = machine.write_rules("pass", &drop_port("in", 8));
    let _daemon = machine.apply(&rules);
    assert_eq!(at_hooks(&machine), Vec::<Value>::new());
    assert_eq!(pins(&machine, "program"), ["program"]);
    for round in 0..2 {
        machine.write_rules("pass", &(drop_port("in", 8) + &drop_out("out", 8)));
        assert!(machine.run(["reload"]).status.success());
        assert_eq!(at_hooks(&machine).len(), 1, "{round}");
        assert_eq!(arriving(&machine, 8, 2), 0);
        let objects = machine.objects();
        let egress = at_hooks(&machine)[0]["program"]["id"].clone();
        machine.write_rules("pass", &drop_port("in", 8));
        assert!(machine.run(["reload"]).status.success());
        assert_eq!(at_hooks(&machine), Vec::<Value>::new());
        assert_eq!(pins(&machine, "program"), ["program"]);
        assert_eq!(pins(&machine, "egress"), Vec::<String>::new());
        assert_eq!(arriving(&machine, 8, 2), 2);
        assert!(objects.iter().any(|object| egress == object.id));
        wait_until("the kernel frees the program", || {
            let said = tool(&machine, "bpftool", &format!("-j prog show id {egress}"));
            !said.status.success()
        });
    }
}

#[test]
#[ignore = "needs root"]
fn a_daemon_that_is_killed_leaves_what_is_sent_filtered_until_another_takes_over() {
    let machine = Machine::new();
    let rules = machine.write_rules("pass", &drop_out("no eight", 8));
    machine.apply(&rules).kill();
    assert_eq!(arriving(&machine, 8, 2), 0);
    let before = at_hooks(&machine)[0]["program"]["id"].clone();
    let daemon = machine.apply(&rules);
    let hooks = at_hooks(&machine);
    assert_eq!(hooks.len(), 1);
    assert_ne!(hooks[0]["program"]["id"], before);
    assert_eq!(hooks[0]["order"].as_array().unwrap().len(), 1);
    assert_eq!(arriving(&machine, 8, 2), 0);
    machine.await_packets("no eight", 4);
    // Rules that need no program there end it, too.
    daemon.kill();
    let rules = machine.write_rules("pass", &drop_port("in", 8));
    let daemon = machine.apply(&rules);
    assert_eq!(at_hooks(&machine), Vec::<Value>::new());
    assert_eq!(arriving(&machine, 8, 2), 2);
    let objects = machine.objects();
    daemon.kill();
    assert!(machine.run(["unload"]).status.success());
    machine.assert_nothing_left(&objects);
}

#[test]
#[ignore = "needs root"]
fn a_rollback_and_one_for_want_of_confirmation_bring_the_egress_program_back_or_end_it() {
    let machine = Machine::new();
    let rules = machine.write_rules("pass", &drop_port("in", 8));
    let _daemon = machine.apply(&rules);
    machine.write_rules("pass", &drop_out("out", 8));
    let path = rules.to_str().unwrap();
    let said = machine.run(["apply", "--confirm", "1s", path]);
    assert!(said.status.success(), "{said:?}");
    assert_eq!(arriving(&machine, 8, 1), 0);
    wait_until("the rules are taken back", || at_hooks(&machine).is_empty());
    assert_eq!(arriving(&machine, 8, 1), 1);
    assert!(machine.run(["reload"]).status.success());
    assert_eq!(arriving(&machine, 8, 1), 0);
    machine.write_rules("pass", &drop_port("in", 9));
    assert!(machine.run(["reload"]).status.success());
    assert_eq!(arriving(&machine, 8, 1), 1);
    assert!(machine.run(["rollback"]).status.success());
    assert_eq!(at_hooks(&machine).len(), 1);
    assert_eq!(arriving(&machine, 8, 1), 0);
}

#[test]
#[ignore = "needs root"]
fn a_link_that_another_process_detaches_is_attached_again() {
    let machine = Machine::new();
    let rules = machine.write_rules("pass", &drop_out("no eight", 8));
    let _daemon = machine.apply(&rules);
    if let Some(lacking) = Feature::TcxLinks.lacking().unwrap() {
        println!("left out {lacking}");
        return;
    }
    let path: PathBuf = machine
        .pins()
        .join(format!("egress-{}", machine.interface()));
    let words = format!("link detach pinned {}", path.display());
    let said = tool(&machine, "bpftool", &words);
    assert!(said.status.success(), "{said:?}");
    wait_until("the program is attached again", || {
        at_hooks(&machine)
            .first()
            .is_some_and(|hook| hook["state"] == "attached")
    });
    assert_eq!(arriving(&machine, 8, 2), 0);
    assert!(machine.log().contains("detached by another process"));
    // A pin alone is made again.
    fs::remove_file(&path).unwrap();
    wait_until("the link is pinned again", || path.exists());
}

#[test]
#[ignore = "needs root"]
fn interfaces_that_come_and_go_are_filtered_in_both_directions() {
    let machine = Machine::new();
    let rule = drop_out("no eight", 8);
    let file = machine.write_file(&format!(
        "[firewall]\ninterfaces = [\"fwx*\", \"{}\"]\n{rule}",
        machine.interface()
    ));
    let _daemon = machine.apply(&file);
    crate::interfaces::add(&machine, 1);
    crate::interfaces::await_state(&machine, "fwx1", "attached");
    // A filter has no pin.
    let has_pins = Feature::TcxLinks.is_expected().unwrap();
    let are_filtered = |names: &[&str]| {
        let hooks = at_hooks(&machine);
        let found = hooks.iter().filter_map(|hook| hook["interface"].as_str());
        let found: Vec<&str> = found.filter(|name| name.starts_with("fwx")).collect();
        let expected: Vec<String> = names.iter().map(|name| format!("egress-{name}")).collect();
        found == names && (!has_pins || pins(&machine, "egress-fwx") == expected)
    };
    wait_until("it is filtered at egress", || are_filtered(&["fwx1"]));
    ip(&machine, "link set fwx1 down");
    ip(&machine, "link set fwx1 name fwx2");
    wait_until("the new name is followed", || are_filtered(&["fwx2"]));
    ip(&machine, "link del fwx2");
    wait_until("it is forgotten", || are_filtered(&[]));
    assert_eq!(at_hooks(&machine).len(), 1);
}

#[test]
#[ignore = "needs root"]
fn a_large_upload_is_counted_as_the_packets_that_it_is_cut_into() {
    const UPLOAD: usize = 1 << 20;
    let machine = Machine::new();
    let rule = "[[rule]]\nname = \"upload\"\naction = \"count\"\ndirection = \"out\"\n\
                proto = \"tcp\"\ndport = 7\n\
                [[rule]]\nname = \"long\"\naction = \"drop\"\ndirection = \"out\"\n\
                proto = \"tcp\"\nlength = \"1501-65535\"\n";
    let rules = machine.write_rules("pass", rule);
    let _daemon = machine.apply(&rules);
    let peer = SocketAddr::from((machine.network.link().peer.ipv4, 7));
    let listener = machine.network.peer.run(|| TcpListener::bind(peer));
    let listener = listener.unwrap().unwrap();
    let reading = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        all.len()
    });
    let connected = machine.network.host.run(|| TcpStream::connect(peer));
    let mut stream = connected.unwrap().unwrap();
    stream.write_all(&vec![1; UPLOAD]).unwrap();
    drop(stream);
    assert_eq!(reading.join().unwrap(), UPLOAD);
    let counters = machine.counters();
    let (packets, bytes) = counters["upload"];
    // No segment has more than 1,460 bytes of data; retransmissions may add some.
    let least = (UPLOAD / 1460) as u64;
    assert!((least..least * 2).contains(&packets), "{counters:?}");
    assert!(bytes >= UPLOAD as u64 + least * 54, "{counters:?}");
    // Each of them is no longer than the MTU.
    assert!(!counters.contains_key("long"), "{counters:?}");
}

/// Makes a namespace beyond the peer's: the machine forwards between two links.
fn route(machine: &Machine) {
    fn forwarding() -> std::io::Result<()> {
        fs::write("/proc/sys/net/ipv4/ip_forward", "1")
    }
    machine.network.host.run(forwarding).unwrap().unwrap();
}

#[test]
#[ignore = "needs root"]
fn forwarded_packets_are_known_by_the_interface_that_they_came_in_by() {
    let machine = Machine::with_links(2);
    let [inner, outer] = machine.network.links() else {
        panic!("two links");
    };
    route(&machine);
    let (inside, outside) = (&inner.host.interface, &outer.host.interface);
    let rules = format!(
        "[firewall]\ninterfaces = [\"{inside}\", \"{outside}\"]\n\
         [[rule]]\nname = \"forwarded\"\naction = \"count\"\ndirection = \"out\"\nforwarded = true\n\
         proto = \"udp\"\ndport = 8\n\
         [[rule]]\nname = \"from inside\"\naction = \"count\"\ndirection = \"out\"\n\
         in_interface = \"{inside}\"\ninterface = \"{outside}\"\nproto = \"udp\"\ndport = 8\n\
         [[rule]]\nname = \"not from outside\"\naction = \"count\"\ndirection = \"out\"\n\
         in_interface = \"!{outside}\"\nproto = \"udp\"\ndport = 8\n\
         [[rule]]\nname = \"own\"\naction = \"count\"\ndirection = \"out\"\nforwarded = false\n\
         proto = \"udp\"\ndport = 8\n\
         [[rule]]\nname = \"marked\"\naction = \"count\"\ndirection = \"out\"\nmark = 7\n\
         proto = \"udp\"\ndport = 8\n"
    );
    let file = machine.write_file(&rules);
    let _daemon = machine.apply(&file);
    // From inside, for an address behind the outer link.
    let packet = Packet::ipv4(inner.peer.ipv4, outer.peer.ipv4);
    let packet = inner.to_host(packet).udp(40_000, 8);
    machine.send(&packet, 3);
    machine.await_packets("forwarded", 3);
    machine.await_packets("from inside", 3);
    machine.await_packets("not from outside", 3);
    assert!(!machine.counters().contains_key("own"));
    assert_eq!(arriving_at(&machine, outer.peer.ipv4, 8, 2), 2);
    machine.await_packets("own", 2);
    machine.await_packets("not from outside", 3);
    machine.await_packets("forwarded", 3);
    let marking = machine.network.host.run(|| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::Mark, &7).unwrap();
        let peer = SocketAddr::new(IpAddr::V4(outer.peer.ipv4), 8);
        socket.send_to(&[0], peer)
    });
    marking.unwrap().unwrap();
    machine.await_packets("marked", 1);
    machine.await_packets("own", 3);
}

#[test]
#[ignore = "needs root"]
fn tags_that_the_kernel_keeps_beside_the_frame_are_read() {
    let machine = Machine::with_links(2);
    if let Some(lacking) = Feature::TcxLinks.lacking().unwrap() {
        println!("left out {lacking}");
        return;
    }
    let [from, by] = machine.network.links() else {
        panic!("two links");
    };
    let rules = format!(
        "[firewall]\ninterfaces = [\"{}\"]\n\
         [[rule]]\nname = \"tagged\"\naction = \"drop\"\ndirection = \"out\"\nvlan = 5\n\
         proto = \"udp\"\ndport = 8\n\
         [[rule]]\nname = \"in both places\"\naction = \"drop\"\ndirection = \"out\"\nvlan = 6\n\
         proto = \"udp\"\ndport = 8\n\
         [[rule]]\nname = \"untagged\"\naction = \"count\"\ndirection = \"out\"\n\
         vlan = \"none\"\nproto = \"udp\"\ndport = 8\n",
        by.host.interface
    );
    let _daemon = machine.apply(&machine.write_file(&rules));
    let (index, to) = (from.host.index, by.host.index);
    let attached = |vlan| {
        machine
            .network
            .host
            .run(|| Classifier::tagging(index, vlan, to))
    };
    let tagging = attached(5).unwrap().unwrap();
    machine.send(&from.ipv4().udp(40_000, 8), 2);
    machine.await_packets("tagged", 2);
    drop(tagging);
    // The tag beside the frame is the outer one.
    let _tagging = attached(6).unwrap().unwrap();
    machine.send(&from.ipv4().vlan(5).udp(40_000, 8), 2);
    machine.await_packets("in both places", 2);
    machine.await_packets("tagged", 2);
    assert_eq!(arriving_at(&machine, by.peer.ipv4, 8, 1), 1);
    machine.await_packets("untagged", 1);
}

#[test]
#[ignore = "needs root"]
fn another_program_at_the_hook_is_left_alone_and_comes_after() {
    let machine = Machine::new();
    if let Some(lacking) = Feature::TcxLinks.lacking().unwrap() {
        println!("left out {lacking}");
        return;
    }
    let index = machine.network.link().host.index;
    let theirs = machine.network.host.run(|| Classifier::attach(index));
    let theirs = theirs.unwrap().unwrap();
    let rules = machine.write_rules("pass", &drop_out("no eight", 8));
    let daemon = machine.apply(&rules);
    let order = at_hooks(&machine)[0]["order"].clone();
    let owns: Vec<bool> = order
        .as_array()
        .unwrap()
        .iter()
        .map(|program| program["own"].as_bool().unwrap())
        .collect();
    assert_eq!(owns, [true, false], "{order}");
    assert_eq!(order[1]["id"], theirs.id);
    assert_eq!(order[1]["name"], "another_one");
    assert_eq!(arriving(&machine, 8, 1), 0);
    assert_eq!(arriving(&machine, 9, 3), 3);
    daemon.kill();
    assert!(machine.run(["unload"]).status.success());
    assert!(theirs.is_attached().unwrap());
}

#[test]
#[ignore = "needs root"]
fn rules_for_what_is_sent_come_and_go_whole_when_a_process_is_killed_at_any_step() {
    /// Enough for all steps of any change.
    const ENOUGH: usize = 200;
    let machine = Machine::new();
    let rules = |number: usize| match number % 2 {
        0 => drop_port("in", 9),
        _ => drop_port("in", 9) + &drop_out("no eight", 8),
    };
    let file = machine.write_rules("pass", &rules(0));
    let mut daemon = Some(machine.apply(&file));
    let mut steps = Vec::new();
    for number in 0..ENOUGH {
        machine.write_rules("pass", &rules(number + 1));
        let pid = daemon.as_ref().unwrap().child.id();
        // Both changes are tried at each step.
        let end = kill_at(pid, number / 2, || {
            machine.run(["reload"]);
        });
        if let End::Killed(step) = end {
            steps.push(step);
            daemon.take().unwrap().kill();
            let said = machine.run(["counters", "--json"]);
            assert!(said.status.success(), "{steps:?}: {said:?}");
            // What the pins tell of is what judges, all or nothing.
            let arrived = arriving(&machine, 8, 4);
            let expected = if said.stdout.contains("\"no eight\"") {
                0
            } else {
                4
            };
            assert_eq!(arrived, expected, "{steps:?}");
            daemon = Some(machine.apply(&file));
        } else if number % 2 == 1 {
            break;
        }
        let expected = if number % 2 == 0 { 0 } else { 4 };
        assert_eq!(arriving(&machine, 8, 4), expected, "{steps:?}");
    }
    println!("{steps:?}");
    for step in ["pin", "create a link", "detach a link", "remove"] {
        assert!(steps.contains(&step), "{step}: {steps:?}");
    }
    let objects = machine.objects();
    drop(daemon);
    machine.assert_nothing_left(&objects);
}

#[test]
#[ignore = "needs root"]
fn an_unload_of_both_directions_can_be_interrupted_at_each_step() {
    let machine = Machine::new();
    let load = || {
        assert_eq!(arriving(&machine, 8, 4), 4);
        let rules = drop_port("in", 9) + &drop_out("no eight", 8);
        machine.apply(&machine.write_rules("pass", &rules))
    };
    let steps = unload_at_each_step(&machine, load, |steps| {
        let arrived = arriving(&machine, 8, 4);
        assert!(matches!(arrived, 0 | 4), "{arrived}: {steps:?}");
        // The program for packets in goes first: it may ask for what the one for packets out records.
        let is_filtered = machine.attached().is_some();
        assert!(!is_filtered || arrived == 0, "{steps:?}");
    });
    assert_eq!(arriving(&machine, 8, 4), 4);
    let detached = steps.iter().filter(|step| **step == "detach a link");
    assert!(detached.count() >= 2, "{steps:?}");
}
