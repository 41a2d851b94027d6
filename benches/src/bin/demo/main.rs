//! The demonstration: real packets passed and dropped by rules, the rules changed while traffic
//! flows, and nothing left behind.

mod edit;
mod firewall;
mod flows;
mod ledger;
mod table;
mod tour;

use std::{env, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result, bail};
use benches::interrupt::Interrupt;
use clap::Parser;
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    unistd::geteuid,
};

/// Shows the firewall at work on a test network, and checks every number it prints.
#[derive(Debug, Parser)]
struct Arguments {
    /// The `firewall` command; else the one beside this program.
    #[arg(long)]
    firewall: Option<PathBuf>,
    /// The rule file to begin with.
    #[arg(long, default_value = "rules/samples/demo.toml")]
    rules: PathBuf,
    /// Packets a second.
    #[arg(long, default_value_t = 4000)]
    rate: u32,
    /// Seconds of each of the three stages of traffic.
    #[arg(long, default_value_t = 4)]
    seconds: u32,
    /// The seed of the traffic.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match prepare().and_then(|interrupt| run(&arguments, &interrupt)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Makes sure that nothing done later outlives the process.
fn prepare() -> Result<Interrupt> {
    if !geteuid().is_root() {
        bail!(
            "making network namespaces and loading an XDP program needs root\n\
             help: run `sudo make demo`"
        );
    }
    // In a mount namespace of its own, what is mounted is gone with the last process in it. This
    // comes before the first thread, since threads share the namespace they begin in.
    unshare(CloneFlags::CLONE_NEWNS)
        .context("cannot make a mount namespace (this needs CAP_SYS_ADMIN)")?;
    mount(
        None::<&str>,
        "/",
        None::<&str>,
        MsFlags::MS_REC | MsFlags::MS_PRIVATE,
        None::<&str>,
    )
    .context("cannot keep mounts to this process")?;
    Interrupt::watch()
}

fn run(arguments: &Arguments, interrupt: &Interrupt) -> Result<()> {
    let binary = match &arguments.firewall {
        Some(path) => path.clone(),
        None => env::current_exe()?.with_file_name("firewall"),
    };
    if !binary.is_file() {
        bail!(
            "there is no `firewall` command at `{}`\n\
             help: run `make build`, or name it with `--firewall`",
            binary.display()
        );
    }
    let plan = tour::Plan {
        rules: &arguments.rules,
        rate: arguments.rate,
        seconds: arguments.seconds,
        seed: arguments.seed,
    };
    tour::run(&binary, &plan, interrupt)
}
