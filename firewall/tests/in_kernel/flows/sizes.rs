//! How large the table of flows is: what is said of it, and that one that is too large is refused.

use std::fs;

use super::{Datagrams, Family, PORT, how_many, write};
use crate::{
    examining::finding,
    machine::{BINARY, Machine, json},
};

/// A table that takes more memory than a process may map below.
const TOO_LARGE: u32 = 1 << 23;
const ADDRESS_SPACE: u32 = 400 << 20;

#[test]
#[ignore = "needs root"]
fn a_table_that_memory_does_not_hold_is_an_error_with_its_line() {
    let machine = Machine::new();
    let file = write(&machine, &format!("[flows]\nmax = {TOO_LARGE}\n"));
    let text = fs::read_to_string(&file).unwrap();
    let line = 1 + text
        .lines()
        .position(|line| line.starts_with("max ="))
        .unwrap();
    let mut command = machine.command("prlimit");
    command
        .arg(format!("--as={ADDRESS_SPACE}"))
        .args([BINARY, "apply"])
        .arg(&file);
    let said = machine.finish(command);
    // The machine may have the memory later.
    assert_eq!(said.status.code(), Some(7), "{said:?}");
    let message = format!(
        "error: `max` in `[flows]`, line {line}, column 7, is too large: a table of 8,388,608 flows takes 456 MiB: "
    );
    assert!(said.stderr.contains(&message), "{said:?}");
    assert!(said.stderr.contains("nothing was loaded"), "{said:?}");
    let network = &machine.network;
    let program = network.xdp_program(&network.link().host).unwrap();
    assert_eq!(program, None);
    assert!(!machine.pins().exists());
}

#[test]
#[ignore = "needs root"]
fn counters_and_doctor_say_how_full_the_table_is() {
    let machine = Machine::new();
    let link = machine.network.link();
    let _daemon = machine.apply(&write(&machine, "[flows]\nmax = 1024\n"));
    let talks: Vec<Datagrams> = (0..600)
        .map(|port| {
            let talk = Datagrams::open(&machine, link, Family::Ipv4, PORT + port);
            talk.goes_on();
            talk
        })
        .collect();
    let count = how_many(&machine);
    assert!(count > 512, "{count}");
    let said = machine.run(["counters", "--json"]);
    let flows = &json(&said.stdout)["flows"];
    assert_eq!(flows, &machine.status()["flows"]);
    assert_eq!(flows["count"], count);
    let said = machine.run(["counters"]);
    let line = format!("\nflows       {count} of at most 1,024");
    assert!(said.stdout.contains(&line), "{said:?}");
    let found = finding(&machine, machine.interface(), "flows");
    assert_eq!(found["severity"], "warning", "{found}");
    let advice = "`max = 2048` in `[flows]` makes it twice as large";
    assert_eq!(found["advice"], advice);
    drop(talks);
}
