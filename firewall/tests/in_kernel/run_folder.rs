//! The run folder and its socket: removed, full, or not writable.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sys::signal::Signal,
};

use crate::{
    machine::{BINARY, Machine, wait_until},
    reload::drop_port,
};

/// A small file system over a folder, removed with this value.
struct SmallFileSystem<'a>(&'a Path);

impl<'a> SmallFileSystem<'a> {
    /// Without room for a file.
    fn full(folder: &'a Path) -> Self {
        fs::create_dir_all(folder).unwrap();
        // The folder itself takes one.
        let options = Some("nr_inodes=1,mode=0700");
        mount(
            Some("none"),
            folder,
            Some("tmpfs"),
            MsFlags::empty(),
            options,
        )
        .unwrap();
        Self(folder)
    }

    fn remount(&self, flags: MsFlags, options: &str) {
        let flags = MsFlags::MS_REMOUNT | flags;
        mount(None::<&str>, self.0, None::<&str>, flags, Some(options)).unwrap();
    }
}

impl Drop for SmallFileSystem<'_> {
    fn drop(&mut self) {
        // A failure fails the removal of the folder, which nobody needs.
        let _ = umount2(self.0, MntFlags::MNT_DETACH);
    }
}

#[test]
#[ignore = "needs root"]
fn a_service_filters_without_its_run_folder_and_makes_it_when_it_can() {
    let machine = Machine::new();
    let file = machine.write_rules("pass", &drop_port("one", 1));
    let folder = machine.run_folder();
    let full = SmallFileSystem::full(&folder);
    let start = || {
        machine.start_with(
            ["apply", "--boot", "--wait", file.to_str().unwrap()],
            "info",
        )
    };
    let mut daemon = start();
    wait_until("it filters", || machine.attached().is_some());
    wait_until("it says why commands do not reach it", || {
        machine.log().contains("commands do not reach this daemon")
            && machine.log().contains("No space left on device")
    });
    // One more is refused, with the state locked.
    let mut second = start();
    assert_eq!(second.wait().code(), Some(1));
    assert!(machine.log().contains("another daemon (process "));
    full.remount(MsFlags::MS_RDONLY, "nr_inodes=100");
    thread::sleep(Duration::from_secs(3));
    assert!(machine.attached().is_some());
    full.remount(MsFlags::empty(), "nr_inodes=100");
    machine.await_daemon(&daemon);
    assert_eq!(
        machine.status()["daemon"]["faults"],
        serde_json::json!([]),
        "{}",
        machine.log()
    );
    assert!(machine.run(["reload"]).status.success());
    daemon.signal(Signal::SIGTERM);
    assert!(daemon.wait().success());
}

#[test]
#[ignore = "needs root"]
fn by_hand_a_full_run_folder_is_an_error_that_may_pass() {
    let machine = Machine::new();
    let file = machine.write_rules("pass", "");
    let folder = machine.run_folder();
    let full = SmallFileSystem::full(&folder);
    let said = machine.run(["apply", file.to_str().unwrap()]);
    assert_eq!(said.status.code(), Some(7), "{said:?}");
    assert!(said.stderr.contains("No space left"), "{said:?}");
    assert_eq!(machine.attached(), None);
    drop(full);
}

#[test]
#[ignore = "needs root"]
fn a_socket_that_is_removed_is_made_again_and_commands_wait_for_it() {
    let machine = Machine::new();
    let file = machine.write_rules("pass", &drop_port("one", 1));
    let mut daemon = machine.apply(&file);
    let socket = machine.run_folder().join("test.sock");
    for words in [
        &["reload"] as &[&str],
        &["ban", "203.0.113.7"],
        &["apply", file.to_str().unwrap()],
        &["apply", "--no-daemon", file.to_str().unwrap()],
        &["status"],
    ] {
        fs::remove_file(&socket).unwrap();
        let said = machine.run(words);
        assert!(said.status.success(), "{said:?}");
        if words == ["status"] {
            assert!(said.stdout.contains("running, process"), "{said:?}");
        }
    }
    // So it is with the folder.
    fs::remove_dir_all(machine.run_folder()).unwrap();
    assert!(machine.run(["reload"]).status.success());
    fs::remove_dir_all(machine.run_folder()).unwrap();
    let said = machine.run(["apply", file.to_str().unwrap()]);
    assert!(said.status.success(), "{said:?}");
    assert!(machine.log().contains("was missing and is made again"));
    daemon.signal(Signal::SIGTERM);
    assert!(daemon.wait().success());
    assert!(!machine.run_folder().exists());
}

