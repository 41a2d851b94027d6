//! The tests of the `firewall` command that need a kernel, as `make test` runs them as root: those
//! in which kernels can differ, as far as an emulated machine can run them in a few minutes.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use vm_tests::report::Outcome;

use crate::firewall::PATIENCE;

/// Whether new network namespaces are without the interfaces that modules of tunnels have (Linux 4.17).
const FALLBACK_TUNNELS: &str = "/proc/sys/net/core/fb_tunnels_only_for_init_net";

/// The binary of the tests.
const TESTS: &str = "/tests/in_kernel";

/// The tests that run: files of `firewall/tests/in_kernel`.
const RUN: [&str; 19] = [
    "bans",
    "bare",
    "conversations",
    "details",
    "differential",
    "drops",
    "egress",
    "jumbo",
    "long_frames",
    "matchers",
    "neighbors",
    "pppoe",
    "privileges",
    "refusals",
    "rule_tests",
    "sequences",
    "unreadable",
    "verdicts",
    "verifier",
];

/// Files that do not run, and why.
const LEFT_OUT: [(&str, &str); 38] = [
    ("background", "it needs a shell, and compiles for long"),
    ("blocklist", "the scenario `large` has a longer list"),
    ("capture", "it needs tcpdump"),
    ("captures", "it needs captures of other projects"),
    ("checking", "it asks nothing of the kernel"),
    ("company", "it needs xdp-loader and bpftool"),
    (
        "confirmed",
        "it waits, and asks nothing of the kernel that `reload` does not",
    ),
    ("deaths", "it starts the command hundreds of times"),
    ("documents", "it asks nothing of the kernel"),
    (
        "examining",
        "it needs ethtool; the scenario `driver` examines interfaces",
    ),
    ("exit_status", "it asks nothing of the kernel"),
    ("explaining", "it asks nothing of the kernel"),
    ("fail2ban", "it needs Python and fail2ban"),
    ("installation", "it needs a shell"),
    ("flows", "it needs nft and ethtool"),
    (
        "interfaces",
        "it takes minutes; the scenario `removed` has one that goes and returns",
    ),
    (
        "library",
        "it asks nothing of the kernel that `load` does not",
    ),
    ("last_good", "it asks nothing of the kernel"),
    (
        "life_cycle",
        "it takes minutes; the scenarios `load`, `reload` and `killed` go through a life",
    ),
    ("lockout", "it asks nothing of BPF"),
    (
        "logging",
        "it waits, and asks nothing of the kernel that `reload` does not",
    ),
    ("long_work", "it compiles for long"),
    (
        "many_bans",
        "it measures time, which is not that of a real machine",
    ),
    (
        "many_reloads",
        "it needs minutes; the scenario `reload` has fewer of them",
    ),
    ("memory", "it compiles a long list"),
    ("nftables", "it needs nft"),
    (
        "outgoing",
        "it asks nothing of the kernel that `egress` does not",
    ),
    ("ownership", "it needs bpftool"),
    ("pressure", "it makes a thousand interfaces"),
    (
        "reload",
        "it takes minutes; the scenario `reload` has packets meanwhile",
    ),
    ("rule_sets", "it compiles large rule sets"),
    ("run_folder", "it asks nothing of BPF"),
    ("service", "it needs systemd"),
    ("showing", "it asks nothing of the kernel"),
    ("socket", "it asks nothing of BPF"),
    ("status", "it needs bpftool"),
    ("stdin", "it asks nothing of the kernel"),
    (
        "takeover",
        "it takes minutes; the scenario `killed` has a daemon take over",
    ),
];

/// Single tests that do not run, and why.
const TESTS_LEFT_OUT: [(&str, &str); 13] = [
    (
        "bans::a_banned_source_is_dropped_before_any_rule_and_counted_by_its_reason",
        "the scenario `bans` does it",
    ),
    (
        "bans::a_ban_ends_on_time_though_the_daemon_was_killed",
        "the scenario `bans` does it",
    ),
    (
        "bans::bans_and_their_counts_survive_reloads_other_programs_and_other_daemons",
        "the scenario `bans` does it",
    ),
    (
        "bans::a_line_is_banned_when_it_comes_however_long_the_next_one_takes",
        "it asks nothing of the kernel",
    ),
    (
        "bans::explain_says_that_a_source_is_banned",
        "it asks nothing of the kernel",
    ),
    (
        "bans::lines_that_are_wrong_are_told_and_the_others_are_banned",
        "what is left of a ban by the second differs on a slow machine",
    ),
    (
        "bans::the_socket_takes_many_lines_and_refuses_what_is_wrong_alone",
        "it asks nothing of the kernel",
    ),
    (
        "bans::what_keeps_the_caller_connected_is_banned_by_force_only",
        "it asks nothing of the kernel",
    ),
    (
        "bare::a_killed_daemon_leaves_a_tunnel_filtered_and_another_takes_over",
        "the scenario `egress` has a daemon take over at the hooks",
    ),
    (
        "egress::a_daemon_that_is_killed_leaves_what_is_sent_filtered_until_another_takes_over",
        "the scenario `egress` does it",
    ),
    (
        "egress::forwarded_packets_are_known_by_the_interface_that_they_came_in_by",
        "the scenario `egress` does it",
    ),
    (
        "egress::what_is_sent_is_filtered_and_counted",
        "the scenario `egress` does it",
    ),
    (
        "egress::rules_for_what_is_sent_come_and_go_whole_when_a_process_is_killed_at_any_step",
        "it starts the command hundreds of times",
    ),
];

