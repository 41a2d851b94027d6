//! The architecture of the workspace. `cargo run -p architecture` prints what these tests read.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{path::Path, sync::LazyLock};

use architecture::{
    imports::Imports,
    package::Package,
    report::Graphs,
    rule::{Rule, upward_dependencies},
};

/// Violations that are still accepted, as [`hold`] names them.
const PENDING: &[&str] = &[];

/// The maximum number of rooms at the top level of `firewall/src`.
const MAX_ROOMS: usize = 25;

/// The packages, from those that depend on none of the others up.
const FLOORS: &[&[&str]] = &[
    &["firewall-ebpf", "driver-ebpf", "ebpf-build", "architecture"],
    &["rules"],
    &["rules-testing"],
    &["import", "control"],
    &["firewall"],
    &["benches"],
    &["fleet", "package-tests", "plots", "vm-tests"],
];

/// Names with two meanings in one target, and the reason for each.
const AMBIGUOUS: &[(&str, &str)] = &[];

/// Paths to functions that read or write something outside the process.
const IO: &[&str] = &[
    "aya",
    "libc",
    "nix",
    "rustix",
    "std::env",
    "std::fs",
    "std::io",
    "std::net",
    "std::os",
    "std::process",
    "std::thread",
    "tokio",
];

/// The same paths, and those of clocks.
const IO_AND_CLOCKS: &[&str] = &[
    "aya",
    "libc",
    "nix",
    "rustix",
    "std::env",
    "std::fs",
    "std::io",
    "std::net",
    "std::os",
    "std::process",
    "std::thread",
    "tokio",
    "firewall/src/kernel",
    "std::time::Instant",
    "std::time::SystemTime",
];

/// Names in those modules that are only values.
const VALUES: &[&str] = &[
    "std::net::AddrParseError",
    "std::net::IpAddr",
    "std::net::Ipv4Addr",
    "std::net::Ipv6Addr",
    "std::net::SocketAddr",
];

/// What describes a reader, and opens none.
const READERS: &[&str] = &[
    "std::io::Cursor",
    "std::io::Error",
    "std::io::ErrorKind",
    "std::io::Read",
    "std::io::Result",
];

const RULES: &[Rule] = &[
    Rule {
        part: "firewall-ebpf/src",
        but: &["firewall-ebpf/src/program"],
        never: &[
            "alloc",
            "aya_ebpf",
            "aya_log_ebpf",
            "core::arch",
            "core::ptr",
            "std",
            "firewall-ebpf/src/program",
        ],
        except: &[],
        why: "the library is the same code in the kernel and in user space; it never touches memory",
    },
    Rule {
        part: "firewall-ebpf/src/parse",
        but: &[],
        never: &["firewall-ebpf/src/image", "firewall-ebpf/src/walk"],
        except: &[],
        why: "the parser knows nothing of rules: it shares only the keys of `field` with the image",
    },
    Rule {
        part: "firewall-ebpf/src/image",
        but: &[],
        never: &["firewall-ebpf/src/parse", "firewall-ebpf/src/walk"],
        except: &[],
        why: "the layout is for those that write it as for those that read it",
    },
    Rule {
        part: "rules/src",
        but: &["rules/src/captures"],
        never: IO,
        except: VALUES,
        why: "the rule language does no I/O: files are handed to it",
    },
    Rule {
        part: "rules/src/captures",
        but: &[],
        never: IO,
        except: READERS,
        why: "captures are read from a reader that is handed over, since they can be of any length",
    },
    Rule {
        part: "rules/src/evaluator",
        but: &[],
        never: &[
            "firewall_ebpf",
            "rules/src/analysis",
            "rules/src/compiler",
            "rules/src/diagnostics",
            "rules/src/language",
            "rules/src/lint",
            "rules/src/notation",
            "rules/src/walker",
        ],
        // Only the names by which both sides are compared.
        except: &[
            "firewall_ebpf::abi::Direction",
            "firewall_ebpf::abi::Reason",
            "firewall_ebpf::state::State",
        ],
        why: "the evaluator is the oracle of every test of verdicts, and shares nothing with what it judges",
    },
    Rule {
        part: "rules/src/compiler",
        but: &[],
        never: &[
            "rules/src/analysis",
            "rules/src/evaluator",
            "rules/src/language",
            "rules/src/notation",
            "rules/src/walker",
        ],
        except: &[],
        why: "the compiler takes a rule set, wherever it comes from",
    },
    Rule {
        part: "firewall/src",
        but: &["firewall/src/kernel"],
        never: &["aya", "aya_log", "aya_obj"],
        except: &[],
        why: "what touches BPF objects is in one folder",
    },
    Rule {
        part: "firewall/src",
        but: &[],
        never: &[
            "firewall_ebpf::field",
            "firewall_ebpf::image",
            "firewall_ebpf::parse",
            "firewall_ebpf::walk",
        ],
        except: &[
            "firewall_ebpf::image::COUNT",
            "firewall_ebpf::image::DROP",
            "firewall_ebpf::image::Drops",
            "firewall_ebpf::image::Header",
            "firewall_ebpf::image::MAGIC",
            "firewall_ebpf::image::is_magic",
            "firewall_ebpf::image::MAX_COUNTS",
            "firewall_ebpf::image::MAX_LIST",
            "firewall_ebpf::image::MAX_WALK",
            "firewall_ebpf::image::Memory",
        ],
        why: "the layout of an image, beyond its header and its limits, is for the compiler and the walker",
    },
    Rule {
        part: "firewall/src",
        but: &["firewall/src/cli", "firewall/src/commands"],
        never: &["clap"],
        except: &[],
        why: "the command line is resolved once, into values",
    },
    Rule {
        part: "firewall/src/kernel",
        but: &[],
        never: &["clap", "rules", "firewall/src"],
        except: &["firewall/src/kernel"],
        why: "the kernel's side has its own vocabulary and knows nothing above it",
    },
    Rule {
        part: "firewall/src/generation",
        but: &[],
        never: &[
            "firewall/src/commands",
            "firewall/src/control",
            "firewall/src/daemon",
            "firewall/src/filter",
            "firewall/src/rule_file",
        ],
        except: &[],
        why: "a generation is the same whoever brings it into force, and from whatever file",
    },
    Rule {
        part: "firewall/src/candidate",
        but: &[],
        never: &[
            "firewall/src/commands",
            "firewall/src/control",
            "firewall/src/daemon",
            "firewall/src/filter",
        ],
        except: &[],
        why: "a candidate is not in force, and does not depend on what is",
    },
    Rule {
        part: "firewall/src/filter",
        but: &[],
        never: &[
            "firewall/src/commands",
            "firewall/src/control",
            "firewall/src/daemon",
            "firewall/src/rule_file",
            "tokio::net",
            "tokio::signal",
        ],
        except: &[],
        why: "what changes the kernel does not know who asked for it",
    },
    Rule {
        part: "firewall/src/filter/plan",
        but: &[],
        never: IO,
        except: VALUES,
        why: "a plan is made without I/O, so that every plan can be tested",
    },
    Rule {
        part: "firewall/src/observe",
        but: &[],
        never: &[
            "firewall/src/commands",
            "firewall/src/control",
            "firewall/src/daemon",
            "std::io",
        ],
        except: &[],
        why: "what is read from the pins needs no daemon, and its reader chooses the form",
    },
    Rule {
        part: "firewall/src/control",
        but: &[],
        never: &[
            "firewall/src/commands",
            "firewall/src/daemon",
            "firewall/src/filter",
        ],
        except: &[],
        why: "the protocol is the same for every client, and carries requests to whoever listens",
    },
    Rule {
        part: "firewall/src/packet_log",
        but: &[],
        never: &[
            "firewall/src/commands",
            "firewall/src/control",
            "firewall/src/daemon",
        ],
        except: &[],
        why: "logged packets do not depend on who receives them",
    },
    Rule {
        part: "firewall/src/daemon",
        but: &[],
        never: &["clap", "firewall/src/cli", "firewall/src/commands"],
        except: &[],
        why: "the daemon takes values, not the command line",
    },
    Rule {
        part: "firewall/src/daemon/decisions",
        but: &[],
        never: IO_AND_CLOCKS,
        except: VALUES,
        why: "decisions take facts and the time, so that each can be made in a test",
    },
    Rule {
        part: "firewall/src/doctor/findings",
        but: &[],
        never: IO,
        except: VALUES,
        why: "facts are judged without I/O, so that every fact can be made up in a test",
    },
];

