//! The command line: the commands, and the options that they share. Each command's own options are
//! with the command.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{
    Arg, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum,
    builder::PossibleValue,
};
use nix::sys::stat::{Mode, umask};
use rules::text::{escaped_lines, is_hidden};

use crate::{
    commands::{
        apply::{self, ApplyArgs},
        ban::{self, BanArgs},
        bans::{self, BansArgs},
        capture::{self, CaptureArgs},
        check::{self, CheckArgs},
        confirm::{self, ConfirmArgs},
        counters::{self, CountersArgs},
        detach,
        diff::{self, DiffArgs},
        doctor::{self, DoctorArgs},
        explain::{self, ExplainArgs},
        flows::{self, FlowsArgs},
        reload::{self, ReloadArgs},
        rollback::{self, RollbackArgs},
        show::{self, ShowArgs},
        status::{self, StatusArgs},
        unban::{self, UnbanArgs},
        unload::{self, UnloadArgs},
    },
    config::Config,
    error::{Error, ExitStatus},
    logging::{
        colors::{self, ColorChoice},
        lines::{self, Format},
    },
    runtime::on_threads,
};

/// A packet filter at the XDP hook, the first place where Linux sees a packet
#[derive(Debug, Parser)]
#[command(name = "firewall", version, max_term_width = 100, after_help = EXIT_STATUSES)]
struct CommandLine {
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    log: LogArgs,
    #[command(subcommand)]
    command: Command,
}

const EXIT_STATUSES: &str = "\
Exit status: 0 done, 1 refused or failed, 2 wrong command line, 3 unusable rules.
`check`, `diff` and `doctor` document their own; docs/exit-status.md lists all.";

/// The heading of the options that commands share.
const SHARED: &str = "Global options";

/// The commands that look at no running or loaded firewall, and so need no [`PlaceArgs`].
const WITHOUT_PLACE: [&str; 2] = ["check", "diff"];

/// Which firewall of the machine is meant.
#[derive(Debug, Args)]
struct PlaceArgs {
    /// Mount point of a BPF file system
    #[arg(
        long,
        global = true,
        help_heading = SHARED,
        value_name = "PATH",
        env = "FIREWALL_BPFFS",
        hide_env_values = true,
        default_value = "/sys/fs/bpf"
    )]
    bpffs: PathBuf,
    /// Directory of the control socket
    #[arg(
        long,
        global = true,
        help_heading = SHARED,
        value_name = "PATH",
        env = "FIREWALL_RUN_DIR",
        hide_env_values = true,
        default_value = "/run/firewall"
    )]
    run_dir: PathBuf,
    /// Name of this firewall, if the machine runs several
    #[arg(
        long,
        global = true,
        help_heading = SHARED,
        value_name = "NAME",
        env = "FIREWALL_INSTANCE",
        hide_env_values = true,
        default_value = "default",
        value_parser = instance
    )]
    instance: String,
}

/// What is logged, and how.
#[derive(Debug, Args)]
struct LogArgs {
    /// Format of the log on stderr: lines for people, or one JSON object per line
    #[arg(
        long,
        global = true,
        help_heading = SHARED,
        value_name = "FORMAT",
        env = "FIREWALL_LOG_FORMAT",
        hide_env_values = true,
        default_value = "text"
    )]
    log_format: Format,
    /// What is logged: error, warn, info, debug, trace or off, or levels by module such as
    /// `warn,firewall::control=debug`
    #[arg(
        long,
        global = true,
        help_heading = SHARED,
        value_name = "LEVEL",
        env = "FIREWALL_LOG",
        hide_env_values = true,
        default_value = "info",
        value_parser = lines::levels
    )]
    log_level: String,
    /// Colors of reports: at a terminal, always or never; `NO_COLOR` and `CLICOLOR_FORCE` are observed
    #[arg(
        long,
        global = true,
        help_heading = SHARED,
        value_name = "WHEN",
        default_value = "auto"
    )]
    color: ColorChoice,
}

#[derive(Debug, Subcommand)]
enum Command {
    Apply(ApplyArgs),
    Check(CheckArgs),
    Diff(DiffArgs),
    Doctor(DoctorArgs),
    Reload(ReloadArgs),
    Confirm(ConfirmArgs),
    Rollback(RollbackArgs),
    Status(StatusArgs),
    Show(ShowArgs),
    Counters(CountersArgs),
    Explain(ExplainArgs),
    Ban(BanArgs),
    Unban(UnbanArgs),
    Bans(BansArgs),
    Flows(FlowsArgs),
    Capture(CaptureArgs),
    Unload(UnloadArgs),
}

