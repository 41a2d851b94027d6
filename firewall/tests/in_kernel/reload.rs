//! Rules change while packets flow.

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use benches::{
    mix::{Flow, Mix},
    packet::Packet,
    traffic::{Limit, Sender, Sent},
};
use nix::sys::signal::Signal;

use crate::machine::{Machine, json, wait_until};

pub(crate) fn drop_port(name: &str, port: u16) -> String {
    format!("[[rule]]\nname = \"{name}\"\naction = \"drop\"\nproto = \"udp\"\ndport = {port}\n")
}

/// As many rules as that, which no packet of these tests matches.
pub(crate) fn idle_rules(count: u16) -> String {
    (0..count)
        .map(|number| drop_port(&format!("idle {number}"), 10_000 + number))
        .collect()
}

/// A rule with so many addresses, none of which sends in these tests, that the image is large.
pub(crate) fn large_rule(addresses: u32) -> String {
    let mut rule = "[[rule]]\nname = \"large\"\naction = \"drop\"\nsrc = [\n".to_owned();
    for number in 0..addresses {
        let address = std::net::Ipv4Addr::from(0x0b00_0000 + 977 * number);
        writeln!(rule, "\"{address}\",").unwrap();
    }
    rule + "]\n"
}

pub(crate) fn udp(machine: &Machine, port: u16) -> Packet {
    machine.network.link().ipv4().udp(40_000, port)
}

/// Sends packets for port 1 for as long as `work` takes.
pub(crate) fn under_traffic(machine: &Machine, rate: u32, work: impl FnOnce()) -> Sent {
    let stop = AtomicBool::new(false);
    let mut mix = Mix::new(1, [Flow::new("one").packet(udp(machine, 1))]);
    let link = machine.network.link();
    let mut sender = Sender::open(&machine.network.peer, &link.peer).unwrap();
    thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let limit = Limit::Time(std::time::Duration::from_secs(120));
            sender.run(&mut mix, rate, limit, &stop)
        });
        // The traffic ends also when the work fails.
        let end = End(&stop);
        work();
        drop(end);
        sending.join().unwrap().unwrap()
    })
}

struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
#[ignore = "needs root"]
fn sighup_reads_the_file_again() {
    let machine = Machine::new();
    let daemon = machine.apply(&machine.write_rules("pass", &drop_port("one", 1)));
    let length = machine.send(&udp(&machine, 1), 2);
    machine.await_counters(&[("one", (2, 2 * length))]);
    machine.write_rules("pass", &drop_port("two", 2));
    daemon.signal(Signal::SIGHUP);
    wait_until("the second generation is in force", || {
        machine.log().contains("generation 2 in force: 1 rule")
    });
    let log = machine.log();
    assert!(log.contains("added `two`; removed `one`"), "{log}");
    machine.send(&udp(&machine, 1), 3);
    machine.send(&udp(&machine, 2), 5);
    machine.await_counters(&[("two", (5, 5 * length)), ("policy", (3, 3 * length))]);
}

