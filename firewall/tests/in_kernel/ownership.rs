//! One writer for what is pinned, and what is pinned is what the daemon holds.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use benches::bpffs::BpfFs;
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sys::signal::Signal,
};

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
        &["apply", file.to_str().unwrap()] as &[&str],
        &["apply", "--no-daemon", file.to_str().unwrap()],
        &["reload"],
    ] {
        let said = elsewhere(words);
        let expected =
            format!("the daemon runs in the network namespace {its}, this command in {own}: ");
        assert!(said.stderr.contains(&expected), "{said:?}");
    }
    for words in [
        &["ban", "203.0.113.7"] as &[&str],
        &["unban", "203.0.113.7"],
        &["ban", "--force", "203.0.113.8"],
    ] {
        let said = elsewhere(words);
        assert!(!said.stderr.contains("namespace"), "{said:?}");
    }
    let said = machine.run(["reload"]);
    assert!(!said.stderr.contains("namespace"), "{said:?}");
}

#[test]
#[ignore = "needs root"]
fn a_ban_is_judged_by_the_addresses_of_the_daemons_namespace() {
    let machine = Machine::new();
    let _daemon = machine.apply(&machine.write_rules("pass", ""));
    let link = machine.network.link();
    let (own, gateway) = (link.host.ipv4.to_string(), link.peer.ipv4.to_string());
    let mut route = machine.command("ip");
    route.args(["route", "add", "default", "via", &gateway]);
    assert!(machine.finish(route).status.success());
    for (address, why) in [
        (&own, "an address of this machine"),
        (&gateway, "a gateway of this machine"),
    ] {
        for words in [
            &["ban", address] as &[&str],
            &["ban", "--replace", "feed", address],
        ] {
            let mut command = machine.command(BINARY);
            let said = crate::machine::said(command.args(words).output().unwrap());
            assert_eq!(said.status.code(), Some(1), "{said:?}");
            assert!(said.stderr.contains(why), "{said:?}");
        }
    }
}

