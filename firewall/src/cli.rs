//! The command line: raw arguments, resolved once into a [`Config`] and a [`Command`].

use std::{num::NonZeroU64, path::PathBuf, time::Duration};

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum, error::ErrorKind};
use rules::analysis::{self, Compare};

use crate::{
    bans::term,
    candidate::budget::Budget,
    commands::{
        ban,
        capture::{self, Form, Target},
        check::{self, Show},
        diff,
        explain::{Packets, Question, Rules},
    },
    config::{Config, RunFiles},
    kernel::{max_bans::MaxBans, pins::Pins},
    logging::lines,
};

/// A packet filter at the XDP hook, the first place where Linux sees a packet.
#[derive(Debug, Parser)]
#[command(name = "firewall", version, max_term_width = 100)]
struct Arguments {
    #[command(flatten)]
    places: Places,
    #[command(flatten)]
    log: lines::Options,
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Debug, Args)]
struct Places {
    /// Where a BPF file system is mounted
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "FIREWALL_BPFFS",
        default_value = "/sys/fs/bpf"
    )]
    bpffs: PathBuf,
    /// Where the control socket lives
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "FIREWALL_RUN_DIR",
        default_value = "/run/firewall"
    )]
    run_dir: PathBuf,
    /// Which of several firewalls of this machine is meant
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        env = "FIREWALL_INSTANCE",
        default_value = "default",
        value_parser = instance
    )]
    instance: String,
}

#[derive(Debug, Args)]
struct Memory {
    /// The most memory for the map of the rules, such as 64MiB; rules that need more are refused
    /// [default: 256MiB]
    #[arg(
        long,
        value_name = "SIZE",
        env = "FIREWALL_MAX_MEMORY",
        value_parser = Budget::parse
    )]
    max_memory: Option<Budget>,
}

#[derive(Debug, Args)]
struct Force {
    /// Bring the rules into force even if they drop packets of SSH sessions, gateways or DHCP
    #[arg(long)]
    force: bool,
}

/// A stage of the compiler.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Emit {
    /// The rule set as a rule file, sets and defaults written out
    Ruleset,
    /// The sections and structures of the image
    Image,
}

