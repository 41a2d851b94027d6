//! `firewall status` where parts of what is loaded cannot be read.

use std::fs;

use nix::{
    mount::{MsFlags, mount},
    sys::signal::Signal,
};
use serde_json::{Value, json};

use crate::{
    machine::{Machine, wait_until},
    reload::{drop_port, udp},
};

#[test]
#[ignore = "needs root"]
fn on_a_read_only_file_system_everything_is_shown() {
    let machine = Machine::new();
    let daemon = machine.apply(&machine.write_rules("pass", &drop_port("one", 1)));
    assert!(machine.run(["ban", "203.0.113.7"]).status.success());
    daemon.kill();
    let length = machine.send(&udp(&machine, 1), 3);
    machine.await_counters(&[("one", (3, 3 * length))]);
    let before = machine.status();
    let remount = |flags| {
        let flags = MsFlags::MS_REMOUNT | flags;
        let path = machine.bpffs.path();
        mount(None::<&str>, path, None::<&str>, flags, None::<&str>).unwrap();
    };
    remount(MsFlags::MS_RDONLY);
    let mut status = machine.status();
    // Links cannot be opened to read, and the interface says that it runs the program.
    let error = &mut status["interfaces"][0]["error"];
    assert!(error.take().as_str().unwrap().contains("Read-only"));
    assert_eq!(status, before);
    assert_eq!(status["bans"]["count"], 1);
    for command in ["counters", "bans", "status"] {
        let said = machine.run([command]);
        assert!(said.status.success(), "{said:?}");
    }
    machine.await_counters(&[("one", (3, 3 * length))]);
    let bans = machine.run(["bans"]).stdout;
    assert!(bans.contains("203.0.113.7"), "{bans}");
    remount(MsFlags::empty());
}

#[test]
#[ignore = "needs root"]
fn what_can_be_read_is_shown_and_what_cannot_is_named() {
    let machine = Machine::new();
    machine
        .apply(&machine.write_rules("pass", &drop_port("one", 1)))
        .kill();
    let before = machine.status();
    assert_eq!(before["unreadable"], json!([]));
    let mut missing = 0;
    for (pin, key) in [
        ("bans", "bans"),
        ("program", "program"),
        ("images", "rules"),
    ] {
        let path = machine.pins().join(pin);
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        missing += 1;
        let status = machine.status();
        assert_eq!(status[key], Value::Null, "{status}");
        assert_eq!(status["interfaces"], before["interfaces"]);
        let unreadable = status["unreadable"].as_array().unwrap();
        assert_eq!(unreadable.len(), missing, "{status}");
        let text = machine.run(["status"]).stdout;
        for fault in unreadable {
            let line = format!("fault       {}", fault.as_str().unwrap());
            assert!(text.contains(&line), "{text}");
        }
        assert!(text.contains(machine.interface()), "{text}");
    }
    let status = machine.status();
    let named = status["unreadable"].to_string();
    assert!(named.contains("/images`"), "{named}");
}

#[test]
#[ignore = "needs root"]
fn an_interface_is_attached_again_beside_something_else_at_the_place_of_its_pin() {
    let machine = Machine::new();
    let mut daemon = machine.apply(&machine.write_rules("pass", &drop_port("one", 1)));
    let pin = machine.pins().join(format!("link-{}", machine.interface()));
    // The daemon would make its pin again.
    daemon.signal(Signal::SIGSTOP);
    let mut detach = machine.command("bpftool");
    detach.args(["link", "detach", "pinned"]).arg(&pin);
    assert!(machine.finish(detach).status.success());
    fs::remove_file(&pin).unwrap();
    let mut create = machine.command("bpftool");
    create.args(["map", "create"]).arg(&pin).args([
        "type", "array", "key", "4", "value", "4", "entries", "1", "name", "other",
    ]);
    assert!(machine.finish(create).status.success());
    assert_eq!(machine.attached(), None);
    daemon.signal(Signal::SIGCONT);
    wait_until("it is attached again", || machine.attached().is_some());
    let faults = || machine.status()["daemon"]["faults"].to_string();
    wait_until("status names what is at the place of the pin", || {
        faults().contains("is not what this daemon pinned")
    });
    let status = machine.status();
    assert_eq!(status["interfaces"][0]["state"], "attached", "{status}");
    let said = machine.run(["reload"]);
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    assert!(
        machine
            .log()
            .contains("is not pinned, and ends with this daemon")
    );
    // Once there is room, everything is as it was.
    fs::remove_file(&pin).unwrap();
    wait_until("the link is pinned again", || pin.exists());
    wait_until("nothing is wrong", || faults() == "[]");
    assert!(machine.run(["reload"]).status.success());
    daemon.signal(Signal::SIGTERM);
    assert!(daemon.wait().success());
    assert_eq!(machine.attached(), None);
}
