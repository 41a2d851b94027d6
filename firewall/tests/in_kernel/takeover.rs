//! A daemon was killed, and another takes its place.

use std::{thread, time::Duration};

use benches::random::Random;
use nix::sys::signal::Signal;

use crate::{
    machine::Machine,
    reload::{drop_port, idle_rules, large_rule, udp, under_traffic},
};

#[test]
#[ignore = "needs root"]
fn a_new_daemon_takes_over_without_a_gap() {
    let machine = Machine::new();
    let one = drop_port("one", 1);
    let rules = machine.write_rules("pass", &one);
    let killed = machine.apply(&rules);
    let mut taken_over = None;
    let sent = under_traffic(&machine, 10_000, || {
        killed.kill();
        machine.write_rules("pass", &(idle_rules(3) + &one));
        taken_over = Some(machine.apply(&rules));
    });
    // All were dropped and counted by the rule: none was passed in between.
    machine.await_counters(&[("one", (sent.packets[0], sent.bytes[0]))]);
    let status = machine.status();
    assert_eq!(status["generation"], 2);
    assert_eq!(status["rules"]["count"], 4);
    assert_eq!(
        machine.attached().map(u64::from),
        status["program"]["id"].as_u64()
    );
    // With the image of the generation before, the bans and the events.
    assert_eq!(std::fs::read_dir(machine.pins()).unwrap().count(), 10);
}

#[test]
#[ignore = "needs root"]
fn a_daemon_that_ends_by_sigusr1_leaves_its_rules_for_the_next_one() {
    let machine = Machine::new();
    let rules = machine.write_rules("pass", &drop_port("one", 1));
    let mut left = machine.apply(&rules);
    let mut next = None;
    let sent = under_traffic(&machine, 10_000, || {
        left.signal(Signal::SIGUSR1);
        assert!(left.wait().success());
        assert!(!machine.run_folder().exists());
        let program = machine.attached();
        assert!(program.is_some());
        assert_eq!(machine.status()["daemon"], serde_json::Value::Null);
        next = Some(machine.apply(&rules));
    });
    machine.await_counters(&[("one", (sent.packets[0], sent.bytes[0]))]);
    let log = machine.log();
    assert!(
        log.contains("the daemon ends, generation 1 stays in force"),
        "{log}"
    );
    assert!(!log.contains("WARN"), "{log}");
    let objects = machine.objects();
    drop(next);
    machine.assert_nothing_left(&objects);
}

#[test]
#[ignore = "needs root"]
fn a_daemon_that_is_started_again_with_the_same_rules_keeps_the_way_back() {
    let machine = Machine::new();
    let rules = machine.write_rules("pass", &drop_port("one", 1));
    let daemon = machine.apply(&rules);
    machine.write_rules("pass", &drop_port("two", 2));
    assert!(machine.run(["reload"]).status.success());
    daemon.kill();
    let _daemon = machine.apply(&rules);
    let status = machine.status();
    assert_eq!(status["generation"], 3);
    assert_eq!(status["previous"]["generation"], 1);
    assert!(machine.run(["rollback"]).status.success());
    let length = machine.send(&udp(&machine, 1), 2);
    machine.await_counters(&[("one", (2, 2 * length))]);
}

#[test]
#[ignore = "needs root"]
fn a_daemon_killed_at_any_moment_of_a_change_costs_no_packet_and_no_count() {
    let machine = Machine::new();
    let one = drop_port("one", 1);
    let rules = machine.write_rules("pass", &one);
    let mut random = Random::new(7);
    let mut daemon = Some(machine.apply(&rules));
    let sent = under_traffic(&machine, 10_000, || {
        for round in 0..6 {
            let idle = idle_rules([1, 70, 150, 300][round % 4]);
            let large = large_rule([1, 30_000][round % 2]);
            machine.write_rules("pass", &(idle + &one + &large));
            thread::scope(|scope| {
                scope.spawn(|| machine.run(["reload", "--force"]));
                // A change takes about as long in a build without optimisation.
                thread::sleep(Duration::from_millis(random.below(600)));
                daemon.take().unwrap().kill();
            });
            daemon = Some(machine.apply(&rules));
        }
    });
    machine.await_counters(&[("one", (sent.packets[0], sent.bytes[0]))]);
    let objects = machine.objects();
    assert!(machine.run(["unload"]).status.success());
    machine.assert_nothing_left(&objects);
}