#[derive(Debug, Args)]
struct Analysis {
    /// The most steps of the analysis, of which a machine does some ten million a second
    #[arg(long, value_name = "STEPS", default_value_t = analysis::Budget::DEFAULT)]
    budget: u64,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Load the rules, attach to the interfaces, and stay until told to end
    ///
    /// SIGHUP reads the file again; SIGTERM and SIGINT unload everything. When a daemon already
    /// runs, the file is handed to it and the command returns.
    Apply {
        /// The rule file
        file: PathBuf,
        /// Bring the rules before back by itself, unless `firewall confirm` comes within this time,
        /// such as 60s or 5min
        #[arg(long, value_name = "TIME", value_parser = confirmation)]
        confirm: Option<Duration>,
        #[command(flatten)]
        force: Force,
        #[command(flatten)]
        memory: Memory,
        /// Attach to named interfaces that are not there once they are, in place of an error
        ///
        /// Interfaces that a glob fits, or that were there before, are waited for without it.
        #[arg(long)]
        wait: bool,
        /// The most bans at once, which takes some 20 bytes of memory each beforehand; from the
        /// first load until `unload` [default: 1000000]
        #[arg(
            long,
            value_name = "NUMBER",
            env = "FIREWALL_MAX_BANS",
            value_parser = MaxBans::parse
        )]
        max_bans: Option<MaxBans>,
        /// Load another object file than the one built in; for development
        #[arg(long, hide = true, value_name = "PATH", env = "FIREWALL_OBJECT")]
        object: Option<PathBuf>,
    },
    /// Check a rule file and run its tests, without loading it; needs no privileges
    ///
    /// The exit status is 0 when the file can be used, with warnings or without, and 1 when not.
    Check {
        /// The rule file
        file: PathBuf,
        /// Print the tables that the rules are compiled to, their memory and what a packet costs
        #[arg(long)]
        plan: bool,
        /// Print JSON
        #[arg(long, requires = "plan")]
        json: bool,
        /// Print what the compiler makes of the rules, in a form that is the same for the same rules
        #[arg(long, value_name = "STAGE", conflicts_with = "plan")]
        emit: Option<Emit>,
        /// End with exit status 1 when there is a warning
        #[arg(long)]
        deny_warnings: bool,
        #[command(flatten)]
        analysis: Analysis,
        #[command(flatten)]
        memory: Memory,
    },
    /// Show which packets two rule files judge differently; needs no privileges
    ///
    /// Every change is shown with the packets that it is about and one of them. Packets are taken to
    /// arrive on the interfaces of either file. The exit status is 0 when every packet has the same
    /// verdict, 1 when not, 2 when the files cannot be compared, and 3 when the budget was spent
    /// before everything was decided.
    Diff {
        /// The rule file before
        old: PathBuf,
        /// The rule file after
        new: PathBuf,
        /// Show also what is counted otherwise: packets that have the same verdict from another
        /// rule, and those of rules that only count
        #[arg(long)]
        counting: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        analysis: Analysis,
    },
    /// Show what keeps an interface from being filtered, or from being filtered fast
    ///
    /// Each finding comes with the command that mends it. Nothing is attached or changed; needs no
    /// privileges, and tells less without. The exit status is 0 when all is well, 1 when there are
    /// warnings, and 2 when there are errors or there is no such interface.
    Doctor {
        /// The interface
        interface: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Have the daemon read its rule file again
    Reload {
        #[command(flatten)]
        force: Force,
    },
    /// Keep the rules that `apply --confirm` brought into force
    ///
    /// Needs no daemon.
    Confirm,
    /// Bring the rules back that were in force before
    ///
    /// They come back as they were compiled, whatever has become of their file, with their counters.
    /// Rules that wait for `firewall confirm` are given up; others can be had back by the same
    /// command.
    Rollback {
        #[command(flatten)]
        force: Force,
    },
    /// Show what is loaded
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show how many packets each rule decided
    Counters {
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Print again and again, with rates
        #[arg(
            long,
            value_name = "SECONDS",
            num_args = 0..=1,
            default_missing_value = "1",
            value_parser = interval
        )]
        watch: Option<Duration>,
    },
    /// Show what becomes of a packet, and why
    ///
    /// The packet is written as in `tcp 203.0.113.9:4444 > 192.0.2.1:22 syn`; docs/packets.md has
    /// all words. Needs no privileges, but for `--live`.
    Explain {
        /// The rule file, unless `--live`, and the packet, unless `--pcap`
        #[arg(value_names = ["FILE", "PACKET"], num_args = 0..=2)]
        operands: Vec<String>,
        /// Explain each packet of a capture file
        #[arg(long, value_name = "FILE")]
        pcap: Option<PathBuf>,
        /// Only the packet of this number, counted from 1
        #[arg(long, value_name = "NUMBER", requires = "pcap")]
        index: Option<usize>,
        /// By the rules in force
        #[arg(long)]
        live: bool,
        /// The interface on which packets arrive that do not say it
        /// [default: the first that the rules name]
        #[arg(long, value_name = "NAME")]
        interface: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Drop every packet from an address or a prefix, before any rule, at once
    ///
    /// A ban of the same prefix is replaced. What would cover the peer of an SSH session that this
    /// is called in, an address of this machine, or all addresses, is refused without `--force`.
    Ban {
        /// Addresses or prefixes; `-` reads them from stdin, one a line, each with a length of time
        /// and a reason behind it where there is one
        #[arg(value_name = "ADDRESS", required = true)]
        addresses: Vec<String>,
        /// For how long, such as 90s, 1h30m or 2d [default: forever]
        #[arg(
            long = "for",
            value_name = "TIME",
            allow_hyphen_values = true,
            value_parser = term::term_text
        )]
        term: Option<String>,
        /// Why, in at most 64 bytes; packets are counted by it
        #[arg(long, value_name = "WORDS", default_value = "")]
        reason: String,
        /// Ban also what keeps you out
        #[arg(long)]
        force: bool,
    },
    /// Take bans back
    Unban {
        /// The addresses or prefixes, as they were banned; `-` reads them from stdin, one a line
        #[arg(value_name = "ADDRESS", required = true)]
        addresses: Vec<String>,
        /// Say nothing of what is not banned
        #[arg(long)]
        if_banned: bool,
    },
    /// Show who is banned, until when and why, and what was dropped for each reason
    Bans {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show packets of rules that log, as they come
    ///
    /// Of a rule with `log = true`, or with `log = { rate = ..., burst = ... }`, which says how many.
    /// The daemon tells them, which must run. Ends with Ctrl-C, and says then how many packets there
    /// were, and how many were lost since they came faster than they were read.
    Capture {
        /// Only packets of this rule; may be given more than once
        #[arg(long = "rule", value_name = "NAME")]
        rules: Vec<String>,
        /// Write a capture file (pcapng); `-` is stdout, as in `--write - | tcpdump -r -`
        #[arg(long, value_name = "FILE")]
        write: Option<PathBuf>,
        /// Print JSON
        #[arg(long, conflicts_with = "write")]
        json: bool,
        /// End after so many packets
        #[arg(long, value_name = "NUMBER")]
        count: Option<NonZeroU64>,
        /// End after this time, such as 30s or 5min
        #[arg(long = "for", value_name = "TIME", value_parser = length_of_time)]
        time: Option<Duration>,
    },
    /// Take everything out of the kernel, also when the daemon was killed
    Unload,
}

