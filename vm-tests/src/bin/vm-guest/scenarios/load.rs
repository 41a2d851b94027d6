//! The program is verified, translated and attached in the driver.

use std::{process::Command, thread};

use anyhow::{Context as _, Result, anyhow, ensure};
use benches::features::Feature;
use vm_tests::report::{Event, Outcome, Verified};

use crate::{
    firewall::{BINARY, wait_until},
    reporter::Reporter,
    scene::Scene,
    tracer::{self, Loaded, Observer},
};

const RULES: &str = r#"
[[rule]]
name = "telnet"
action = "drop"
proto = "tcp"
dport = 23
"#;

pub(crate) fn run(scene: &Scene, reporter: &Reporter) -> Result<Outcome> {
    let rules = scene.write_rules("pass", RULES)?;
    let firewall = scene.firewall();
    thread::scope(|scope| {
        // The tracer must be the thread that started the command.
        let traced = scope.spawn(|| {
            scene.network.host.run(|| {
                let mut command = Command::new("/init");
                command.args([tracer::HOLD, BINARY, "apply"]).arg(&rules);
                command.env("FIREWALL_STATE_DIR", "");
                // The program with the most code: the parts that write messages are verified and
                // compiled too.
                command.env("FIREWALL_LOG", "debug");
                let mut programs = Programs(Vec::new());
                let succeeded = tracer::trace(&mut command, &mut programs)?;
                Ok::<_, anyhow::Error>((succeeded, programs))
            })?
        });
        wait_until("the program is attached", || {
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
        let mode = &status["interfaces"][0]["mode"];
        ensure!(mode == "native", "attached in the mode {mode}");
        let jited_bytes = status["program"]["jited_bytes"].as_u64();
        let jited_bytes = jited_bytes.with_context(|| format!("no machine code in {status}"))?;
        ensure!(jited_bytes > 0, "the kernel interprets the program");
        reporter.report(&Event::Verified(verified(&programs.0, jited_bytes)?))?;
        let lacking = Feature::VerifiedInstructions.lacking()?;
        let count = &status["program"]["verified_instructions"];
        ensure!(
            count.is_null() == lacking.is_some(),
            "the status says of verified instructions {count}"
        );
        Ok(lacking.map_or(Outcome::Passed, Outcome::Lacking))
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

/// The statistics of the longest program: the others probe features of the kernel.
fn verified(programs: &[Loaded], jited_bytes: u64) -> Result<Verified> {
    let longest = programs.iter().max_by_key(|loaded| loaded.length);
    let log = &longest.context("the command loaded no program")?.log;
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
