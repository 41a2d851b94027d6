//! Flows that end: by their timeouts, and because somebody says so.

use std::time::{Duration, Instant};

use super::{Connection, Datagrams, Family, PORT, counted, how_many, ping, write};
use crate::machine::{Machine, json, wait_until};

/// How long a flow is kept here, and how much longer it may be kept: a unit of its stamp, and the one
/// in which it was last seen; then what a busy machine takes to see it.
const KEPT: Duration = Duration::from_secs(4);
const LONGER: Duration = Duration::from_secs(4);
const BUSY: Duration = Duration::from_secs(2);

const SHORT: &str = "[flows.timeouts]\nudp = \"4s\"\nudp_answered = \"4s\"\nicmp_echo = \"4s\"\n\
                     tcp_opening = \"4s\"\ntcp_closed = \"4s\"\n";

#[test]
#[ignore = "needs root"]
fn an_answer_passes_within_the_timeout_and_not_after_it() {
    let machine = Machine::new();
    let _daemon = machine.apply(&write(&machine, SHORT));
    let link = machine.network.link();
    let mut talks = Vec::new();
    for family in Family::ALL {
        let answered = Datagrams::open(&machine, link, family, PORT);
        answered.goes_on();
        let late = Datagrams::open(&machine, link, family, PORT + 1);
        let from = late.asks();
        talks.push((family, answered, late, from));
        ping(&machine, link, family);
    }
    let begin = Instant::now();
    assert_eq!(how_many(&machine), 6);
    // A packet out keeps a flow.
    let kept = Connection::open(&machine, link, Family::Ipv4, PORT);
    wait_until("all but the connection are forgotten", || {
        how_many(&machine) == 1
    });
    let lasted = begin.elapsed();
    assert!(lasted + BUSY > KEPT, "{lasted:?}");
    assert!(lasted < KEPT + LONGER + BUSY, "{lasted:?}");
    let mut policy = 0;
    for (_, answered, late, from) in &talks {
        late.answers(*from);
        let own = answered.own.local_addr().unwrap().port();
        let mut to = *from;
        to.set_port(own);
        answered.answers(to);
        policy += 2;
        machine.await_packets("policy", policy);
        assert!(!late.has_heard());
        assert!(!answered.has_heard());
    }
    assert_eq!(counted(&machine, "new"), policy);
    // Who asks again is answered again.
    for (_, answered, late, _) in &talks {
        answered.goes_on();
        late.goes_on();
    }
    assert_eq!(how_many(&machine), 1 + 4);
    machine.await_packets("policy", policy);
    drop(kept);
}

#[test]
#[ignore = "needs root"]
fn a_flow_with_packets_outlives_its_timeout() {
    let machine = Machine::new();
    let _daemon = machine.apply(&write(&machine, SHORT));
    let link = machine.network.link();
    // One is kept by what the host sends, one by what it receives.
    let asking = Datagrams::open(&machine, link, Family::Ipv4, PORT);
    asking.goes_on();
    let listening = Datagrams::open(&machine, link, Family::Ipv6, PORT);
    let from = listening.asks();
    listening.answers(from);
    let idle = Datagrams::open(&machine, link, Family::Ipv4, PORT + 1);
    idle.goes_on();
    let begin = Instant::now();
    let mut heard = 0;
    let mut sent = 1;
    wait_until("two timeouts are over", || {
        asking.asks();
        listening.answers(from);
        sent += 1;
        while listening.has_heard() {
            heard += 1;
        }
        begin.elapsed() > KEPT + LONGER + BUSY + KEPT
    });
    wait_until("all have come", || {
        while listening.has_heard() {
            heard += 1;
        }
        heard == sent
    });
    assert_eq!(how_many(&machine), 2);
    assert_eq!(counted(&machine, "policy"), 0);
}

#[test]
#[ignore = "needs root"]
fn timeouts_change_with_a_reload_for_flows_that_are_there() {
    let machine = Machine::new();
    let _daemon = machine.apply(&write(&machine, ""));
    let link = machine.network.link();
    let datagrams = Datagrams::open(&machine, link, Family::Ipv4, PORT);
    datagrams.goes_on();
    write(&machine, SHORT);
    assert!(machine.run(["reload"]).status.success());
    let begin = Instant::now();
    wait_until("it is forgotten", || how_many(&machine) == 0);
    assert!(begin.elapsed() < KEPT + LONGER + BUSY);
}

#[test]
#[ignore = "needs root"]
fn deleting_cuts_what_is_named_and_nothing_else() {
    let machine = Machine::with_links(2);
    let [one, two] = machine.network.links() else {
        panic!("two links");
    };
    let interfaces = format!("\"{}\", \"{}\"", one.host.interface, two.host.interface);
    let file = machine.write_file(&format!(
        "[firewall]\ninterfaces = [{interfaces}]\npolicy = \"drop\"\n{}{}",
        super::STATES,
        super::REPLIES
    ));
    let _daemon = machine.apply(&file);
    let mut talks = Vec::new();
    for (number, link) in (0..).zip([one, two]) {
        for family in Family::ALL {
            let mut connection = Connection::open(&machine, link, family, PORT + number);
            connection.goes_on();
            let datagrams = Datagrams::open(&machine, link, family, PORT + number);
            let from = datagrams.asks();
            talks.push((family.of(&link.peer), connection, datagrams, from));
        }
    }
    assert_eq!(how_many(&machine), 8);
    let victim = one.peer.ipv4;
    let address = victim.to_string();
    let delete = |words: &[&str]| {
        let said = machine.run([&["flows", "--json", "--delete"], words].concat());
        assert!(said.status.success(), "{said:?}");
        json(&said.stdout)["removed"].as_u64().unwrap()
    };
    assert_eq!(delete(&["--address", &address, "--proto", "udp"]), 1);
    assert_eq!(delete(&["--address", &address]), 1);
    assert_eq!(delete(&["--address", &address]), 0);
    assert_eq!(how_many(&machine), 6);
    for (peer, connection, datagrams, from) in &mut talks {
        let is_cut = *peer == victim;
        datagrams.answers(*from);
        if is_cut {
            machine.await_packets("policy", 1);
            assert!(!datagrams.has_heard());
            // The peer's segment is lost, and sent again after the host has said something.
            std::io::Write::write_all(&mut connection.far, b"hello").unwrap();
            wait_until("it is dropped", || counted(&machine, "policy") > 1);
            connection.says();
            let mut bytes = [0; 5];
            std::io::Read::read_exact(&mut connection.own, &mut bytes).unwrap();
            assert_eq!(&bytes, b"hello");
        } else {
            wait_until("the answer has come", || datagrams.has_heard());
            connection.hears();
        }
    }
    assert_eq!(how_many(&machine), 7);
    assert_eq!(delete(&["--port", "8"]), 4);
    assert_eq!(delete(&["--all"]), 3);
    assert_eq!(how_many(&machine), 0);
    // Without a word which, nothing is removed.
    assert_eq!(machine.run(["flows", "--delete"]).status.code(), Some(2));
}
