//! From `apply` to the end, whichever end it is.

use benches::{
    packet::{Damage, Packet},
    tools,
};
use nix::sys::signal::Signal;

use crate::machine::{Machine, wait_until};

const DROP_DNS: &str = "[[rule]]\nname = \"dns\"\naction = \"drop\"\nproto = \"udp\"\ndport = 53\n";

fn dns(machine: &Machine) -> Packet {
    machine.network.link().ipv4().udp(40_000, 53)
}

#[test]
#[ignore = "needs root"]
fn status_tells_of_program_maps_and_rules() {
    let machine = Machine::new();
    let rules = machine.write_rules("drop", DROP_DNS);
    let daemon = machine.apply(&rules);
    let status = machine.status();
    assert_eq!(status["generation"], 1);
    assert_eq!(status["daemon"]["pid"], daemon.child.id());
    assert_eq!(status["rules"]["file"], rules.to_str().unwrap());
    assert_eq!(status["rules"]["count"], 1);
    assert_eq!(status["rules"]["policy"], "drop");
    assert_eq!(status["rules"]["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(status["interfaces"][0]["name"], machine.interface());
    assert_eq!(status["interfaces"][0]["mode"], "native");
    assert_eq!(status["program"]["id"], machine.attached().unwrap());
    assert_eq!(status["program"]["tag"].as_str().unwrap().len(), 16);
    assert!(status["program"]["jited_bytes"].as_u64().unwrap() > 0);
    let maps = status["maps"].as_array().unwrap();
    for name in ["IMAGES", "COUNTERS", "image"] {
        let map = maps.iter().find(|map| map["name"] == name);
        let map = map.unwrap_or_else(|| panic!("no map {name} in {maps:?}"));
        assert!(map["memory"].as_u64().unwrap() > 0);
    }
    let text = machine.run(["status"]).stdout;
    assert!(
        text.contains(&format!("running, process {}", daemon.child.id())),
        "{text}"
    );
}

#[test]
#[ignore = "needs root"]
fn messages_of_the_program_are_logged_when_debug_is_asked_for_and_only_then() {
    const MESSAGE: &str = "counts as reason 2";
    for (filter, logged) in [("info", false), ("debug", true)] {
        let machine = Machine::new();
        let rules = machine.write_rules("pass", "");
        let daemon = machine.start_logging(&rules, filter);
        machine.await_daemon(&daemon);
        let malformed = dns(&machine).damage(Damage::Version(5));
        let length = machine.send(&malformed, 3);
        machine.await_counters(&[("malformed", (3, 3 * length))]);
        if logged {
            wait_until("the messages are in the log", || {
                machine.log().matches(MESSAGE).count() == 3
            });
        } else {
            assert!(!machine.log().contains(MESSAGE), "{}", machine.log());
        }
    }
}

#[test]
#[ignore = "needs root"]
fn sigterm_and_sigint_leave_nothing_behind() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let machine = Machine::new();
        let mut daemon = machine.apply(&machine.write_rules("pass", DROP_DNS));
        let objects = machine.objects();
        daemon.signal(signal);
        assert!(daemon.wait().success());
        machine.assert_nothing_left(&objects);
    }
}

#[test]
#[ignore = "needs root"]
fn unload_ends_the_daemon_and_is_harmless_twice() {
    let machine = Machine::new();
    let mut daemon = machine.apply(&machine.write_rules("pass", DROP_DNS));
    let objects = machine.objects();
    let said = machine.run(["unload"]);
    assert!(said.status.success(), "{said:?}");
    // Everything is gone when the command returns.
    machine.assert_nothing_left(&objects);
    assert!(daemon.wait().success());
    let said = machine.run(["unload"]);
    assert!(said.status.success(), "{said:?}");
    assert_eq!(said.stderr, "nothing was loaded\n");
    assert!(!machine.run_folder().exists());
}

#[test]
#[ignore = "needs root"]
fn what_a_killed_daemon_left_filters_and_counts_until_it_is_unloaded() {
    let machine = Machine::new();
    let packet = dns(&machine);
    let rules = machine.write_rules("pass", DROP_DNS);
    machine.apply(&rules).kill();
    let length = machine.send(&packet, 7);
    machine.await_counters(&[("dns", (7, 7 * length))]);
    assert_eq!(machine.status()["daemon"], serde_json::Value::Null);
    let reload = machine.run(["reload"]);
    assert_eq!(reload.status.code(), Some(1));
    assert!(
        reload
            .stderr
            .contains("no daemon is running for instance `test`"),
        "{reload:?}"
    );
    let objects = machine.objects();
    assert!(machine.run(["unload"]).status.success());
    machine.assert_nothing_left(&objects);
}

#[test]
#[ignore = "needs root"]
fn an_interface_that_vanishes_does_not_hinder_the_end() {
    let machine = Machine::with_links(2);
    let end = machine.network.links()[1].host.interface.clone();
    let rules = machine.write_file("[firewall]\ninterfaces = [\"fw-host*\"]\n");
    let mut daemon = machine.apply(&rules);
    let objects = machine.objects();
    let mut remove = tools::command("ip");
    remove.args(["link", "delete", &end]);
    assert!(machine.finish(remove).status.success());
    wait_until("it is forgotten", || {
        machine.status()["interfaces"].as_array().unwrap().len() == 1
    });
    daemon.signal(Signal::SIGTERM);
    assert!(daemon.wait().success());
    machine.assert_nothing_left(&objects);
}

#[test]
#[ignore = "needs root"]
fn of_two_daemons_that_begin_at_once_one_serves_both_files() {
    let machine = Machine::new();
    let rules = machine.write_rules("pass", DROP_DNS);
    let mut started = [machine.start(&rules), machine.start(&rules)];
    let mut client = None;
    wait_until("one of them has handed its file over", || {
        client = started
            .iter_mut()
            .position(|one| one.child.try_wait().unwrap().is_some());
        client.is_some()
    });
    let client = client.unwrap();
    assert!(started[client].wait().success());
    let status = machine.status();
    assert_eq!(status["daemon"]["pid"], started[1 - client].child.id());
    // It is the same file.
    assert_eq!(status["generation"], 1);
}

#[test]
#[ignore = "needs root"]
fn sigterm_ends_a_daemon_that_still_compiles() {
    let machine = Machine::new();
    let rules = machine.write_rules("pass", &crate::reload::large_rule(200_000));
    let mut daemon = machine.start(&rules);
    wait_until("it takes connections", || {
        machine.run_folder().join("test.sock").exists()
    });
    daemon.signal(Signal::SIGTERM);
    daemon.wait();
    machine.assert_nothing_left(&std::collections::BTreeSet::new());
}
