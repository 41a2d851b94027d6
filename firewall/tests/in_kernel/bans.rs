//! Bans: what is dropped, for how long, and what survives what.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    net::IpAddr,
    os::unix::net::UnixStream,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use benches::packet::Packet;
use serde_json::{Value, json};

use crate::{
    machine::{BINARY, Count, Daemon, Machine, Said, json as read_json, patience, wait_until},
    reload::{drop_port, idle_rules, large_rule},
};

/// A rule that passes all that these tests send: a ban comes before it.
const PASS_ALL: &str = "[[rule]]\nname = \"all\"\naction = \"pass\"\nproto = \"udp\"\n";

/// A length of time in which a few commands are run, also on a slow machine.
fn short() -> Duration {
    patience() / 15
}

fn in_words(term: Duration) -> String {
    format!("{}ms", term.as_millis())
}

fn ban(machine: &Machine, words: &[&str]) -> Said {
    let said = machine.run([&["ban"], words].concat());
    assert!(said.status.success(), "{said:?}");
    said
}

fn packet_from(machine: &Machine, source: &str) -> Packet {
    let link = machine.network.link();
    match source.parse().unwrap() {
        IpAddr::V4(source) => link.ipv4_from(source).udp(4000, 53),
        IpAddr::V6(source) => link.ipv6_from(source).udp(4000, 53),
    }
}

pub(crate) fn send_from(machine: &Machine, source: &str, count: u64) -> Count {
    (
        count,
        count * machine.send(&packet_from(machine, source), count),
    )
}

pub(crate) fn sum(counts: &[Count]) -> Count {
    counts
        .iter()
        .fold((0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1))
}

fn bans(machine: &Machine) -> Value {
    let said = machine.run(["bans", "--json"]);
    assert!(said.status.success(), "{said:?}");
    read_json(&said.stdout)
}

fn banned(machine: &Machine) -> Vec<String> {
    let bans = bans(machine);
    let bans = bans["bans"].as_array().unwrap().iter();
    bans.map(|ban| ban["prefix"].as_str().unwrap().to_owned())
        .collect()
}

/// Bans, packets and bytes of a reason, as `bans` and `counters` tell them.
fn by_reason(machine: &Machine, reason: &str) -> (u64, Count) {
    let row = |rows: &Value, key: &str| {
        let rows = rows.as_array().unwrap().clone();
        let row = rows.into_iter().find(|row| row[key] == reason);
        row.unwrap_or_else(|| panic!("no {reason}"))
    };
    let number = |row: &Value, key: &str| row[key].as_u64().unwrap();
    let shown = row(&bans(machine)["reasons"], "reason");
    let count = (number(&shown, "packets"), number(&shown, "bytes"));
    let counters = read_json(&machine.run(["counters", "--json"]).stdout);
    let counted = row(&counters["bans"], "name");
    let same = (number(&counted, "packets"), number(&counted, "bytes"));
    assert_eq!(count, same);
    (number(&shown, "bans"), count)
}

/// Runs the command with this on its stdin.
pub(crate) fn feed(machine: &Machine, words: &[&str], input: &str) -> Said {
    let path = machine.folder.path().join("input");
    fs::write(&path, input).unwrap();
    let mut command = machine.command(BINARY);
    command.args(words).stdin(File::open(path).unwrap());
    machine.finish(command)
}

/// A connection to the control socket that knows nothing of the command's own client.
pub(crate) struct Socket(BufReader<UnixStream>);

impl Socket {
    pub(crate) fn connect(machine: &Machine) -> Self {
        let path = machine.run_folder().join("test.sock");
        Self(BufReader::new(UnixStream::connect(path).unwrap()))
    }

    pub(crate) fn ask(&mut self, line: &str) -> Value {
        self.0.get_mut().write_all(line.as_bytes()).unwrap();
        self.0.get_mut().write_all(b"\n").unwrap();
        let mut answer = String::new();
        self.0.read_line(&mut answer).unwrap();
        read_json(&answer)
    }
}

