//! Bans drop before any rule, survive reloads and the daemon, expire by themselves, and can be
//! removed.

use std::{
    net::Ipv4Addr,
    sync::atomic::AtomicBool,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use benches::{
    mix::{Flow, Mix},
    traffic::{Limit, Receiver},
};
use nix::sys::signal::Signal;
use vm_tests::report::Outcome;

use crate::{
    firewall::{Count, counts, wait_until},
    scene::Scene,
};

/// A rule that passes all packets: bans precede it.
const RULES: &str = "[[rule]]\nname = \"all\"\naction = \"pass\"\nproto = \"udp\"\n";

/// The sources: one that is never banned, and those of the bans.
const FREE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const LISTED: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
const BRIEF: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 9);
const IN_PREFIX: &str = "2001:db8:bad::9";
const PREFIX: &str = "2001:db8:bad::/48";

/// The duration of the ban that expires: a few commands run meanwhile.
const TERM: Duration = Duration::from_secs(20);

/// The number of packets of each burst, and their rate per second.
const PACKETS: u64 = 400;
const RATE: u32 = 2_000;

/// The packets and bytes dropped for each reason.
#[derive(Default)]
struct Dropped {
    scan: Count,
    brief: Count,
}

/// The sources that are banned.
#[derive(Clone, Copy)]
struct Banned {
    listed: bool,
    brief: bool,
}

pub(crate) fn run(scene: &Scene) -> Result<Outcome> {
    let firewall = scene.firewall();
    let rules = scene.write_rules("drop", RULES)?;
    let mut dropped = Dropped::default();
    let all = Banned {
        listed: true,
        brief: true,
    };

    let daemon = firewall.apply(&rules)?;
    let listed = LISTED.to_string();
    firewall.run(&["ban", &listed, PREFIX, "--reason", "scan"])?;
    let begin = Instant::now();
    let (brief, term) = (BRIEF.to_string(), format!("{}s", TERM.as_secs()));
    firewall.run(&["ban", &brief, "--for", &term, "--reason", "brief"])?;
    let end = Instant::now() + TERM;
    burst(scene, all, &mut dropped).context("after the bans")?;
    ensure!(
        begin.elapsed() < TERM,
        "a burst took longer than a ban of {TERM:?}"
    );

    scene.write_rules(
        "drop",
        &format!("{RULES}[[rule]]\nname = \"more\"\naction = \"drop\"\n"),
    )?;
    daemon.signal(Signal::SIGHUP)?;
    wait_until("the change is in force", || Ok(firewall.generation()? == 2))?;
    daemon.kill()?;
    thread::sleep(end.saturating_duration_since(Instant::now()));
    let ended = Banned {
        brief: false,
        ..all
    };
    burst(scene, ended, &mut dropped).context("after the daemon was killed and a ban ended")?;

    let daemon = firewall.apply(&rules)?;
    let bans = firewall.json(&["bans"])?;
    let bans = bans["bans"]
        .as_array()
        .context("there is no list of bans")?;
    let prefixes: Vec<&str> = bans
        .iter()
        .filter_map(|ban| ban["prefix"].as_str())
        .collect();
    let expected = [LISTED.to_string(), PREFIX.to_owned()];
    ensure!(
        prefixes == expected,
        "the next daemon found bans of {prefixes:?}, not {expected:?}"
    );
    burst(scene, ended, &mut dropped).context("after another daemon took over")?;

    firewall.run(&["unban", &listed])?;
    let unbanned = Banned {
        listed: false,
        ..ended
    };
    burst(scene, unbanned, &mut dropped).context("after a ban was taken back")?;
    daemon.signal(Signal::SIGTERM)?;
    daemon.wait()?;
    Ok(Outcome::Passed)
}

/// Sends from all sources, checks arrivals and counters, and adds up the drops.
fn burst(scene: &Scene, banned: Banned, dropped: &mut Dropped) -> Result<()> {
    let link = scene.network.link();
    let from = |source| link.ipv4_from(source).udp(4_000, 53);
    let in_prefix = link.ipv6_from(IN_PREFIX.parse()?).udp(4_000, 53);
    let flows = [
        ("free", from(FREE)),
        ("listed", from(LISTED)),
        ("brief", from(BRIEF)),
        ("in a prefix", in_prefix),
    ];
    let mut mix = Mix::new(
        1,
        flows.map(|(name, packet)| Flow::new(name).packet(packet)),
    );
    let receiver = Receiver::start(&scene.network.host, &link.host, mix.len())?;
    let stop = AtomicBool::new(false);
    let limit = Limit::Packets(PACKETS);
    let sent = counts(&scene.sender()?.run(&mut mix, RATE, limit, &stop)?);
    let arrived = receiver.finish()?.packets();
    let are_banned = [false, banned.listed, banned.brief, true];
    let passed = sent.iter().zip(are_banned);
    let expected: Vec<u64> = passed
        .map(|(count, is_banned)| if is_banned { 0 } else { count.0 })
        .collect();
    ensure!(
        arrived == expected && expected.first().is_some_and(|&packets| packets > 0),
        "of {sent:?} packets {arrived:?} arrived, not {expected:?}"
    );
    let [_, listed, brief, in_prefix] = sent.as_slice() else {
        anyhow::bail!("four flows were sent, not {}", sent.len());
    };
    let add = |sum: &mut Count, count: &Count, is_banned| {
        if is_banned {
            *sum = (sum.0 + count.0, sum.1 + count.1);
        }
    };
    add(&mut dropped.scan, listed, banned.listed);
    add(&mut dropped.scan, in_prefix, true);
    add(&mut dropped.brief, brief, banned.brief);
    check(scene, dropped)
}

/// Checks the counters, by reason and in total.
fn check(scene: &Scene, dropped: &Dropped) -> Result<()> {
    let firewall = scene.firewall();
    let counters = firewall.json(&["counters"])?;
    for (name, expected) in [("scan", dropped.scan), ("brief", dropped.brief)] {
        let mut rows = counters["bans"].as_array().into_iter().flatten();
        let row = rows.find(|row| row["name"] == name);
        let counted = row.and_then(|row| row["packets"].as_u64().zip(row["bytes"].as_u64()));
        ensure!(
            counted == Some(expected),
            "for the reason `{name}` {counted:?} were counted, not {expected:?}"
        );
    }
    let (scan, brief) = (dropped.scan, dropped.brief);
    let expected = (scan.0 + brief.0, scan.1 + brief.1);
    let counted = firewall.counters()?.get("banned").copied();
    ensure!(
        counted == Some(expected),
        "as `banned` {counted:?} were counted, not {expected:?}"
    );
    Ok(())
}
