//! What the facts about an interface mean for a firewall on it. It does no I/O.

use std::fmt;

use serde::Serialize;

use super::facts::{Facts, Peer, Program};
use crate::{kernel::link::AttachMode, text::counted};

/// Something that is to be known about an interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// What it is about: a word that stays the same.
    pub(crate) id: &'static str,
    /// How bad it is.
    pub(crate) severity: Severity,
    /// What was found, in one line.
    pub(crate) message: String,
    /// The command, or the setting in the rule file, that mends it.
    pub(crate) mend: Option<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { message, mend, .. } = self;
        match mend {
            Some(mend) => write!(f, "{message}: `{mend}`"),
            None => f.write_str(message),
        }
    }
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// As it should be.
    Ok,
    /// Good to know.
    Note,
    /// It costs speed, or hides something from the rules.
    Warning,
    /// No program can be attached in native mode, or at all.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// The largest frame that most drivers take in one buffer of a page of 4 KiB, without its Ethernet
/// header: a page less headroom, and less what the kernel keeps behind the frame.
const ONE_BUFFER: u32 = 4096 - 256 - 320 - 14;

/// The name of the program that libxdp attaches for several programs.
const DISPATCHER: &str = "xdp_dispatcher";

/// All findings, in the order of the way of a packet.
pub(crate) fn examine(facts: &Facts) -> Vec<Finding> {
    let findings = [
        ethernet(facts),
        driver(facts),
        native(facts),
        layers(facts),
        state(facts),
        mtu(facts),
        queues(facts),
        tags(facts),
        merging(facts),
        header_split(facts),
        pair(facts),
    ];
    let findings = findings.into_iter().flatten();
    findings.chain(programs(facts)).collect()
}

fn finding(
    id: &'static str,
    severity: Severity,
    message: impl Into<String>,
    mend: Option<String>,
) -> Option<Finding> {
    Some(Finding {
        id,
        severity,
        message: message.into(),
        mend,
    })
}

fn ethernet(facts: &Facts) -> Option<Finding> {
    if facts.has_ethernet {
        return None;
    }
    finding(
        "ethernet",
        Severity::Error,
        "its packets have no Ethernet header, as those of tunnels: it cannot be filtered",
        Some("take it out of `interfaces`; nftables can judge what leaves a tunnel".into()),
    )
}

fn driver(facts: &Facts) -> Option<Finding> {
    let name = facts.driver.as_deref().or(facts.kind.as_deref());
    let message = match name {
        Some(name) => format!("its driver is `{name}`"),
        None if facts.is_loopback => "it is the loopback interface".into(),
        None => "its driver is not known".into(),
    };
    finding("driver", Severity::Ok, message, None)
}

fn native(facts: &Facts) -> Option<Finding> {
    match facts.xdp {
        Some(features) if features.native() => finding(
            "native",
            Severity::Ok,
            "the driver runs XDP programs (native mode)",
            None,
        ),
        Some(_) => finding(
            "native",
            Severity::Warning,
            "the driver has no native XDP: programs run later, where they are slower (generic mode)",
            Some("set `mode = \"auto\"` or `mode = \"generic\"` in the rule file".into()),
        ),
        None => finding(
            "native",
            Severity::Note,
            "this kernel does not tell whether the driver has native XDP (Linux 6.3 does)",
            Some("set `mode = \"auto\"` in the rule file".into()),
        ),
    }
}

/// What it is on top of, and what is on top of it.
fn layers(facts: &Facts) -> Option<Finding> {
    let lowers = facts.lowers.join("`, `");
    let quoted = facts.lowers.join("\", \"");
    let mend = (!facts.lowers.is_empty())
        .then(|| format!("set `interfaces = [\"{quoted}\"]` in the rule file"));
    match facts.kind.as_deref() {
        Some("bond") => {
            return finding(
                "layers",
                Severity::Note,
                format!(
                    "it is a bond of `{lowers}`: native XDP depends on its mode (Linux 5.15) and on \
                     all of its ports"
                ),
                mend,
            );
        }
        Some(kind @ ("bridge" | "team" | "vlan" | "macvlan" | "macvtap" | "ipvlan")) => {
            let below = if facts.lowers.is_empty() {
                "the interfaces below".to_owned()
            } else {
                format!("`{lowers}`")
            };
            return finding(
                "layers",
                Severity::Warning,
                format!(
                    "it is a {kind}: packets have been through the stack before they reach it; \
                     {below} sees them first"
                ),
                mend,
            );
        }
        Some(_) | None => {}
    }
    let (upper, kind) = facts.upper.as_ref()?;
    let kind = kind.as_deref().unwrap_or("upper interface");
    finding(
        "layers",
        Severity::Note,
        format!("it is a port of the {kind} `{upper}`: packets are judged before they get there"),
        None,
    )
}