#[test]
#[ignore = "needs root"]
fn a_banned_source_is_dropped_before_any_rule_and_counted_by_its_reason() {
    let machine = Machine::new();
    let _daemon = machine.apply(&machine.write_rules("drop", PASS_ALL));
    ban(&machine, &["203.0.113.7", "--reason", "sshd"]);
    ban(
        &machine,
        &["198.51.100.0/22", "2001:db9::/33", "--reason", "nets"],
    );
    ban(&machine, &["2001:db9:8000::5", "--for", "1h"]);
    ban(
        &machine,
        &[
            "2001:db9:9000::8000:0:0:0/65",
            "fe00::/9",
            "--reason",
            "sshd",
        ],
    );
    let sshd = sum(&[
        send_from(&machine, "203.0.113.7", 3),
        send_from(&machine, "2001:db9:9000::8000:0:0:1", 2),
        send_from(&machine, "fe7f::1", 1),
    ]);
    let nets = sum(&[
        send_from(&machine, "198.51.100.0", 1),
        send_from(&machine, "198.51.103.255", 2),
        send_from(&machine, "2001:db9::1", 4),
        send_from(&machine, "2001:db9:7fff:ffff:ffff:ffff:ffff:ffff", 1),
    ]);
    let without = send_from(&machine, "2001:db9:8000::5", 5);
    // Beside each of them.
    let passed = sum(&[
        send_from(&machine, "203.0.113.6", 1),
        send_from(&machine, "203.0.113.8", 1),
        send_from(&machine, "198.51.99.255", 1),
        send_from(&machine, "198.51.104.0", 1),
        send_from(&machine, "2001:db9:8000::4", 1),
        send_from(&machine, "2001:db9:8000::", 1),
        send_from(&machine, "2001:db9:9000::7fff:ffff:ffff:ffff", 1),
        send_from(&machine, "2001:db9:9000:1:8000::", 1),
        send_from(&machine, "fe80::1", 1),
    ]);
    let all = sum(&[sshd, nets, without]);
    machine.await_counters(&[("banned", all), ("all", passed)]);
    assert_eq!(by_reason(&machine, "sshd"), (3, sshd));
    assert_eq!(by_reason(&machine, "nets"), (2, nets));
    assert_eq!(by_reason(&machine, ""), (1, without));
    assert_eq!(
        banned(&machine),
        [
            "198.51.100.0/22",
            "203.0.113.7",
            "2001:db9::/33",
            "2001:db9:8000::5",
            "2001:db9:9000:0:8000::/65",
            "fe00::/9"
        ]
    );
    let text = machine.run(["bans"]).stdout;
    assert!(text.contains("2001:db9:8000::5"), "{text}");
    assert!(text.ends_with("\n6 of at most 1,000,000\n"), "{text}");
    let text = machine.run(["counters"]).stdout;
    assert!(text.contains("banned: sshd"), "{text}");
    assert_eq!(machine.status()["bans"]["count"], 6);

    // Taken back, it passes; its reason keeps its count.
    let said = machine.run(["unban", "203.0.113.7", "198.51.100.0/22"]);
    assert!(said.status.success(), "{said:?}");
    let passed = sum(&[
        passed,
        send_from(&machine, "203.0.113.7", 1),
        send_from(&machine, "198.51.100.0", 1),
    ]);
    machine.await_counters(&[("banned", all), ("all", passed)]);
    assert_eq!(by_reason(&machine, "nets"), (1, nets));
    let said = machine.run(["unban", "203.0.113.7"]);
    assert_eq!(said.status.code(), Some(1));
    assert!(
        said.stderr.contains("`203.0.113.7` is not banned\n"),
        "{said:?}"
    );
    let said = machine.run(["unban", "2001:db9::1"]);
    assert!(
        said.stderr
            .contains("`2001:db9::1` is not banned by itself, but by `2001:db9::/33`"),
        "{said:?}"
    );
    let said = machine.run(["unban", "--if-banned", "203.0.113.7"]);
    assert!(said.status.success(), "{said:?}");
}

#[test]
#[ignore = "needs root"]
fn the_longest_ban_that_has_not_ended_decides() {
    let machine = Machine::new();
    let _daemon = machine.apply(&machine.write_rules("pass", ""));
    ban(&machine, &["--force", "10.0.0.0/8", "--reason", "wide"]);
    ban(
        &machine,
        &[
            "10.1.2.0/24",
            "--reason",
            "narrow",
            "--for",
            &in_words(short()),
        ],
    );
    let narrow = send_from(&machine, "10.1.2.3", 1);
    machine.await_counters(&[("banned", narrow)]);
    thread::sleep(short());
    let wide = send_from(&machine, "10.1.2.3", 2);
    machine.await_counters(&[("banned", sum(&[narrow, wide]))]);
    assert_eq!(by_reason(&machine, "narrow").1, narrow);
    assert_eq!(by_reason(&machine, "wide").1, wide);
}

