//! The crate as a library: what it reads is what the commands print.

use firewall::{BanListing, CounterSnapshot, InterfaceState, RuleListing, Status};
use serde::Serialize;
use serde_json::Value;

use crate::machine::{Machine, json};

const RULES: &str = r#"
[[rule]]
name = "dns"
action = "drop"
proto = "udp"
dport = 53
log = true
"#;

fn value(read: &impl Serialize) -> Value {
    serde_json::to_value(read).unwrap()
}

#[test]
#[ignore = "needs root"]
fn the_library_reads_what_the_commands_print() {
    let machine = Machine::new();
    let _daemon = machine.apply(&machine.write_rules("pass", RULES));
    let banned = machine.run(["ban", "192.0.2.200", "--reason", "noise"]);
    assert!(banned.status.success(), "{banned:?}");
    let dns = machine.network.link().ipv4().udp(40_000, 53);
    let length = machine.send(&dns, 7);
    machine.await_counters(&[("dns", (7, 7 * length))]);

    let config = machine.config();
    let counters = CounterSnapshot::read(&config).unwrap();
    assert_eq!(counters.rules[0].count.packets, 7);
    let printed = machine.run(["counters", "--json"]).stdout;
    assert_eq!(value(&counters), json(&printed));

    let rules = RuleListing::read_with_counters(&config).unwrap();
    assert_eq!(rules.rules[0].count.unwrap().packets, 7);
    let printed = machine.run(["show", "--counters", "--json"]).stdout;
    assert_eq!(value(&rules), json(&printed));

    let mut bans = value(&BanListing::read(&config).unwrap());
    let mut printed = json(&machine.run(["bans", "--json"]).stdout);
    assert_eq!(bans["bans"][0]["prefix"], "192.0.2.200");
    // The wall clock is read anew for each listing, and the start follows from it.
    for listing in [&mut bans, &mut printed] {
        listing["bans"][0]["began"].take();
    }
    assert_eq!(bans, printed);

    let status = machine.network.host.run(|| {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().unwrap();
        runtime.block_on(Status::read(&config)).unwrap()
    });
    let status = status.unwrap();
    assert_eq!(status.interfaces[0].state, InterfaceState::Attached);
    let mut printed = machine.status();
    printed.as_object_mut().unwrap().remove("daemon").unwrap();
    assert_eq!(value(&status), printed);
}

#[test]
#[ignore = "needs root"]
fn the_library_says_that_nothing_is_loaded() {
    let machine = Machine::new();
    let error = CounterSnapshot::read(&machine.config()).unwrap_err();
    assert_eq!(error.to_string(), "nothing is loaded for instance `test`");
    assert!(error.help().unwrap().contains("firewall apply"));
}
