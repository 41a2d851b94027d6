//! `apply --detach`, `apply --no-daemon`, and commands whose daemon ends before it answers.

use std::{fs, thread, time::Duration};

use nix::{
    sys::signal::Signal,
    unistd::{Pid, getsid},
};

use crate::{
    machine::{BINARY, Machine, Said, wait_until},
    reload::{drop_port, large_rule, udp},
};

/// Applies the rule file in the background, with a log file.
fn detach(machine: &Machine, file: &str) -> Said {
    let log = machine.folder.path().join("background.log");
    let log = log.to_str().unwrap();
    // As a script does that holds a lock.
    let mut command = machine.command("sh");
    command.args([
        "-c",
        "exec 9>\"$2.lock\"; exec \"$0\" apply --detach \"$1\" --log-file \"$2\"",
        BINARY,
        file,
        log,
    ]);
    machine.finish(command)
}

fn background_log(machine: &Machine) -> String {
    fs::read_to_string(machine.folder.path().join("background.log")).unwrap()
}

#[test]
#[ignore = "needs root"]
fn a_daemon_in_the_background_filters_when_the_command_returns() {
    let machine = Machine::new();
    let file = machine.write_rules("pass", &drop_port("one", 1));
    // It returns although its output is read to the end: the daemon has let go of it.
    let said = detach(&machine, file.to_str().unwrap());
    assert!(said.status.success(), "{said:?}");
    assert!(machine.attached().is_some());
    assert!(said.stderr.contains("generation 1 in force"), "{said:?}");
    let pid = machine.status()["daemon"]["pid"].as_u64().unwrap();
    let report = format!("process {pid} runs in the background; it logs to `");
    assert!(said.stderr.contains(&report), "{said:?}");
    let length = machine.send(&udp(&machine, 1), 3);
    machine.await_counters(&[("one", (3, 3 * length))]);

    let process = Pid::from_raw(i32::try_from(pid).unwrap());
    assert_eq!(getsid(Some(process)), Ok(process));
    let link = |path: &str| fs::read_link(format!("/proc/{pid}/{path}")).unwrap();
    assert_eq!(link("cwd").to_str(), Some("/"));
    for (number, target) in [(0, "/dev/null"), (1, "/dev/null")] {
        assert_eq!(link(&format!("fd/{number}")).to_str(), Some(target));
    }
    assert_eq!(link("fd/2"), machine.folder.path().join("background.log"));
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).unwrap() {
        // Others come and go.
        let target = fs::read_link(entry.unwrap().path()).unwrap_or_default();
        assert!(!target.to_str().unwrap().ends_with("background.log.lock"));
    }

    // Another one is handed to it.
    let said = detach(&machine, file.to_str().unwrap());
    assert!(said.status.success(), "{said:?}");
    assert_eq!(machine.status()["daemon"]["pid"], pid);

    assert!(machine.run(["unload"]).status.success());
    let log = background_log(&machine);
    assert!(log.contains("unloaded"), "{log}");
    wait_until("it has ended", || {
        !fs::exists(format!("/proc/{pid}/exe")).unwrap()
            || fs::read_link(format!("/proc/{pid}/exe")).is_err()
    });
}

#[test]
#[ignore = "needs root"]
fn a_daemon_that_fails_at_its_start_reports_it_to_the_caller() {
    let machine = Machine::new();
    let file = machine.write_file("[firewall]\n");
    let said = detach(&machine, file.to_str().unwrap());
    assert_eq!(said.status.code(), Some(3), "{said:?}");
    assert!(said.stderr.contains("has no `interfaces`"), "{said:?}");
    assert_eq!(background_log(&machine), "");
    let file = machine.write_file("[firewall]\ninterfaces = [\"none-such\"]\n");
    let said = detach(&machine, file.to_str().unwrap());
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    assert!(said.stderr.contains("none-such"), "{said:?}");
    assert!(!machine.run_folder().exists());
    assert_eq!(machine.attached(), None);
}

#[test]
#[ignore = "needs root"]
fn without_a_daemon_none_is_started_where_that_is_asked_for() {
    let machine = Machine::new();
    let file = machine.write_rules("pass", &drop_port("one", 1));
    let file = file.to_str().unwrap();
    let said = machine.run(["apply", "--no-daemon", file]);
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    assert!(said.stderr.contains("no daemon is running"), "{said:?}");
    assert_eq!(machine.attached(), None);
    let _daemon = machine.apply(&machine.write_rules("pass", &drop_port("one", 1)));
    let said = machine.run(["apply", "--no-daemon", file]);
    assert!(said.status.success(), "{said:?}");
}

#[test]
#[ignore = "needs root"]
fn a_command_whose_daemon_ends_does_not_take_its_place() {
    for (signal, reported, stays) in [
        (Signal::SIGKILL, "ended before it answered", true),
        (Signal::SIGTERM, "the daemon is stopping", false),
    ] {
        let machine = Machine::new();
        let mut daemon = machine.apply(&machine.write_rules("pass", &drop_port("one", 1)));
        let large = machine.folder.path().join("large.toml");
        let rules = fs::read_to_string(machine.write_rules("pass", &large_rule(400_000))).unwrap();
        fs::write(&large, rules).unwrap();
        let said = thread::scope(|scope| {
            // It has the order, and has not answered, when the signal comes.
            daemon.signal(Signal::SIGSTOP);
            let apply = scope.spawn(|| machine.run(["apply", large.to_str().unwrap()]));
            thread::sleep(Duration::from_secs(1));
            daemon.signal(signal);
            daemon.signal(Signal::SIGCONT);
            daemon.wait();
            apply.join().unwrap()
        });
        assert_eq!(said.status.code(), Some(1), "{said:?}");
        assert!(said.stderr.contains(reported), "{said:?}");
        // Nobody is the daemon.
        thread::sleep(Duration::from_millis(100));
        let said = machine.run(["reload"]);
        assert!(said.stderr.contains("no daemon is running"), "{said:?}");
        assert_eq!(machine.attached().is_some(), stays);
        machine.run(["unload"]);
    }
}
