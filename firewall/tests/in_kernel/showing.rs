//! `firewall show`: the rules in force, without their file and without a daemon.

use std::fs;

use serde_json::{Value, json};

use crate::{
    machine::{Machine, json as parsed},
    reload::{drop_port, udp},
};

const RULES: &str = r#"
[sets]
office = ["192.0.2.0/24", "2001:db8:1::/48"]
feed = { file = "feed.txt" }

[[rule]]
name = "ssh"
action = "pass"
proto = "tcp"
src = ["@office", "!192.0.2.7"]
dport = 22
comment = "the way in"

[[rule]]
name = "off"
action = "drop"
enabled = false
src = "@feed"

[[rule]]
name = "noise"
action = "drop"
proto = "udp"
dport = [1, "5-9"]
log = { rate = "5/minute", burst = 7 }
"#;

fn shown(machine: &Machine, words: &[&str]) -> Value {
    let said = machine.run([&["show", "--json"], words].concat());
    assert!(said.status.success(), "{said:?}");
    parsed(&said.stdout)
}

/// The names of the rules in order.
fn names(listing: &Value) -> Vec<&str> {
    let rules = listing["rules"].as_array().unwrap().iter();
    rules.map(|rule| rule["name"].as_str().unwrap()).collect()
}

#[test]
#[ignore = "needs root"]
fn the_rules_in_force_are_shown_without_their_file_and_without_a_daemon() {
    let machine = Machine::new();
    let nothing = machine.run(["show"]);
    assert_eq!(nothing.status.code(), Some(1), "{nothing:?}");
    assert!(nothing.stderr.contains("nothing is loaded"), "{nothing:?}");

    let list = machine.folder.path().join("feed.txt");
    fs::write(&list, "198.51.100.1\n198.51.100.3\n198.51.100.4\n").unwrap();
    let file = machine.write_rules("drop", RULES);
    let path = file.to_str().unwrap().to_owned();
    let daemon = machine.apply(&file);
    let length = machine.send(&udp(&machine, 6), 3);
    machine.await_counters(&[("noise", (3, 3 * length))]);

    let listing = shown(&machine, &[]);
    assert_eq!(listing["generation"], 1);
    assert_eq!(listing["file"], path);
    assert_eq!(listing["interfaces"], json!([machine.interface()]));
    assert_eq!(listing["policy"], "drop");
    assert_eq!(listing["policy_out"], "pass");
    assert_eq!(
        listing["parser"],
        json!({
            "malformed": "drop", "truncated": "drop", "too_many_headers": "drop", "too_many_tags": "drop",
            "unknown_ethertype": "drop",
        })
    );
    assert_eq!(listing["complete"], true);
    assert_eq!(
        listing["rules"],
        json!([
            {
                "number": 1, "name": "ssh", "direction": "in", "action": "pass", "enabled": true,
                "fields": [
                    {"field": "src", "terms": ["@office", "!192.0.2.7"]},
                    {"field": "proto", "terms": ["tcp"]},
                    {"field": "dport", "terms": ["22"]},
                ],
                "comment": "the way in",
            },
            {
                "number": null, "name": "off", "direction": "in", "action": "drop", "enabled": false,
                "fields": [{"field": "src", "terms": ["@feed"]}],
            },
            {
                "number": 2, "name": "noise", "direction": "in", "action": "drop", "enabled": true,
                "fields": [
                    {"field": "proto", "terms": ["udp"]},
                    {"field": "dport", "terms": ["1", "5-9"]},
                ],
                "log": {"rate": "5/minute", "burst": 7},
            },
        ])
    );
    assert_eq!(
        listing["sets"],
        json!([
            {
                "name": "office", "kind": "addresses", "ranges": 2,
                "members": {"terms": ["192.0.2.0/24", "2001:db8:1::/48"]},
            },
            {"name": "feed", "kind": "addresses", "ranges": 2, "files": ["feed.txt"]},
        ])
    );
    let counted = shown(&machine, &["--counters"]);
    assert_eq!(counted["rules"][2]["packets"], 3);
    assert_eq!(counted["rules"][2]["bytes"], 3 * length);
    assert_eq!(counted["rules"][0]["packets"], 0);

    // What is in force is in the kernel alone.
    daemon.kill();
    fs::remove_file(&file).unwrap();
    fs::remove_file(&list).unwrap();
    assert_eq!(shown(&machine, &[]), listing);
    let text = machine.run(["show", "--counters"]).stdout;
    for line in [
        "policy      in drop, out pass",
        " NO  RULE   ACTION  PACKETS  BYTES  MATCHES                                      COMMENT",
        "  1  ssh    pass          0      0  src @office,!192.0.2.7  proto tcp  dport 22  the way in",
        "off  off    drop          0      0  src @feed",
        "  2  noise  drop          3",
        "proto udp  dport 1,5-9  log 5/minute",
        "@office  addresses       2  192.0.2.0/24,2001:db8:1::/48",
        "@feed    addresses       2  feed.txt",
    ] {
        assert!(text.contains(line), "`{line}` is missing:\n{text}");
    }
}