/// A command.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    /// Bring a rule file into force.
    Apply {
        /// The rule file, absolute.
        file: PathBuf,
        /// The most memory for an image map; `None` leaves it to the daemon that runs.
        max_memory: Option<Budget>,
        /// Whether to wait for names of interfaces that are not there.
        wait: bool,
        /// Within which time it must be confirmed, if at all.
        confirm: Option<Duration>,
        /// Whether even if it locks somebody out.
        force: bool,
        /// The most bans; `None` leaves it to what is there, or is usual.
        max_bans: Option<MaxBans>,
        /// An object file in place of the one built in.
        object: Option<PathBuf>,
    },
    /// Check a rule file.
    Check {
        /// The rule file, as given.
        file: PathBuf,
        /// How.
        options: check::Options,
    },
    /// Compare two rule files.
    Diff(diff::Options),
    /// Examine an interface.
    Doctor {
        /// Its name.
        interface: String,
        /// Whether as JSON.
        json: bool,
    },
    /// Read the rule file again.
    Reload {
        /// Whether even if it locks somebody out.
        force: bool,
    },
    /// Keep what waits for it.
    Confirm,
    /// Bring back what was in force before.
    Rollback {
        /// Whether even if it locks somebody out.
        force: bool,
    },
    /// Show what is loaded.
    Status {
        /// Whether as JSON.
        json: bool,
    },
    /// Show the counters.
    Counters {
        /// Whether as JSON.
        json: bool,
        /// How often; `None` for once.
        watch: Option<Duration>,
    },
    /// Explain what becomes of packets.
    Explain(Question),
    /// Ban.
    Ban(ban::Ban),
    /// Take bans back.
    Unban(ban::Unban),
    /// Show the bans.
    Bans {
        /// Whether as JSON.
        json: bool,
    },
    /// Show packets that rules log.
    Capture(capture::Options),
    /// Unload.
    Unload,
}

/// Reads the command line; ends the process when it is wrong or asks for help.
///
/// # Errors
///
/// When a relative path cannot be made absolute, since the current folder is gone.
pub(crate) fn parse() -> std::io::Result<(Config, Command)> {
    resolve(Arguments::parse())
}