#[test]
#[ignore = "needs root"]
fn what_a_killed_daemon_left_is_not_taken_over_from_another_network_namespace() {
    let machine = Machine::new();
    let file = machine.write_rules("pass", &drop_port("one", 1));
    let daemon = machine.apply(&file);
    let link = fs::read_link(format!("/proc/{}/ns/net", daemon.child.id())).unwrap();
    let link = link.to_str().unwrap();
    let its = link.trim_matches(|c: char| !c.is_ascii_digit());
    daemon.kill();
    let elsewhere = |words: &[&str]| {
        let mut command = machine.command(BINARY);
        crate::machine::said(command.args(words).output().unwrap())
    };
    // It would filter nothing there, and end what is filtered here.
    let none = machine.folder.path().join("none.toml");
    fs::write(
        &none,
        "[firewall]\ninterfaces = [\"none*\"]\npolicy = \"pass\"\n",
    )
    .unwrap();
    for words in [
        &["apply", none.to_str().unwrap()] as &[&str],
        &["apply", "--force", none.to_str().unwrap()],
        &["apply", "--boot", "--wait", none.to_str().unwrap()],
        &["unload"],
    ] {
        let said = elsewhere(words);
        assert_eq!(said.status.code(), Some(1), "{said:?}");
        let expected = format!("filters interfaces of the network namespace {its}");
        assert!(said.stderr.contains(&expected), "{said:?}");
        assert!(is_filtered(&machine));
    }
    // Here it is.
    let daemon = machine.apply(&file);
    assert_eq!(machine.status()["generation"], 2);
    daemon.kill();
    let said = elsewhere(&["unload", "--force"]);
    assert!(said.status.success(), "{said:?}");
    assert!(!is_filtered(&machine));
    assert!(!machine.pins().exists());
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
    let images = take_place_of_images(&machine);
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

/// Pins another map in the place of the images.
fn take_place_of_images(machine: &Machine) -> PathBuf {
    let images = machine.pins().join("images");
    fs::remove_file(&images).unwrap();
    let mut command = machine.command("bpftool");
    command.args(["map", "create"]).arg(&images).args([
        "type", "array", "key", "4", "value", "4", "entries", "1", "name", "other",
    ]);
    let said = machine.finish(command);
    assert!(said.status.success(), "{said:?}");
    images
}

/// Rules that the daemon of another instance or file system may have.
fn second_file(machine: &Machine) -> PathBuf {
    let file = machine.folder.path().join("second.toml");
    let interface = machine.interface();
    fs::write(
        &file,
        format!("[firewall]\ninterfaces = [\"{interface}\"]\npolicy = \"pass\"\n"),
    )
    .unwrap();
    file
}

#[test]
#[ignore = "needs root"]
fn a_refused_command_leaves_the_socket_of_the_daemon() {
    let machine = Machine::new();
    let file = machine.write_rules("pass", &drop_port("one", 1));
    let daemon = machine.apply(&file);
    let lock = machine.run_folder().join("test.lock");
    // It would make the lock again.
    daemon.signal(Signal::SIGSTOP);
    fs::remove_file(&lock).unwrap();
    let said = machine.run(["apply", second_file(&machine).to_str().unwrap()]);
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    assert!(said.stderr.contains("another daemon (process "), "{said:?}");
    daemon.signal(Signal::SIGCONT);
    assert!(machine.run(["ban", "198.51.100.7"]).status.success());
    wait_until("the lock is made again", || lock.exists());
    assert_eq!(machine.status()["daemon"]["faults"], serde_json::json!([]));
}

#[test]
#[ignore = "needs root"]
fn a_daemon_ends_without_the_files_of_another() {
    let machine = Machine::new();
    let file = machine.write_rules("pass", &drop_port("one", 1));
    let mut first = machine.apply(&file);
    // It would make the folder again.
    first.signal(Signal::SIGSTOP);
    fs::rename(machine.run_folder(), machine.folder.path().join("moved")).unwrap();
    // Another one, with another BPF file system, has the same run folder.
    let bpffs = BpfFs::mount().unwrap();
    let none = machine.write_file("[firewall]\ninterfaces = [\"none*\"]\npolicy = \"pass\"\n");
    let mut command = machine.command(BINARY);
    command
        .args(["apply", none.to_str().unwrap()])
        .env("FIREWALL_BPFFS", bpffs.path());
    let mut second = machine.spawn(command);
    let socket = machine.run_folder().join("test.sock");
    wait_until("the second listens", || socket.exists());
    let alive = || {
        machine
            .order("{\"command\":\"ping\"}\n")
            .contains("\"generation\":1")
    };
    wait_until("the second has its rules", alive);
    first.signal(Signal::SIGCONT);
    wait_until("the first says why commands do not reach it", || {
        let log = machine.log();
        let second = format!("another process (process {})", second.child.id());
        log.contains(&format!("{second} has the run folder"))
    });
    first.signal(Signal::SIGTERM);
    assert!(first.wait().success());
    assert!(alive());
    second.signal(Signal::SIGTERM);
    assert!(second.wait().success());
    assert!(!machine.run_folder().exists());
}

#[test]
#[ignore = "needs root"]
fn a_folder_of_pins_that_is_made_again_is_locked() {
    let machine = Machine::new();
    let file = machine.write_rules("pass", &drop_port("one", 1));
    let mut daemon = machine.apply(&file);
    let refused_elsewhere = || {
        let mut command = machine.command(BINARY);
        command
            .args(["unload"])
            .env("FIREWALL_RUN_DIR", machine.folder.path().join("elsewhere"));
        let said = machine.finish(command);
        assert_eq!(said.status.code(), Some(1), "{said:?}");
        assert!(said.stderr.contains("another daemon (process "), "{said:?}");
    };
    let images = machine.pins().join("images");
    fs::remove_dir_all(machine.bpffs.path().join("firewall")).unwrap();
    wait_until("the pins are made again", || images.exists());
    refused_elsewhere();
    // Likewise where another file system hides the folder.
    let hidden = Hidden::new(machine.bpffs.path());
    wait_until("the pins are made again", || images.exists());
    refused_elsewhere();
    drop(hidden);
    refused_elsewhere();
    daemon.signal(Signal::SIGTERM);
    assert!(daemon.wait().success());
    assert!(!machine.pins().exists());
    assert!(!is_filtered(&machine));
}

/// A BPF file system mounted over a path.
struct Hidden<'a>(&'a Path);

impl<'a> Hidden<'a> {
    fn new(path: &'a Path) -> Self {
        let flags = MsFlags::empty();
        mount(Some("bpf"), path, Some("bpf"), flags, None::<&str>).unwrap();
        Self(path)
    }
}

impl Drop for Hidden<'_> {
    fn drop(&mut self) {
        let _ = umount2(self.0, MntFlags::MNT_DETACH);
    }
}