#[test]
#[ignore = "needs root"]
fn commands_agree_about_a_daemon_that_cannot_make_its_socket() {
    let machine = Machine::new();
    let file = machine.write_rules("pass", "");
    let mut daemon = machine.apply(&file);
    // The daemon hangs, so that it makes nothing.
    daemon.signal(Signal::SIGSTOP);
    fs::remove_file(machine.run_folder().join("test.sock")).unwrap();
    let pid = daemon.child.id();
    let expected =
        format!("error: the daemon (process {pid}) of instance `test` cannot be reached at");
    for words in [
        &["reload"] as &[&str],
        &["ban", "203.0.113.7"],
        &["apply", file.to_str().unwrap()],
        &["unload"],
    ] {
        let begin = Instant::now();
        let said = machine.run(words);
        assert_eq!(said.status.code(), Some(1), "{said:?}");
        assert!(said.stderr.contains(&expected), "{said:?}");
        assert!(!said.stderr.contains("KILL"), "{said:?}");
        assert!(begin.elapsed() < Duration::from_secs(15), "{words:?}");
    }
    daemon.signal(Signal::SIGCONT);
    assert!(machine.run(["reload"]).status.success());
    daemon.signal(Signal::SIGTERM);
    assert!(daemon.wait().success());
}

#[test]
#[ignore = "needs root"]
fn without_descriptors_a_reload_fails_and_the_rules_are_not_blamed() {
    let machine = Machine::new();
    let file = machine.write_rules("pass", &drop_port("one", 1));
    let list = machine.folder.path().join("list.txt");
    fs::write(&list, "198.51.100.7\n").unwrap();
    let set = "[sets.listed]\nfile = \"list.txt\"\n[[rule]]\nname = \"l\"\nsrc = \"@listed\"\naction = \"drop\"\n";
    let rules = fs::read_to_string(&file).unwrap() + set;
    fs::write(&file, &rules).unwrap();
    let daemon = machine.apply(&file);
    fs::write(&file, rules + &drop_port("two", 2)).unwrap();
    let limit = |limit: usize| {
        let mut command = machine.command("prlimit");
        command.args([
            &format!("--pid={}", daemon.child.id()),
            &format!("--nofile={limit}:"),
        ]);
        let said = machine.finish(command);
        assert!(said.status.success(), "{said:?}");
    };
    let open = fs::read_dir(format!("/proc/{}/fd", daemon.child.id())).unwrap();
    let open: BTreeSet<usize> = open
        .map(|entry| entry.unwrap().file_name())
        .map(|name| name.to_str().unwrap().parse().unwrap())
        .collect();
    let mut free = (0..1000).filter(|number| !open.contains(number));
    // Two for the connection, and ever more: for the rule file, for its list, for what is loaded.
    let mut failures = 0;
    free.next();
    for last in free.take(30) {
        limit(last + 1);
        let said = machine.run(["reload"]);
        match said.status.code() {
            Some(0) => break,
            Some(7) => assert!(said.stderr.contains("Too many open files"), "{said:?}"),
            code => assert_eq!(code, Some(1), "{said:?}"),
        }
        failures += usize::from(said.status.code() == Some(7));
    }
    assert!(failures >= 2, "{failures}\n{}", machine.log());
    limit(1024);
    assert!(machine.run(["reload"]).status.success());
    assert_eq!(machine.status()["rules"]["count"], 3);
    drop(daemon);
}

#[test]
#[ignore = "needs root"]
fn an_order_is_carried_out_though_its_client_dies_meanwhile() {
    let machine = Machine::new();
    let file = machine.write_rules("pass", "");
    let daemon = machine.apply(&file);
    // Long enough to be compiled that its client dies before.
    machine.write_rules("pass", &crate::reload::large_rule(400_000));
    let mut command = machine.command(BINARY);
    command.arg("reload").stderr(std::process::Stdio::null());
    let mut client = machine.network.host.spawn(&mut command).unwrap();
    wait_until("the daemon reads the rules", || {
        thread::sleep(Duration::from_millis(300));
        true
    });
    client.kill().unwrap();
    client.wait().unwrap();
    wait_until("the order is carried out", || {
        machine.status()["generation"] == 2
    });
    assert!(machine.run(["reload"]).status.success());
    drop(daemon);
}

#[test]
#[ignore = "needs root"]
fn rules_whose_time_to_confirm_was_removed_stay_when_the_daemon_is_killed() {
    let machine = Machine::new();
    let file = machine.write_rules("pass", "");
    let daemon = machine.apply(&file);
    machine.write_rules("pass", &drop_port("one", 1));
    let said = machine.run(["apply", "--confirm", "10min", file.to_str().unwrap()]);
    assert!(said.status.success(), "{said:?}");
    // The daemon would pin it again.
    daemon.signal(Signal::SIGSTOP);
    let entries = fs::read_dir(machine.pins()).unwrap();
    let mut names = entries.map(|entry| entry.unwrap().path());
    let mark = names
        .find(|path| path.to_str().unwrap().contains("unconfirmed-"))
        .unwrap();
    fs::remove_file(mark).unwrap();
    daemon.kill();
    // Without it nobody knows that they wait; they stay, and so does the way back.
    let _daemon = machine.apply(&file);
    let status = machine.status();
    assert_eq!(status["rules"]["count"], 1);
    assert_eq!(status["waiting"], serde_json::Value::Null);
    assert_eq!(status["previous"]["generation"], 1);
    let said = machine.run(["rollback"]);
    assert!(said.status.success(), "{said:?}");
    assert_eq!(machine.status()["rules"]["count"], 0);
}
