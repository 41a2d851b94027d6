//! The benchmarks.

use std::{env, process::ExitCode};

use anyhow::Result;
use benches::{
    cost::{arena::Arena, clock::Clock, driver::Driver},
    tuple::Tuple,
};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arena = Arena::new()?;
    let plain = Arena::new()?;
    let clock = Clock::new(1)?;
    let tuples: Vec<_> = (0..1u32 << 20)
        .map(|n| Tuple {
            src: std::net::Ipv4Addr::from(n.wrapping_mul(2_654_435_761)).into(),
            dst: std::net::Ipv4Addr::from(0x0a00_0000 | n).into(),
            protocol: 6,
            sport: n as u16,
            dport: 80,
            tcp_flags: 2,
        })
        .collect();
    let mut driver = Driver::load(&tuples, &arena)?;
    driver.attach("drop_all", &arena)?;
    let fd = driver.fd("drop_all")?;
    let packets: u32 = env::args().nth(1).map_or(Ok(1 << 20), |a| a.parse())?;
    for _ in 0..4 {
        let before = (arena.received()?, plain.received()?);
        let run = driver.send(&arena, 0, packets, &clock)?;
        let plain_run = driver.send(&plain, 0, packets, &clock)?;
        let discard = driver.discard(&arena, 0, packets, &clock)?;
        let call = driver.call(&fd, &arena, 0, packets, &clock)?;
        println!(
            "send {:.1} plain {:.1} discard {:.1} call {:.1} received {} {}",
            run.nanoseconds(),
            plain_run.nanoseconds(),
            discard.nanoseconds(),
            call.nanoseconds(),
            arena.received()? - before.0,
            plain.received()? - before.1
        );
    }
    Ok(())
}
