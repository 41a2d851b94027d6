//! Options that several commands have.

use std::{fmt::Display, str::FromStr};

use clap::Args;
use rules::analysis;

use crate::candidate::budget::Budget;

/// How much memory the rules may take.
#[derive(Debug, Args)]
pub(crate) struct MemoryArgs {
    /// Maximum memory for the map of the rules, such as 64MiB; rules that need more are refused
    /// [default: 256MiB]
    #[arg(
        long,
        value_name = "SIZE",
        env = "FIREWALL_MAX_MEMORY",
        hide_env_values = true,
        value_parser = Budget::parse
    )]
    pub(crate) max_memory: Option<Budget>,
}

/// Whether rules come into force even if they lock somebody out.
#[derive(Debug, Args)]
pub(crate) struct ForceArgs {
    /// Apply the rules even if they drop packets of SSH sessions, gateways or DHCP
    #[arg(long)]
    pub(crate) force: bool,
}

/// How a command that changes rules reports what it did.
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Print what was done as JSON; docs/json.md describes it
    #[arg(long)]
    pub(crate) json: bool,
}

/// How a command that may find nothing to change reports it.
#[derive(Debug, Args)]
pub(crate) struct DetailArgs {
    /// Exit with 4, not 0, if the rules in force are those of the file already
    #[arg(long)]
    pub(crate) detailed: bool,
}

/// How much work an analysis may be.
#[derive(Debug, Args)]
pub(crate) struct AnalysisArgs {
    /// Maximum number of steps of the analysis; a machine does about ten million a second
    #[arg(
        long,
        value_name = "STEPS",
        default_value_t = analysis::Budget::DEFAULT,
        value_parser = whole_number::<u64>(0)
    )]
    pub(crate) budget: u64,
}

/// Reads a whole number that is not below `least`.
pub(crate) fn whole_number<T>(least: T) -> impl Fn(&str) -> Result<T, String> + Clone
where
    T: FromStr + PartialOrd + Display + Clone,
{
    move |text| match text.parse() {
        Ok(number) if number >= least => Ok(number),
        Ok(_) | Err(_) => Err(format!("expected a whole number, {least} or more")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_whole_number_is_refused_in_our_words() {
        let read = whole_number(1_usize);
        assert_eq!(read("1"), Ok(1));
        for bad in ["", "0", "-1", "x", "1.5", "99999999999999999999"] {
            assert_eq!(read(bad).unwrap_err(), "expected a whole number, 1 or more");
        }
    }
}
