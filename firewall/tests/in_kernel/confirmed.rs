//! Rules that wait for `firewall confirm`, and generations that come back.

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    thread,
    time::Duration,
};

use nix::{
    pty::{OpenptyResult, openpty},
    sys::signal::Signal,
};
use serde_json::Value;

use crate::{
    machine::{BINARY, Machine, Said, json, wait_until},
    reload::{drop_port, idle_rules, large_rule, udp, under_traffic},
};

/// Longer than any test waits.
const LONG: &str = "1h";

/// Writes a rule file beside that of the machine.
fn write_other(machine: &Machine, rules: &str) -> PathBuf {
    let path = machine.folder.path().join("other.toml");
    let interface = machine.interface();
    let text = format!("[firewall]\ninterfaces = [\"{interface}\"]\npolicy = \"pass\"\n{rules}");
    fs::write(&path, text).unwrap();
    path
}

/// `apply --confirm`, which must succeed.
fn apply(machine: &Machine, file: &Path, time: &str) -> Said {
    let file = file.to_str().unwrap();
    let said = machine.run(["apply", "--confirm", time, file]);
    assert!(said.status.success(), "{said:?}");
    said
}

fn succeed(machine: &Machine, command: &str) -> Said {
    let said = machine.run([command]);
    assert!(said.status.success(), "{said:?}");
    said
}

fn fail(machine: &Machine, arguments: &[&str]) -> Said {
    let said = machine.run(arguments);
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    said
}

fn await_generation(machine: &Machine, generation: u64) -> Value {
    let mut status = Value::Null;
    wait_until("the generation is in force", || {
        status = machine.status();
        status["generation"] == generation
    });
    status
}

#[test]
#[ignore = "needs root"]
fn rules_that_nobody_confirms_give_way_to_those_before_with_all_their_counters() {
    // The same program; another one with other counters; another one for larger images.
    for other in [
        drop_port("new", 3),
        idle_rules(100) + &drop_port("new", 3),
        large_rule(40_000) + &drop_port("new", 3),
    ] {
        let machine = Machine::new();
        let both = drop_port("one", 1) + &drop_port("two", 2);
        let file = machine.write_rules("pass", &both);
        let _daemon = machine.apply(&file);
        let length = machine.send(&udp(&machine, 2), 5);
        let mut sent_between = 0;
        let sent = under_traffic(&machine, 2_000, || {
            let new = write_other(&machine, &(drop_port("one", 1) + &other));
            let said = apply(&machine, &new, "2s");
            assert!(
                said.stderr.contains(
                    "\ngeneration 2 waits for `firewall confirm`: without it generation 1 comes back in "
                ),
                "{said:?}"
            );
            // What comes back is not what the file says by then.
            fs::write(&file, "nonsense").unwrap();
            if machine.status()["generation"] == 2 {
                machine.send(&udp(&machine, 3), 2);
                sent_between = machine.counters().get("new").map_or(0, |count| count.0);
            }
            let status = await_generation(&machine, 3);
            assert_eq!(status["rules"]["file"], file.to_str().unwrap());
            assert_eq!(status["rules"]["count"], 2);
            assert_eq!([&status["waiting"], &status["previous"]], [&Value::Null; 2]);
        });
        assert_eq!(sent_between, 2, "{}", machine.log());
        // It is logged after the switch.
        for line in [
            "generation 2 was not confirmed in time: the one before returns",
            "generation 3 in force, which is generation 1 again: 2 rules",
        ] {
            wait_until(line, || machine.log().contains(line));
        }
        machine.send(&udp(&machine, 2), 4);
        machine.await_counters(&[
            ("one", (sent.packets[0], sent.bytes[0])),
            ("two", (9, 9 * length)),
        ]);
        assert_eq!(fs::read_dir(machine.pins()).unwrap().count(), 9);
        // What was given up does not come back by accident.
        let said = fail(&machine, &["rollback"]);
        let told = "error: no generation before generation 3 is kept";
        assert!(said.stderr.starts_with(told), "{said:?}");
    }
}

