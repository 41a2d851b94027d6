//! The control socket, and those who mean no good.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _},
        net::UnixStream,
        process::CommandExt as _,
    },
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::{
    machine::{BINARY, Daemon, Machine, Said, json, patience, wait_until},
    reload::{drop_port, idle_rules, udp},
};

/// A user who is nobody.
const NOBODY: u32 = 65_534;

/// How soon a command is answered, whatever others do; it is a process that has to start, on a busy
/// machine.
const SOON: Duration = Duration::from_secs(3);

fn connect(machine: &Machine) -> UnixStream {
    let stream = UnixStream::connect(machine.run_folder().join("test.sock")).unwrap();
    stream.set_read_timeout(Some(patience())).unwrap();
    stream
}

fn descriptors(daemon: &Daemon<'_>) -> usize {
    let folder = format!("/proc/{}/fd", daemon.child.id());
    fs::read_dir(folder).unwrap().count()
}

/// Asks for a sign of life, a ban and a reload, each of which must be answered soon.
fn assert_served(machine: &Machine) {
    for request in [
        "{\"command\":\"ping\"}\n",
        "{\"command\":\"ban\",\"bans\":[{\"prefix\":\"203.0.113.7\",\"for\":\"1h\"}]}\n",
        "{\"command\":\"reload\"}\n",
    ] {
        let begin = Instant::now();
        let mut stream = connect(machine);
        stream.write_all(request.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let answer = json(&answer);
        let kind = answer["answer"].as_str().unwrap();
        assert!(["alive", "bans", "done"].contains(&kind), "{answer}");
        let took = begin.elapsed();
        assert!(took < SOON, "{request} took {took:?}");
    }
}

/// Lets a user through all folders to the socket, and gives him the command.
fn open_the_door(machine: &Machine) -> std::path::PathBuf {
    let run = machine.run_folder();
    let binary = machine.folder.path().join("firewall");
    fs::copy(BINARY, &binary).unwrap();
    for path in [machine.folder.path(), &run, &binary] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    binary
}

fn as_nobody(machine: &Machine, binary: &Path, words: &[&str]) -> Said {
    let mut command: Command = machine.command(binary.to_str().unwrap());
    command.args(words).uid(NOBODY).gid(NOBODY);
    machine.finish(command)
}

#[test]
#[ignore = "needs root"]
fn another_user_is_refused_even_where_the_socket_lets_him_in() {
    let machine = Machine::new();
    let _daemon = machine.apply(&machine.write_rules("pass", &drop_port("dns", 53)));
    let binary = open_the_door(&machine);
    let socket = machine.run_folder().join("test.sock");
    // He does not get in.
    let forbidden = format!(
        "error: no permission to connect to the daemon at `{}`\n\
         help: run it as root, for example with `sudo`\n",
        socket.display()
    );
    for words in [
        &["reload"] as &[_],
        &["ban", "203.0.113.7"],
        &["unban", "203.0.113.7"],
        &["capture"],
    ] {
        let said = as_nobody(&machine, &binary, words);
        assert_eq!(said.status.code(), Some(1), "{said:?}");
        assert_eq!(said.stderr, forbidden, "{words:?}");
    }
    for words in [&["status"] as &[_], &["confirm"], &["counters"], &["bans"]] {
        let said = as_nobody(&machine, &binary, words);
        let missing = "error: not enough privilege: CAP_SYS_ADMIN and CAP_NET_ADMIN missing\n\
                       help: run it as root, for example with `sudo`\n";
        assert_eq!(said.stderr, missing, "{words:?}");
    }
    // He gets in.
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o666)).unwrap();
    let refusal = "error: the daemon takes orders from root only, not from user 65534\n";
    for words in [
        &["reload"] as &[_],
        &["rollback"],
        &["ban", "203.0.113.7", "--force"],
        &["unban", "203.0.113.7"],
    ] {
        let said = as_nobody(&machine, &binary, words);
        assert_eq!(said.status.code(), Some(1), "{said:?}");
        assert_eq!(said.stderr, refusal, "{words:?}");
    }
    assert_eq!(machine.status()["generation"], 1);
    assert!(
        json(&machine.run(["bans", "--json"]).stdout)["bans"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    assert_served(&machine);
}

/// A group whose members may read.
const READERS: u32 = 4242;

#[test]
#[ignore = "needs root"]
fn members_of_the_group_may_read_and_give_no_orders() {
    let machine = Machine::new();
    let rules = format!(
        "{}[[rule]]\nname = \"replies\"\naction = \"pass\"\nstate = \"established\"\n",
        drop_port("dns", 53)
    );
    let file = machine.write_rules("pass", &rules);
    let mut command = machine.command(BINARY);
    command
        .args(["apply", file.to_str().unwrap()])
        .env("FIREWALL_GROUP", READERS.to_string());
    let daemon = machine.spawn(command);
    machine.await_daemon(&daemon);
    let applied = machine.run([
        "apply",
        machine.write_rules("drop", &rules).to_str().unwrap(),
    ]);
    assert!(applied.status.success(), "{applied:?}");
    let banned = machine.run(["ban", "203.0.113.7", "--reason", "noise"]);
    assert!(banned.status.success(), "{banned:?}");
    let length = machine.send(&udp(&machine, 53), 3);
    machine.await_counters(&[("dns", (3, 3 * length))]);

    let binary = machine.folder.path().join("firewall");
    fs::copy(BINARY, &binary).unwrap();
    for path in [machine.folder.path(), &binary] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let socket = machine.run_folder().join("test.sock");
    let assert_made_for_readers = || {
        for (path, mode) in [(&machine.run_folder(), 0o1710), (&socket, 0o660)] {
            let found = fs::metadata(path).unwrap();
            let found = (found.uid(), found.gid(), found.mode() & 0o7777);
            assert_eq!(found, (0, READERS, mode), "{}", path.display());
        }
    };
    assert_made_for_readers();

    let binary = binary.to_str().unwrap();
    // By the first group, and by another one.
    let first = |words: &[&str]| {
        let mut command = machine.command(binary);
        command.args(words).uid(NOBODY).gid(READERS);
        machine.finish(command)
    };
    let further = |words: &[&str]| {
        let mut command = machine.command("setpriv");
        let (user, group) = (NOBODY.to_string(), READERS.to_string());
        command
            .args([
                "--reuid", &user, "--regid", &user, "--groups", &group, binary,
            ])
            .args(words);
        machine.finish(command)
    };
    for member in [&first as &dyn Fn(&[&str]) -> Said, &further] {
        for words in [
            &["counters", "--json"] as &[_],
            &["counters", "--nonzero"],
            &["show", "--json"],
            &["show", "--counters"],
            &["show", "--previous", "--json"],
            &["flows", "--json", "--proto", "tcp"],
        ] {
            let (read, by_root) = (member(words), machine.run(words));
            assert!(read.status.success(), "{words:?}: {read:?}");
            assert_eq!(read.stdout, by_root.stdout, "{words:?}");
        }
        let bans = member(&["bans"]);
        assert!(bans.stdout.contains("203.0.113.7"), "{bans:?}");
        let mut status = json(&member(&["status", "--json"]).stdout);
        let mut by_root = machine.status();
        // What only a process with `CAP_SYS_ADMIN` is told.
        assert_eq!(status["maps"], serde_json::json!([]));
        for status in [&mut status, &mut by_root] {
            status["program"]["memory_bytes"].take();
        }
        for key in [
            "generation",
            "rules",
            "previous",
            "interfaces",
            "program",
            "flows",
        ] {
            assert_eq!(status[key], by_root[key], "{key}");
        }
        assert_eq!(status["unreadable"], serde_json::json!([]));
        assert_eq!(status["daemon"]["pid"], daemon.child.id());
        // It is understood, and the rules do not log.
        let capture = member(&["capture", "--rule", "dns"]);
        assert!(capture.stderr.contains("does not log"), "{capture:?}");

        let refusal = "error: the daemon takes orders from root only, not from user 65534\n";
        for words in [
            &["reload"] as &[_],
            &["rollback"],
            &["ban", "203.0.113.8"],
            &["unban", "203.0.113.7"],
        ] {
            let said = member(words);
            assert_eq!(said.status.code(), Some(1), "{said:?}");
            assert_eq!(said.stderr, refusal, "{words:?}");
        }
        for words in [
            &["confirm"] as &[_],
            &["unload"],
            &["flows", "--delete", "--all"],
        ] {
            assert_eq!(member(words).status.code(), Some(1), "{words:?}");
        }
        assert_eq!(machine.status()["generation"], 2);
    }
    // Who is in no group does not get in, nor where the socket lets everybody in.
    let nobody = || as_nobody(&machine, Path::new(binary), &["counters"]);
    assert!(
        nobody().stderr.contains("not enough privilege"),
        "{:?}",
        nobody()
    );
    for path in [&machine.run_folder(), &socket] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    }
    assert_eq!(
        nobody().stderr,
        "error: the daemon takes orders from root only, not from user 65534\n"
    );
    fs::set_permissions(machine.run_folder(), fs::Permissions::from_mode(0o1710)).unwrap();
    // A socket that is made again is for the same group: the daemon has no capability to change it.
    fs::remove_file(&socket).unwrap();
    wait_until("the socket is there again", || socket.exists());
    assert_made_for_readers();
    assert_served(&machine);
}

