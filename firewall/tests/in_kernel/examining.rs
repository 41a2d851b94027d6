//! `firewall doctor`, on interfaces of all kinds that can be made.

use std::process::Command;

use benches::{classifier::Classifier, features::Feature};

use crate::machine::{BINARY, Machine, Said, json};

/// A machine with interfaces made by the commands of `ip` given.
fn machine(commands: &[&str]) -> Machine {
    let machine = Machine::new();
    for words in commands {
        ip(&machine, words);
    }
    machine
}

fn ip(machine: &Machine, words: &str) {
    let mut command = machine.command("ip");
    command.args(words.split(' '));
    let said = machine.finish(command);
    assert!(said.status.success(), "ip {words}: {said:?}");
}

/// What it says of an interface, and with which exit status.
fn doctor(machine: &Machine, interface: &str) -> String {
    let said = machine.run(["doctor", interface]);
    assert_eq!(said.stderr, "");
    format!("{}exit status {}", said.stdout, said.status.code().unwrap())
}

#[test]
#[ignore = "needs root"]
fn a_veth_pair_is_well() {
    let machine = machine(&[
        "link add fw-a type veth peer name fw-b",
        "link set fw-a up",
        "link set fw-b up",
    ]);
    insta::assert_snapshot!(doctor(&machine, "fw-a"));
    // Its other end is in another network namespace.
    insta::assert_snapshot!("elsewhere", doctor(&machine, machine.interface()));
}

#[test]
#[ignore = "needs root"]
fn a_functional_block_has_no_native_mode() {
    let machine = machine(&["link add fw-ifb type ifb"]);
    insta::assert_snapshot!(doctor(&machine, "fw-ifb"));
}

#[test]
#[ignore = "needs root"]
fn a_bridge_is_filtered_on_its_ports() {
    let machine = machine(&[
        "link add fw-bridge type bridge",
        "link add fw-a type veth peer name fw-b",
        "link set fw-a master fw-bridge",
        "link set fw-bridge up",
    ]);
    insta::assert_snapshot!(doctor(&machine, "fw-bridge"));
    insta::assert_snapshot!("port", doctor(&machine, "fw-a"));
}

#[test]
#[ignore = "needs root"]
fn a_macvlan_is_filtered_below() {
    let machine = machine(&[
        "link add fw-a type veth peer name fw-b",
        "link add link fw-a name fw-mac type macvlan",
    ]);
    insta::assert_snapshot!(doctor(&machine, "fw-mac"));
}

#[test]
#[ignore = "needs root"]
fn a_tunnel_is_filtered_by_traffic_control() {
    let machine = machine(&["tuntap add dev fw-tun mode tun"]);
    let said = doctor(&machine, "fw-tun");
    assert!(said.starts_with("note     ethernet "), "{said}");
    assert!(!said.contains("native"), "{said}");
    assert!(said.ends_with("exit status 0"), "{said}");
}

#[test]
#[ignore = "needs root"]
fn programs_at_the_egress_hook_are_named_with_their_order() {
    let machine = Machine::new();
    if let Some(lacking) = Feature::TcxLinks.lacking().unwrap() {
        println!("left out {lacking}");
        return;
    }
    let interface = machine.interface();
    let index = machine.network.link().host.index;
    let theirs = machine.network.host.run(|| Classifier::attach(index));
    let theirs = theirs.unwrap().unwrap();
    let about = |words: &str| {
        let said = doctor(&machine, interface);
        let lines = said.lines().filter(|line| line.contains("`another_one`"));
        let lines: Vec<&str> = lines.collect();
        assert_eq!(lines.len(), 1, "{said}");
        assert!(lines[0].contains(words), "{said}");
        said
    };
    let id = theirs.id;
    about(&format!(
        "another program is at the egress hook: `another_one`, id {id}; a firewall comes before"
    ));
    let rule = "[[rule]]\nname = \"one\"\naction = \"drop\"\ndirection = \"out\"\nproto = \"udp\"\n\
                dport = 1\n";
    let _daemon = machine.apply(&machine.write_rules("pass", rule));
    let said = about("at the egress hook after this firewall");
    assert!(
        said.contains(
            "the firewall of the instance `test` is at the egress hook: `firewall_egress`, id "
        ),
        "{said}"
    );
}

#[test]
#[ignore = "needs root"]
fn a_default_route_by_an_interface_that_is_not_filtered_is_noted() {
    let machine = machine(&[
        "link add fw-a type veth peer name fw-b",
        "link set fw-a up",
        "link set fw-b up",
    ]);
    let interface = machine.interface();
    let noted = |named: &str| {
        let said = doctor(&machine, interface);
        let words = format!("note     uplink        a default route leads by `{named}`, ");
        said.contains(&words)
    };
    ip(&machine, "route add default dev fw-a");
    assert!(!noted("fw-a"));
    let daemon = machine.apply(&machine.write_rules("pass", ""));
    assert!(noted("fw-a"));
    ip(&machine, &format!("route replace default dev {interface}"));
    assert!(!noted("fw-a") && !noted(interface));
    daemon.kill();
}

#[test]
#[ignore = "needs root"]
fn what_is_found_is_what_apply_meets_and_the_command_mends_it() {
    let machine = machine(&[
        "link add fw-a numrxqueues 1 numtxqueues 1 type veth peer name fw-b numrxqueues 2 numtxqueues 2",
        "link set fw-a up",
        "link set fw-b up",
    ]);
    let finding = finding(&machine, "fw-a", "queues");
    assert_eq!(finding["severity"], "error", "{finding}");
    let fix = finding["command"].as_str().unwrap();
    let rules = machine.write_file("[firewall]\ninterfaces = [\"fw-a\"]\n");
    let said = machine.run(["apply", rules.to_str().unwrap()]);
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    assert!(said.stderr.contains(fix), "{said:?}");
    run(&machine, fix);
    let _daemon = machine.apply(&rules);
}

