//! What is shown of packets that are sent and forwarded, and which interfaces rules about them follow.

use std::fs;

use benches::{network::End, traffic::Sender};
use rules::packet::Packet;
use serde_json::{Value, json};

use crate::{
    egress::arriving,
    interfaces::{add, ip},
    machine::{Machine, json as parsed, wait_until},
    reload::drop_port,
};

/// A rule that drops packets out to a UDP port.
fn drop_out(name: &str, port: u16) -> String {
    format!("{}direction = \"out\"\n", drop_port(name, port))
}

/// The lines of a text, each as its columns.
fn columns(text: &str) -> Vec<Vec<&str>> {
    text.lines()
        .map(|line| {
            line.split("  ")
                .map(str::trim)
                .filter(|cell| !cell.is_empty())
                .collect()
        })
        .collect()
}

#[test]
#[ignore = "needs root"]
fn counters_and_status_have_both_directions() {
    let machine = Machine::new();
    let rules = "policy_out = \"pass\"\n".to_owned() + &drop_port("in", 8) + &drop_out("out", 8);
    let _daemon = machine.apply(&machine.write_rules("drop", &rules));
    assert_eq!(arriving(&machine, 8, 3), 0);
    assert_eq!(arriving(&machine, 9, 2), 2);
    let text = machine.run(["counters"]).stdout;
    let lines = columns(&text);
    let length = 14 + 20 + 8 + 32;
    let bytes = |packets: u64| (packets * length).to_string();
    assert_eq!(
        lines[0],
        ["RULE", "DIRECTION", "ACTION", "PACKETS", "BYTES"],
        "{text}"
    );
    assert_eq!(lines[1], ["in", "in", "drop", "0", "0"], "{text}");
    assert_eq!(lines[2], ["out", "out", "drop", "3", &bytes(3)], "{text}");
    let passed = lines
        .iter()
        .find(|line| line[..3] == ["(policy)", "out", "pass"]);
    // The machine may have sent others.
    assert!(passed.unwrap()[3].parse::<u64>().unwrap() >= 2, "{text}");
    let report = parsed(&machine.run(["counters", "--json"]).stdout);
    let directions = |rows: &Value| -> Vec<Value> {
        let rows = rows.as_array().unwrap().iter();
        rows.map(|row| row["direction"].clone()).collect()
    };
    assert_eq!(directions(&report["rules"]), [json!("in"), json!("out")]);
    let of_reasons = directions(&report["reasons"]);
    assert!(of_reasons.contains(&json!("out")), "{report}");

    let status = machine.status();
    assert_eq!(status["rules"]["policy"], "drop");
    assert_eq!(status["rules"]["policy_out"], "pass");
    assert_eq!(status["rules"]["egress"], true);
    assert_eq!(status["interfaces"][0]["hook"], "xdp");
    let text = machine.run(["status"]).stdout;
    assert!(
        text.contains("policy      drop (in), pass (out), mode "),
        "{text}"
    );

    // Where nothing is for packets out, nothing is said of them.
    machine.write_rules("pass", &drop_port("in", 8));
    assert!(machine.run(["reload"]).status.success());
    let text = machine.run(["counters"]).stdout;
    assert!(!text.contains("DIRECTION"), "{text}");
    let text = machine.run(["status"]).stdout;
    assert!(text.contains("policy      pass, mode "), "{text}");
    let report = parsed(&machine.run(["counters", "--json"]).stdout);
    let of_reasons = directions(&report["reasons"]);
    assert!(!of_reasons.contains(&json!("out")), "{report}");
    assert_eq!(machine.status()["rules"]["egress"], false);
}

#[test]
#[ignore = "needs root"]
fn interfaces_that_rules_name_as_origins_are_followed_though_they_are_not_filtered() {
    fn settings() -> std::io::Result<()> {
        fs::write("/proc/sys/net/ipv4/ip_forward", "1")?;
        fs::write("/proc/sys/net/ipv4/conf/all/rp_filter", "0")?;
        fs::write("/proc/sys/net/ipv4/conf/default/rp_filter", "0")
    }
    let machine = Machine::new();
    machine.network.host.run(settings).unwrap().unwrap();
    let rules = "[[rule]]\nname = \"guests\"\naction = \"count\"\ndirection = \"out\"\n\
                 in_interface = \"fwx*\"\nproto = \"udp\"\ndport = 8\n";
    let file = machine.write_rules("pass", rules);
    let _daemon = machine.apply(&file);
    let generation = || machine.status()["generation"].as_u64().unwrap();
    assert_eq!(generation(), 1);
    let host = &machine.network.link().host;
    // From beyond the pair, by the machine, to its peer.
    let forward = |number: u32, count: u64| {
        ip(
            &machine,
            &format!("link set fwx{number} address {}", host.mac),
        );
        let from = End {
            interface: format!("fwy{number}"),
            index: index(&machine, &format!("fwy{number}")),
            ..machine.network.link().peer.clone()
        };
        let mut sender = Sender::open(&machine.network.host, &from).unwrap();
        let packet = Packet::ipv4([198, 51, 100, 9].into(), machine.network.link().peer.ipv4);
        let packet = machine.network.link().to_host(packet).udp(40_000, 8);
        for _ in 0..count {
            sender.send(&packet.build()).unwrap();
        }
    };
    add(&machine, 1);
    wait_until("the rules are compiled for it", || generation() == 2);
    forward(1, 3);
    machine.await_packets("guests", 3);

    // One that no rule names changes nothing, nor does the same file.
    ip(&machine, "link add fwz1 type veth peer name fwz2");
    ip(&machine, "link del fwz1");
    assert!(
        machine
            .run(["reload"])
            .stderr
            .contains("unchanged: generation 2")
    );
    // Under a name that no rule has, it is none of them.
    ip(&machine, "link set fwx1 down");
    ip(&machine, "link set fwx1 name fwq1");
    ip(&machine, "link set fwq1 up");
    wait_until("the rules are compiled without it", || generation() == 3);
    ip(&machine, "link set fwq1 down");
    ip(&machine, "link set fwq1 name fwx1");
    ip(&machine, "link set fwx1 up");
    wait_until("the rules are compiled for it again", || generation() == 4);
    forward(1, 2);
    machine.await_packets("guests", 5);
    ip(&machine, "link del fwx1");
    wait_until("the rules are compiled without it again", || {
        generation() == 5
    });
    // Nothing of it was attached to.
    let status = machine.status();
    assert_eq!(
        status["interfaces"].as_array().unwrap().len(),
        1,
        "{status}"
    );
}

/// The number of an interface of the host's namespace.
fn index(machine: &Machine, name: &str) -> u32 {
    let mut show = machine.command("ip");
    show.args(["-j", "link", "show", name]);
    let said = parsed(&machine.finish(show).stdout);
    u32::try_from(said[0]["ifindex"].as_u64().unwrap()).unwrap()
}