#[test]
#[ignore = "needs root"]
fn a_pin_that_cannot_be_read_is_logged_once_and_reported() {
    let machine = Machine::new();
    let file = machine.write_rules("pass", &drop_port("one", 1));
    let mut daemon = machine.apply(&file);
    let link = machine.pins().join(format!("link-{}", machine.interface()));
    fs::remove_file(&link).unwrap();
    fs::create_dir(&link).unwrap();
    wait_until("it is logged", || machine.log().contains("is a directory"));
    let begin = Instant::now();
    let said = machine.run(["reload"]);
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    assert!(said.stderr.contains("is a directory"), "{said:?}");
    let status = machine.status();
    let fault = status["daemon"]["faults"][0].as_str().unwrap();
    assert!(fault.contains("is a directory"), "{fault}");
    let interface = &status["interfaces"][0];
    assert_eq!(interface["state"], "attached");
    let error = interface["error"].as_str().unwrap();
    assert!(error.contains("could not be opened"), "{error}");
    // Further messages come 2, 4, 8 and 16 seconds after each other, where audits are every 2 seconds.
    thread::sleep(Duration::from_secs(13));
    let errors = lines_with(&machine, "is a directory");
    assert!(
        errors <= 5,
        "{errors} in {:?}\n{}",
        begin.elapsed(),
        machine.log()
    );
    fs::remove_dir(&link).unwrap();
    wait_until("the pin is made again", || link.is_file());
    assert!(machine.run(["reload"]).status.success());
    daemon.signal(Signal::SIGTERM);
    assert!(daemon.wait().success());
}

#[test]
#[ignore = "needs root"]
fn failures_of_a_read_only_file_system_are_not_repeated_by_each_audit() {
    let machine = Machine::new();
    let file = machine.write_rules("pass", &drop_port("one", 1));
    let daemon = machine.apply(&file);
    let remount = |flags| {
        let flags = MsFlags::MS_REMOUNT | flags;
        let path = machine.bpffs.path();
        mount(None::<&str>, path, None::<&str>, flags, None::<&str>).unwrap();
    };
    let link = machine.pins().join(format!("link-{}", machine.interface()));
    let bpftool = |words: &[&str]| {
        let mut command = machine.command("bpftool");
        command.args(words);
        let said = machine.finish(command);
        assert!(said.status.success(), "{said:?}");
        said.stdout
    };
    let shown = bpftool(&["link", "show", "pinned", link.to_str().unwrap()]);
    let (id, _) = shown.split_once(':').unwrap();
    remount(MsFlags::MS_RDONLY);
    bpftool(&["link", "detach", "id", id]);
    thread::sleep(Duration::from_secs(14));
    let log = machine.log();
    // At 0, 1, 3, 7 and 15 seconds.
    let attempts = log.matches("not all are filtered").count();
    assert!((1..=5).contains(&attempts), "{attempts}\n{log}");
    let lines = log
        .lines()
        .filter(|line| line.contains("Read-only") && line.contains("cannot open"));
    let lines = lines
        .filter(|line| !line.contains("not all are filtered"))
        .count();
    assert!((1..=5).contains(&lines), "{lines}\n{log}");
    remount(MsFlags::empty());
    wait_until("it is attached again", || is_filtered(&machine));
    drop(daemon);
}

#[test]
#[ignore = "needs root"]
fn links_are_attached_again_beside_a_pin_of_another_process() {
    let machine = Machine::new();
    let file = machine.write_rules("pass", &drop_port("one", 1));
    let mut daemon = machine.apply(&file);
    take_place_of_images(&machine);
    wait_until("it is logged", || {
        machine.log().contains("is not what this daemon pinned")
    });
    let detach = |pin: PathBuf| {
        let mut command = machine.command("bpftool");
        command.args(["link", "detach", "pinned"]).arg(pin);
        assert!(machine.finish(command).status.success());
    };
    detach(machine.pins().join(format!("link-{}", machine.interface())));
    wait_until("it is attached again", || is_filtered(&machine));
    thread::sleep(Duration::from_secs(5));
    assert_eq!(lines_with(&machine, "is not what this daemon pinned"), 1);
    daemon.signal(Signal::SIGTERM);
    assert!(!daemon.wait().success());
    assert!(!is_filtered(&machine));
}