/// Runs the command line of this process, and returns its exit status.
pub fn main() -> ExitCode {
    let CommandLine {
        place,
        log,
        command,
    } = CommandLine::read();
    colors::choose(log.color);
    lines::begin(log.log_format, &log.log_level, detach::is_detached());
    // Files are for their owner alone, from the moment that they exist.
    umask(Mode::from_bits_truncate(0o077));
    let status = match place.config().and_then(|config| run(&config, command)) {
        Ok(status) => status,
        Err(error) if error.is_closed_output() => ExitStatus::Done,
        Err(error) => {
            error.tell();
            error.exit_status()
        }
    };
    status.into()
}

fn run(config: &Config, command: Command) -> Result<ExitStatus, Error> {
    match command {
        Command::Apply(args) => return apply::run(config, args),
        Command::Check(args) => return on_threads(check::run(args)),
        Command::Diff(args) => return on_threads(diff::run(args)),
        Command::Doctor(args) => return on_threads(doctor::run(config, args)),
        Command::Reload(args) => return on_threads(reload::run(config, args)),
        Command::Confirm(args) => on_threads(confirm::run(config, args))?,
        Command::Rollback(args) => return on_threads(rollback::run(config, args)),
        Command::Status(args) => on_threads(status::run(config, args))?,
        Command::Show(args) => on_threads(show::run(config, args))?,
        Command::Counters(args) => on_threads(counters::run(config, args))?,
        Command::Explain(args) => on_threads(explain::run(config, args))?,
        Command::Ban(args) => return on_threads(ban::run(config, args)),
        Command::Unban(args) => return on_threads(unban::run(config, args)),
        Command::Bans(args) => on_threads(bans::run(config, args))?,
        Command::Flows(args) => on_threads(flows::run(config, args))?,
        Command::Capture(args) => on_threads(capture::run(config, args))?,
        Command::Unload(args) => on_threads(unload::run(config, args))?,
    }
    Ok(ExitStatus::Done)
}

impl CommandLine {
    /// Reads the command line; ends the process when it is wrong or asks for help.
    fn read() -> Self {
        let read = definition()
            .try_get_matches()
            .and_then(|matches| Self::from_arg_matches(&matches));
        read.unwrap_or_else(|error| {
            let report = error.render().to_string();
            if error.use_stderr() && report.contains(|c| is_hidden(c) && c != '\n') {
                // An argument can come from elsewhere; clap shows it as it is.
                eprint!("{}", escaped_lines(&report));
                std::process::exit(error.exit_code());
            }
            error.exit()
        })
    }
}

impl PlaceArgs {
    /// The paths are absolute, since a daemon in the background is in another folder.
    fn config(self) -> Result<Config, Error> {
        let absolute = |path: &Path| {
            std::path::absolute(path).map_err(Error::system("cannot find the current directory"))
        };
        let run_dir = absolute(&self.run_dir)?;
        Ok(Config::new(absolute(&self.bpffs)?, &run_dir, self.instance))
    }
}

/// The definition of the command line for clap.
fn definition() -> clap::Command {
    with_fixed_usage(with_hidden_places(CommandLine::command()))
}

/// Hides the options of [`PlaceArgs`] from the help of commands that have no use for them. They are
/// still accepted there, so that a script can give them to every command.
fn with_hidden_places(command: clap::Command) -> clap::Command {
    let places = PlaceArgs::augment_args(clap::Command::new("places"));
    let hidden: Vec<Arg> = places
        .get_arguments()
        .map(|arg| arg.clone().hide(true))
        .collect();
    WITHOUT_PLACE.into_iter().fold(command, |command, name| {
        command.mut_subcommand(name, |command| command.args(hidden.clone()))
    })
}

/// Has errors show the usage that the help shows. By itself clap would add every option that an
/// environment variable sets, as if it were required.
fn with_fixed_usage(command: clap::Command) -> clap::Command {
    let mut built = command.clone();
    built.build();
    let usages: Vec<(String, String)> = built
        .get_subcommands_mut()
        .map(|command| {
            let usage = command.render_usage().to_string();
            let usage = usage.strip_prefix("Usage: ").unwrap_or(&usage).to_owned();
            (command.get_name().to_owned(), usage)
        })
        .collect();
    let named = command
        .get_subcommands()
        .map(|command| command.get_name().to_owned())
        .collect::<Vec<_>>();
    usages
        .into_iter()
        .filter(|(name, _)| named.contains(name))
        .fold(command, |command, (name, usage)| {
            command.mut_subcommand(name, |command| command.override_usage(usage))
        })
}

/// An instance is a file name in two file systems, of which one reserves dots.
fn instance(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if (1..=64).contains(&text.len()) && text.chars().all(fits) {
        Ok(text.to_owned())
    } else {
        Err("expected 1 to 64 letters, digits, `-` and `_`".into())
    }
}

impl ValueEnum for ColorChoice {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Auto, Self::Always, Self::Never]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            Self::Auto => "auto",
            Self::Always => "always",
            Self::Never => "never",
        }))
    }
}