#[test]
#[ignore = "needs root"]
fn what_is_shown_follows_reloads_and_rollbacks() {
    let machine = Machine::new();
    let file = machine.write_rules("pass", &drop_port("one", 1));
    let first = machine.apply(&file);
    let none = machine.run(["show", "--previous"]);
    assert_eq!(none.status.code(), Some(1), "{none:?}");
    assert!(none.stderr.contains("generation 1"), "{none:?}");

    machine.write_rules("pass", &(drop_port("zero", 7) + &drop_port("one", 2)));
    let reloaded = machine.run(["reload"]);
    assert!(reloaded.status.success(), "{reloaded:?}");
    let listing = shown(&machine, &[]);
    assert_eq!(names(&listing), ["zero", "one"]);
    assert_eq!(listing["rules"][1]["fields"][1]["terms"], json!(["2"]));
    let previous = shown(&machine, &["--previous"]);
    assert_eq!(names(&previous), ["one"]);
    assert_eq!(previous["rules"][0]["fields"][1]["terms"], json!(["1"]));

    let back = machine.run(["rollback"]);
    assert!(back.status.success(), "{back:?}");
    let listing = shown(&machine, &[]);
    assert_eq!(listing["generation"], 3);
    assert_eq!(listing["rules"], previous["rules"]);

    // A daemon that takes over with rules of the same effect goes on; other words are a change.
    first.kill();
    let same = machine.write_rules("pass", &drop_port("one", 1));
    let second = machine.apply(&same);
    assert_eq!(shown(&machine, &[])["rules"], previous["rules"]);
    second.kill();
    let named = drop_port("one", 1).replace("dport = 1", "dport = \"@port\"");
    let named = machine.write_rules("pass", &format!("{named}[sets]\nport = [1]\n"));
    let _third = machine.apply(&named);
    let listing = shown(&machine, &[]);
    assert_eq!(listing["rules"][0]["fields"][1]["terms"], json!(["@port"]));
    assert_eq!(listing["sets"][0]["name"], "port");
}

#[test]
#[ignore = "needs root"]
fn rules_that_are_too_many_are_shown_without_what_they_match() {
    let machine = Machine::new();
    let rules: String = (0..30_000_u32)
        .map(|number| {
            let source = std::net::Ipv4Addr::from(number.wrapping_mul(0x9e37_79b9) | 0x0100_0000);
            format!("[[rule]]\nname = \"r{number}\"\naction = \"drop\"\nsrc = \"{source}\"\n")
        })
        .collect();
    let _daemon = machine.apply(&machine.write_rules("pass", &rules));
    let listing = shown(&machine, &[]);
    assert_eq!(listing["complete"], false);
    let rules = listing["rules"].as_array().unwrap();
    assert_eq!(rules.len(), 30_000);
    assert_eq!(rules[29_999]["name"], "r29999");
    assert_eq!(rules[29_999].get("fields"), None);
    let text = machine.run(["show"]).stdout;
    assert!(text.contains("fields      not kept"), "{text:.300}");
}

#[test]
#[ignore = "needs root"]
fn counters_are_shown_as_far_and_in_the_order_as_is_asked_for() {
    let machine = Machine::new();
    let rules: String = [1, 2, 3]
        .map(|port| drop_port(&format!("port {port}"), port))
        .concat();
    let _daemon = machine.apply(&machine.write_rules("pass", &rules));
    let length = machine.send(&udp(&machine, 2), 2);
    machine.send(&udp(&machine, 3), 5);
    machine.send(&udp(&machine, 9), 4);
    machine.await_counters(&[
        ("policy", (4, 4 * length)),
        ("port 2", (2, 2 * length)),
        ("port 3", (5, 5 * length)),
    ]);
    let counters = |words: &[&str]| {
        let said = machine.run([&["counters", "--json"], words].concat());
        assert!(said.status.success(), "{said:?}");
        parsed(&said.stdout)
    };
    assert_eq!(names(&counters(&[])), ["port 1", "port 2", "port 3"]);
    let sorted = counters(&["--sort", "--nonzero", "--total"]);
    assert_eq!(names(&sorted), ["port 3", "port 2"]);
    assert_eq!(
        sorted["total"],
        json!({
            "pass": {"packets": 4, "bytes": 4 * length},
            "drop": {"packets": 7, "bytes": 7 * length},
        })
    );
    let one = counters(&["--rule", "port 2", "--rule", "port 1", "--total"]);
    assert_eq!(names(&one), ["port 1", "port 2"]);
    assert_eq!(one["reasons"], json!([]));
    assert_eq!(one["total"]["drop"]["packets"], 2);
    let text = machine
        .run(["counters", "--sort=bytes", "--nonzero"])
        .stdout;
    let first: Vec<&str> = text
        .lines()
        .map(|line| line.split("  ").next().unwrap())
        .collect();
    assert_eq!(first, ["RULE", "port 3", "(policy)", "port 2"], "{text}");
    let unknown = machine.run(["counters", "--rule", "port 4"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(
        unknown
            .stderr
            .starts_with("error: there is no rule `port 4` in force"),
        "{unknown:?}"
    );
}