fn resolve(arguments: Arguments) -> std::io::Result<(Config, Command)> {
    let places = arguments.places;
    let config = Config {
        pins: Pins::new(&places.bpffs, &places.instance),
        run: RunFiles::new(&places.run_dir, &places.instance),
        bpffs: places.bpffs,
        instance: places.instance,
        log: arguments.log,
    };
    let command = match arguments.command {
        Subcommands::Apply {
            file,
            confirm,
            force,
            memory,
            wait,
            max_bans,
            object,
        } => Command::Apply {
            file: std::path::absolute(file)?,
            max_memory: memory.max_memory,
            wait,
            confirm,
            force: force.force,
            max_bans,
            object,
        },
        Subcommands::Check {
            file,
            plan,
            json,
            emit,
            deny_warnings,
            analysis,
            memory,
        } => Command::Check {
            file,
            options: check::Options {
                show: match (emit, plan, json) {
                    (Some(Emit::Ruleset), _, _) => Show::Ruleset,
                    (Some(Emit::Image), _, _) => Show::Image,
                    (None, false, _) => Show::Warnings,
                    (None, true, false) => Show::Plan,
                    (None, true, true) => Show::PlanAsJson,
                },
                max_memory: memory.max_memory.unwrap_or(Budget::DEFAULT),
                steps: analysis.budget,
                deny_warnings,
            },
        },
        Subcommands::Diff {
            old,
            new,
            counting,
            json,
            analysis,
        } => Command::Diff(diff::Options {
            old,
            new,
            compare: if counting {
                Compare::Deciders
            } else {
                Compare::Verdicts
            },
            json,
            budget: analysis.budget,
        }),
        Subcommands::Doctor { interface, json } => Command::Doctor { interface, json },
        Subcommands::Reload { force } => Command::Reload { force: force.force },
        Subcommands::Confirm => Command::Confirm,
        Subcommands::Rollback { force } => Command::Rollback { force: force.force },
        Subcommands::Status { json } => Command::Status { json },
        Subcommands::Counters { json, watch } => Command::Counters { json, watch },
        Subcommands::Explain {
            operands,
            pcap,
            index,
            live,
            interface,
            json,
        } => {
            let (rules, packets) =
                operands_of_explain(operands, live, pcap, index).unwrap_or_else(|message| {
                    let kind = ErrorKind::WrongNumberOfValues;
                    Arguments::command().error(kind, message).exit()
                });
            Command::Explain(Question {
                rules,
                packets,
                interface,
                json,
            })
        }
        Subcommands::Ban {
            addresses,
            term,
            reason,
            force,
        } => Command::Ban(ban::Ban {
            addresses,
            term,
            reason,
            force,
        }),
        Subcommands::Unban {
            addresses,
            if_banned,
        } => Command::Unban(ban::Unban {
            addresses,
            if_banned,
        }),
        Subcommands::Bans { json } => Command::Bans { json },
        Subcommands::Capture {
            rules,
            write,
            json,
            count,
            time,
        } => Command::Capture(capture::Options {
            rules,
            form: match write {
                Some(path) if path.as_os_str() == "-" => Form::Pcapng(Target::Stdout),
                Some(path) => Form::Pcapng(Target::File(path)),
                None if json => Form::Json,
                None => Form::Text,
            },
            count,
            time,
        }),
        Subcommands::Unload => Command::Unload,
    };
    Ok((config, command))
}

/// What `explain` is asked about: a file unless the rules are `live`, and a packet unless it is in
/// a capture.
fn operands_of_explain(
    operands: Vec<String>,
    live: bool,
    pcap: Option<PathBuf>,
    index: Option<usize>,
) -> Result<(Rules, Packets), &'static str> {
    let mut operands = operands.into_iter();
    let rules = if live {
        Rules::Live
    } else {
        let file = operands.next().ok_or("a rule file or `--live` is needed")?;
        Rules::File(file.into())
    };
    let packets = match pcap {
        Some(file) => Packets::Captured(file, index),
        None => Packets::Written(operands.next().ok_or("a packet or `--pcap` is needed")?),
    };
    match operands.next() {
        None => Ok((rules, packets)),
        Some(_) => Err("a rule file and `--live`, or a packet and `--pcap`, exclude each other"),
    }
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

/// Shorter than a second nobody can confirm; longer than a day nobody waits.
fn confirmation(text: &str) -> Result<Duration, String> {
    let allowed = Duration::from_secs(1)..=Duration::from_secs(86_400);
    match humantime::parse_duration(text) {
        Ok(duration) if allowed.contains(&duration) => Ok(duration),
        Ok(_) | Err(_) => Err("expected a time from 1s to 1day, such as `60s` or `5min`".into()),
    }
}