#[test]
#[ignore = "needs root"]
fn while_rules_wait_nothing_follows_them_and_a_confirmation_keeps_them() {
    let machine = Machine::new();
    let file = machine.write_rules("pass", &drop_port("one", 1));
    let daemon = machine.apply(&file);
    let new = write_other(&machine, &drop_port("two", 2));
    apply(&machine, &new, LONG);
    let status = machine.status();
    let waiting = &status["waiting"];
    assert_eq!(waiting["generation"], 2);
    assert_eq!(waiting["returns_to"], 1);
    let left = waiting["seconds_left"].as_f64().unwrap();
    assert!((3_000.0..=3_600.0).contains(&left), "{left}");
    assert_eq!(status["previous"]["generation"], 1);
    assert_eq!(status["previous"]["file"], file.to_str().unwrap());
    let text = succeed(&machine, "status").stdout;
    assert!(
        text.contains("\nwaiting     generation 2 waits for `firewall confirm`: without it"),
        "{text}"
    );

    let path = file.to_str().unwrap();
    for refused in [
        &["reload"][..],
        &["apply", path],
        &["apply", "--confirm", LONG, path],
    ] {
        let said = fail(&machine, refused);
        assert!(
            said.stderr
                .starts_with("error: generation 2 waits for its confirmation, 3"),
            "{said:?}"
        );
        assert!(
            said.stderr
                .contains("\nhelp: `firewall confirm` keeps it, `firewall rollback`"),
            "{said:?}"
        );
    }
    daemon.signal(Signal::SIGHUP);
    wait_until("the signal is refused, too", || {
        machine
            .log()
            .matches("; generation 2 stays in force")
            .count()
            == 4
    });

    let said = succeed(&machine, "confirm");
    assert_eq!(said.stderr, "generation 2 confirmed\n");
    assert_eq!(machine.status()["waiting"], Value::Null);
    let said = fail(&machine, &["confirm"]);
    assert!(
        said.stderr
            .starts_with("error: generation 2 does not wait for a confirmation"),
        "{said:?}"
    );
    // Reloads are possible again; this one has nothing to change.
    succeed(&machine, "reload");
    assert_eq!(machine.status()["generation"], 2);
}

#[test]
#[ignore = "needs root"]
fn rollback_goes_to_the_generation_before_and_back() {
    let machine = Machine::new();
    let file = machine.write_rules("pass", &(drop_port("one", 1) + &drop_port("two", 2)));
    let _daemon = machine.apply(&file);
    let said = fail(&machine, &["rollback"]);
    let told = "error: no generation before generation 1 is kept";
    assert!(said.stderr.starts_with(told), "{said:?}");
    let length = machine.send(&udp(&machine, 2), 3);
    machine.write_rules("drop", &(drop_port("three", 3) + &drop_port("one", 1)));
    succeed(&machine, "reload");
    machine.send(&udp(&machine, 3), 4);
    fs::remove_file(&file).unwrap();

    let said = succeed(&machine, "rollback");
    let told = "generation 3 in force, which is generation 1 again: 2 rules";
    assert!(said.stderr.starts_with(told), "{said:?}");
    assert!(
        said.stderr.contains("added `two`; removed `three`"),
        "{said:?}"
    );
    assert_eq!(machine.status()["rules"]["policy"], "pass");
    machine.send(&udp(&machine, 2), 2);
    machine.await_counters(&[("two", (5, 5 * length))]);
    succeed(&machine, "rollback");
    let status = machine.status();
    assert_eq!(status["generation"], 4);
    assert_eq!(status["rules"]["policy"], "drop");
    assert_eq!(status["previous"]["generation"], 3);
    machine.send(&udp(&machine, 3), 1);
    machine.await_counters(&[("three", (5, 5 * length))]);
    // After that everything goes on as ever.
    machine.write_rules("pass", &(drop_port("three", 3) + &drop_port("five", 5)));
    succeed(&machine, "reload");
    machine.send(&udp(&machine, 5), 1);
    machine.await_counters(&[("three", (5, 5 * length)), ("five", (1, length))]);
    succeed(&machine, "rollback");
    // Rules wait: a rollback gives them up at once.
    apply(&machine, &write_other(&machine, &drop_port("six", 6)), LONG);
    succeed(&machine, "rollback");
    let status = machine.status();
    assert_eq!(status["generation"], 8);
    assert_eq!([&status["waiting"], &status["previous"]], [&Value::Null; 2]);
    machine.await_counters(&[("three", (5, 5 * length))]);
}