#[test]
fn no_files_import_each_other_in_a_circle() {
    hold(IMPORTS.iter().map(|imports| {
        let broken = Graphs::new(imports).cycles();
        (format!("cycles {}", imports.package), broken)
    }));
}

#[test]
fn no_room_imports_from_one_above_it() {
    hold(IMPORTS.iter().map(|imports| {
        let broken = Graphs::new(imports).upward();
        (format!("upward {}", imports.package), broken)
    }));
}

#[test]
fn packages_depend_on_those_below() {
    let broken = upward_dependencies(&PACKAGES, FLOORS);
    hold([("packages".to_owned(), broken)]);
}

#[test]
fn no_part_names_what_it_must_never_know() {
    hold(RULES.iter().map(|rule| {
        let name = format!("{} never {}", rule.part, rule.never[0]);
        (name, rule.broken(&IMPORTS))
    }));
}

#[test]
fn the_top_level_of_firewall_can_be_taken_in_at_a_glance() {
    let firewall = IMPORTS.iter().find(|imports| imports.package == "firewall");
    let rooms = firewall.unwrap().rooms();
    let broken = (rooms.len() > MAX_ROOMS)
        .then(|| format!("{} rooms, at most {MAX_ROOMS}: {rooms:?}", rooms.len()));
    hold([("rooms".to_owned(), broken.into_iter().collect())]);
}

#[test]
fn a_type_name_means_one_thing_in_a_crate() {
    hold(IMPORTS.iter().map(|imports| {
        let broken = imports
            .ambiguous_types()
            .into_iter()
            .filter(|(name, _)| !AMBIGUOUS.iter().any(|(known, _)| known == name))
            .map(|(name, places)| format!("`{name}`: {}", places.join(" ")))
            .collect();
        (format!("types {}", imports.package), broken)
    }));
}

static PACKAGES: LazyLock<Vec<Package>> = LazyLock::new(|| Package::all(root()).unwrap());

static IMPORTS: LazyLock<Vec<Imports>> = LazyLock::new(|| {
    PACKAGES
        .iter()
        .map(|package| Imports::read(root(), package).unwrap())
        .collect()
});

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Fails with all broken rules, each under its name.
fn hold(checks: impl IntoIterator<Item = (String, Vec<String>)>) {
    let mut failed = String::new();
    for (name, broken) in checks {
        if PENDING.contains(&name.as_str()) {
            println!("pending: {name}: {} left", broken.len());
        } else if !broken.is_empty() {
            failed += &format!("\n{name}:\n{}", broken.join("\n"));
        }
    }
    assert!(failed.is_empty(), "{failed}");
}