fn state(facts: &Facts) -> Option<Finding> {
    if !facts.is_up {
        let mend = format!("ip link set dev {} up", facts.name);
        return finding("state", Severity::Note, "it is down", Some(mend));
    }
    if !facts.has_carrier {
        return finding("state", Severity::Note, "it is up, without carrier", None);
    }
    finding("state", Severity::Ok, "it is up, with carrier", None)
}

/// Whether frames of the largest size fit what a native program takes.
fn mtu(facts: &Facts) -> Option<Finding> {
    if !is_native(facts) {
        return None;
    }
    let takes_frags = facts.program_takes_frags && facts.xdp.is_some_and(|xdp| xdp.frags());
    // A veth takes from its pair what the other end may send.
    let (name, mtu, whose) = match &facts.peer {
        Some(Peer::Seen {
            name,
            mtu,
            is_elsewhere,
            ..
        }) => {
            let place = if *is_elsewhere {
                ", in its network namespace"
            } else {
                ""
            };
            (
                name,
                *mtu,
                format!("the MTU of its other end `{name}`{place}"),
            )
        }
        Some(Peer::Hidden) | None => (&facts.name, facts.mtu, "its MTU".to_owned()),
    };
    if takes_frags || mtu <= ONE_BUFFER {
        return finding("mtu", Severity::Ok, format!("{whose} is {mtu}"), None);
    }
    let why = if facts.program_takes_frags {
        "the driver has native XDP for frames in one buffer only"
    } else {
        "this kernel, older than Linux 5.18, has XDP for frames in one buffer only"
    };
    finding(
        "mtu",
        Severity::Error,
        format!("{whose} is {mtu}: {why}, of most drivers at most {ONE_BUFFER}"),
        Some(format!("ip link set dev {name} mtu {ONE_BUFFER}")),
    )
}

fn queues(facts: &Facts) -> Option<Finding> {
    let channels = facts.channels?;
    let (rx, tx) = (
        channels.rx + channels.combined,
        channels.tx + channels.combined,
    );
    let name = &facts.name;
    if let Some(Peer::Seen {
        name: peer,
        tx: Some(sends),
        ..
    }) = &facts.peer
        && rx < *sends
    {
        let mend = if *sends <= channels.max_rx {
            format!("ethtool -L {name} rx {sends}")
        } else {
            format!("ethtool -L {peer} tx {rx}")
        };
        return finding(
            "queues",
            Severity::Error,
            format!(
                "it has {} to receive from, and its other end `{peer}` sends from {sends}: native \
                 XDP needs as many",
                counted(rx as usize, "queue")
            ),
            Some(mend),
        );
    }
    let driver = facts.driver.as_deref();
    // `virtnet_xdp_set`, `drivers/net/virtio_net.c`.
    if driver == Some("virtio_net") && channels.max_combined < channels.combined + facts.cpus {
        let most = channels.max_combined.saturating_sub(facts.cpus);
        let mend = if most > 0 {
            format!("ethtool -L {name} combined {most}")
        } else {
            format!(
                "give the virtual machine a device of {} queues",
                channels.combined + facts.cpus
            )
        };
        return finding(
            "queues",
            Severity::Warning,
            format!(
                "it uses {} of {} queues: native XDP wants one more for each of {} CPUs; Linux \
                 before 5.13 refuses, later ones share queues",
                channels.combined, channels.max_combined, facts.cpus
            ),
            Some(mend),
        );
    }
    // `ena_xdp_legal_queue_count`, `drivers/net/ethernet/amazon/ena`.
    if driver == Some("ena") && 2 * channels.combined > channels.max_combined {
        return finding(
            "queues",
            Severity::Error,
            format!(
                "it uses {} of {} queues: native XDP needs twice as many as are in use",
                channels.combined, channels.max_combined
            ),
            Some(format!(
                "ethtool -L {name} combined {}",
                (channels.max_combined / 2).max(1)
            )),
        );
    }
    let message = format!(
        "it has {} to receive from and {tx} to send from",
        counted(rx as usize, "queue")
    );
    finding("queues", Severity::Ok, message, None)
}