#[test]
#[ignore = "needs root"]
fn the_first_rules_are_unloaded_when_nobody_confirms_them() {
    let machine = Machine::new();
    let file = machine.write_rules("drop", "");
    let mut daemon =
        machine.start_with(["apply", "--confirm", "2s", file.to_str().unwrap()], "info");
    assert_eq!(daemon.wait().code(), Some(1));
    machine.assert_nothing_left(&BTreeSet::new());
    let log = machine.log();
    let told = "error: generation 1 was not confirmed in time, and nothing was in force before: \
                unloaded\n";
    assert!(log.ends_with(told), "{log}");
    assert!(
        log.contains("without it everything is unloaded in 2 s"),
        "{log}"
    );

    // At a command, too.
    let daemon = machine.start_with(["apply", "--confirm", LONG, file.to_str().unwrap()], "info");
    machine.await_daemon(&daemon);
    let objects = machine.objects();
    assert_eq!(machine.status()["waiting"]["returns_to"], Value::Null);
    succeed(&machine, "rollback");
    machine.assert_nothing_left(&objects);
}

/// The command at a terminal of its own, which vanishes with the first of these.
fn at_a_terminal(machine: &Machine, arguments: &[&str]) -> (OwnedFd, Child) {
    let OpenptyResult { master, slave } = openpty(None, None).unwrap();
    let end = || Stdio::from(slave.try_clone().unwrap());
    let mut command = machine.command("setsid");
    command
        .args(["--ctty", BINARY])
        .args(arguments)
        .stdin(end())
        .stdout(end())
        .stderr(end());
    let child = machine.network.host.spawn(&mut command).unwrap();
    (master, child)
}

#[test]
#[ignore = "needs root"]
fn a_terminal_that_vanishes_confirms_nothing() {
    let machine = Machine::new();
    let file = machine.write_rules("drop", "");
    // The daemon itself is at the terminal.
    let arguments = ["apply", "--confirm", "4s", file.to_str().unwrap()];
    let (terminal, mut daemon) = at_a_terminal(&machine, &arguments);
    wait_until("the rules are in force", || {
        let said = machine.run(["status", "--json"]);
        said.status.success() && json(&said.stdout)["daemon"]["pid"] == daemon.id()
    });
    drop(terminal);
    // It still waits, and has not read its file again.
    thread::sleep(Duration::from_secs(1));
    if daemon.try_wait().unwrap().is_none() {
        let status = machine.status();
        assert_eq!(status["generation"], 1);
        assert_eq!(status["waiting"]["generation"], 1);
    }
    wait_until("everything is unloaded", || {
        daemon
            .try_wait()
            .unwrap()
            .is_some_and(|status| status.code() == Some(1))
    });
    machine.assert_nothing_left(&BTreeSet::new());

    // The daemon is elsewhere, and the command at the terminal.
    let _daemon = machine.apply(&file);
    let new = write_other(&machine, &drop_port("one", 1));
    let arguments = ["apply", "--confirm", "3s", new.to_str().unwrap()];
    let (terminal, mut client) = at_a_terminal(&machine, &arguments);
    await_generation(&machine, 2);
    drop(terminal);
    // It has its answer by then, or is hung up on.
    client.wait().unwrap();
    await_generation(&machine, 3);
    assert_eq!(machine.status()["rules"]["policy"], "drop");
}

