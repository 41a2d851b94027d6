//! One writer for what is pinned, and what is pinned is what the daemon holds.

use std::fs;

use nix::sys::signal::Signal;

use crate::{
    machine::{BINARY, Machine, wait_until},
    reload::{drop_port, udp},
};

/// The interface that is filtered runs a program.
fn is_filtered(machine: &Machine) -> bool {
    machine.attached().is_some()
}

#[test]
#[ignore = "needs root"]
fn a_second_daemon_with_another_run_folder_is_refused() {
    let machine = Machine::new();
    let file = machine.write_rules("pass", &drop_port("one", 1));
    let mut daemon = machine.apply(&file);
    let elsewhere = machine.folder.path().join("elsewhere");
    for words in [
        &["apply", file.to_str().unwrap()] as &[&str],
        &["unload"],
        &["confirm"],
    ] {
        let mut command = machine.command(BINARY);
        command.args(words).env("FIREWALL_RUN_DIR", &elsewhere);
        let said = machine.finish(command);
        assert_eq!(said.status.code(), Some(1), "{said:?}");
        assert!(said.stderr.contains("another daemon (process "), "{said:?}");
        assert!(!elsewhere.exists());
    }
    // The first goes on: it reloads, counts and unloads.
    let length = machine.send(&udp(&machine, 1), 3);
    machine.await_counters(&[("one", (3, 3 * length))]);
    assert!(machine.run(["reload"]).status.success());
    daemon.signal(Signal::SIGTERM);
    assert!(daemon.wait().success());
    assert!(!machine.pins().exists());
}

#[test]
#[ignore = "needs root"]
fn a_command_in_another_network_namespace_says_so_where_it_matters() {
    let machine = Machine::new();
    let file = machine.write_rules("pass", "");
    let daemon = machine.apply(&file);
    let namespace = |process: &str| {
        let link = fs::read_link(format!("/proc/{process}/ns/net")).unwrap();
        let link = link.to_str().unwrap().to_owned();
        link.trim_matches(|c: char| !c.is_ascii_digit()).to_owned()
    };
    let its = namespace(&daemon.child.id().to_string());
    let own = namespace("self");
    assert_ne!(its, own);
    let status = machine.status();
    let netns = &status["daemon"]["netns"];
    assert_eq!(netns["inode"].to_string(), its);
    assert_eq!(netns["is_own"], true);
    let text = machine.run(["status"]).stdout;
    assert!(
        text.lines()
            .any(|line| line.starts_with("netns ") && line.contains(&its)),
        "{text}"
    );
    let elsewhere = |words: &[&str]| {
        let mut command = machine.command(BINARY);
        let said = crate::machine::said(command.args(words).output().unwrap());
        assert!(said.status.success(), "{said:?}");
        said
    };
    let text = elsewhere(&["status"]).stdout;
    assert!(
        text.contains(&format!("{its}, not that of this command")),
        "{text}"
    );
    for words in [
        &["ban", "203.0.113.7"] as &[&str],
        &["apply", file.to_str().unwrap()],
        &["apply", "--no-daemon", file.to_str().unwrap()],
    ] {
        let said = elsewhere(words);
        let expected =
            format!("the daemon runs in the network namespace {its}, this command in {own}: ");
        assert!(said.stderr.contains(&expected), "{said:?}");
    }
    for words in [
        &["unban", "203.0.113.7"] as &[&str],
        &["reload"],
        &["ban", "--force", "203.0.113.8"],
    ] {
        let said = elsewhere(words);
        assert!(!said.stderr.contains("namespace"), "{said:?}");
    }
    let said = machine.run(["ban", "203.0.113.7"]);
    assert!(!said.stderr.contains("namespace"), "{said:?}");
}

#[test]
#[ignore = "needs root"]
fn a_run_folder_that_was_there_stays() {
    let machine = Machine::new();
    fs::create_dir(machine.run_folder()).unwrap();
    let mut daemon = machine.apply(&machine.write_rules("pass", ""));
    daemon.signal(Signal::SIGTERM);
    assert!(daemon.wait().success());
    assert!(machine.run_folder().is_dir());
    assert_eq!(fs::read_dir(machine.run_folder()).unwrap().count(), 0);
}

#[test]
#[ignore = "needs root"]
fn pins_that_are_removed_are_made_again() {
    let machine = Machine::new();
    let mut daemon = machine.apply(&machine.write_rules("pass", &drop_port("one", 1)));
    assert!(machine.run(["ban", "198.51.100.7"]).status.success());
    let link = format!("link-{}", machine.interface());
    for pin in ["images", "bans", "ban-prefilter", link.as_str()] {
        let path = machine.pins().join(pin);
        fs::remove_file(&path).unwrap();
        wait_until("the pin is made again", || path.exists());
    }
    wait_until("it is logged", || {
        machine.log().matches("pinned again").count() == 4
    });
    // A change that needs another program keeps the bans.
    let rules = crate::reload::large_rule(40_000);
    machine.write_rules("pass", &rules);
    assert!(machine.run(["reload"]).status.success());
    assert!(machine.run(["bans"]).stdout.contains("198.51.100.7"));
    daemon.signal(Signal::SIGTERM);
    assert!(daemon.wait().success());
    assert!(!is_filtered(&machine));
}

#[test]
#[ignore = "needs root"]
fn a_link_that_is_detached_by_others_is_attached_again() {
    let machine = Machine::new();
    let _daemon = machine.apply(&machine.write_rules("pass", &drop_port("one", 1)));
    let mut command = machine.command("bpftool");
    command
        .args(["link", "detach", "pinned"])
        .arg(machine.pins().join(format!("link-{}", machine.interface())));
    let said = machine.finish(command);
    assert!(said.status.success(), "{said:?}");
    wait_until("it is attached again", || is_filtered(&machine));
    wait_until("it is logged", || {
        machine.log().contains("detached by another process")
    });
    let length = machine.send(&udp(&machine, 1), 3);
    machine.await_counters(&[("one", (3, 3 * length))]);
}

#[test]
#[ignore = "needs root"]
fn a_daemon_whose_place_was_taken_changes_nothing_of_the_others() {
    let machine = Machine::new();
    let file = machine.write_rules("pass", &drop_port("one", 1));
    let mut daemon = machine.apply(&file);
    // Another program is pinned in the place of this one's.
    let images = machine.pins().join("images");
    fs::remove_file(&images).unwrap();
    let mut command = machine.command("bpftool");
    command.args(["map", "create"]).arg(&images).args([
        "type", "array", "key", "4", "value", "4", "entries", "1", "name", "other",
    ]);
    let said = machine.finish(command);
    assert!(said.status.success(), "{said:?}");
    let said = machine.run(["reload"]);
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    assert!(
        said.stderr.contains("is not what this daemon pinned"),
        "{said:?}"
    );
    daemon.signal(Signal::SIGTERM);
    assert!(!daemon.wait().success());
    assert!(images.exists());
    // What this daemon had attached is detached.
    assert!(!is_filtered(&machine));
}