impl ValueEnum for Format {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Text, Self::Json]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            Self::Text => "text",
            Self::Json => "json",
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::{BTreeMap, BTreeSet},
        time::Duration,
    };

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        definition().debug_assert();
    }

    fn help(name: &str) -> String {
        let mut command = definition();
        command.build();
        let command = command.find_subcommand_mut(name).unwrap();
        command.render_long_help().to_string()
    }

    #[test]
    fn global_options_are_shown_under_a_heading_where_they_are_used() {
        for command in definition().get_subcommands() {
            let name = command.get_name();
            let help = help(name);
            let (own, shared) = help.split_once("\nGlobal options:\n").unwrap();
            for option in ["--bpffs", "--run-dir", "--instance"] {
                let is_used = !WITHOUT_PLACE.contains(&name);
                assert_eq!(shared.contains(option), is_used, "{name} {option}");
                assert!(!own.contains(option), "{name} {option}");
            }
            assert!(shared.contains("--log-level"), "{name}");
        }
    }

    #[test]
    fn global_options_are_accepted_before_and_after_every_command() {
        for words in [
            "firewall --instance x check f",
            "firewall check --instance x f",
            "firewall --instance x status",
            "firewall status --instance x",
        ] {
            let matches = definition().get_matches_from(words.split(' '));
            let line = CommandLine::from_arg_matches(&matches).unwrap();
            assert_eq!(line.place.instance, "x", "{words}");
        }
    }

    #[test]
    fn options_with_a_variable_and_global_ones_are_documented_and_no_others() {
        let page = include_str!("../../docs/options.md");
        let rows = page.lines().filter(|line| line.starts_with("| `--"));
        let documented: BTreeSet<(String, String, String)> = rows
            .map(|row| {
                let cells: Vec<&str> = row.split('|').map(str::trim).collect();
                let word = |cell: &str| cell.replace('`', "");
                match cells.len() {
                    // Without the cell of the commands.
                    6 if cells[4] != "meaning" && !cells[2].contains("apply") => {
                        (word(cells[1]), String::new(), word(cells[2]))
                    }
                    _ => (word(cells[1]), word(cells[2]), word(cells[3])),
                }
            })
            .collect();
        let entry = |arg: &Arg, commands: &str| {
            let option = format!("--{}", arg.get_long().unwrap());
            let variable = arg.get_env().and_then(|name| name.to_str());
            (
                option,
                commands.to_owned(),
                variable.unwrap_or_default().to_owned(),
            )
        };
        let command = CommandLine::command();
        let global: Vec<&Arg> = command
            .get_arguments()
            .filter(|arg| arg.is_global_set())
            .collect();
        let mut known: BTreeSet<_> = global.iter().map(|arg| entry(arg, "")).collect();
        let mut of_commands: BTreeMap<String, (Vec<&str>, &Arg)> = BTreeMap::new();
        for command in command.get_subcommands() {
            for arg in command.get_arguments() {
                if arg.get_env().is_some() && !arg.is_hide_set() {
                    let option = arg.get_long().unwrap().to_owned();
                    let (commands, _) = of_commands.entry(option).or_insert((Vec::new(), arg));
                    commands.push(command.get_name());
                }
            }
        }
        for (commands, arg) in of_commands.values() {
            known.insert(entry(arg, &commands.join(", ")));
        }
        assert_eq!(documented, known);
    }

    #[test]
    fn a_usage_line_has_what_is_required_alone() {
        let usage = |words: &str| {
            let matches = definition().try_get_matches_from(words.split(' '));
            let error = matches.unwrap_err().to_string();
            let usage = error.lines().find(|line| line.starts_with("Usage:"));
            usage.unwrap().to_owned()
        };
        assert_eq!(
            usage("firewall --instance x apply --max-memory 1M"),
            "Usage: firewall apply [OPTIONS] <FILE>"
        );
        assert_eq!(
            usage("firewall diff --counting a"),
            "Usage: firewall diff [OPTIONS] <OLD> <NEW>"
        );
    }

    #[test]
    fn watching_has_an_interval() {
        let watched = |words: &str| {
            let matches = definition().try_get_matches_from(words.split(' '))?;
            let line = CommandLine::from_arg_matches(&matches)?;
            let Command::Counters(args) = line.command else {
                panic!("another command");
            };
            Ok::<_, clap::Error>(args.watch)
        };
        assert_eq!(watched("firewall counters").unwrap(), None);
        assert_eq!(
            watched("firewall counters --watch").unwrap(),
            Some(Duration::from_secs(1))
        );
        let half = Some(Duration::from_millis(500));
        assert_eq!(watched("firewall counters --watch 0.5").unwrap(), half);
        assert!(watched("firewall counters --watch 0").is_err());
    }

    #[test]
    fn instances_are_file_names() {
        assert!(instance("wan-2").is_ok());
        for bad in ["", ".", "a/b", "a.b", "ä"] {
            assert!(instance(bad).is_err(), "{bad}");
        }
    }
}