#[test]
#[ignore = "needs root"]
fn counters_of_reasons_keep_what_was_passed_and_what_was_dropped_apart() {
    let machine = Machine::new();
    // Rules enough that the counters map must grow at the reload.
    let many: String = (1..=80)
        .map(|port| drop_port(&format!("port {port}"), port))
        .collect();
    let _daemon = machine.apply(&machine.write_rules("pass", &drop_port("port 1", 1)));
    let length = machine.send(&udp(&machine, 99), 3);
    machine.await_counters(&[("policy", (3, 3 * length))]);
    machine.write_rules("drop", &many);
    assert!(machine.run(["reload"]).status.success());
    machine.send(&udp(&machine, 99), 2);
    machine.await_counters(&[("policy", (5, 5 * length))]);
    let counters = machine.run(["counters", "--json"]);
    let counters: serde_json::Value = serde_json::from_str(&counters.stdout).unwrap();
    let rows = counters["reasons"].as_array().unwrap().iter();
    let policy = rows.filter(|row| row["name"] == "policy");
    let counted: Vec<_> = policy
        .map(|row| {
            (
                row["action"].as_str().unwrap(),
                row["packets"].as_u64().unwrap(),
                row["bytes"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(counted, [("pass", 3, 3 * length), ("drop", 2, 2 * length)]);
    let table = machine.run(["counters"]).stdout;
    let rows: Vec<Vec<&str>> = table
        .lines()
        .filter(|line| line.starts_with("(policy)"))
        .map(|line| line.split_whitespace().take(3).collect())
        .collect();
    assert_eq!(
        rows,
        [["(policy)", "pass", "3"], ["(policy)", "drop", "2"]],
        "{table}"
    );
}

#[test]
#[ignore = "needs root"]
fn status_and_counters_answer_while_generations_come_and_go() {
    const RELOADS: u64 = 60;
    let machine = Machine::new();
    let _daemon = machine.apply(&machine.write_rules("pass", &drop_port("one", 1)));
    let mut asked = 0;
    thread::scope(|scope| {
        let reloads = scope.spawn(|| {
            for port in 0..RELOADS {
                machine.write_rules("pass", &drop_port("one", 2 + port as u16));
                let said = machine.run(["reload"]);
                assert!(said.status.success(), "{said:?}");
            }
        });
        while !reloads.is_finished() {
            for command in ["status", "counters"] {
                let said = machine.run([command, "--json"]);
                assert!(said.status.success(), "{said:?}");
            }
            asked += 1;
        }
    });
    println!("asked {asked} times");
    assert!(asked > 3, "{asked}");
    assert_eq!(machine.status()["generation"], 1 + RELOADS);
}

#[test]
#[ignore = "needs root"]
fn a_bad_file_is_told_with_every_place_and_changes_nothing() {
    let machine = Machine::new();
    let daemon = machine.apply(&machine.write_rules("pass", &drop_port("one", 1)));
    machine.write_rules(
        "pas",
        "[[rule]]\nname = \"a\"\naction = \"drop\"\nsrc = \"1.2.3\"\n",
    );
    let said = machine.run(["reload"]);
    assert_eq!(said.status.code(), Some(3));
    for place in ["rules.toml:3:10", "rules.toml:7:7"] {
        assert!(said.stderr.contains(place), "{}", said.stderr);
        assert!(machine.log().contains(place), "{}", machine.log());
    }
    daemon.signal(Signal::SIGHUP);
    wait_until("the second attempt is logged", || {
        machine.log().matches("generation 1 stays in force").count() == 2
    });
    let length = machine.send(&udp(&machine, 1), 4);
    machine.await_counters(&[("one", (4, 4 * length))]);
    assert_eq!(machine.status()["generation"], 1);
}

#[test]
#[ignore = "needs root"]
fn a_warning_reaches_whoever_asked_and_hinders_nothing() {
    let machine = Machine::new();
    let one = drop_port("one", 1);
    let _daemon = machine.apply(&machine.write_rules("pass", &one));
    machine.write_rules("pass", &format!("[sets]\nspare = [\"192.0.2.1\"]\n{one}"));
    let said = machine.run(["reload"]);
    assert!(said.status.success(), "{said:?}");
    assert!(said.stderr.starts_with("warning[unused-set]: "), "{said:?}");
    assert!(
        said.stderr.contains("\ngeneration 2 in force: 1 rule"),
        "{said:?}"
    );
    assert!(
        machine.log().contains("rules.toml:5:1: warning: "),
        "{}",
        machine.log()
    );
}

#[test]
#[ignore = "needs root"]
fn a_disabled_rule_stops_and_keeps_its_count() {
    const DNS: &str = "[[rule]]\nname = \"dns\"\naction = \"drop\"\nproto = \"udp\"\ndport = 53\n\
                       comment = \"no resolver here\"\n";
    let machine = Machine::new();
    let rules = machine.write_rules("pass", DNS);
    let _daemon = machine.apply(&rules);
    let dns = machine.network.link().ipv4().udp(40_000, 53);
    let length = machine.send(&dns, 3);
    machine.await_counters(&[("dns", (3, 3 * length))]);

    let off = format!("{DNS}enabled = false\n");
    machine.write_rules("pass", &off);
    assert!(machine.run(["reload"]).status.success());
    machine.send(&dns, 2);
    machine.await_counters(&[("policy", (2, 2 * length))]);
    let counters = json(&machine.run(["counters", "--json"]).stdout);
    let disabled = &counters["disabled"][0];
    assert_eq!(disabled["name"], "dns");
    assert_eq!(disabled["packets"], 3);
    assert_eq!(disabled["comment"], "no resolver here");
    let text = machine.run(["counters"]).stdout;
    assert!(text.contains("dns (disabled)"), "{text}");

    // Neither a reload nor a rollback loses the count.
    machine.write_rules("pass", &format!("{off}log = true\n"));
    assert!(machine.run(["reload"]).status.success());
    machine.write_rules("pass", DNS);
    assert!(machine.run(["reload"]).status.success());
    machine.send(&dns, 1);
    machine.await_counters(&[("dns", (4, 4 * length)), ("policy", (2, 2 * length))]);
    let back = machine.run(["rollback"]);
    assert!(back.status.success(), "{back:?}");
    let counters = json(&machine.run(["counters", "--json"]).stdout);
    assert_eq!(counters["disabled"][0]["packets"], 4);
    machine.send(&dns, 1);
    machine.await_counters(&[("policy", (3, 3 * length))]);
}

#[test]
#[ignore = "needs root"]
fn a_second_apply_hands_its_file_to_the_daemon() {
    let machine = Machine::new();
    let daemon = machine.apply(&machine.write_rules("pass", &drop_port("one", 1)));
    let other = machine.folder.path().join("other.toml");
    let interface = machine.interface();
    let text = format!(
        "[firewall]\ninterfaces = [\"{interface}\"]\n{}",
        drop_port("two", 2)
    );
    std::fs::write(&other, text).unwrap();
    let mut command = machine.command(crate::machine::BINARY);
    command
        .args(["apply", "other.toml"])
        .current_dir(machine.folder.path());
    let said = machine.finish(command);
    assert!(said.status.success(), "{said:?}");
    assert_eq!(said.stdout, "");
    let status = machine.status();
    assert_eq!(status["rules"]["file"], other.to_str().unwrap());
    assert_eq!(status["daemon"]["pid"], daemon.child.id());
    // From now on it is this file that is read again.
    std::fs::write(&other, "[firewall]\n").unwrap();
    let said = machine.run(["reload"]);
    assert!(said.stderr.contains("other.toml:1:1"), "{said:?}");
}

#[test]
#[ignore = "needs root"]
fn a_rule_keeps_its_count_with_its_name_and_a_new_one_begins_at_zero() {
    let machine = Machine::new();
    let rules = drop_port("one", 1) + &drop_port("two", 2) + &drop_port("three", 3);
    let _daemon = machine.apply(&machine.write_rules("pass", &rules));
    let mut length = 0;
    for port in 1..=3 {
        length = machine.send(&udp(&machine, port), u64::from(port));
    }
    let counted = |number: u64| (number, number * length);
    machine.await_counters(&[
        ("one", counted(1)),
        ("two", counted(2)),
        ("three", counted(3)),
    ]);
    // `three` moves and changes, `two` goes, `four` comes.
    let rules = drop_port("three", 9) + &drop_port("one", 1) + &drop_port("four", 2);
    machine.write_rules("pass", &rules);
    assert!(machine.run(["reload"]).status.success());
    machine.await_counters(&[("one", counted(1)), ("three", counted(3))]);
    // The slot that `two` had is used again, from 0.
    machine.write_rules("pass", &(rules + &drop_port("five", 5)));
    assert!(machine.run(["reload"]).status.success());
    machine.send(&udp(&machine, 2), 4);
    machine.send(&udp(&machine, 5), 5);
    machine.await_counters(&[
        ("one", counted(1)),
        ("three", counted(3)),
        ("four", counted(4)),
        ("five", counted(5)),
    ]);
}

#[test]
#[ignore = "needs root"]
fn not_a_packet_is_lost_from_the_counters_when_maps_grow_and_shrink() {
    let machine = Machine::new();
    let one = drop_port("one", 1);
    let _daemon = machine.apply(&machine.write_rules("pass", &one));
    let first = machine.objects();
    let sent = under_traffic(&machine, 20_000, || {
        for rules in [
            one.clone() + &large_rule(40_000),
            idle_rules(100) + &one,
            one.clone() + &idle_rules(300) + &large_rule(60_000),
            one.clone(),
        ] {
            machine.write_rules("pass", &rules);
            let said = machine.run(["reload", "--force"]);
            assert!(said.status.success(), "{said:?}");
        }
    });
    assert!(sent.total() > 1_000, "{sent:?}");
    machine.await_counters(&[("one", (sent.packets[0], sent.bytes[0]))]);
    // Each of these changes needed another program; only one is left. The maps of bans and events stay.
    assert_eq!(machine.objects().intersection(&first).count(), 5);
    // With the image of the generation before.
    assert_eq!(std::fs::read_dir(machine.pins()).unwrap().count(), 10);
}

#[test]
#[ignore = "needs root"]
fn interfaces_come_and_go() {
    let machine = Machine::with_links(2);
    let [first, second] = [0, 1].map(|at| &machine.network.links()[at].host);
    let file = |interfaces: &str| {
        machine.write_file(&format!("[firewall]\ninterfaces = [{interfaces}]\n"))
    };
    let attached = || [first, second].map(|end| machine.network.xdp_program(end).unwrap());
    let _daemon = machine.apply(&file("\"fw-host0\""));
    let program = attached()[0];
    assert!(program.is_some());
    for (interfaces, expected) in [
        ("\"fw-host0\", \"fw-host1\"", [program, program]),
        ("\"fw-host1\"", [None, program]),
        ("\"fw-host?\"", [program, program]),
    ] {
        file(interfaces);
        let said = machine.run(["reload"]);
        assert!(said.status.success(), "{said:?}");
        assert_eq!(attached(), expected, "{interfaces}");
    }
}

#[test]
#[ignore = "needs root"]
fn the_mode_can_change() {
    let machine = Machine::new();
    let file = |mode: &str| {
        machine.write_file(&format!(
            "[firewall]\ninterfaces = [\"{}\"]\nmode = \"{mode}\"\n",
            machine.interface()
        ))
    };
    let _daemon = machine.apply(&file("native"));
    for (mode, expected) in [
        ("generic", "generic"),
        ("auto", "generic"),
        ("native", "native"),
    ] {
        let before = machine.status()["interfaces"][0]["mode"].clone();
        file(mode);
        let said = machine.run(["reload"]);
        if before != expected {
            // Packets would pass for a moment.
            assert_eq!(said.status.code(), Some(1), "{said:?}");
            assert!(
                said.stderr
                    .contains("is not filtered while its mode changes"),
                "{said:?}"
            );
            assert_eq!(machine.status()["interfaces"][0]["mode"], before);
            let said = machine.run(["reload", "--force"]);
            assert!(said.status.success(), "{said:?}");
        }
        assert_eq!(machine.status()["interfaces"][0]["mode"], expected);
    }
}

#[test]
#[ignore = "needs root"]
fn a_list_with_a_few_changes_is_not_compiled_as_a_whole() {
    let machine = Machine::new();
    let address = |number: u32| std::net::Ipv4Addr::from(0x0b00_0000 + 977 * number);
    let write = |members: &mut dyn Iterator<Item = u32>| {
        let lines: Vec<String> = members.map(|number| address(number).to_string()).collect();
        std::fs::write(machine.folder.path().join("listed.txt"), lines.join("\n")).unwrap();
    };
    let rules = "[sets]\nlisted = { file = \"listed.txt\" }\n\
        [[rule]]\nname = \"listed\"\naction = \"drop\"\nsrc = \"@listed\"\n";
    write(&mut (0..50_000));
    let _daemon = machine.apply(&machine.write_rules("pass", rules));
    assert!(!machine.log().contains("incremental"), "{}", machine.log());
    let udp = |number| {
        machine
            .network
            .link()
            .ipv4_from(address(number))
            .udp(4000, 53)
    };
    let inside = [1, 7, 49_999].map(|number| machine.send(&udp(number), 1));
    let outside = [50_000, 60_000].map(|number| machine.send(&udp(number), 1));
    let (mut listed, mut policy) = ((3, inside.iter().sum()), (2, outside.iter().sum()));
    machine.await_counters(&[("listed", listed), ("policy", policy)]);

    let program = machine.attached();
    let changes: [&mut dyn Iterator<Item = u32>; 2] = [
        &mut (0..50_001).filter(|number| *number != 7).chain([60_000]),
        &mut (0..50_001).filter(|number| ![1, 7].contains(number)),
    ];
    let verdicts = [
        [
            (1, true),
            (7, false),
            (49_999, true),
            (50_000, true),
            (60_000, true),
        ],
        [
            (1, false),
            (7, false),
            (49_999, true),
            (50_000, true),
            (60_000, false),
        ],
    ];
    for (members, verdicts) in changes.into_iter().zip(verdicts) {
        write(members);
        let said = machine.run(["reload"]);
        assert!(said.status.success(), "{said:?}");
        assert!(said.stderr.contains(", incremental,"), "{said:?}");
        for (number, is_listed) in verdicts {
            let count = if is_listed { &mut listed } else { &mut policy };
            *count = (count.0 + 1, count.1 + machine.send(&udp(number), 1));
        }
        machine.await_counters(&[("listed", listed), ("policy", policy)]);
    }
    assert_eq!(machine.attached(), program);
    assert_eq!(machine.log().matches(", incremental,").count(), 2);

    // Another rule is another matter.
    machine.write_rules("pass", &format!("{rules}{}", drop_port("one", 1)));
    assert!(machine.run(["reload"]).status.success());
    assert_eq!(machine.log().matches(", incremental,").count(), 2);
}
