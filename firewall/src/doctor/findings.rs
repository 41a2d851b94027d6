//! Derives findings, with their severity and fix, from the facts about an interface, without I/O.

mod hooks;

use firewall_ebpf::abi;

use crate::{
    doctor::{
        facts::{AttachedProgram, Facts, Peer},
        finding::{Finding, Fix, Severity, advice, command, finding},
    },
    interfaces::list::LinkLayer,
    kernel::link::AttachMode,
    text::format::{counted, grouped},
};

/// The largest frame that most drivers take in one buffer of a page of 4 KiB, without its Ethernet
/// header: a page without the headroom and the room that the kernel reserves after the frame.
const ONE_BUFFER: u32 = 4096 - 256 - 320 - 14;

/// The finding about what packets begin with.
const LINK_LAYER: &str = "ethernet";

/// The finding about driver support for native XDP.
pub(super) const NATIVE: &str = "native";

/// The finding about stacked interfaces.
pub(super) const LAYERS: &str = "layers";

/// The findings about XDP programs.
pub(super) const PROGRAM: &str = "program";

/// The finding that only matters to rules with `vlan`.
pub(super) const VLAN: &str = "vlan";

/// The finding about rules that are not those of the rule file.
pub(crate) const RULES: &str = "rules";

/// The finding about the table of flows.
const FLOWS: &str = "flows";

/// The name of the program by which libxdp dispatches to several programs.
const DISPATCHER: &str = "xdp_dispatcher";

/// How full the table of flows is, and how many answered flows had to give way to others.
pub(crate) fn flows(count: u32, max: u32, evicted_answered: u64) -> Finding {
    let is_filling = count > max / 2;
    let severity = match (is_filling, evicted_answered) {
        (true, _) => Severity::Warning,
        (false, 0) => Severity::Ok,
        (false, _) => Severity::Note,
    };
    let evicted = match evicted_answered {
        0 => "none had to give way while answered".to_owned(),
        1 => "1 had to give way while answered".to_owned(),
        number => format!("{} had to give way while answered", grouped(number)),
    };
    let message = format!(
        "the table of flows has {} of at most {}; {evicted}",
        grouped(count.into()),
        grouped(max.into())
    );
    let fix = (severity != Severity::Ok).then(|| {
        Fix::Advice(format!(
            "`max = {}` in `[flows]` makes it twice as large",
            u64::from(max) * 2
        ))
    });
    Finding {
        id: FLOWS,
        severity,
        message,
        fix,
    }
}

/// All findings, in the order in which a packet passes the parts they are about.
pub(crate) fn examine(facts: &Facts) -> Vec<Finding> {
    match facts.link_layer {
        LinkLayer::Ethernet => {}
        LinkLayer::Bare | LinkLayer::Other => return without_ethernet(facts),
    }
    let findings = [
        driver(facts),
        native(facts),
        layers(facts),
        state(facts),
        mtu(facts),
        queues(facts),
        tags(facts),
        merging(facts),
        header_split(facts),
        mpls(facts),
        pair(facts),
    ];
    let findings = findings.into_iter().flatten();
    let findings = findings.chain(programs(facts));
    findings.chain(hooks::examine(facts)).collect()
}

/// The findings about an interface without an Ethernet header, on which no XDP program is attached.
fn without_ethernet(facts: &Facts) -> Vec<Finding> {
    let findings = [link_layer(facts), driver(facts), state(facts), mpls(facts)];
    let findings = findings.into_iter().flatten();
    findings.chain(hooks::examine(facts)).collect()
}

/// What packets begin with, unless it is an Ethernet header.
fn link_layer(facts: &Facts) -> Option<Finding> {
    match facts.link_layer {
        LinkLayer::Ethernet => None,
        LinkLayer::Bare => finding(
            LINK_LAYER,
            Severity::Note,
            "its packets begin with their IP header, as those of tunnels: they are filtered at the ingress and egress \
             hooks of traffic control; `mode` does not matter, and their MAC addresses are 0 to rules",
            None,
        ),
        LinkLayer::Other => finding(
            LINK_LAYER,
            Severity::Error,
            "its packets begin with neither an Ethernet nor an IP header: it cannot be filtered",
            advice("take it out of `interfaces`"),
        ),
    }
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
            NATIVE,
            Severity::Ok,
            "the driver runs XDP programs (native mode)",
            None,
        ),
        Some(_) => finding(
            NATIVE,
            Severity::Warning,
            "the driver has no native XDP: programs run later, where they are slower (generic mode)",
            advice("set `mode = \"auto\"` or `mode = \"generic\"` in the rule file"),
        ),
        None => finding(
            NATIVE,
            Severity::Note,
            "this kernel does not report whether the driver has native XDP (Linux 6.3 and later do)",
            advice("set `mode = \"auto\"` in the rule file"),
        ),
    }
}

