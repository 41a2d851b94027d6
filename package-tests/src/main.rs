//! Installs the Debian package of the firewall in a clean Debian, upgrades it under traffic, goes back, removes and
//! purges it, and compares what was sent with what was counted and what got through.
//!
//! - [`debian`]: the root folder of a Debian system, and the files in it;
//! - [`guest`]: that system, with its systemd as process 1 of namespaces of its own;
//! - [`firewall`]: what the installed command reports;
//! - [`traffic`]: packets that must be dropped, and a connection that must go on;
//! - [`life`]: the life of the package, step by step.
//!
//! Nothing here knows how the package is made. Nothing is done to the machine's own system or network.

mod debian;
mod firewall;
mod guest;
mod life;
mod traffic;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use benches::sandbox;
use clap::Parser;

/// Tests the Debian package: installation, upgrade under traffic, downgrade, removal and purge
#[derive(Debug, Parser)]
#[command(name = "package-tests", max_term_width = 100)]
struct Arguments {
    /// The package
    #[arg(long, value_name = "FILE")]
    package: PathBuf,
    /// One of a higher version
    #[arg(long, value_name = "FILE")]
    newer: PathBuf,
    /// Where the Debian system is kept between runs
    #[arg(long, value_name = "FOLDER")]
    debian: PathBuf,
    /// The mirror that it is fetched from
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://deb.debian.org/debian"
    )]
    mirror: String,
    /// The packets sent per second
    #[arg(long, value_name = "NUMBER", default_value_t = 4_000)]
    rate: u32,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let interrupt = sandbox::enter()?;
    let debian = debian::fetched(&arguments.debian, &arguments.mirror)?;
    let packages = life::Packages::of(&arguments.package, &arguments.newer)?;
    interrupt.check()?;
    life::run(&debian, &packages, arguments.rate, &interrupt)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }
}
