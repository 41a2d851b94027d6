//! What the daemon may do once it has begun, and who may get at what it makes.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    thread,
};

use nix::{
    sched::{CloneFlags, unshare},
    sys::{
        signal::Signal,
        stat::{self, Mode},
    },
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, configure_capability_in_ambient_set,
    remove_capability_from_bounding_set, set_capabilities,
};

use crate::{
    interfaces::{add, await_absent, await_state, ip},
    machine::{Daemon, Machine, Said, wait_until},
    reload::{drop_port, idle_rules, udp},
};

/// The declared capabilities by their numbers in `include/uapi/linux/capability.h`: dac_read_search,
/// net_admin, sys_ptrace, perfmon and bpf.
const DECLARED: u64 = 1 << 2 | 1 << 12 | 1 << 19 | 1 << 38 | 1 << 39;

/// Checks what each thread of the daemon may do, as the kernel tells.
fn assert_reduced(daemon: &Daemon<'_>) {
    let tasks = fs::read_dir(format!("/proc/{}/task", daemon.child.id())).unwrap();
    let mut threads = 0;
    for task in tasks {
        // A thread may be gone by now.
        let Ok(status) = fs::read_to_string(task.unwrap().path().join("status")) else {
            continue;
        };
        let fields: BTreeMap<&str, &str> = status
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(key, value)| (key, value.trim()))
            .collect();
        for (set, expected) in [
            ("CapInh", 0),
            ("CapPrm", DECLARED),
            ("CapEff", DECLARED),
            ("CapBnd", DECLARED),
            ("CapAmb", 0),
        ] {
            let found = u64::from_str_radix(fields[set], 16).unwrap();
            assert_eq!(found, expected, "{set}: {found:#x}\n{status}");
        }
        assert_eq!(fields["NoNewPrivs"], "1");
        threads += 1;
    }
    assert!(threads > 1, "the runtime has threads of its own");
}

fn succeeds(said: &Said) {
    assert!(said.status.success(), "{said:?}");
}

/// Does `work` on a thread, whose capabilities are inherited by what it starts.
fn on_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(work).join().unwrap())
}

#[test]
#[ignore = "needs root"]
fn every_thread_has_the_declared_capabilities_and_can_do_everything() {
    let machine = Machine::new();
    let settings = "[firewall]\ninterfaces = [\"fw-host*\", \"fwx*\"]\n";
    let rules = machine.write_file(&format!("{settings}{}", drop_port("dns", 53)));
    // Whoever starts it has passed everything on.
    let mut daemon = on_thread(|| {
        let before = capabilities(None).unwrap();
        let all = CapabilitySets {
            inheritable: before.permitted,
            ..before
        };
        set_capabilities(None, all).unwrap();
        for capability in [CapabilitySet::SYS_ADMIN, CapabilitySet::CHOWN] {
            configure_capability_in_ambient_set(capability, true).unwrap();
        }
        machine.apply(&rules)
    });
    assert_reduced(&daemon);
    assert_eq!(
        machine.status()["daemon"]["capabilities"],
        serde_json::json!([
            "dac_read_search",
            "net_admin",
            "sys_ptrace",
            "perfmon",
            "bpf"
        ])
    );

    // More of everything: another program, other maps, other counters.
    machine.write_file(&format!("{settings}{}", idle_rules(3000)));
    succeeds(&machine.run(["reload"]));
    machine.write_file(&format!(
        "{settings}{}{}[[test]]\nname = \"t\"\n\
         packet = \"udp 192.0.2.2:9 > 192.0.2.1:54\"\n\
         expect = \"drop\"\n",
        idle_rules(3000),
        drop_port("other", 54)
    ));
    daemon.signal(Signal::SIGHUP);
    wait_until("the third generation is in force", || {
        machine.status()["generation"] == 3
    });
    assert_reduced(&daemon);

    for words in [
        &["ban", "203.0.113.7", "--for", "1h", "--reason", "a"] as &[_],
        &["unban", "203.0.113.7"],
        &["rollback"],
        &["apply", "--confirm", "60s", rules.to_str().unwrap()],
        &["confirm"],
    ] {
        succeeds(&machine.run(words));
    }
    let packet = udp(&machine, 54);
    let length = machine.send(&packet, 3);
    machine.await_counters(&[("other", (3, 3 * length))]);

    add(&machine, 1);
    await_state(&machine, "fwx1", "attached");
    ip(&machine, "link set fwx1 down");
    ip(&machine, "link set fwx1 name fwx2");
    await_state(&machine, "fwx2", "attached");
    ip(&machine, "link del fwx2");
    await_absent(&machine, "fwx2");
    assert_reduced(&daemon);

    let objects = machine.objects();
    daemon.signal(Signal::SIGTERM);
    assert!(daemon.wait().success());
    machine.assert_nothing_left(&objects);
}