/// The interfaces below and above this one.
fn layers(facts: &Facts) -> Option<Finding> {
    let lowers = facts.lowers.join("`, `");
    let quoted = facts.lowers.join("\", \"");
    let fix = (!facts.lowers.is_empty()).then(|| {
        Fix::Advice(format!(
            "set `interfaces = [\"{quoted}\"]` in the rule file"
        ))
    });
    match facts.kind.as_deref() {
        Some("bond") => {
            return finding(
                LAYERS,
                Severity::Note,
                format!(
                    "it is a bond of `{lowers}`: native XDP depends on its mode (Linux 5.15) and on \
                     all of its ports"
                ),
                fix,
            );
        }
        Some(kind @ ("bridge" | "team" | "vlan" | "macvlan" | "macvtap" | "ipvlan")) => {
            let below = if facts.lowers.is_empty() {
                "the interfaces below".to_owned()
            } else {
                format!("`{lowers}`")
            };
            return finding(
                LAYERS,
                Severity::Warning,
                format!(
                    "it is a {kind}: packets have been through the stack before they reach it; \
                     {below} sees them first"
                ),
                fix,
            );
        }
        Some(_) | None => {}
    }
    let (upper, kind) = facts.upper.as_ref()?;
    let kind = kind.as_deref().unwrap_or("upper interface");
    finding(
        LAYERS,
        Severity::Note,
        format!("it is a port of the {kind} `{upper}`: packets are filtered before they get there"),
        None,
    )
}

fn state(facts: &Facts) -> Option<Finding> {
    if !facts.is_up {
        let fix = format!("ip link set dev {} up", facts.name);
        return finding("state", Severity::Note, "it is down", command(fix));
    }
    if !facts.has_carrier {
        return finding("state", Severity::Note, "it is up, without carrier", None);
    }
    finding("state", Severity::Ok, "it is up, with carrier", None)
}

/// Whether frames of the largest size fit the buffer of a native program.
fn mtu(facts: &Facts) -> Option<Finding> {
    if !is_native(facts) {
        return None;
    }
    let takes_frags = facts.program_takes_frags && facts.xdp.is_some_and(|xdp| xdp.frags());
    // A veth receives frames up to the MTU of its peer.
    let (name, mtu, whose) = match &facts.peer {
        Some(Peer::Seen { name, mtu, .. }) => {
            (name, *mtu, format!("its other end `{name}` has an"))
        }
        Some(Peer::Hidden) | None => (&facts.name, facts.mtu, "it has an".to_owned()),
    };
    let message = format!("{whose} MTU of {mtu}");
    if takes_frags || mtu <= ONE_BUFFER {
        return finding("mtu", Severity::Ok, message, None);
    }
    let why = if facts.program_takes_frags {
        "the driver has native XDP for frames in one buffer only"
    } else {
        "this kernel, older than Linux 5.18, has XDP for frames in one buffer only"
    };
    finding(
        "mtu",
        Severity::Error,
        format!("{message}: {why}, with most drivers at most {ONE_BUFFER}"),
        command(format!("ip link set dev {name} mtu {ONE_BUFFER}")),
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
        let fix = if channels.max_rx == 0 {
            Fix::Advice(format!(
                "recreate the pair, `{name}` with `numrxqueues {sends}`: before Linux 5.15 its \
                 queues cannot be changed"
            ))
        } else if *sends <= channels.max_rx {
            Fix::Command(format!("ethtool -L {name} rx {sends}"))
        } else {
            Fix::Command(format!("ethtool -L {peer} tx {rx}"))
        };
        return finding(
            "queues",
            Severity::Error,
            format!(
                "it has {} to receive from, and its other end `{peer}` sends from {sends}: native \
                 XDP needs as many",
                counted(rx, "queue")
            ),
            Some(fix),
        );
    }
    let driver = facts.driver.as_deref();
    // `virtnet_xdp_set`, `drivers/net/virtio_net.c`.
    if driver == Some("virtio_net") && channels.max_combined < channels.combined + facts.cpus {
        let maximum = channels.max_combined.saturating_sub(facts.cpus);
        let fix = if maximum > 0 {
            Fix::Command(format!("ethtool -L {name} combined {maximum}"))
        } else {
            Fix::Advice(format!(
                "give the virtual machine a device of {}",
                counted(channels.combined + facts.cpus, "queue")
            ))
        };
        return finding(
            "queues",
            Severity::Warning,
            format!(
                "it uses {} of {}: native XDP wants {} more, one for each CPU; Linux before 5.13 \
                 refuses, later ones share queues",
                channels.combined,
                counted(channels.max_combined, "queue"),
                facts.cpus
            ),
            Some(fix),
        );
    }
    // `ena_xdp_legal_queue_count`, `drivers/net/ethernet/amazon/ena`.
    if driver == Some("ena") && 2 * channels.combined > channels.max_combined {
        return finding(
            "queues",
            Severity::Error,
            format!(
                "it uses {} of {}: native XDP needs twice as many as are in use",
                channels.combined,
                counted(channels.max_combined, "queue")
            ),
            command(format!(
                "ethtool -L {name} combined {}",
                (channels.max_combined / 2).max(1)
            )),
        );
    }
    let message = format!(
        "it has {} to receive from and {tx} to send from",
        counted(rx, "queue")
    );
    finding("queues", Severity::Ok, message, None)
}