#[test]
#[ignore = "needs root"]
fn apply_warns_of_hidden_tags_when_rules_ask_for_them_and_only_then() {
    let machine = machine(&["link add fw-a type veth peer name fw-b"]);
    let warning = "WARN `fw-a`: `fw-b` leaves the tags of its VLAN interfaces beside the frame";
    let file =
        |rules: &str| machine.write_file(&format!("[firewall]\ninterfaces = [\"fw-a\"]\n{rules}"));
    drop(machine.apply(&file("")));
    assert!(!machine.log().contains(warning), "{}", machine.log());
    let rule = "[[rule]]\nname = \"tagged\"\naction = \"drop\"\nvlan = 7\n";
    drop(machine.apply(&file(rule)));
    assert!(machine.log().contains(warning), "{}", machine.log());
}

#[test]
#[ignore = "needs root"]
fn a_user_without_privileges_learns_most() {
    let machine = Machine::new();
    let mut command = machine.command("setpriv");
    let words = "--reuid 65534 --regid 65534 --clear-groups --bounding-set -all";
    command
        .args(words.split(' '))
        .args([BINARY, "doctor", "lo"]);
    let said = machine.finish(command);
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    assert!(
        said.stdout.contains("it is the loopback interface"),
        "{said:?}"
    );
    assert!(said.stdout.contains("no native XDP"), "{said:?}");
}

#[test]
#[ignore = "needs root"]
fn a_user_without_privileges_is_not_advised_to_detach_the_firewall() {
    let machine = Machine::new();
    let interface = machine.interface();
    let rules = format!("[firewall]\ninterfaces = [\"{interface}\"]\n");
    let _daemon = machine.apply(&machine.write_file(&rules));
    let mut command = machine.command("setpriv");
    let words = "--reuid 65534 --regid 65534 --clear-groups --bounding-set -all";
    command
        .args(words.split(' '))
        .args([BINARY, "doctor", "--json", interface]);
    let said = machine.finish(command);
    let report = json(&said.stdout);
    let findings = report["findings"].as_array().unwrap().iter();
    let about: Vec<_> = findings
        .filter(|finding| finding["id"] == "program")
        .collect();
    let [program] = &about[..] else {
        panic!("{report}");
    };
    assert_eq!(program["severity"], "note");
    let message = program["message"].as_str().unwrap();
    assert!(
        message.contains("not known whether it is this firewall"),
        "{message}"
    );
    let fix = format!("sudo firewall doctor {interface}");
    assert_eq!(program["command"], fix.as_str());
}

#[test]
#[ignore = "needs root"]
fn the_instance_that_has_an_interface_is_named() {
    let machine = Machine::new();
    let interface = machine.interface();
    let rules = format!("[firewall]\ninterfaces = [\"{interface}\"]\n");
    let file = machine.write_file(&rules);
    let _daemon = machine.apply(&file);
    let program = machine.attached().unwrap();
    let named = format!("`firewall`, id {program}, of the instance `test`");
    let said = machine.run(["--instance", "other", "apply", file.to_str().unwrap()]);
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    assert!(said.stderr.contains(&named), "{said:?}");
    let finding = finding(&machine, interface, "program");
    let message = finding["message"].as_str().unwrap();
    assert!(
        message.contains("the firewall of the instance `test` is attached"),
        "{message}"
    );
    assert_eq!(finding["command"], "firewall --instance test status");
}

#[test]
#[ignore = "needs root"]
fn mpls_is_noted_where_the_machine_takes_it() {
    let machine = Machine::new();
    let interface = machine.interface();
    let mut command = machine.command("sh");
    let setting = format!("echo 1 2>/dev/null > /proc/sys/net/mpls/conf/{interface}/input");
    command.args(["-c", &setting]);
    // A kernel without MPLS has no such setting.
    let takes = machine.finish(command).status.success();
    let said = machine.run(["doctor", interface]).stdout;
    assert_eq!(said.contains("it takes MPLS packets"), takes, "{said}");
}

#[test]
#[ignore = "needs root"]
fn an_interface_that_is_not_there_is_told_with_those_that_are() {
    let machine = Machine::new();
    let said = machine.run(["doctor", "eth7"]);
    assert_eq!(said.status.code(), Some(6));
    assert_eq!(
        said.stderr,
        "error: no interface is called `eth7`\nhelp: there are `lo`, `fw-host0`\n"
    );
}

/// A finding as JSON has it.
pub(crate) fn finding(machine: &Machine, interface: &str, id: &str) -> serde_json::Value {
    let said = machine.run(["doctor", "--json", interface]);
    let report = json(&said.stdout);
    assert_eq!(report["interface"], interface);
    let mut findings = report["findings"].as_array().unwrap().iter();
    let found = findings.find(|finding| finding["id"] == id);
    found
        .unwrap_or_else(|| panic!("no `{id}` in {report}"))
        .clone()
}

/// Runs a command as somebody would who reads it.
pub(crate) fn run(machine: &Machine, line: &str) -> Said {
    let mut words = line.split(' ');
    let mut command: Command = machine.command(words.next().unwrap());
    command.args(words);
    let said = machine.finish(command);
    assert!(said.status.success(), "{line}: {said:?}");
    said
}