fn length_of_time(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        Ok(_) | Err(_) => Err("expected a time, such as `30s` or `5min`".into()),
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.1..=86_400.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        Ok(_) | Err(_) => Err("expected seconds, from 0.1 to 86400".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(words: &[&str]) -> Command {
        let words = ["firewall"].iter().chain(words);
        resolve(Arguments::parse_from(words)).unwrap().1
    }

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn watching_has_an_interval() {
        let watched = |words: &[&str]| {
            let Command::Counters { watch, .. } = command(words) else {
                panic!("another command");
            };
            watch
        };
        assert_eq!(watched(&["counters"]), None);
        assert_eq!(
            watched(&["counters", "--watch"]),
            Some(Duration::from_secs(1))
        );
        let half = Some(Duration::from_millis(500));
        assert_eq!(watched(&["counters", "--watch", "0.5"]), half);
        assert!(interval("0").is_err());
    }

    #[test]
    fn what_is_explained_is_named_once() {
        let asked = |words: &[&str], live, pcap: Option<&str>| {
            let words = words.iter().map(|word| (*word).to_owned()).collect();
            operands_of_explain(words, live, pcap.map(PathBuf::from), None)
        };
        let file = Rules::File("f".into());
        let written = Packets::Written("p".into());
        let captured = Packets::Captured("c".into(), None);
        assert_eq!(
            asked(&["f", "p"], false, None),
            Ok((file.clone(), written.clone()))
        );
        assert_eq!(
            asked(&["f"], false, Some("c")),
            Ok((file, captured.clone()))
        );
        assert_eq!(asked(&["p"], true, None), Ok((Rules::Live, written)));
        assert_eq!(asked(&[], true, Some("c")), Ok((Rules::Live, captured)));
        assert!(asked(&["f"], false, None).is_err());
        assert!(asked(&["f", "p"], true, None).is_err());
        assert!(asked(&["f", "p"], false, Some("c")).is_err());
        assert!(asked(&[], false, None).is_err());
    }

    #[test]
    fn a_capture_has_one_form_and_may_have_ends() {
        let asked = |words: &[&str]| {
            let Command::Capture(options) = command(words) else {
                panic!("another command");
            };
            options
        };
        let plain = asked(&["capture"]);
        assert_eq!(
            (plain.form, plain.count, plain.time),
            (Form::Text, None, None)
        );
        assert!(plain.rules.is_empty());
        let some = asked(&[
            "capture", "--rule", "a", "--rule", "b", "--json", "--for", "30s",
        ]);
        assert_eq!(some.rules, ["a", "b"]);
        assert_eq!(some.form, Form::Json);
        assert_eq!(some.time, Some(Duration::from_secs(30)));
        let piped = asked(&["capture", "--write", "-", "--count", "7"]);
        assert_eq!(piped.form, Form::Pcapng(Target::Stdout));
        assert_eq!(piped.count, NonZeroU64::new(7));
        let file = asked(&["capture", "--write", "a.pcapng"]);
        assert_eq!(file.form, Form::Pcapng(Target::File("a.pcapng".into())));
        for words in [
            &["--count", "0"] as &[_],
            &["--for", "0s"],
            &["--for", "30"],
            &["--json", "--write", "-"],
        ] {
            let words = ["firewall", "capture"].iter().chain(words);
            assert!(Arguments::try_parse_from(words).is_err());
        }
    }

    #[test]
    fn the_time_to_confirm_has_a_unit() {
        assert_eq!(confirmation("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(confirmation("5min"), Ok(Duration::from_secs(300)));
        for bad in ["60", "0s", "2days", "soon"] {
            assert!(confirmation(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn instances_are_file_names() {
        assert!(instance("wan-2").is_ok());
        for bad in ["", ".", "a/b", "a.b", "ä"] {
            assert!(instance(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_rule_file_is_handed_over_as_an_absolute_path() {
        let Command::Apply { file, .. } = command(&["apply", "rules.toml"]) else {
            panic!("another command");
        };
        assert!(file.is_absolute());
    }
}