/// Whether the outer VLAN tag is kept outside the frame, where a native program does not see it.
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
    let fix = format!("ethtool -K {name} {offload} off");
    finding(VLAN, Severity::Note, message, command(fix))
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
                    "{what} is on: packets are filtered after they were merged, or the driver \
                     refuses a native program"
                ),
                command(format!("ethtool -K {name} {option} off")),
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
    let fix = format!("ethtool -G {} tcp-data-split off", facts.name);
    finding("header-split", severity, message, command(fix))
}

/// Whether packets arrive in which the rules do not look.
fn mpls(facts: &Facts) -> Option<Finding> {
    if !facts.takes_mpls {
        return None;
    }
    finding(
        "mpls",
        Severity::Note,
        "it takes MPLS packets: what is inside is not looked into, and neither addresses nor ports match",
        advice(
            "rules with `ethertype = \"mpls\"` decide about them, or else `unknown_ethertype` in `[parser]`",
        ),
    )
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
        return finding(PROGRAM, Severity::Ok, message, None)
            .into_iter()
            .collect();
    }
    let of_one = |program: &AttachedProgram| program_on(facts, program);
    facts.programs.iter().filter_map(of_one).collect()
}

fn program_on(facts: &Facts, program: &AttachedProgram) -> Option<Finding> {
    let AttachedProgram {
        attached,
        name,
        instance,
        link,
    } = program;
    let id = attached.program;
    let mode = attached.mode;
    let interface = &facts.name;
    let Some(name) = name else {
        let message = format!(
            "an XDP program is attached in {mode} mode, id {id}: without the privilege to see its name it is \
             not known whether it is this firewall"
        );
        let fix = format!("sudo firewall doctor {interface}");
        return finding(PROGRAM, Severity::Note, message, command(fix));
    };
    let described = format!("`{name}`, id {id}");
    if let Some(instance) = instance {
        let message = format!(
            "the firewall of the instance `{instance}` is attached in {mode} mode: {described}"
        );
        let fix = format!("firewall --instance {instance} status");
        return finding(PROGRAM, Severity::Note, message, command(fix));
    }
    if [abi::PROGRAM, abi::LINEAR_PROGRAM]
        .iter()
        .any(|program| abi::is_called(program, name))
    {
        let message = format!(
            "a firewall is attached in {mode} mode, of an instance that is not pinned in this BPF file system: \
             {described}"
        );
        let fix = "`--bpffs` names the BPF file system of an instance";
        return finding(PROGRAM, Severity::Note, message, advice(fix));
    }
    let held = match link {
        Some(link) => format!("by link {link}"),
        None => "without a link, as far as can be seen".to_owned(),
    };
    let is_dispatcher = name == DISPATCHER;
    let what = if is_dispatcher {
        "the dispatcher of libxdp"
    } else {
        "an XDP program"
    };
    let fix = if is_dispatcher {
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
        PROGRAM,
        Severity::Error,
        format!("{what} is attached in {mode} mode, {held}: {described}; it is never replaced"),
        command(fix),
    )
}