#[test]
#[ignore = "needs root"]
fn a_daemon_that_was_killed_goes_on_waiting_when_it_is_started_again() {
    let machine = Machine::new();
    let file = machine.write_rules("pass", &(drop_port("one", 1) + &drop_port("two", 2)));
    let killed = machine.apply(&file);
    let length = machine.send(&udp(&machine, 2), 5);
    let mut daemon = None;
    let sent = under_traffic(&machine, 2_000, || {
        let new = write_other(&machine, &drop_port("one", 1));
        apply(&machine, &new, "8s");
        killed.kill();
        let status = machine.status();
        assert_eq!(status["waiting"]["generation"], 2);
        assert_eq!(status["daemon"], Value::Null);
        daemon = Some(machine.apply(&file));
        let status = machine.status();
        // The same rules, which still wait, under another number.
        assert_eq!(status["generation"], 3, "{}", machine.log());
        assert_eq!(status["rules"]["count"], 1);
        assert_eq!(status["waiting"]["generation"], 3);
        assert_eq!(status["waiting"]["returns_to"], 1);
        assert!(status["waiting"]["seconds_left"].as_f64().unwrap() <= 8.0);
        await_generation(&machine, 4);
    });
    machine.send(&udp(&machine, 2), 2);
    machine.await_counters(&[
        ("one", (sent.packets[0], sent.bytes[0])),
        ("two", (7, 7 * length)),
    ]);

    // The time runs out while no daemon runs.
    let new = write_other(&machine, &drop_port("three", 3));
    apply(&machine, &new, "1s");
    daemon.take().unwrap().kill();
    wait_until("the time is over", || {
        machine.status()["waiting"]["seconds_left"] == 0.0
    });
    assert_eq!(machine.status()["generation"], 5);
    let daemon = machine.apply(&new);
    let status = machine.status();
    assert_eq!(status["generation"], 6, "{}", machine.log());
    assert_eq!(status["rules"]["count"], 2);
    assert_eq!(status["waiting"], Value::Null);

    // A confirmation needs no daemon; what is confirmed is replaced as ever.
    apply(&machine, &new, LONG);
    daemon.kill();
    succeed(&machine, "confirm");
    assert_eq!(machine.status()["waiting"], Value::Null);
    assert!(!machine.run_folder().exists());
    let _daemon = machine.apply(&file);
    let status = machine.status();
    assert_eq!(status["generation"], 8);
    assert_eq!(status["previous"]["generation"], 7);
    succeed(&machine, "rollback");
    assert_eq!(machine.status()["rules"]["count"], 1);
}

#[test]
#[ignore = "needs root"]
fn first_rules_whose_time_ran_out_without_a_daemon_are_unloaded_by_the_next() {
    let machine = Machine::new();
    let file = machine.write_rules("drop", "");
    let daemon = machine.start_with(["apply", "--confirm", "1s", file.to_str().unwrap()], "info");
    machine.await_daemon(&daemon);
    let objects = machine.objects();
    daemon.kill();
    wait_until("the time is over", || {
        machine.status()["waiting"]["seconds_left"] == 0.0
    });
    let said = fail(&machine, &["apply", file.to_str().unwrap()]);
    assert!(
        said.stderr
            .contains("error: generation 1 was not confirmed in time"),
        "{said:?}"
    );
    machine.assert_nothing_left(&objects);
}

