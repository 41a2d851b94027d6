//! Rules of others never decide whether a machine has a firewall: at boot the last good ones are started from, and
//! what shrinks too much is refused.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{
    bans::send_from,
    machine::{BINARY, Daemon, Machine, Said, json, wait_until},
    reload::idle_rules,
};

/// A machine whose daemons keep copies of their rules.
fn machine() -> Machine {
    let mut machine = Machine::new();
    machine.keeps = true;
    machine
}

/// Writes rules that drop the members of a list.
fn write(machine: &Machine, set: &str, list: &str) -> PathBuf {
    fs::write(machine.folder.path().join("list.txt"), list).unwrap();
    machine.write_rules(
        "pass",
        &format!(
            "[sets]\nbad = {{ {set} }}\n\
             [[rule]]\nname = \"listed\"\naction = \"drop\"\nsrc = \"@bad\"\n"
        ),
    )
}

fn addresses(count: usize) -> String {
    (1..=count)
        .map(|number| format!("192.0.2.{number}\n"))
        .collect()
}

/// Starts the daemon as the service does, and waits until rules are in force.
fn boot<'m>(machine: &'m Machine, rules: &Path) -> Daemon<'m> {
    let words = ["apply", "--boot", rules.to_str().unwrap()];
    let daemon = machine.start_with(words, "info");
    machine.await_daemon(&daemon);
    daemon
}

fn end(mut daemon: Daemon<'_>) {
    daemon.signal(Signal::SIGTERM);
    assert!(daemon.wait().success());
}

fn kept(machine: &Machine) -> Value {
    let path = machine.state_folder().join("test/good.json");
    json(&fs::read_to_string(path).unwrap_or_else(|_| "{}".to_owned()))
}

fn await_kept(machine: &Machine, rules: usize, members: Option<usize>) {
    wait_until("the rules are kept", || {
        let sizes = &kept(machine)["sizes"];
        sizes["rules"] == rules && members.is_none_or(|count| sizes["lists"][0]["members"] == count)
    });
}

fn run_with(machine: &Machine, words: &[&str]) -> Said {
    let mut command = machine.command(BINARY);
    command.args(words);
    machine.finish(command)
}

