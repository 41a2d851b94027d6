//! The programs of all hooks are verified, translated and attached.

use std::{process::Command, thread};

use anyhow::{Context as _, Result, anyhow, ensure};
use benches::features::Feature;
use serde_json::Value;
use vm_tests::report::{Event, Outcome, Verified};

use crate::{
    firewall::{BINARY, wait_until},
    reporter::Reporter,
    scene::Scene,
    tool,
    tracer::{self, Loaded, Observer},
};

const RULES: &str = r#"
[[rule]]
name = "telnet"
action = "drop"
proto = "tcp"
dport = 23

[[rule]]
name = "telnet out"
action = "drop"
direction = "out"
proto = "tcp"
dport = 23
"#;

/// One that asks for states.
pub(crate) const WITH_STATES: &str = r#"
[[rule]]
name = "replies"
action = "pass"
state = ["established", "related"]
"#;

/// An interface without Ethernet header, which needs programs of its own.
const TUNNEL: &str = "fw-tun";

/// The interfaces that are filtered: both ends with packets of either kind.
const INTERFACES: &str = "fw-*";

/// The programs: the beginning of the name that the kernel keeps, and the name in the ledger.
const PROGRAMS: [(&str, &str); 15] = [
    ("firewall", "xdp"),
    ("firewall_linear", "xdp_linear"),
    ("firewall_egress", "egress"),
    ("firewall_bare_e", "bare_egress"),
    ("firewall_bare_i", "bare_ingress"),
    ("firewall_flows", "xdp_flows"),
    ("flows_linear", "xdp_linear_flows"),
    ("flows_egress", "egress_flows"),
    ("flows_bare_egre", "bare_egress_flows"),
    ("flows_bare_ingr", "bare_ingress_flows"),
    ("firewall_track", "track"),
    ("firewall_bare_t", "bare_track"),
    ("firewall_errors", "errors"),
    ("errors_linear", "errors_linear"),
    ("bare_errors", "bare_errors"),
];

pub(crate) fn run(scene: &Scene, reporter: &Reporter) -> Result<Outcome> {
    let host = &scene.network.host;
    tool::ip(host, &format!("tuntap add dev {TUNNEL} mode tun"))?;
    tool::ip(host, &format!("link set {TUNNEL} up"))?;
    load(scene, reporter, RULES, false)?;
    load(scene, reporter, &format!("{RULES}{WITH_STATES}"), true)?;
    let lacking = Feature::VerifiedInstructions.lacking()?;
    Ok(lacking.map_or(Outcome::Passed, Outcome::Lacking))
}

/// Loads and attaches the programs for rules; `by_state` if these ask for states.
fn load(scene: &Scene, reporter: &Reporter, rules: &str, by_state: bool) -> Result<()> {
    let rules = scene.write_rules_for(INTERFACES, "native", "pass", rules)?;
    let firewall = scene.firewall();
    thread::scope(|scope| {
        // The tracer must be the thread that started the command.
        let traced = scope.spawn(|| {
            scene.network.host.run(|| {
                let mut command = Command::new("/init");
                command.args([tracer::HOLD, BINARY, "apply"]).arg(&rules);
                command.env("FIREWALL_STATE_DIR", "");
                // The programs with the most code: the parts that write messages are verified and
                // compiled too.
                command.env("FIREWALL_LOG", "debug");
                let mut programs = Programs(Vec::new());
                let succeeded = tracer::trace(&mut command, &mut programs)?;
                Ok::<_, anyhow::Error>((succeeded, programs))
            })?
        });
        wait_until("the programs are attached", || {
            Ok(traced.is_finished() || firewall.output(["status"])?.status.success())
        })?;
        let status = firewall.status();
        let unloaded = firewall.run(&["unload"]);
        let traced = traced.join().map_err(|_| anyhow!("the tracer panicked"))?;
        let (succeeded, programs) = traced?;
        ensure!(
            succeeded,
            "`firewall apply` failed; the console has its message"
        );
        unloaded?;
        let status = status?;
        let interface = &scene.network.link().host.interface;
        let mode = status["interfaces"].as_array().and_then(|interfaces| {
            let found = interfaces.iter().find(|one| one["name"] == **interface);
            found?["mode"].as_str()
        });
        ensure!(
            mode == Some("native"),
            "attached in the mode {mode:?}: {status}"
        );
        for (program, verified) in programs.verified(&status, interface, by_state)? {
            let program = program.to_owned();
            reporter.report(&Event::Verified { program, verified })?;
        }
        let lacking = Feature::VerifiedInstructions.lacking()?;
        let count = &status["program"]["verified_instructions"];
        ensure!(
            count.is_null() == lacking.is_some(),
            "the status says of verified instructions {count}"
        );
        Ok(())
    })
}