#[test]
#[ignore = "needs root"]
fn a_ban_ends_on_time_though_the_daemon_was_killed() {
    let machine = Machine::new();
    let rules = machine.write_rules("pass", "");
    let daemon = machine.apply(&rules);
    let term = short();
    let begin = Instant::now();
    ban(
        &machine,
        &["203.0.113.7", "--for", &in_words(term), "--reason", "short"],
    );
    ban(&machine, &["203.0.113.8", "--reason", "long"]);
    let end = Instant::now() + term;
    daemon.kill();
    assert_eq!(banned(&machine), ["203.0.113.7", "203.0.113.8"]);
    let until = |moment: Instant| thread::sleep(moment.saturating_duration_since(Instant::now()));
    until(begin + term - Duration::from_millis(100));
    let dropped = send_from(&machine, "203.0.113.7", 3);
    assert!(begin.elapsed() < term, "this machine is too slow");
    machine.await_counters(&[("banned", dropped)]);
    until(end);
    let passed = send_from(&machine, "203.0.113.7", 2);
    let others = send_from(&machine, "203.0.113.8", 1);
    machine.await_counters(&[("banned", sum(&[dropped, others])), ("policy", passed)]);
    assert_eq!(banned(&machine), ["203.0.113.8"]);
    assert_eq!(by_reason(&machine, "short"), (0, dropped));
    // The next daemon sweeps away what has ended.
    assert_eq!(machine.status()["bans"]["count"], 2);
    let _daemon = machine.apply(&rules);
    wait_until("the ban that has ended is swept away", || {
        machine.status()["bans"]["count"] == 1
    });
}

#[test]
#[ignore = "needs root"]
fn bans_and_their_counts_survive_reloads_other_programs_and_other_daemons() {
    let machine = Machine::new();
    let rules = machine.write_rules("pass", "");
    let daemon = machine.apply(&rules);
    ban(
        &machine,
        &["203.0.113.0/24", "--for", "1h", "--reason", "net"],
    );
    ban(&machine, &["2001:db9::7", "--reason", "host"]);
    let (mut net, mut host) = ((0, 0), (0, 0));
    let mut still_banned = || {
        net = sum(&[net, send_from(&machine, "203.0.113.99", 1)]);
        host = sum(&[host, send_from(&machine, "2001:db9::7", 2)]);
        machine.await_counters(&[("banned", sum(&[net, host]))]);
        assert_eq!(by_reason(&machine, "net"), (1, net));
        assert_eq!(by_reason(&machine, "host"), (1, host));
    };
    still_banned();

    let program = machine.attached();
    machine.write_rules("pass", &drop_port("one", 1));
    assert!(machine.run(["reload"]).status.success());
    assert_eq!(machine.attached(), program);
    still_banned();

    // The image outgrows its size class, and the counters their map.
    machine.write_rules("pass", &(idle_rules(100) + &large_rule(30_000)));
    assert!(machine.run(["reload"]).status.success());
    assert_ne!(machine.attached(), program);
    still_banned();

    daemon.kill();
    still_banned();
    machine.write_rules("pass", "");
    let mut daemon = machine.apply(&rules);
    still_banned();
    assert!(
        machine.log().contains("2 bans taken over"),
        "{}",
        machine.log()
    );
    // It has taken them over, and can take them back.
    assert!(machine.run(["unban", "203.0.113.0/24"]).status.success());
    assert_eq!(banned(&machine), ["2001:db9::7"]);

    let objects = machine.objects();
    assert!(machine.run(["unload"]).status.success());
    daemon.wait();
    machine.assert_nothing_left(&objects);
    let _daemon = machine.apply(&rules);
    assert_eq!(banned(&machine), Vec::<String>::new());
}

fn apply_with_room_for<'a>(machine: &'a Machine, bans: &str) -> Daemon<'a> {
    let rules = machine.write_rules("pass", "");
    let daemon = machine.start_with(
        ["apply", rules.to_str().unwrap(), "--max-bans", bans],
        "info",
    );
    machine.await_daemon(&daemon);
    daemon
}