#[test]
#[ignore = "needs root"]
fn at_boot_the_last_good_rules_are_used_when_the_file_or_a_list_is_not() {
    let machine = machine();
    let set = "file = \"list.txt\"";
    let rules = write(&machine, set, &addresses(3));
    end(boot(&machine, &rules));
    assert_eq!(machine.attached(), None);
    let list = machine.folder.path().join("list.txt");
    type Break<'b> = &'b dyn Fn();
    let breaks: [(Break<'_>, &str); 4] = [
        (
            &|| fs::write(&list, "192.0.2.1\n192.0.2.2198.51.100.1\n").unwrap(),
            "has 1 error",
        ),
        (&|| fs::remove_file(&list).unwrap(), "has 1 error"),
        (
            &|| fs::write(&rules, "[firewal]\n").unwrap(),
            "has 2 errors",
        ),
        (&|| fs::remove_file(&rules).unwrap(), "cannot read"),
    ];
    let mut dropped = (0, 0);
    for (damage, expected) in breaks {
        damage();
        // By hand, the error is what is wanted.
        let said = run_with(&machine, &["apply", rules.to_str().unwrap()]);
        assert_eq!(said.status.code(), Some(3), "{said:?}");
        assert_eq!(machine.attached(), None);

        let daemon = boot(&machine, &rules);
        dropped = send_from(&machine, "192.0.2.3", 2);
        machine.await_counters(&[("listed", dropped)]);
        let status = machine.status();
        let last_good = &status["daemon"]["last_good"];
        assert!(
            last_good["error"].as_str().unwrap().contains(expected),
            "{last_good}"
        );
        assert_eq!(last_good["kept_at"], kept(&machine)["kept_at"]);
        assert_eq!(status["rules"]["file"], rules.to_str().unwrap());
        let text = machine.run(["status"]).stdout;
        assert!(
            text.contains("\nlast good   the last good rules, of "),
            "{text}"
        );
        let log = machine.log();
        assert!(log.contains("ERROR the last good rules, of "), "{log}");
        let said = machine.run(["doctor", machine.interface()]);
        assert!(said.stdout.contains("the last good rules, of "), "{said:?}");
        // The file is what a reload takes.
        let said = machine.run(["reload"]);
        assert_eq!(said.status.code(), Some(3), "{said:?}");
        end(daemon);
    }
    assert!(dropped.0 > 0);
    // What is right again is used, by a reload too.
    let daemon = boot(&machine, &rules);
    write(&machine, set, &addresses(4));
    assert!(machine.run(["reload"]).status.success());
    assert_eq!(machine.status()["daemon"]["last_good"], Value::Null);
    await_kept(&machine, 1, Some(4));
    end(daemon);
    end(boot(&machine, &rules));
    // Nobody else reads what is kept.
    let folder = machine.state_folder().join("test");
    assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
    let files = fs::read_dir(folder.join("files")).unwrap();
    for file in files {
        assert_eq!(file.unwrap().metadata().unwrap().mode() & 0o777, 0o600);
    }
}

#[test]
#[ignore = "needs root"]
fn rules_that_were_never_good_fail_at_boot_as_ever() {
    let machine = machine();
    let rules = machine.write_file("[firewal]\n");
    let said = run_with(&machine, &["apply", "--boot", rules.to_str().unwrap()]);
    assert_eq!(said.status.code(), Some(3), "{said:?}");
    assert_eq!(machine.attached(), None);
    // What is no fault of the rules is no reason for others.
    let good = machine.write_rules("pass", "");
    end(boot(&machine, &good));
    await_kept(&machine, 0, None);
    let other = machine.write_file("[firewall]\ninterfaces = [\"none-such\"]\n");
    let said = run_with(&machine, &["apply", "--boot", other.to_str().unwrap()]);
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    assert_eq!(machine.attached(), None);
}

#[test]
#[ignore = "needs root"]
fn only_rules_that_are_confirmed_are_good() {
    let machine = machine();
    let rules = machine.write_rules("pass", &idle_rules(1));
    let daemon = boot(&machine, &rules);
    await_kept(&machine, 1, None);
    machine.write_rules("pass", &idle_rules(2));
    let apply = ["apply", "--confirm", "60s", rules.to_str().unwrap()];
    assert!(run_with(&machine, &apply).status.success());
    let waiting = machine.state_folder().join("test/waiting.json");
    wait_until("the rules are kept apart", || waiting.exists());
    assert_eq!(kept(&machine)["sizes"]["rules"], 1);
    assert!(machine.run(["rollback"]).status.success());
    wait_until("they are given up", || !waiting.exists());
    assert_eq!(kept(&machine)["sizes"]["rules"], 1);
    assert!(run_with(&machine, &apply).status.success());
    assert!(machine.run(["confirm"]).status.success());
    await_kept(&machine, 2, None);
    // A rollback makes the rules before the good ones again.
    assert!(machine.run(["rollback"]).status.success());
    await_kept(&machine, 1, None);
    end(daemon);
    fs::remove_file(&rules).unwrap();
    let daemon = boot(&machine, &rules);
    assert_eq!(machine.status()["rules"]["count"], 1);
    end(daemon);
}

#[test]
#[ignore = "needs root"]
fn a_folder_that_cannot_be_used_is_no_obstacle() {
    let machine = machine();
    fs::write(machine.state_folder(), "").unwrap();
    let rules = machine.write_rules("pass", "");
    let daemon = boot(&machine, &rules);
    assert!(machine.log().contains("no copy of the rule file"));
    end(daemon);
}

#[test]
#[ignore = "needs root"]
fn what_shrinks_by_more_than_it_may_is_refused_unless_forced() {
    let machine = machine();
    let set = "file = \"list.txt\", empty = \"allow\"";
    let rules = write(&machine, set, &addresses(40));
    let daemon = machine.apply(&rules);
    let refused = |words: &[&str], expected: &str| {
        let generation = machine.status()["generation"].clone();
        let said = run_with(&machine, words);
        assert_eq!(said.status.code(), Some(3), "{said:?}");
        assert!(said.stderr.contains(expected), "{said:?}");
        assert!(said.stderr.contains("--force"), "{said:?}");
        assert_eq!(machine.status()["generation"], generation);
    };
    write(&machine, set, &addresses(20));
    assert!(machine.run(["reload"]).status.success());
    write(&machine, set, &addresses(9));
    let expected = "the list `list.txt` of the set `bad` has 9 members, and had 20 before";
    refused(&["reload"], expected);
    refused(&["apply", rules.to_str().unwrap()], expected);
    write(&machine, set, "");
    refused(&["reload"], "has 0 members, and had 20 before");
    let dropped = send_from(&machine, "192.0.2.15", 2);
    machine.await_counters(&[("listed", dropped)]);
    // A set of its own mind.
    write(
        &machine,
        "file = \"list.txt\", shrink = \"90%\"",
        &addresses(2),
    );
    assert!(machine.run(["reload"]).status.success());
    // Few members vary.
    write(&machine, set, &addresses(1));
    assert!(machine.run(["reload"]).status.success());
    // The rules.
    machine.write_rules("pass", &idle_rules(20));
    assert!(machine.run(["reload"]).status.success());
    let few = machine.write_rules("pass", &idle_rules(9));
    refused(&["reload"], "the rule file has 9 rules, and had 20 before");
    assert!(machine.run(["reload", "--force"]).status.success());
    machine.write_rules("pass", &idle_rules(20));
    assert!(machine.run(["reload"]).status.success());
    // Another file is another matter.
    let other = machine.folder.path().join("other.toml");
    fs::write(
        &other,
        fs::read_to_string(machine.write_rules("pass", "")).unwrap(),
    )
    .unwrap();
    let said = run_with(&machine, &["apply", other.to_str().unwrap()]);
    assert!(said.status.success(), "{said:?}");
    machine.write_rules("pass", &idle_rules(20));
    assert!(
        run_with(&machine, &["apply", rules.to_str().unwrap()])
            .status
            .success()
    );
    await_kept(&machine, 20, None);
    end(daemon);

    // At the start what was in force last counts.
    machine.write_rules("pass", &idle_rules(3));
    let said = run_with(&machine, &["apply", rules.to_str().unwrap()]);
    assert_eq!(said.status.code(), Some(3), "{said:?}");
    assert!(
        said.stderr.contains("has 3 rules, and had 20 before"),
        "{said:?}"
    );
    let daemon = boot(&machine, &few);
    assert_eq!(machine.status()["rules"]["count"], 20);
    assert!(machine.run(["reload", "--force"]).status.success());
    assert_eq!(machine.status()["rules"]["count"], 3);
    end(daemon);
}