#[test]
#[ignore = "needs root"]
fn what_is_no_request_is_told_so_and_harms_nothing() {
    let machine = Machine::new();
    let daemon = machine.apply(&machine.write_rules("pass", &drop_port("dns", 53)));
    let nested = "[".repeat(60_000) + "\n";
    let object = "{\"a\":".repeat(10_000) + "\n";
    for line in [
        "\n",
        "\0\0\0\n",
        "null\n",
        "{}\n",
        "{\"command\":\"format\"}\n",
        "{\"command\":\"apply\"}\n",
        "{\"command\":\"apply\",\"file\":7}\n",
        "{\"command\":\"apply\",\"file\":\"/x\",\"confirm_ms\":1e999}\n",
        "{\"command\":\"apply\",\"file\":\"/x\",\"confirm_ms\":-1}\n",
        "{\"command\":\"ban\",\"bans\":{}}\n",
        "{\"command\":\"unban\",\"prefixes\":[null]}\n",
        "{\"command\":\"ping\"} {\"command\":\"unload\"}\n",
        &nested,
        &object,
    ] {
        let mut stream = connect(&machine);
        stream.write_all(line.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let answer = json(&answer);
        assert_eq!(answer["answer"], "failed", "{line:.80}: {answer}");
        let message = answer["message"].as_str().unwrap();
        assert!(
            message.starts_with("the request was not understood: "),
            "{message}"
        );
    }
    // These are not lines, and get no answer.
    for bytes in [
        &b""[..],
        b"{\"command\":\"ping\"}",
        b"{\"command\":\"unload\"}",
    ] {
        let mut stream = connect(&machine);
        stream.write_all(bytes).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert_eq!(answer, b"", "{bytes:?}");
    }
    assert_served(&machine);
    assert!(daemon.child.id() > 0);
}

#[test]
#[ignore = "needs root"]
fn a_request_without_end_is_cut_off_and_takes_no_memory() {
    const MANY: usize = 1 << 30;
    let machine = Machine::new();
    let daemon = machine.apply(&machine.write_rules("pass", &drop_port("dns", 53)));
    assert_served(&machine);
    let before = daemon.memory();
    let block = vec![b' '; 1 << 16];
    for _ in 0..100 {
        let mut stream = connect(&machine);
        let mut written = 0;
        let error = loop {
            match stream.write(&block) {
                Ok(more) => written += more,
                Err(error) => break error,
            }
            assert!(written < MANY);
        };
        assert!(
            matches!(
                error.kind(),
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
            ),
            "{error}"
        );
        // What the buffers of the socket hold, and what is read.
        assert!(written < 1 << 20, "{written} bytes were taken");
    }
    let after = daemon.memory();
    assert!(after < before + (8 << 20), "{before} bytes, then {after}");
    assert_served(&machine);
}

#[test]
#[ignore = "needs root"]
fn however_many_say_nothing_or_say_it_slowly_others_are_served() {
    let machine = Machine::new();
    let daemon = machine.apply(&machine.write_rules("pass", &drop_port("dns", 53)));
    assert_served(&machine);
    let (before, memory_before) = (descriptors(&daemon), daemon.memory());
    let mut most = 0;
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for slow in [true, false, true, false] {
            let (done, machine) = (&done, &machine);
            scope.spawn(move || {
                let mut streams = Vec::new();
                while !done.load(Ordering::Relaxed) {
                    streams.push(connect(machine));
                    if streams.len() > 100 {
                        streams.remove(0);
                    }
                    if slow {
                        for stream in &mut streams {
                            // Some were closed.
                            let _ = stream.write(b"{");
                        }
                    }
                    thread::sleep(Duration::from_millis(1));
                }
            });
        }
        thread::sleep(Duration::from_millis(300));
        for _ in 0..8 {
            assert_served(&machine);
            most = most.max(descriptors(&daemon));
        }
        let status = machine.run(["status"]);
        assert!(status.status.success(), "{status:?}");
        done.store(true, Ordering::Relaxed);
    });
    assert!(most > before + 32, "it was no attack: {most} descriptors");
    assert!(
        most < before + 64 + 16 + 8,
        "{before} descriptors, then {most}"
    );
    let after = daemon.memory();
    assert!(
        after < memory_before + (16 << 20),
        "{memory_before} bytes, then {after}"
    );
    // And whoever says nothing is not waited for.
    let begin = Instant::now();
    let mut silent = connect(&machine);
    assert_eq!(silent.read(&mut [0]).unwrap(), 0);
    assert!(begin.elapsed() > Duration::from_secs(4));
    wait_until("all connections are closed", || {
        descriptors(&daemon) <= before
    });
}

