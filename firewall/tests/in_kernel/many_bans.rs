//! Bans in numbers: how soon one is in force, and how many there can be.

use std::{
    fmt::Write as _,
    net::{Ipv4Addr, Ipv6Addr},
    time::{Duration, Instant},
};

use benches::random::Random;
use serde_json::json;

use crate::{
    bans::{Socket, feed, send_from, sum},
    machine::Machine,
};

#[test]
#[ignore = "needs root"]
fn a_ban_is_in_force_when_it_is_answered_within_a_millisecond() {
    const BANS: u32 = 300;
    let machine = Machine::new();
    let _daemon = machine.apply(&machine.write_rules("pass", ""));
    let mut socket = Socket::connect(&machine);
    let mut took = Vec::new();
    let (mut passed, mut dropped) = ((0, 0), (0, 0));
    for number in 0..BANS {
        let source = Ipv4Addr::from(0xcb00_7100 + number).to_string();
        passed = sum(&[passed, send_from(&machine, &source, 1)]);
        let request = json!({"command": "ban", "bans": [{"prefix": source, "for": "1h"}]});
        let request = request.to_string();
        // A frame is judged when it is sent: sending wakes the other end of the link at once.
        let begin = Instant::now();
        let answer = socket.ask(&request);
        took.push(begin.elapsed());
        assert_eq!(answer["added"], 1, "{answer}");
        dropped = sum(&[dropped, send_from(&machine, &source, 1)]);
    }
    machine.await_counters(&[("banned", dropped), ("policy", passed)]);
    took.sort();
    let median = took[took.len() / 2];
    println!("median {median:?}, longest {:?}", took[took.len() - 1]);
    assert!(median < Duration::from_millis(1), "{median:?}");
}

#[test]
#[ignore = "needs root"]
fn a_million_bans_fit_at_once() {
    const BANS: u32 = 1_000_000;
    let machine = Machine::new();
    let _daemon = machine.apply(&machine.write_rules("pass", ""));
    let mut random = Random::new(3);
    let mut input = String::new();
    // Every third address from 11.0.0.0 on, and some of IPv6.
    let v4 = |number: u32| Ipv4Addr::from(0x0b00_0000 + number * 3);
    let v6 = |number: u32| Ipv6Addr::from((0x2001_0db9_u128 << 96) + (u128::from(number) << 64));
    for number in 0..BANS - 1000 {
        writeln!(input, "{} 1h listed", v4(number)).unwrap();
    }
    for number in 0..1000 {
        writeln!(input, "{}/64", v6(number)).unwrap();
    }
    let begin = Instant::now();
    let said = feed(&machine, &["ban", "-"], &input);
    let took = begin.elapsed();
    assert!(said.status.success(), "{said:?}");
    assert_eq!(said.stderr, "banned 1,000,000\n");
    println!("{BANS} bans in {took:?}");
    assert_eq!(machine.status()["bans"]["count"], BANS);
    let said = machine.run(["ban", "203.0.113.7"]);
    assert!(
        said.stderr.starts_with("there are 1,000,000 bans already"),
        "{said:?}"
    );

    let (mut dropped, mut passed) = ((0, 0), (0, 0));
    for _ in 0..500 {
        let number = random.below(u64::from(BANS - 1000)) as u32;
        dropped = sum(&[dropped, send_from(&machine, &v4(number).to_string(), 1)]);
        let beside = Ipv4Addr::from(u32::from(v4(number)) + 1);
        passed = sum(&[passed, send_from(&machine, &beside.to_string(), 1)]);
    }
    for number in [0, 999] {
        let source = Ipv6Addr::from(u128::from(v6(number)) | 77);
        dropped = sum(&[dropped, send_from(&machine, &source.to_string(), 1)]);
    }
    passed = sum(&[passed, send_from(&machine, &v6(1000).to_string(), 1)]);
    machine.await_counters(&[("banned", dropped), ("policy", passed)]);
}