/// The programs that were loaded.
struct Programs(Vec<Loaded>);

impl Observer for Programs {
    fn loaded(&mut self, loaded: Loaded) -> Result<()> {
        self.0.push(loaded);
        Ok(())
    }

    fn before_map(&mut self, _value_bytes: u32) -> Result<()> {
        Ok(())
    }

    fn after_map(&mut self, _value_bytes: u32) -> Result<()> {
        Ok(())
    }
}

impl Programs {
    /// The statistics of the program of each hook, by its name in the ledger.
    fn verified(
        &self,
        status: &Value,
        interface: &str,
        by_state: bool,
    ) -> Result<Vec<(&'static str, Verified)>> {
        let at_hooks = status["traffic_control"].as_array();
        let at_hook = |interface: &str, hook: &str| {
            let mut at_hooks = at_hooks.into_iter().flatten();
            let found = at_hooks.find(|at| at["interface"] == interface && at["hook"] == hook)?;
            Some(&found["program"])
        };
        let xdp = Some(&status["program"]);
        let takes_frags = Feature::Frags.is_expected()?;
        let names = match (by_state, takes_frags) {
            (false, true) => ["xdp", "egress", "bare_egress", "bare_ingress"],
            (false, false) => ["xdp_linear", "egress", "bare_egress", "bare_ingress"],
            (true, true) => [
                "xdp_flows",
                "egress_flows",
                "bare_egress_flows",
                "bare_ingress_flows",
            ],
            (true, false) => [
                "xdp_linear_flows",
                "egress_flows",
                "bare_egress_flows",
                "bare_ingress_flows",
            ],
        };
        let programs = [
            xdp,
            at_hook(interface, "egress"),
            at_hook(TUNNEL, "egress"),
            at_hook(TUNNEL, "ingress"),
        ];
        let verified = names.into_iter().zip(programs).map(|(name, program)| {
            let program = program.with_context(|| format!("no program `{name}` in {status}"))?;
            let jited_bytes = program["jited_bytes"].as_u64();
            let jited_bytes =
                jited_bytes.with_context(|| format!("no machine code in {program}"))?;
            ensure!(jited_bytes > 0, "the kernel interprets `{name}`");
            Ok((name, statistics(self.log_of(name)?, jited_bytes)?))
        });
        let others: &[&str] = match (by_state, takes_frags) {
            (false, _) => &[],
            (true, true) => &["track", "bare_track", "errors", "bare_errors"],
            (true, false) => &["track", "bare_track", "errors_linear", "bare_errors"],
        };
        // What only others call is in no status.
        let others = others
            .iter()
            .map(|name| Ok((*name, statistics(self.log_of(name)?, 0)?)));
        verified.chain(others).collect()
    }

    /// The verifier's log about a program; the others that were loaded probe features of the kernel.
    fn log_of(&self, name: &str) -> Result<&str> {
        let mut names = PROGRAMS.iter();
        let kept = names.find_map(|(kept, of)| (*of == name).then_some(*kept));
        let mut loaded = self.0.iter();
        let found = loaded.find(|loaded| Some(loaded.name.as_str()) == kept);
        found
            .map(|loaded| loaded.log.as_str())
            .with_context(|| format!("the command loaded no `{name}`"))
    }
}

/// The statistics in a log of the verifier, with the size of the machine code.
fn statistics(log: &str, jited_bytes: u64) -> Result<Verified> {
    // `print_verification_stats`, `kernel/bpf/verifier.c`.
    let mut words = log.split_whitespace();
    let mut after = |word: &str| {
        words.find(|&found| found == word);
        words.next().and_then(|number| number.parse().ok())
    };
    let numbers = after("processed").zip(after("peak_states"));
    let (instructions, peak_states) =
        numbers.with_context(|| format!("the verifier's statistics are missing in `{log}`"))?;
    Ok(Verified {
        instructions,
        peak_states,
        jited_bytes,
    })
}
