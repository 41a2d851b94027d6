//! The command line.

use std::time::Duration;

use clap::Parser;
use vm_tests::scenarios::Scenario;

/// Runs the firewall on several kernels, each in a virtual machine of its own.
#[derive(Debug, Parser)]
#[command(name = "vm-tests", max_term_width = 100)]
pub(crate) struct Arguments {
    /// A kernel of kernels.toml; may be given again. All of them without it
    #[arg(long = "kernel", value_name = "NAME")]
    pub(crate) kernels: Vec<String>,
    /// A scenario; may be given again. All of them without it
    #[arg(long = "scenario", value_name = "NAME")]
    pub(crate) scenarios: Vec<Scenario>,
    /// The guests that run at a time; as many as CPUs and free memory allow without it
    #[arg(long, value_name = "COUNT")]
    pub(crate) jobs: Option<usize>,
    /// How long one machine may take
    #[arg(long, value_name = "SECONDS", default_value = "3600", value_parser = seconds)]
    pub(crate) timeout: Duration,
    /// The profile with which cargo builds what is tried
    #[arg(long, value_name = "PROFILE", default_value = "release")]
    pub(crate) profile: String,
    /// Skip any kernel that cannot be fetched, as those that kernels.toml calls optional; a run that
    /// tests no kernel at all fails
    #[arg(long)]
    pub(crate) optional: bool,
    /// Write what the verifier says of the program into ledger.toml, instead of comparing it
    #[arg(long)]
    pub(crate) renew: bool,
    /// Use the kernels that were fetched before, and look for no newer ones
    #[arg(long)]
    pub(crate) offline: bool,
}

/// Reads the command line; ends the process when it is wrong or asks for help.
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