#[test]
#[ignore = "needs root"]
fn what_does_not_fit_is_refused_and_nothing_makes_way_but_what_has_ended() {
    let machine = Machine::new();
    let daemon = apply_with_room_for(&machine, "3");
    ban(&machine, &["203.0.113.1", "203.0.113.2"]);
    ban(&machine, &["203.0.113.3", "--for", &in_words(short())]);
    let said = machine.run(["ban", "203.0.113.4", "2001:db9::/77"]);
    assert_eq!(said.status.code(), Some(1));
    let full = "there are 3 bans already, the maximum\n";
    assert!(said.stderr.starts_with(&full.repeat(2)), "{said:?}");
    assert!(said.stderr.ends_with("error: 2 of 2 refused\n"), "{said:?}");
    // A ban of the same prefix takes its place.
    let said = ban(&machine, &["203.0.113.1", "--for", "1h"]);
    assert_eq!(said.stderr, "banned 1, 1 of them again\n");
    let dropped = sum(&[
        send_from(&machine, "203.0.113.1", 1),
        send_from(&machine, "203.0.113.2", 1),
    ]);
    let passed = send_from(&machine, "203.0.113.4", 1);
    machine.await_counters(&[("banned", dropped), ("policy", passed)]);
    thread::sleep(short());
    ban(&machine, &["203.0.113.4"]);
    assert_eq!(
        banned(&machine),
        ["203.0.113.1", "203.0.113.2", "203.0.113.4"]
    );

    // The room is that of the first load, also for another daemon.
    daemon.kill();
    let _daemon = apply_with_room_for(&machine, "5");
    wait_until("it is said that there is room for 3", || {
        machine.log().contains("there is room for 3 bans")
    });
    assert_eq!(machine.status()["bans"]["max"], 3);
}

