//! Rules that are given on stdin.

use std::{
    fs::{self, File},
    net::Ipv4Addr,
    process::Command,
};

use crate::{
    machine::{BINARY, Machine, Said, said},
    reload::drop_port,
};

const LISTED: &str = "[sets]\nlist = { file = \"list.txt\" }\n\
                      [[rule]]\nname = \"listed\"\naction = \"drop\"\nsrc = \"@list\"\n";

#[test]
fn commands_that_load_nothing_read_rules_from_stdin_with_lists_of_the_current_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let settings = "[firewall]\ninterfaces = [\"none-such*\"]\n";
    let listed = "[sets]\nlist = { file = \"list.txt\" }\n\
                  [[rule]]\nname = \"listed\"\naction = \"drop\"\nsrc = \"@list\"\n";
    fs::write(path("list.txt"), "192.0.2.1\n").unwrap();
    fs::create_dir(path("elsewhere")).unwrap();
    fs::write(path("elsewhere/good"), format!("{settings}{listed}")).unwrap();
    fs::write(path("elsewhere/bad"), format!("{settings}color = 1\n")).unwrap();
    fs::write(path("none.toml"), settings).unwrap();
    let run = |words: &str, input: &str| {
        let mut command = Command::new(BINARY);
        command
            .args(words.split(' '))
            .current_dir(folder.path())
            .stdin(File::open(path(input)).unwrap());
        said(command.output().unwrap())
    };
    for name in ["-", "/dev/stdin"] {
        let good = run(&format!("check {name}"), "elsewhere/good");
        assert_eq!(good.status.code(), Some(0), "{good:?}");
        assert!(
            good.stderr.starts_with("`<stdin>`: no errors, 1 rule"),
            "{good:?}"
        );
        let bad = run(&format!("check {name}"), "elsewhere/bad");
        assert_eq!(bad.status.code(), Some(3), "{bad:?}");
        assert!(bad.stdout.contains(" --> <stdin>:3:1\n"), "{bad:?}");
    }
    let differ = run("diff none.toml -", "elsewhere/good");
    assert_eq!(differ.status.code(), Some(1), "{differ:?}");
    let packet = ["explain", "-", "udp 192.0.2.1:9 > 192.0.2.2:9"];
    let mut explain = Command::new(BINARY);
    explain
        .args(packet)
        .current_dir(folder.path())
        .stdin(File::open(path("elsewhere/good")).unwrap());
    let explained = said(explain.output().unwrap());
    assert!(explained.stdout.contains("listed"), "{explained:?}");
}

#[test]
#[ignore = "needs root"]
fn a_daemon_keeps_rules_that_were_given_on_stdin_and_reads_their_lists_again() {
    let machine = Machine::new();
    let folder = machine.folder.path();
    let write = |rules: &str| {
        let path = machine.write_rules("pass", rules);
        // Nobody finds it by its name later.
        let file = File::open(&path).unwrap();
        fs::remove_file(path).unwrap();
        file
    };
    let apply = |rules: &str, words: &[&str]| -> Said {
        let mut command = machine.command(BINARY);
        command
            .arg("apply")
            .args(words)
            .current_dir(folder)
            .stdin(write(rules));
        machine.finish(command)
    };
    let counted = |expected: &[(&str, u64)]| {
        let from = |last: u8| {
            let address = Ipv4Addr::new(198, 51, 100, last);
            machine.network.link().ipv4_from(address).udp(40_000, 9)
        };
        let length = machine.send(&from(1), 1);
        machine.send(&from(2), 1);
        let expected: Vec<_> = expected
            .iter()
            .map(|&(name, packets)| (name, (packets, packets * length)))
            .collect();
        machine.await_counters(&expected);
    };
    fs::write(folder.join("list.txt"), "198.51.100.1\n").unwrap();
    let mut command = machine.command(BINARY);
    command
        .args(["apply", "-"])
        .current_dir(folder)
        .stdin(write(LISTED));
    let daemon = machine.spawn(command);
    machine.await_daemon(&daemon);
    assert_eq!(machine.status()["rules"]["file"], "<stdin>");
    counted(&[("listed", 1), ("policy", 1)]);

    // The list is read again, the text is kept.
    fs::write(folder.join("list.txt"), "198.51.100.1-198.51.100.2\n").unwrap();
    assert!(machine.run(["reload"]).status.success());
    assert_eq!(machine.status()["generation"], 2);
    counted(&[("listed", 3), ("policy", 1)]);

    // The same text again, another, and a bad one.
    let same = apply(LISTED, &["-", "--detailed"]);
    assert_eq!(same.status.code(), Some(4), "{same:?}");
    let other = apply(
        &(LISTED.to_owned() + &drop_port("more", 9)),
        &["/dev/stdin"],
    );
    assert!(other.status.success(), "{other:?}");
    assert_eq!(machine.status()["rules"]["count"], 2);
    let bad = apply("[[rule]]\n", &["-"]);
    assert_eq!(bad.status.code(), Some(3), "{bad:?}");
    assert!(bad.stderr.contains(" --> <stdin>:"), "{bad:?}");
    let again = machine.run(["reload", "--detailed"]);
    assert_eq!(again.status.code(), Some(4), "{again:?}");
    // No copy stays.
    let left: Vec<_> = fs::read_dir(machine.run_folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name.to_str().unwrap().ends_with(".toml"))
        .collect();
    assert!(left.is_empty(), "{left:?}");

    // What came back is what is reloaded.
    assert!(machine.run(["rollback"]).status.success());
    assert_eq!(machine.status()["rules"]["count"], 1);
    let back = machine.run(["reload", "--detailed"]);
    assert_eq!(back.status.code(), Some(4), "{back:?}");
}
