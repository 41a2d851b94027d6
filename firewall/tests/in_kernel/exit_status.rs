//! The exit statuses of `docs/exit-status.md`, from the real command.

use std::{fs, process::Command};

use crate::{
    machine::{BINARY, Machine, said},
    reload::drop_port,
};

const GOOD: &str = "[firewall]\ninterfaces = [\"none-such*\"]\n\
                    [[rule]]\nname = \"one\"\naction = \"drop\"\nproto = \"udp\"\ndport = 1\n";

/// Two rules of which the second is never reached.
const SHADOWED: &str = "[firewall]\ninterfaces = [\"none-such*\"]\n\
                        [[rule]]\nname = \"all\"\naction = \"drop\"\n\
                        [[rule]]\nname = \"none\"\naction = \"pass\"\nproto = \"udp\"\n";

const FAILING: &str = "[firewall]\ninterfaces = [\"none-such*\"]\n\
                       [[test]]\nname = \"t\"\npacket = \"udp 192.0.2.1:1 > 192.0.2.2:1\"\n\
                       expect = \"drop\"\n";

#[test]
fn what_needs_no_privileges_ends_as_documented() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("good.toml", GOOD),
        ("other.toml", &GOOD.replace("dport = 1", "dport = 2")),
        ("shadowed.toml", SHADOWED),
        ("failing.toml", FAILING),
        ("bad.toml", "[firewall]\n"),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    for (words, status) in [
        ("--help", 0),
        ("check good.toml", 0),
        ("check shadowed.toml", 0),
        ("check shadowed.toml --deny-warnings", 3),
        ("check bad.toml", 3),
        ("check failing.toml", 3),
        ("check none-such.toml", 3),
        ("check", 2),
        ("check good.toml --max-memory much", 2),
        ("unknown", 2),
        ("diff good.toml good.toml", 0),
        ("diff good.toml other.toml", 1),
        ("diff good.toml bad.toml", 3),
        ("diff good.toml other.toml --budget 1", 5),
        ("doctor none-such0", 6),
        ("explain good.toml", 2),
        ("explain bad.toml x", 1),
    ] {
        let mut command = Command::new(BINARY);
        command.args(words.split(' ')).current_dir(folder.path());
        let said = said(command.output().unwrap());
        assert_eq!(said.status.code(), Some(status), "{words}: {said:?}");
    }
}

#[test]
#[ignore = "needs root"]
fn bad_rules_have_the_same_status_from_the_command_and_from_the_daemon() {
    let machine = Machine::new();
    let good = drop_port("one", 1);
    let bad = machine.folder.path().join("bad.toml");
    fs::write(&bad, "[firewall]\n").unwrap();
    let bad = bad.to_str().unwrap();
    assert_eq!(machine.run(["apply", bad]).status.code(), Some(3));
    assert_eq!(machine.run(["reload"]).status.code(), Some(1));
    assert_eq!(machine.run(["status"]).status.code(), Some(1));
    let _daemon = machine.apply(&machine.write_rules("pass", &good));
    assert_eq!(machine.run(["apply", bad]).status.code(), Some(3));
    machine.write_rules("none", &good);
    assert_eq!(machine.run(["reload"]).status.code(), Some(3));
    machine.write_rules("pass", &good);
    assert_eq!(machine.run(["reload"]).status.code(), Some(0));
    // What is no fault of the rules.
    assert_eq!(machine.run(["confirm"]).status.code(), Some(1));
    assert_eq!(machine.run(["ban", "nonsense"]).status.code(), Some(1));
}