#[test]
#[ignore = "needs root"]
fn however_many_orders_come_some_are_carried_out_and_the_others_told() {
    const MANY: usize = 300;
    let machine = Machine::new();
    let daemon = machine.apply(&machine.write_rules("pass", &idle_rules(3000)));
    let before = daemon.memory();
    let (mut done, mut told, mut changed) = (0, 0, 0);
    thread::scope(|scope| {
        let asked: Vec<_> = (0..MANY)
            .map(|_| {
                scope.spawn(|| {
                    let mut stream = connect(&machine);
                    stream.write_all(b"{\"command\":\"reload\"}\n").unwrap();
                    stream.shutdown(std::net::Shutdown::Write).unwrap();
                    let mut answer = String::new();
                    stream.read_to_string(&mut answer).map(|_| answer)
                })
            })
            .collect();
        // In the midst of it.
        let begin = Instant::now();
        let alive = machine.order("{\"command\":\"ping\"}\n");
        assert_eq!(json(&alive)["answer"], "alive");
        assert!(begin.elapsed() < SOON);
        for asked in asked {
            let answer = json(&asked.join().unwrap().unwrap());
            if answer["answer"] == "done" {
                done += 1;
                changed += u64::from(answer["rules"]["changed"] == true);
            } else {
                let message = answer["message"].as_str().unwrap();
                assert_eq!(message, "16 orders wait already");
                assert_eq!(answer["help"], "ask again later");
                told += 1;
            }
        }
    });
    assert_eq!(done + told, MANY);
    assert!(done >= 16 && told > 0, "{done} were done, {told} were not");
    // The file is that in force.
    assert_eq!((changed, &machine.status()["generation"]), (0, &json("1")));
    let after = daemon.memory();
    assert!(after < before + (64 << 20), "{before} bytes, then {after}");
    assert_served(&machine);
}