#[test]
#[ignore = "needs root"]
fn what_a_confirmation_needs_is_pinned_again() {
    let machine = Machine::new();
    let file = machine.write_rules("pass", "");
    let daemon = machine.apply(&file);
    let remove = |prefix: &str| {
        let entries = fs::read_dir(machine.pins()).unwrap();
        let mut paths = entries.map(|entry| entry.unwrap().path());
        let path = paths
            .find(|path| {
                path.file_name()
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .starts_with(prefix)
            })
            .unwrap();
        fs::remove_file(&path).unwrap();
        path
    };
    let apply = |time: &str| {
        machine.write_rules("pass", &drop_port("one", 1));
        let said = machine.run(["apply", "--confirm", time, file.to_str().unwrap()]);
        assert!(said.status.success(), "{said:?}");
    };
    let rules = || machine.status()["rules"]["count"].clone();
    // The previous rules come back even when the time ends before the next audit.
    apply("1s");
    remove("previous-");
    wait_until("the previous rules are back", || rules() == 0);
    assert!(
        !machine.log().contains("stays in force"),
        "{}",
        machine.log()
    );
    // Both are pinned again by the audit, and status shows them.
    apply("10min");
    let removed = [remove("previous-"), remove("unconfirmed-")];
    wait_until("both are pinned again", || {
        removed.iter().all(|path| path.exists())
    });
    let status = machine.status();
    assert_eq!(
        status["waiting"]["returns_to"],
        status["previous"]["generation"]
    );
    assert!(status["waiting"]["seconds_left"].as_f64().unwrap() > 300.0);
    // A confirmation is not undone by the audit.
    let removed = remove("unconfirmed-");
    let said = machine.run(["confirm"]);
    assert!(said.status.success(), "{said:?}");
    thread::sleep(Duration::from_secs(3));
    assert!(!removed.exists());
    assert_eq!(machine.status()["waiting"], serde_json::Value::Null);

    drop(daemon);
}

/// Starts a command that waits for a daemon, and returns it once the daemon has its connection.
fn waiting_command(machine: &Machine, words: &[&str]) -> std::process::Child {
    let mut command = machine.command(BINARY);
    command.args(words).stderr(std::process::Stdio::piped());
    let child = machine.network.host.spawn(&mut command).unwrap();
    // A connected socket of the process has no name of its own: wait for its request to be written.
    thread::sleep(Duration::from_millis(500));
    child
}

#[test]
#[ignore = "needs root"]
fn orders_of_clients_that_are_gone_are_dropped_and_others_keep_their_order() {
    let machine = Machine::new();
    let file = machine.write_rules("pass", "");
    let daemon = machine.apply(&file);
    let files: Vec<_> = (1u16..=5)
        .map(|number| {
            let path = machine.folder.path().join(format!("rules{number}.toml"));
            let text = fs::read_to_string(&file).unwrap() + &drop_port("one", number);
            fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        })
        .collect();
    daemon.signal(Signal::SIGSTOP);
    let mut commands: Vec<_> = files
        .iter()
        .map(|file| waiting_command(&machine, &["apply", file]))
        .collect();
    let mut unload = waiting_command(&machine, &["unload"]);
    for index in [1, 4] {
        commands[index].kill().unwrap();
        commands[index].wait().unwrap();
    }
    unload.kill().unwrap();
    unload.wait().unwrap();
    daemon.signal(Signal::SIGCONT);
    for index in [0, 2, 3] {
        assert!(commands[index].wait().unwrap().success(), "{index}");
    }
    let status = machine.status();
    assert_eq!(status["generation"], 4);
    assert_eq!(status["rules"]["file"], files[3].as_str());
    assert_eq!(status["previous"]["file"], files[2].as_str());
    wait_until("it is logged", || {
        machine.log().matches("its client is gone").count() == 3
    });
}

#[test]
#[ignore = "needs root"]
fn a_command_says_that_it_waits_for_the_daemon() {
    let machine = Machine::new();
    let daemon = machine.apply(&machine.write_rules("pass", ""));
    daemon.signal(Signal::SIGSTOP);
    let command = waiting_command(&machine, &["reload"]);
    thread::sleep(Duration::from_secs(6));
    daemon.signal(Signal::SIGCONT);
    let said = crate::machine::said(command.wait_with_output().unwrap());
    assert!(said.status.success(), "{said:?}");
    let expected = format!("waiting for the daemon (process {})\n", daemon.child.id());
    assert!(said.stderr.starts_with(&expected), "{said:?}");
}

/// The number of lines of the log with this text.
fn lines_with(machine: &Machine, text: &str) -> usize {
    let log = machine.log();
    log.lines().filter(|line| line.contains(text)).count()
}