#[test]
#[ignore = "needs root"]
fn lines_that_are_wrong_are_told_and_the_others_are_banned() {
    let machine = Machine::new();
    let _daemon = machine.apply(&machine.write_rules("pass", ""));
    let long = "x".repeat(65);
    let input = format!(
        "# a list\n203.0.113.1\n1.2.3\n\n203.0.113.2 1h30m brute force\n203.0.113.9/24 1h\n\
         203.0.113.3 {long}\n0.0.0.0/0\n127.0.0.1\n::1/64 - of this machine\n\u{0}\n\
         2001:db9::/32 - net\r\n203.0.113.1 2d\n203.0.113.4"
    );
    let said = feed(&machine, &["ban", "-", "--reason", "by default"], &input);
    assert_eq!(said.status.code(), Some(1));
    assert_eq!(
        said.stderr,
        format!(
            "line 3: `1.2.3` is neither an address, a prefix nor a range\n\
             line 6: `203.0.113.9/24`: the address has bits set behind the prefix length: write \
             `203.0.113.0/24` for the network or `203.0.113.9` for the single address\n\
             line 8: `0.0.0.0/0` is every address: `--force` bans it\n\
             line 9: `127.0.0.1` is an address of this machine: `--force` bans it\n\
             line 10: `::1/64`: the address has bits set behind the prefix length: write `::/64` for the \
             network or `::1` for the single address\n\
             line 11: `\\u{{0}}` is neither an address, a prefix nor a range\n\
             line 7: the reason `{long}` has more than 64 bytes\n\
             banned 5, 1 of them again\n\
             error: 7 of 12 refused\n"
        )
    );
    let bans = bans(&machine);
    let bans = bans["bans"].as_array().unwrap().iter();
    let shown: Vec<_> = bans
        .map(|ban| {
            (
                ban["prefix"].clone(),
                ban["reason"].clone(),
                ban["seconds_left"].clone(),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            (json!("203.0.113.1"), json!("by default"), json!(172_800)),
            (json!("203.0.113.2"), json!("brute force"), json!(5400)),
            (json!("203.0.113.4"), json!("by default"), Value::Null),
            (json!("2001:db9::/32"), json!("net"), Value::Null),
        ]
    );
    let said = feed(&machine, &["unban", "-"], "203.0.113.2\n203.0.113.3\nx\n");
    assert_eq!(
        said.stderr,
        "line 3: `x` is neither an address, a prefix nor a range\nline 2: `203.0.113.3` is not banned\n\
         removed 1\nerror: 2 of 3 refused\n"
    );
}

#[test]
#[ignore = "needs root"]
fn lines_of_published_lists_are_banned_and_terms_are_never_read_as_for_ever() {
    let machine = Machine::new();
    let _daemon = machine.apply(&machine.write_rules("pass", ""));
    let list: String = (0..300)
        .map(|at| format!("100.64.{}.{}/32 ; SBL{at}\n", at / 256, at % 256))
        .collect();
    let input = format!("\u{feff}; a list\n; Expires: never\n{list}203.0.113.0 - 203.0.113.2\n");
    let said = feed(&machine, &["ban", "-", "--for", "1h"], &input);
    assert_eq!(said.stderr, "banned 302\n");
    let shown = bans(&machine);
    let shown = shown["bans"].as_array().unwrap();
    assert!(
        shown
            .iter()
            .all(|ban| ban["reason"] == "" && ban["seconds_left"].is_u64())
    );
    let said = feed(&machine, &["unban", "-"], &input);
    assert!(
        said.status.success() && said.stderr.contains(" 302\n"),
        "{said:?}"
    );

    let input = "203.0.113.5 3600\n203.0.113.6 -1\n203.0.113.61 -3559s\n\
                 203.0.113.10 3h59m38.328361 crowdsec\n203.0.113.16 4H ssh\n::ffff:203.0.113.7 60\n\
                 ::ffff:127.0.0.1\n";
    let said = feed(&machine, &["ban", "-"], input);
    assert!(
        said.stderr.contains("error: 5 of 7 refused"),
        "{}",
        said.stderr
    );
    let told = "`::ffff:203.0.113.7` is banned as `203.0.113.7`\n";
    assert!(said.stderr.contains(told), "{}", said.stderr);
    let shown = bans(&machine);
    let shown = shown["bans"].as_array().unwrap().iter();
    let shown: Vec<_> = shown
        .map(|ban| {
            (
                ban["prefix"].as_str().unwrap(),
                ban["seconds_left"].as_u64(),
            )
        })
        .collect();
    let [
        ("203.0.113.5", Some(3500..=3600)),
        ("203.0.113.7", Some(1..=60)),
    ] = *shown
    else {
        panic!("{shown:?}");
    };
}

#[test]
#[ignore = "needs root"]
fn what_could_be_meant_otherwise_bans_nothing() {
    let machine = Machine::new();
    let _daemon = machine.apply(&machine.write_rules("pass", ""));
    let lines = [
        "203.0.113.1 timeout 1h expires 59m, 203.0.113.2 timeout 1h }",
        "203.0.113.1 expires 59m",
        "add x 203.0.113.0/24 comment \"x\" nomatch",
        "203.0.113.1 PT4H",
        "203.0.113.1 for 1h",
        "203.0.113.1 (60)",
        "203.0.113.1 \u{a0} 1h",
        "203.0.113.1 7 days",
        "203.0.113.1 1700000000",
        "203.0.113.1;203.0.113.2",
        "203.0.113.1\r203.0.113.2",
        "flush x",
        "0.0.0.0/2",
        "9.0.0.0-11.0.0.0",
    ];
    let long = "x".repeat(5000);
    let input = format!("{}\n203.0.113.1 1h {long}\n", lines.join("\n"));
    let said = feed(&machine, &["ban", "-"], &input);
    assert!(
        said.stderr.ends_with("error: 15 of 15 refused\n"),
        "{}",
        said.stderr
    );
    assert!(
        said.stderr
            .contains("line 15: the line is longer than 4096 bytes")
    );
    for words in [
        ["ban", ""],
        ["unban", ""],
        ["ban", "# x"],
        ["ban", "224.0.0.0/3"],
    ] {
        let said = machine.run(words);
        assert_eq!(said.status.code(), Some(1), "{said:?}");
    }
    assert!(banned(&machine).is_empty());

    let mut command = machine.command(BINARY);
    command
        .args(["ban", "-"])
        .stdin(File::open("/dev/zero").unwrap());
    let said = machine.finish(command);
    assert!(said.stderr.contains("reading ends here"), "{said:?}");

    let listed = "203.0.113.1 timeout 300 packets 0 bytes 0\n";
    let said = feed(&machine, &["ban", "-"], listed);
    assert!(said.status.success(), "{said:?}");
    let shown = bans(&machine);
    assert!(
        shown["bans"][0]["seconds_left"].as_u64() <= Some(300),
        "{shown}"
    );
    assert!(shown["bans"][0]["seconds_left"].is_u64(), "{shown}");
}

#[test]
#[ignore = "needs root"]
fn a_line_is_banned_when_it_comes_however_long_the_next_one_takes() {
    let machine = Machine::new();
    let _daemon = machine.apply(&machine.write_rules("pass", ""));
    let mut command = machine.command(BINARY);
    command.args(["ban", "-"]).stdin(Stdio::piped());
    let mut child = machine.network.host.spawn(&mut command).unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for (source, pause) in [("203.0.113.1", 0), ("203.0.113.2", 6)] {
        // Longer than the daemon waits for another request.
        thread::sleep(Duration::from_secs(pause));
        writeln!(stdin, "{source}").unwrap();
        wait_until("the line is banned", || {
            banned(&machine).contains(&source.to_owned())
        });
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
#[ignore = "needs root"]
fn what_keeps_the_caller_connected_is_banned_by_force_only() {
    let machine = Machine::new();
    let _daemon = machine.apply(&machine.write_rules("pass", ""));
    let own = machine.network.link().host.ipv4.to_string();
    let gateway = machine.network.link().peer.ipv4.to_string();
    let mut route = machine.command("ip");
    route.args(["route", "add", "default", "via", &gateway]);
    assert!(machine.finish(route).status.success());
    let session = |words: &[&str]| {
        let mut command = machine.command(BINARY);
        command
            .args(words)
            .env("SSH_CONNECTION", "198.51.100.9 4000 192.0.2.1 22");
        machine.finish(command)
    };
    for (words, why) in [
        (["ban", "198.51.100.9"], "where your SSH session comes from"),
        (
            ["ban", "198.51.100.0/28"],
            "covers `198.51.100.9`, where your SSH",
        ),
        (["ban", &own], "an address of this machine"),
        (["ban", &gateway], "a gateway of this machine"),
        (["ban", "::/0"], "every address"),
    ] {
        let said = session(&words);
        assert_eq!(said.status.code(), Some(1), "{said:?}");
        assert!(said.stderr.contains(why), "{said:?}");
    }
    assert_eq!(banned(&machine), Vec::<String>::new());
    let said = session(&["ban", "--force", "198.51.100.9", &own, "::/0", "0.0.0.0/0"]);
    assert!(said.status.success(), "{said:?}");
    let dropped = sum(&[
        send_from(&machine, "192.0.2.200", 2),
        send_from(&machine, "2001:db9::5", 3),
    ]);
    machine.await_counters(&[("banned", dropped)]);
}

#[test]
#[ignore = "needs root"]
fn bans_are_removed_by_their_reason_or_all_at_once() {
    let machine = Machine::new();
    let _daemon = machine.apply(&machine.write_rules("pass", ""));
    ban(&machine, &["203.0.113.1", "203.0.113.2", "--reason", "a"]);
    ban(&machine, &["203.0.113.3", "--reason", "b"]);
    ban(&machine, &["203.0.113.4"]);
    let unban = |words: &[&str], code: i32, expected: &str| {
        let said = machine.run([&["unban"], words].concat());
        assert_eq!(said.status.code(), Some(code), "{said:?}");
        assert!(said.stderr.contains(expected), "{said:?}");
    };
    unban(&["--reason", "c"], 1, "no ban has the reason `c`");
    unban(&["--reason", "c", "--if-banned"], 0, "removed 0");
    unban(&["--reason", "a"], 0, "removed 2");
    assert_eq!(banned(&machine), ["203.0.113.3", "203.0.113.4"]);
    unban(&["--reason", ""], 0, "removed 1");
    let passed = send_from(&machine, "203.0.113.1", 2);
    let dropped = send_from(&machine, "203.0.113.3", 3);
    machine.await_counters(&[("banned", dropped), ("policy", passed)]);
    unban(&["--all"], 0, "removed 1");
    unban(&["--all"], 0, "removed 0");
    assert_eq!(banned(&machine), Vec::<String>::new());
    let passed = sum(&[passed, send_from(&machine, "203.0.113.3", 1)]);
    machine.await_counters(&[("banned", dropped), ("policy", passed)]);

    let mut socket = Socket::connect(&machine);
    ban(&machine, &["203.0.113.1", "--reason", "a"]);
    ban(&machine, &["203.0.113.2", "--reason", "b"]);
    let answer = socket.ask(r#"{"command":"unban","reason":"a"}"#);
    assert_eq!(answer["removed"], 1, "{answer}");
    let answer = socket.ask(r#"{"command":"unban","all":true}"#);
    assert_eq!(answer["removed"], 1, "{answer}");
    let answer = socket.ask(r#"{"command":"unban","all":true,"prefixes":[]}"#);
    assert_eq!(answer["answer"], "failed", "{answer}");
}

#[test]
#[ignore = "needs root"]
fn the_bans_of_a_source_are_replaced_as_a_whole_or_not_at_all() {
    let machine = Machine::new();
    let _daemon = machine.apply(&machine.write_rules("pass", ""));
    let replace = |input: &str, words: &[&str]| {
        let words = [&["ban", "--replace", "feed"], words, &["-"]].concat();
        feed(&machine, &words, input)
    };
    ban(&machine, &["198.51.100.1", "--reason", "by hand"]);
    let list = |numbers: std::ops::Range<u32>| -> String {
        numbers
            .map(|number| format!("203.0.113.{number}\n"))
            .collect()
    };
    let said = replace(&list(1..21), &["--for", "1h"]);
    assert!(said.status.success(), "{said:?}");
    assert_eq!(said.stderr, "`feed`: added 20, renewed 0, removed 0\n");
    // What a line says of a reason is not its source; another duration prolongs.
    let next = format!("{}198.51.100.2 2h some words\n", list(6..21));
    let said = replace(&next, &["--for", "3h"]);
    assert_eq!(said.stderr, "`feed`: added 1, renewed 15, removed 5\n");
    let bans = bans(&machine);
    let found = |prefix: &str| {
        let mut bans = bans["bans"].as_array().unwrap().iter();
        bans.find(|ban| ban["prefix"] == prefix).cloned()
    };
    assert_eq!(found("203.0.113.5"), None);
    let left = |prefix: &str| found(prefix).unwrap()["seconds_left"].as_u64().unwrap();
    assert!((10_000..=10_800).contains(&left("203.0.113.6")));
    assert!((7_000..=7_200).contains(&left("198.51.100.2")));
    assert_eq!(found("198.51.100.2").unwrap()["reason"], "feed");
    assert_eq!(found("198.51.100.1").unwrap()["reason"], "by hand");
    let before = banned(&machine);
    assert_eq!(before.len(), 17);
    // Neither a line that is wrong, nor one that locks somebody out, nor an input that is cut off changes anything.
    for (input, expected) in [
        (format!("{}nonsense\n", list(30..60)), "line 31: "),
        (
            format!("127.0.0.1\n{}", list(30..60)),
            "line 1: `127.0.0.1` is an address of this",
        ),
        (
            list(6..13),
            "the input has 7 bans for `feed`, which has 16 now",
        ),
        (
            String::new(),
            "the input has 0 bans for `feed`, which has 16 now",
        ),
    ] {
        let said = replace(&input, &[]);
        assert_eq!(said.status.code(), Some(1), "{said:?}");
        assert!(said.stderr.contains(expected), "{said:?}");
        assert_eq!(banned(&machine), before);
    }
    let said = replace("", &["--force"]);
    assert_eq!(said.stderr, "`feed`: added 0, renewed 0, removed 16\n");
    assert_eq!(banned(&machine), ["198.51.100.1"]);
}

#[test]
#[ignore = "needs root"]
fn what_is_banned_before_and_after_a_replacement_is_banned_all_the_time() {
    let machine = Machine::new();
    let _daemon = machine.apply(&machine.write_rules("pass", ""));
    let list = |from: u32| -> String {
        (0..2000)
            .map(|number| format!("10.{}.{}.1\n", from + number / 250, number % 250))
            .chain(["192.0.2.200\n".to_owned()])
            .collect()
    };
    let replace = |from| {
        let said = feed(&machine, &["ban", "--replace", "feed", "-"], &list(from));
        assert!(said.status.success(), "{said:?}");
    };
    replace(0);
    let mut sent = Vec::new();
    thread::scope(|scope| {
        let replaced = scope.spawn(|| (1..6).for_each(|times| replace(times * 20)));
        while !replaced.is_finished() {
            sent.push(send_from(&machine, "192.0.2.200", 5));
        }
        replaced.join().unwrap();
    });
    machine.await_counters(&[("banned", sum(&sent))]);
    assert_eq!(banned(&machine).len(), 2001);
}

#[test]
#[ignore = "needs root"]
fn host_bits_of_a_ban_are_cleared_where_that_is_asked_for() {
    let machine = Machine::new();
    let _daemon = machine.apply(&machine.write_rules("pass", ""));
    let said = machine.run(["ban", "2001:db9:1:2::5/64"]);
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    let said = ban(&machine, &["--mask", "2001:db9:1:2::5/64", "192.0.2.77"]);
    assert!(
        said.stderr
            .contains("`2001:db9:1:2::5/64` is banned as `2001:db9:1:2::/64`"),
        "{said:?}"
    );
    assert_eq!(banned(&machine), ["192.0.2.77", "2001:db9:1:2::/64"]);
    let dropped = send_from(&machine, "2001:db9:1:2::9", 2);
    machine.await_counters(&[("banned", dropped)]);
    let said = machine.run(["unban", "--mask", "2001:db9:1:2::5/64"]);
    assert!(said.status.success(), "{said:?}");
    assert_eq!(banned(&machine), ["192.0.2.77"]);
}

#[test]
#[ignore = "needs root"]
fn the_socket_takes_many_lines_and_refuses_what_is_wrong_alone() {
    let machine = Machine::new();
    let _daemon = machine.apply(&machine.write_rules("pass", ""));
    let mut socket = Socket::connect(&machine);
    let answer = socket.ask(
        r#"{"command":"ban","bans":[{"prefix":"203.0.113.1"},{"prefix":"x"},{"prefix":"::1","for":"1y 1x"}]}"#,
    );
    assert_eq!(answer["answer"], "bans");
    assert_eq!(answer["added"], 1);
    let refused: Vec<_> = answer["refused"].as_array().unwrap().iter().collect();
    assert_eq!(refused.len(), 2);
    assert_eq!(refused[0]["item"], 1);
    assert_eq!(
        refused[0]["message"],
        "`x` is neither an address, a prefix nor a range"
    );
    let answer = socket.ask(r#"{"command":"unban","prefixes":["203.0.113.1","203.0.113.1"]}"#);
    assert_eq!(
        (&answer["removed"], &answer["refused"][0]["item"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(answer["refused"][0]["missing"], true);
    // A misspelt key must not make a ban last for good.
    let answer = socket.ask(r#"{"command":"ban","bans":[{"prefix":"203.0.113.1","four":"1h"}]}"#);
    assert_eq!(answer["answer"], "failed");
    assert!(
        answer["message"]
            .as_str()
            .unwrap()
            .contains("unknown field `four`"),
        "{answer}"
    );
    assert_eq!(banned(&machine), Vec::<String>::new());
}

#[test]
#[ignore = "needs root"]
fn explain_says_that_a_source_is_banned() {
    let machine = Machine::new();
    let _daemon = machine.apply(&machine.write_rules("drop", PASS_ALL));
    ban(&machine, &["203.0.113.0/24", "--reason", "sshd"]);
    let explain = |packet: &str| machine.run(["explain", "--live", "--json", packet]);
    let said = explain("udp 203.0.113.9:4444 > 192.0.2.1:53");
    assert!(said.status.success(), "{said:?}");
    let packet = &read_json(&said.stdout)["packets"][0];
    assert_eq!(packet["verdict"]["action"], "drop");
    assert_eq!(packet["verdict"]["reason"], "banned");
    assert_eq!(packet["ban"]["prefix"], "203.0.113.0/24");
    assert_eq!(packet["ban"]["reason"], "sshd");
    let said = explain("udp 203.0.114.9:4444 > 192.0.2.1:53");
    let packet = &read_json(&said.stdout)["packets"][0];
    assert_eq!(packet["verdict"]["rule"]["name"], "all");
    assert_eq!(packet["ban"], Value::Null);
    let said = machine.run(["explain", "--live", "udp 203.0.113.9:4444 > 192.0.2.1:53"]);
    let told = "ban      203.0.113.0/24 is banned for `sshd`, forever; no rule is asked\n\
                verdict  drop by the reason `banned`\n";
    assert!(said.stdout.contains(told), "{said:?}");
}