/// Starts the daemon from a thread without a capability, so that it has not got it either.
fn apply_without<'m>(machine: &'m Machine, rules: &Path, capability: CapabilitySet) -> Daemon<'m> {
    on_thread(|| {
        remove_capability_from_bounding_set(capability).unwrap();
        machine.start(rules)
    })
}

#[test]
#[ignore = "needs root"]
fn without_each_of_them_something_breaks() {
    let machine = Machine::new();
    let rules = machine.write_rules("pass", &drop_port("dns", 53));
    let refused_at = |capability, said: &str| {
        let mut daemon = apply_without(&machine, &rules, capability);
        assert!(!daemon.wait().success());
        assert!(machine.log().contains(said), "{}", machine.log());
    };
    refused_at(CapabilitySet::NET_ADMIN, "CAP_NET_ADMIN missing");
    for capability in [CapabilitySet::BPF, CapabilitySet::PERFMON] {
        let before = machine.log().len();
        let mut daemon = apply_without(&machine, &rules, capability);
        assert!(!daemon.wait().success());
        let log = machine.log().split_off(before);
        assert!(log.contains("error: "), "{log}");
    }
    // What is another's, and private.
    let private = |owner| {
        fs::set_permissions(&rules, fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::chown(&rules, Some(owner), None).unwrap();
    };
    private(65_534);
    refused_at(CapabilitySet::DAC_READ_SEARCH, "Permission denied");
    let daemon = machine.apply(&rules);
    succeeds(&machine.run(["reload"]));
    drop(daemon);
    // `lockout::the_session_of_whoever_asks_counts_on_whatever_port_and_behind_sudo` needs CAP_SYS_PTRACE.
}

/// What is in a folder, with the folder: path, owner, mode, and whether it is a folder.
fn listed(folder: &Path) -> Vec<(PathBuf, u32, u32, bool)> {
    let mut found = Vec::new();
    let mut left = vec![folder.to_owned()];
    while let Some(path) = left.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        if metadata.is_dir() {
            left.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        }
        let mode = metadata.mode() & 0o7777;
        found.push((path, metadata.uid(), mode, metadata.is_dir()));
    }
    found
}

#[test]
#[ignore = "needs root"]
fn what_the_daemon_makes_is_for_root_alone_whatever_the_umask() {
    for umask in [0o000, 0o777, 0o022] {
        let machine = Machine::new();
        let rules = machine.write_rules("pass", &drop_port("dns", 53));
        // Made by somebody who did not think of it.
        fs::create_dir(machine.bpffs.path().join("firewall")).unwrap();
        let mut daemon = on_thread(|| {
            // From here on the umask is the thread's own.
            unshare(CloneFlags::CLONE_FS).unwrap();
            stat::umask(Mode::from_bits_truncate(umask));
            machine.start(&rules)
        });
        machine.await_daemon(&daemon);
        machine.write_rules("pass", &idle_rules(2000));
        succeeds(&machine.run(["apply", "--confirm", "60s", rules.to_str().unwrap()]));
        succeeds(&machine.run(["ban", "203.0.113.7"]));
        let house = machine.bpffs.path().join("firewall");
        let mut found = listed(&house);
        let pins = found.len();
        found.extend(listed(&machine.run_folder()));
        // Two folders, program, images, counters, a link, three of the bans, two of what is kept.
        assert!(pins >= 11, "{found:?}");
        assert_eq!(
            found.len() - pins,
            3,
            "a folder, a lock and a socket: {found:?}"
        );
        for (path, owner, mode, is_folder) in &found {
            // The sticky bit marks the run folder as one that the daemon made.
            let expected = match is_folder {
                true if *path == machine.run_folder() => 0o1700,
                true => 0o700,
                false => 0o600,
            };
            assert_eq!(
                (*owner, *mode),
                (0, expected),
                "{}: {mode:o}",
                path.display()
            );
        }
        let socket = machine.run_folder().join("test.sock");
        assert!(fs::metadata(&socket).unwrap().file_type().is_socket());
        let objects = machine.objects();
        daemon.signal(Signal::SIGTERM);
        assert!(daemon.wait().success());
        machine.assert_nothing_left(&objects);
    }
}

#[test]
#[ignore = "needs root"]
fn a_run_folder_that_others_may_write_to_is_refused() {
    let machine = Machine::new();
    let rules = machine.write_rules("pass", "");
    let folder = machine.run_folder();
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    let said = machine.run(["apply", rules.to_str().unwrap()]);
    assert_eq!(said.status.code(), Some(1));
    let path = folder.display();
    assert_eq!(
        said.stderr,
        format!(
            "error: `{path}` is not for root alone: user 0 has it, with mode 0777\n\
             help: `chown root {path} && chmod go-w {path}`, or name another folder with `--run-dir`\n"
        )
    );
    assert_eq!(machine.attached(), None);
}