fn is_native(facts: &Facts) -> bool {
    facts.xdp.is_none_or(|xdp| xdp.native())
}

fn is_on(facts: &Facts, offload: &str) -> bool {
    facts.offloads.get(offload) == Some(&true)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        doctor::{
            facts::{HookProgram, TrafficControl},
            generic_netlink::XdpFeatures,
        },
        interfaces::list::Attached,
        kernel::{ethtool::Channels, hook::Hook},
    };

    /// A card without problems.
    fn card() -> Facts {
        Facts {
            name: "eth0".into(),
            kind: None,
            driver: Some("ice".into()),
            is_loopback: false,
            link_layer: LinkLayer::Ethernet,
            is_up: true,
            has_carrier: true,
            mtu: 1500,
            channels: Some(Channels {
                max_combined: 16,
                combined: 8,
                ..Channels::default()
            }),
            offloads: BTreeMap::new(),
            splits_headers: Some(false),
            xdp: Some(XdpFeatures(1 | 32)),
            programs: Vec::new(),
            traffic_control: Some(TrafficControl {
                takes_links: true,
                programs: Vec::new(),
            }),
            upper: None,
            lowers: Vec::new(),
            peer: None,
            cpus: 4,
            program_takes_frags: true,
            takes_mpls: false,
        }
    }

    /// All problems, one finding a line.
    fn complaints(facts: &Facts) -> String {
        let findings = examine(facts).into_iter();
        let lines: Vec<String> = findings
            .filter(|finding| finding.severity != Severity::Ok)
            .map(|finding| format!("{} {}: {finding}", finding.severity, finding.id))
            .collect();
        lines.join("\n")
    }

    #[test]
    fn nothing_is_said_against_a_card_that_is_well() {
        assert_eq!(complaints(&card()), "");
    }

    #[test]
    fn virtual_interfaces_are_filtered_below() {
        let vlan = Facts {
            name: "eth0.7".into(),
            kind: Some("vlan".into()),
            driver: Some("802.1Q VLAN Support".into()),
            channels: None,
            xdp: Some(XdpFeatures(0)),
            lowers: vec!["eth0".into()],
            ..card()
        };
        insta::assert_snapshot!("vlan", complaints(&vlan));
        let bond = Facts {
            name: "bond0".into(),
            kind: Some("bond".into()),
            lowers: vec!["eth0".into(), "eth1".into()],
            ..card()
        };
        insta::assert_snapshot!("bond", complaints(&bond));
        let dummy = Facts {
            kind: Some("dummy".into()),
            driver: None,
            channels: None,
            xdp: Some(XdpFeatures(0)),
            ..card()
        };
        insta::assert_snapshot!("dummy", complaints(&dummy));
    }

    #[test]
    fn a_large_mtu_is_an_error_where_frames_must_be_in_one_buffer() {
        let large = Facts {
            mtu: 9000,
            ..card()
        };
        assert_eq!(complaints(&large), "");
        let old_driver = Facts {
            xdp: Some(XdpFeatures(1)),
            ..large.clone()
        };
        insta::assert_snapshot!("mtu-driver", complaints(&old_driver));
        let old_kernel = Facts {
            program_takes_frags: false,
            ..large
        };
        insta::assert_snapshot!("mtu-kernel", complaints(&old_kernel));
    }

    #[test]
    fn queues_are_counted_as_the_driver_counts_them() {
        let with = |driver: &str, combined, max_combined| Facts {
            driver: Some(driver.into()),
            channels: Some(Channels {
                combined,
                max_combined,
                ..Channels::default()
            }),
            ..card()
        };
        let all = [
            with("virtio_net", 4, 8),
            with("virtio_net", 4, 6),
            with("virtio_net", 4, 4),
            with("ena", 4, 8),
            with("ena", 8, 8),
        ];
        let found: Vec<String> = all.iter().map(complaints).collect();
        assert!(found[0].is_empty() && found[3].is_empty(), "{found:?}");
        insta::assert_snapshot!("queues", found.join("\n"));
    }

    #[test]
    fn offloads_that_hide_or_merge_are_reported() {
        let facts = Facts {
            offloads: [("rx-vlan-hw-parse", true), ("rx-lro", true)]
                .map(|(name, on)| (name.to_owned(), on))
                .into(),
            splits_headers: Some(true),
            ..card()
        };
        insta::assert_snapshot!("offloads", complaints(&facts));
    }

    #[test]
    fn programs_are_told_with_how_they_are_detached() {
        let program = |name: Option<&str>, instance: Option<&str>, link, mode| AttachedProgram {
            attached: Attached { mode, program: 7 },
            name: name.map(str::to_owned),
            instance: instance.map(str::to_owned),
            link,
        };
        let facts = Facts {
            programs: vec![
                program(Some("xdp_dispatcher"), None, None, AttachMode::Native),
                program(Some("other"), None, Some(3), AttachMode::Native),
                program(Some("other"), None, None, AttachMode::Generic),
                program(None, None, None, AttachMode::Native),
                program(Some("firewall"), Some("wan"), Some(4), AttachMode::Native),
                program(Some("firewall"), None, Some(4), AttachMode::Native),
            ],
            ..card()
        };
        insta::assert_snapshot!("programs", complaints(&facts));
    }

    #[test]
    fn programs_at_the_egress_hook_may_rewrite_packets() {
        let program = |name: Option<&str>, instance: Option<&str>| HookProgram {
            hook: Hook::Egress,
            id: 7,
            name: name.map(str::to_owned),
            instance: instance.map(str::to_owned),
        };
        let with = |takes_links, programs| Facts {
            traffic_control: Some(TrafficControl {
                takes_links,
                programs,
            }),
            ..card()
        };
        let own = || program(Some("firewall_egress"), Some("wan"));
        let all = [
            with(false, Vec::new()),
            with(true, vec![program(Some("cil_to_netdev"), None)]),
            with(
                true,
                vec![
                    program(Some("first"), None),
                    own(),
                    program(Some("last"), None),
                ],
            ),
            with(
                true,
                vec![program(None, None), program(Some("firewall_egress"), None)],
            ),
            Facts {
                traffic_control: None,
                ..card()
            },
        ];
        let found: Vec<String> = all.iter().map(complaints).collect();
        insta::assert_snapshot!("egress", found.join("\n\n"));
    }

    #[test]
    fn interfaces_without_ethernet_header_are_filtered_by_traffic_control() {
        let tunnel = Facts {
            name: "wg0".into(),
            kind: Some("wireguard".into()),
            driver: None,
            link_layer: LinkLayer::Bare,
            // None of this matters without XDP.
            xdp: Some(XdpFeatures(0)),
            splits_headers: Some(true),
            mtu: 9000,
            program_takes_frags: false,
            traffic_control: Some(TrafficControl {
                takes_links: true,
                programs: [Hook::BareIngress, Hook::BareEgress]
                    .map(|hook| HookProgram {
                        hook,
                        id: 8,
                        name: Some("shaper".into()),
                        instance: None,
                    })
                    .into(),
            }),
            ..card()
        };
        insta::assert_snapshot!("tunnel", complaints(&tunnel));
        let radio = Facts {
            link_layer: LinkLayer::Other,
            traffic_control: None,
            ..tunnel
        };
        insta::assert_snapshot!("radio", complaints(&radio));
    }

    #[test]
    fn mpls_is_a_note_where_the_machine_takes_it() {
        let facts = Facts {
            takes_mpls: true,
            ..card()
        };
        insta::assert_snapshot!("mpls", complaints(&facts));
    }

    #[test]
    fn the_other_end_of_a_pair_counts() {
        let veth = |peer| Facts {
            kind: Some("veth".into()),
            driver: Some("veth".into()),
            channels: Some(Channels {
                max_rx: 4,
                rx: 1,
                tx: 1,
                ..Channels::default()
            }),
            peer: Some(peer),
            program_takes_frags: false,
            ..card()
        };
        let peer = |mtu, tx| Peer::Seen {
            name: "eth1".into(),
            is_elsewhere: false,
            mtu,
            tx: Some(tx),
            hides_tags: Some(false),
        };
        let all = [peer(9000, 1), peer(1500, 2), peer(1500, 8), Peer::Hidden];
        let mut found: Vec<String> = all.map(|peer| complaints(&veth(peer))).into();
        let fixed = Facts {
            channels: Some(Channels {
                rx: 1,
                tx: 1,
                ..Channels::default()
            }),
            ..veth(peer(1500, 2))
        };
        found.push(complaints(&fixed));
        insta::assert_snapshot!("pairs", found.join("\n"));
    }
}