#[test]
#[ignore = "needs root"]
fn rules_that_name_interfaces_wait_and_come_back_with_the_interfaces_that_there_are() {
    let machine = Machine::new();
    let on_wan = |name: &str, port| {
        let rule = drop_port(name, port) + "interface = \"fw-wan\"\n";
        format!("[firewall]\ninterfaces = [\"fw-*\"]\npolicy = \"pass\"\n{rule}")
    };
    let _daemon = machine.apply(&machine.write_file(&on_wan("one", 1)));
    let new = machine.folder.path().join("other.toml");
    fs::write(&new, on_wan("two", 2)).unwrap();
    apply(&machine, &new, LONG);
    let mut rename = machine.command("ip");
    rename.args(["-batch", "-"]).stdin(Stdio::piped());
    let mut rename = machine.network.host.spawn(&mut rename).unwrap();
    let lines = "link set fw-host0 down\nlink set fw-host0 name fw-wan\nlink set fw-wan up\n";
    rename
        .stdin
        .take()
        .unwrap()
        .write_all(lines.as_bytes())
        .unwrap();
    assert!(rename.wait().unwrap().success());

    // What waits is compiled again, under another number, and still waits.
    let status = await_generation(&machine, 3);
    assert_eq!(status["waiting"]["generation"], 3);
    assert_eq!(status["waiting"]["returns_to"], 1);
    let length = machine.send(&udp(&machine, 2), 3);
    machine.await_counters(&[("two", (3, 3 * length))]);

    // What comes back was compiled when there was no such interface, and is compiled again.
    succeed(&machine, "rollback");
    let status = await_generation(&machine, 5);
    assert_eq!([&status["waiting"], &status["previous"]], [&Value::Null; 2]);
    machine.send(&udp(&machine, 1), 4);
    wait_until("the rule counts", || {
        machine.counters().get("one") == Some(&(4, 4 * length))
    });
}

#[test]
#[ignore = "needs root"]
fn rollback_returns_to_other_interfaces_and_modes_and_says_what_changed() {
    let machine = Machine::with_links(2);
    let links = machine.network.links();
    let [one, two] = [0, 1].map(|number| links[number].host.interface.clone());
    let write = |interfaces: &[&str], settings: &str, rules: &str| {
        machine.write_file(&format!(
            "[firewall]\ninterfaces = {interfaces:?}\n{settings}\n{rules}"
        ))
    };
    let attached = || {
        let status = machine.status();
        let rows = status["interfaces"].as_array().unwrap().clone();
        let rows = rows.iter().map(|row| {
            let text = |key: &str| row[key].as_str().unwrap().to_owned();
            (text("name"), text("mode"))
        });
        rows.collect::<Vec<_>>()
    };
    let native = |name: &String| (name.clone(), "native".to_owned());
    let auto = "mode = \"auto\"";
    let rules = drop_port("one", 1);
    let _daemon = machine.apply(&write(&[&one], auto, &drop_port("none", 9)));
    write(&[&one], auto, &rules);
    succeed(&machine, "reload");

    // The rules are the same, and the interfaces are not.
    write(&[&one, &two], auto, &rules);
    let said = succeed(&machine, "reload");
    let now = format!("interfaces now `{one}`, `{two}`");
    assert!(said.stderr.contains(&now), "{said:?}");
    let said = succeed(&machine, "rollback");
    assert!(said.stderr.contains("generation 2 again"), "{said:?}");
    assert!(
        said.stderr.contains(&format!("interfaces now `{one}`")),
        "{said:?}"
    );
    assert_eq!(attached(), [native(&one)]);

    write(&[&one], "mode = \"generic\"", &rules);
    let said = machine.run(["reload", "--force"]);
    assert!(said.status.success(), "{said:?}");
    assert_eq!(attached(), [(one.clone(), "generic".to_owned())]);
    let said = machine.run(["rollback", "--force"]);
    assert!(said.status.success(), "{said:?}");
    assert!(said.stderr.contains("mode now `auto`"), "{said:?}");
    assert_eq!(attached(), [native(&one)]);

    write(&[&one], auto, &drop_port("one", 2));
    succeed(&machine, "reload");
    let said = succeed(&machine, "rollback");
    assert!(said.stderr.contains("changed `one`"), "{said:?}");
    write(&[&one], &format!("{auto}\npolicy = \"drop\""), &rules);
    succeed(&machine, "reload");
    let said = succeed(&machine, "rollback");
    assert!(said.stderr.contains("policy now `pass`"), "{said:?}");
}