/// Whether the outer VLAN tag is beside the frame, where a native program does not see it.
fn tags(facts: &Facts) -> Option<Finding> {
    if !is_native(facts) {
        return None;
    }
    let (name, offload) = match &facts.peer {
        Some(Peer::Seen {
            name,
            hides_tags: Some(true),
            ..
        }) => (name, "txvlan"),
        Some(_) => return None,
        None if is_on(facts, "rx-vlan-hw-parse") => (&facts.name, "rxvlan"),
        None => return None,
    };
    let message = match facts.peer {
        Some(_) => format!(
            "`{name}` leaves the tags of its VLAN interfaces beside the frame: rules with `vlan` \
             do not see them"
        ),
        None => "the card takes VLAN tags out of the frame: rules with `vlan` do not see them"
            .to_owned(),
    };
    let mend = format!("ethtool -K {name} {offload} off");
    finding("vlan", Severity::Warning, message, Some(mend))
}

fn merging(facts: &Facts) -> Option<Finding> {
    if !is_native(facts) {
        return None;
    }
    let name = &facts.name;
    for (feature, option, what) in [
        ("rx-lro", "lro", "LRO"),
        ("rx-gro-hw", "rx-gro-hw", "GRO of the card"),
    ] {
        if is_on(facts, feature) {
            return finding(
                "merging",
                Severity::Warning,
                format!(
                    "{what} is on: packets are judged after they were merged, or the driver \
                     refuses a native program"
                ),
                Some(format!("ethtool -K {name} {option} off")),
            );
        }
    }
    None
}

fn header_split(facts: &Facts) -> Option<Finding> {
    if !is_native(facts) || facts.splits_headers != Some(true) {
        return None;
    }
    let (severity, message) = if facts.program_takes_frags {
        (
            Severity::Note,
            "the driver splits headers from data: each packet is in several buffers",
        )
    } else {
        (
            Severity::Error,
            "the driver splits headers from data, which native XDP does not take on this kernel",
        )
    };
    let mend = format!("ethtool -G {} tcp-data-split off", facts.name);
    finding("header-split", severity, message, Some(mend))
}

fn pair(facts: &Facts) -> Option<Finding> {
    let message = match facts.peer.as_ref()? {
        Peer::Hidden => {
            "its other end is in a network namespace that cannot be seen from here: its MTU and \
             queues are not known"
                .to_owned()
        }
        Peer::Seen {
            name, is_elsewhere, ..
        } => {
            let place = if *is_elsewhere {
                ", in another network namespace"
            } else {
                ""
            };
            format!(
                "its other end is `{name}`{place}; it needs no program there, since packets are \
                 passed or dropped and never sent back"
            )
        }
    };
    finding("pair", Severity::Note, message, None)
}

fn programs(facts: &Facts) -> Vec<Finding> {
    if facts.programs.is_empty() {
        let message = "it has no XDP program";
        return finding("program", Severity::Ok, message, None)
            .into_iter()
            .collect();
    }
    let of_one = |program: &Program| program_on(facts, program);
    facts.programs.iter().filter_map(of_one).collect()
}

fn program_on(facts: &Facts, program: &Program) -> Option<Finding> {
    let Program {
        attached,
        name,
        link,
    } = program;
    let id = attached.program;
    let mode = attached.mode;
    let interface = &facts.name;
    let described = match name {
        Some(name) => format!("`{name}`, id {id}"),
        None => format!("id {id}"),
    };
    if name.as_deref() == Some(firewall_ebpf::abi::PROGRAM) {
        let message = format!("a firewall is attached in {mode} mode: {described}");
        let mend = "firewall status".to_owned();
        return finding("program", Severity::Note, message, Some(mend));
    }
    let held = match link {
        Some(link) => format!("by link {link}"),
        None => "without a link, as far as can be seen".to_owned(),
    };
    let is_dispatcher = name.as_deref() == Some(DISPATCHER);
    let what = if is_dispatcher {
        "the dispatcher of libxdp"
    } else {
        "an XDP program"
    };
    let mend = if is_dispatcher {
        format!("xdp-loader unload --all {interface}")
    } else if let Some(link) = link {
        format!("bpftool link detach id {link}")
    } else {
        let mode = match mode {
            AttachMode::Native => "xdpdrv",
            AttachMode::Generic => "xdpgeneric",
            AttachMode::Offloaded => "xdpoffload",
        };
        format!("ip link set dev {interface} {mode} off")
    };
    finding(
        "program",
        Severity::Error,
        format!("{what} is attached in {mode} mode, {held}: {described}; it is never replaced"),
        Some(mend),
    )
}

fn is_native(facts: &Facts) -> bool {
    facts.xdp.is_none_or(|xdp| xdp.native())
}

fn is_on(facts: &Facts, offload: &str) -> bool {
    facts.offloads.get(offload) == Some(&true)
}
