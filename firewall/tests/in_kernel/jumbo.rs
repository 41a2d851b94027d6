//! Frames in several buffers: on an interface with an MTU that no single one holds.

use benches::features::Feature;

use crate::machine::Machine;

const RULES: &str = r#"
[[rule]]
name = "dropped"
action = "drop"
proto = "udp"
dport = 1

[[rule]]
name = "passed"
action = "pass"
proto = "udp"
length = "8028-8048"
"#;

#[test]
#[ignore = "needs root"]
fn frames_longer_than_a_buffer_are_judged_and_counted_whole() {
    if let Some(lacking) = Feature::Frags.lacking().unwrap() {
        println!("left out {lacking}");
        return;
    }
    let machine = Machine::new();
    let link = machine.network.link();
    for (namespace, end) in [
        (&machine.network.host, &link.host),
        (&machine.network.peer, &link.peer),
    ] {
        let mut grow = machine.command("ip");
        grow.args(["link", "set", &end.interface, "mtu", "9000"]);
        let mut grow = namespace.spawn(&mut grow).unwrap();
        assert!(grow.wait().unwrap().success());
    }
    let _daemon = machine.apply(&machine.write_rules("drop", RULES));
    let payload = [7; 8000];
    let mut dropped = (0, 0);
    let mut passed = (0, 0);
    for packet in [link.ipv4(), link.ipv6()] {
        let length = machine.send(&packet.clone().udp(4000, 1).payload(&payload), 3);
        dropped = (dropped.0 + 3, dropped.1 + 3 * length);
        let length = machine.send(&packet.udp(4000, 2).payload(&payload), 5);
        assert!(length > 8_000, "{length}");
        passed = (passed.0 + 5, passed.1 + 5 * length);
    }
    machine.await_counters(&[("dropped", dropped), ("passed", passed)]);
}