/// The timeout for all tests: several times the usual duration, because machines are busy.
const BUDGET: Duration = Duration::from_secs(1_800);

/// The number of random packets.
const PACKETS: u32 = 10_000;

pub(crate) fn run() -> Result<Outcome> {
    // The tests choose the indexes of interfaces, and name all that there are. Where a scenario before has
    // loaded a module of tunnels, each new network namespace would have interfaces of its own.
    fs::write(FALLBACK_TUNNELS, "1")
        .with_context(|| format!("cannot write `{FALLBACK_TUNNELS}`"))?;
    let begin = Instant::now();
    let mut tests = Command::new(TESTS)
        // The output of a failed test is on the console at once, in case a later test takes too
        // long.
        .args(["--ignored", "--test-threads=1", "--nocapture"])
        .args(RUN.map(|file| format!("{file}::")))
        // A filter matches any name that contains it: `bans::` also matches `many_bans::`.
        .args(LEFT_OUT.map(|(file, _)| format!("--skip={file}::")))
        .args(TESTS_LEFT_OUT.map(|(test, _)| format!("--skip={test}")))
        .env("FIREWALL_TEST_PATIENCE", PATIENCE.as_secs().to_string())
        .env("FIREWALL_PACKETS", PACKETS.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{TESTS}`"))?;
    let output = BufReader::new(tests.stdout.take().context("no pipe")?);
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in output.lines() {
            let _ = sender.send(line);
        }
    });
    let mut failed = Vec::new();
    let mut last = String::new();
    loop {
        match lines.recv_timeout(BUDGET.saturating_sub(begin.elapsed())) {
            Ok(line) => {
                let line = line?;
                // Shown immediately, with the time, so that the console shows which tests take
                // long.
                println!("{:4} {line}", begin.elapsed().as_secs());
                if let Some(test) = line.strip_prefix("test ") {
                    last = test.to_owned();
                } else if let Some(test) = line.strip_prefix("    ") {
                    // The list at the end.
                    failed.push(test.to_owned());
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                tests.kill()?;
                tests.wait()?;
                bail!("the tests took more than {BUDGET:?}; the last to end was `{last}`");
            }
        }
    }
    let status = tests.wait()?;
    ensure!(
        status.success(),
        "`{TESTS}` ended with {status}; failed: {}",
        failed.join(", ")
    );
    Ok(Outcome::Passed)
}

#[cfg(test)]
mod lists {
    use std::collections::BTreeSet;

    use super::*;

    /// The file that names all files of the tests.
    const MAIN: &str = include_str!("../../../../../firewall/tests/in_kernel/main.rs");

    /// Files without tests.
    const SUPPORT: [&str; 4] = ["kernel", "machine", "test_run", "tracer"];

    #[test]
    fn every_file_of_tests_is_run_or_left_out() {
        let left_out = LEFT_OUT.iter().map(|(file, _)| file);
        let named = RUN.iter().chain(left_out).chain(&SUPPORT).copied();
        let files = MAIN
            .lines()
            .filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'));
        let (named, files): (BTreeSet<_>, BTreeSet<_>) = (named.collect(), files.collect());
        assert_eq!(named, files);
    }

    #[test]
    fn every_test_that_is_left_out_is_there_and_would_run() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../firewall/tests/in_kernel");
        for (test, _) in TESTS_LEFT_OUT {
            let (file, name) = test.split_once("::").unwrap();
            assert!(RUN.contains(&file), "{test}");
            let text = fs::read_to_string(format!("{folder}/{file}.rs")).unwrap();
            assert!(text.contains(&format!("fn {name}(")), "{test}");
        }
    }
}
