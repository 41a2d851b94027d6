//! The command line.

use std::time::Duration;

use clap::Parser;
use vm_tests::scenarios::Scenario;

/// Runs the firewall on several kernels, each in a virtual machine of its own.
#[derive(Debug, Parser)]
#[command(name = "vm-tests", max_term_width = 100)]
pub(crate) struct Arguments {
    /// A kernel of kernels.toml; may be repeated. Default: all
    #[arg(long = "kernel", value_name = "NAME")]
    pub(crate) kernels: Vec<String>,
    /// A scenario; may be repeated. Default: all
    #[arg(long = "scenario", value_name = "NAME")]
    pub(crate) scenarios: Vec<Scenario>,
    /// The number of guests that run at a time. Default: as many as CPUs and free memory allow
    #[arg(long, value_name = "COUNT")]
    pub(crate) jobs: Option<usize>,
    /// The timeout for one machine
    #[arg(long, value_name = "SECONDS", default_value = "3600", value_parser = seconds)]
    pub(crate) timeout: Duration,
    /// The cargo profile of the tested binaries
    #[arg(long, value_name = "PROFILE", default_value = "release")]
    pub(crate) profile: String,
    /// Skip any kernel that cannot be fetched, not only those that kernels.toml calls optional; a
    /// run that tests no kernel at all fails
    #[arg(long)]
    pub(crate) optional: bool,
    /// Write the verifier's statistics to ledger.toml instead of comparing them
    #[arg(long)]
    pub(crate) renew: bool,
    /// Use the kernels fetched before, and do not look for newer ones
    #[arg(long)]
    pub(crate) offline: bool,
}

/// Reads the command line; exits if it is wrong or asks for help.
pub(crate) fn parse() -> Arguments {
    Arguments::parse()
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds @ 1..=86_400) => Ok(Duration::from_secs(seconds)),
        Ok(_) | Err(_) => Err("expected seconds, from 1 to 86400".into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn an_unknown_scenario_lists_those_there_are() {
        let error = Arguments::try_parse_from(["vm-tests", "--scenario", "lage"]).unwrap_err();
        assert!(error.to_string().contains("reload, killed"), "{error}");
    }
}
