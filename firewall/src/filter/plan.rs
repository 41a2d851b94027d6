//! Plans the steps in the kernel that bring a compiled rule set into force, without I/O.

use std::collections::BTreeSet;

use rules::{compiler::InterfaceIndex, model::Mode};

use crate::{
    interfaces::list::{Interface, LinkLayer},
    kernel::{hook::Hook, image_size::ImageSize, link::AttachMode, slot::Capacity},
};

/// The present state of the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Present {
    /// The length of the images that the running program of this process takes; `None` when this
    /// process has not loaded it.
    pub(crate) size: Option<ImageSize>,
    /// The capacity of the counters; `None` when there are none to reuse.
    pub(crate) capacity: Option<Capacity>,
    /// The slots of the table of flows of the running program, if it has one.
    pub(crate) flows: Option<u32>,
    /// Our links.
    pub(crate) links: Vec<PresentLink>,
}

/// A link of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PresentLink {
    /// Where its program runs.
    pub(crate) hook: Hook,
    /// The interface's name when the link was pinned.
    pub(crate) name: String,
    /// The interface, unless it is gone or the link was detached.
    pub(crate) interface: Option<InterfaceIndex>,
    /// Whether that is known to be in another network namespace. Of an XDP link, the programs that run on the
    /// interfaces say so.
    pub(crate) is_elsewhere: bool,
    /// The program that the link runs.
    pub(crate) program: u32,
}

/// The wanted state of the kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    /// The smallest length of an image map that holds the image.
    pub(crate) size: ImageSize,
    /// The largest length that an image map may have.
    pub(crate) most: ImageSize,
    /// The smallest capacity that holds the slots.
    pub(crate) capacity: Capacity,
    /// The mode asked for.
    pub(crate) mode: Mode,
    /// Whether links in a mode that is not the best one are attached again.
    pub(crate) seeks_best_mode: bool,
    /// The interfaces to attach to.
    pub(crate) interfaces: &'a [&'a Interface],
    /// Those of them that may refuse without an error.
    pub(crate) optional: &'a BTreeSet<InterfaceIndex>,
    /// Whether programs see packets that are sent.
    pub(crate) egress: bool,
    /// The slots of the table of flows, if rules ask for states.
    pub(crate) flows: Option<u32>,
}

/// The steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The length of the new image's map.
    pub(crate) size: ImageSize,
    /// The step for the program.
    pub(crate) program: ProgramStep,
    /// The slots of its table of flows, if it has one.
    pub(crate) flows: Option<u32>,
    /// Whether flows are tracked that were not: what records them is attached before rules ask for them.
    pub(crate) begins_to_track: bool,
    /// The steps for the links at the XDP hook, in order.
    pub(crate) links: Vec<LinkStep>,
    /// Those for the links at the hooks of traffic control.
    pub(crate) traffic_control: Vec<(Hook, Vec<LinkStep>)>,
    /// The optional interfaces that have another program.
    pub(crate) occupied: Vec<Occupied>,
    /// The interfaces to be attached to.
    pub(crate) interfaces: Vec<InterfaceIndex>,
}

impl Plan {
    /// The interfaces that are detached from and attached to again, in another mode.
    pub(crate) fn reattached(&self) -> impl Iterator<Item = &str> {
        self.links.iter().filter_map(|step| match step {
            LinkStep::Reattach { name, .. } => Some(name.as_str()),
            LinkStep::Forget { .. }
            | LinkStep::Rename { .. }
            | LinkStep::Keep { .. }
            | LinkStep::Attach(_)
            | LinkStep::Detach { .. } => None,
        })
    }

    /// The interfaces that are attached to.
    pub(crate) fn targets(&self) -> impl Iterator<Item = &AttachTarget> {
        self.links.iter().filter_map(|step| match step {
            LinkStep::Attach(target) | LinkStep::Reattach { target, .. } => Some(target),
            LinkStep::Forget { .. }
            | LinkStep::Rename { .. }
            | LinkStep::Keep { .. }
            | LinkStep::Detach { .. } => None,
        })
    }

    /// The steps for the links at each hook, in order.
    pub(crate) fn steps(&self) -> impl Iterator<Item = (Hook, &[LinkStep])> {
        let others = self.traffic_control.iter();
        let others = others.map(|(hook, steps)| (*hook, steps.as_slice()));
        std::iter::once((Hook::Xdp, self.links.as_slice())).chain(others)
    }

    /// The hooks of traffic control that links are to be at.
    pub(crate) fn hooks(&self) -> impl Iterator<Item = Hook> {
        let hooks = self.traffic_control.iter().filter(|(_, steps)| {
            steps
                .iter()
                .any(|step| matches!(step, LinkStep::Keep { .. } | LinkStep::Attach(_)))
        });
        hooks.map(|(hook, _)| *hook)
    }

    /// Whether an interface is attached to at a hook.
    pub(crate) fn attaches(&self, hook: Hook, interface: &str) -> bool {
        let attaches =
            |step: &LinkStep| matches!(step, LinkStep::Attach(target) if target.name == interface);
        self.steps()
            .any(|(at, steps)| at == hook && steps.iter().any(attaches))
    }

    /// Whether packets out of more interfaces are seen.
    pub(crate) fn sees_more_out(&self) -> bool {
        let attaches = |step: &LinkStep| matches!(step, LinkStep::Attach(_));
        self.steps()
            .any(|(hook, steps)| hook.is_egress() && steps.iter().any(attaches))
    }

    /// Whether flows are recorded that were not: those of all interfaces, or of more.
    pub(crate) fn records_more(&self) -> bool {
        self.flows.is_some() && (self.begins_to_track || self.sees_more_out())
    }

    /// Whether nothing happens to links.
    pub(crate) fn keeps_links(&self) -> bool {
        let mut steps = self.steps().flat_map(|(_, steps)| steps);
        steps.all(|step| matches!(step, LinkStep::Keep { .. }))
    }
}

/// The step for the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProgramStep {
    /// Keep it; the new image replaces the old one.
    Keep,
    /// Load a new one with the existing counters.
    Load,
    /// Load a new one with new counters of this capacity.
    LoadWithCounters(Capacity),
}

/// A step for the link to an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LinkStep {
    /// Remove its pin: the interface is gone, or the link was detached.
    Forget {
        /// The name under which it is pinned.
        name: String,
    },
    /// Rename its pin: the interface was renamed, or another link needs the name.
    Rename {
        /// The name under which it is pinned.
        name: String,
        /// The new one. The later steps know the link by it.
        to: String,
    },
    /// Keep it; a new program replaces the old one.
    Keep {
        /// The name under which it is pinned.
        name: String,
    },
    /// Create it.
    Attach(AttachTarget),
    /// Recreate it in another mode; the interface is unfiltered in between.
    Reattach {
        /// The name under which the present one is pinned.
        name: String,
        /// The mode of the present one.
        from: AttachMode,
        /// The new one.
        target: AttachTarget,
    },
    /// Remove it.
    Detach {
        /// The name under which it is pinned.
        name: String,
    },
}

impl LinkStep {
    fn order(&self) -> u8 {
        match self {
            Self::Forget { .. } => 0,
            Self::Rename { .. } => 1,
            Self::Keep { .. } => 2,
            Self::Attach(_) => 3,
            Self::Reattach { .. } => 4,
            Self::Detach { .. } => 5,
        }
    }
}

/// An interface to attach to, and in which modes to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AttachTarget {
    /// The interface's name.
    pub(crate) name: String,
    /// The interface.
    pub(crate) index: InterfaceIndex,
    /// The modes to try, best first; never empty.
    pub(crate) modes: &'static [AttachMode],
    /// Whether a refusal undoes the whole plan.
    pub(crate) required: bool,
}

/// An interface with another program.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("interface `{interface}` already has an XDP program")]
pub(crate) struct Occupied {
    /// The interface.
    pub(crate) interface: String,
    /// Its index.
    pub(crate) index: InterfaceIndex,
    /// The program.
    pub(crate) program: u32,
}

/// Plans the steps from `present` to `wanted`.
///
/// # Errors
///
/// When an interface has another program.
pub(crate) fn plan(present: &Present, wanted: &Wanted<'_>) -> Result<Plan, Occupied> {
    let (links, occupied) = xdp_links(present, wanted)?;
    // An interface is filtered in both directions or in none.
    let is_occupied = |interface: &Interface| {
        let mut occupied = occupied.iter();
        occupied.any(|occupied| occupied.index == interface.index)
            && link_to(interface, present, Hook::Xdp).is_none()
    };
    let traffic_control = Hook::TRAFFIC_CONTROL.map(|hook| {
        let interfaces =
            wanted.interfaces.iter().copied().filter(|interface| {
                needs(interface, hook, wanted.egress) && !is_occupied(interface)
            });
        (
            hook,
            traffic_control_links(present, wanted, hook, interfaces),
        )
    });
    let capacity = present
        .capacity
        .filter(|&capacity| capacity >= wanted.capacity);
    let size = present.size.map_or(wanted.size, |present| {
        wanted.size.given(present, wanted.most)
    });
    Ok(Plan {
        size,
        program: match capacity {
            None => ProgramStep::LoadWithCounters(wanted.capacity),
            Some(_) if present.size == Some(size) && present.flows == wanted.flows => {
                ProgramStep::Keep
            }
            Some(_) => ProgramStep::Load,
        },
        flows: wanted.flows,
        begins_to_track: wanted.flows.is_some() && present.flows.is_none(),
        links,
        traffic_control: traffic_control
            .into_iter()
            .filter(|(_, steps)| !steps.is_empty())
            .collect(),
        occupied,
        interfaces: wanted
            .interfaces
            .iter()
            .map(|interface| interface.index)
            .collect(),
    })
}

/// Whether an interface is filtered at a hook; `egress` if packets that are sent are filtered.
fn needs(interface: &Interface, hook: Hook, egress: bool) -> bool {
    match hook {
        Hook::Xdp => interface.link_layer == LinkLayer::Ethernet,
        Hook::BareIngress => interface.link_layer == LinkLayer::Bare,
        Hook::Egress => egress && interface.link_layer == LinkLayer::Ethernet,
        Hook::BareEgress => egress && interface.link_layer == LinkLayer::Bare,
    }
}

/// The steps for the links at the XDP hook, and the optional interfaces that have another program.
fn xdp_links(
    present: &Present,
    wanted: &Wanted<'_>,
) -> Result<(Vec<LinkStep>, Vec<Occupied>), Occupied> {
    let modes = modes(wanted.mode);
    let mut links = Vec::new();
    let mut occupied = Vec::new();
    let mut kept: Vec<(&PresentLink, &Interface)> = Vec::new();
    let of_xdp = |interface: &&Interface| needs(interface, Hook::Xdp, wanted.egress);
    let interfaces: Vec<&Interface> = wanted.interfaces.iter().copied().filter(of_xdp).collect();
    for interface in interfaces.iter().copied() {
        let required = !wanted.optional.contains(&interface.index);
        let target = AttachTarget {
            name: interface.name.clone(),
            index: interface.index,
            modes,
            required,
        };
        let link = link_to(interface, present, Hook::Xdp);
        let foreign = interface
            .programs
            .iter()
            .find(|attached| link.is_none_or(|link| link.program != attached.program));
        if let Some(foreign) = foreign {
            let foreign = Occupied {
                interface: interface.name.clone(),
                index: interface.index,
                program: foreign.program,
            };
            if required {
                return Err(foreign);
            }
            occupied.push(foreign);
            // A link beside another program stays.
            let Some(link) = link else { continue };
            kept.push((link, interface));
            links.push(LinkStep::Keep {
                name: interface.name.clone(),
            });
            continue;
        }
        let mode = interface.programs.first().map(|attached| attached.mode);
        let Some(link) = link else {
            links.push(LinkStep::Attach(target));
            continue;
        };
        kept.push((link, interface));
        let name = interface.name.clone();
        links.push(match mode {
            Some(from)
                if !modes.contains(&from)
                    || wanted.seeks_best_mode && modes.first() != Some(&from) =>
            {
                LinkStep::Reattach {
                    name,
                    from,
                    // It is filtered, and stays so.
                    target: AttachTarget {
                        required: true,
                        ..target
                    },
                }
            }
            Some(_) | None => LinkStep::Keep { name },
        });
    }
    leave(present, Hook::Xdp, &interfaces, &kept, &mut links);
    Ok((links, occupied))
}

/// The steps for the links at a hook of traffic control, where other programs do not matter.
fn traffic_control_links<'a>(
    present: &Present,
    wanted: &Wanted<'_>,
    hook: Hook,
    interfaces: impl Iterator<Item = &'a Interface>,
) -> Vec<LinkStep> {
    let interfaces: Vec<&Interface> = interfaces.collect();
    let mut kept: Vec<(&PresentLink, &Interface)> = Vec::new();
    let mut links = Vec::new();
    for interface in interfaces.iter().copied() {
        links.push(match link_to(interface, present, hook) {
            Some(link) => {
                kept.push((link, interface));
                LinkStep::Keep {
                    name: interface.name.clone(),
                }
            }
            None => LinkStep::Attach(AttachTarget {
                name: interface.name.clone(),
                index: interface.index,
                modes: &[],
                required: !wanted.optional.contains(&interface.index),
            }),
        });
    }
    leave(present, hook, &interfaces, &kept, &mut links);
    links
}

/// Adds the steps for links that are not kept and for pins that get another name, and sorts all.
fn leave(
    present: &Present,
    hook: Hook,
    interfaces: &[&Interface],
    kept: &[(&PresentLink, &Interface)],
    links: &mut Vec<LinkStep>,
) {
    let mut renames = Renames::of(present, hook, interfaces);
    for link in present.links.iter().filter(|link| link.hook == hook) {
        let name = link.name.clone();
        let interface = kept.iter().find(|(kept, _)| std::ptr::eq(*kept, link));
        match (link.interface, interface) {
            (None, _) => links.push(LinkStep::Forget { name }),
            (Some(_), Some((_, interface))) => renames.follow(link, interface),
            (Some(index), None) => {
                let name = renames.make_room(name, index);
                links.push(LinkStep::Detach { name });
            }
        }
    }
    links.extend(renames.steps());
    links.sort_by_key(LinkStep::order);
}

/// The link at a hook of an interface. Its program must run there: the index of a link whose interface was
/// moved to another network namespace is one of that namespace.
fn link_to<'a>(interface: &Interface, present: &'a Present, hook: Hook) -> Option<&'a PresentLink> {
    let runs = |link: &&PresentLink| {
        let mut programs = interface.programs.iter();
        link.hook == hook
            && link.interface == Some(interface.index)
            && match hook {
                Hook::Xdp => programs.any(|attached| attached.program == link.program),
                Hook::BareIngress | Hook::Egress | Hook::BareEgress => !link.is_elsewhere,
            }
    };
    let mut links: Vec<_> = present.links.iter().filter(runs).collect();
    links.sort_by_key(|link| link.name != interface.name);
    links.first().copied()
}

/// Plans the renames of pins after which each has the name of its interface.
struct Renames<'a> {
    /// The names of all links.
    taken: BTreeSet<&'a str>,
    /// The names that links must have.
    wanted: BTreeSet<&'a str>,
    first: Vec<LinkStep>,
    then: Vec<LinkStep>,
}

impl<'a> Renames<'a> {
    fn of(present: &'a Present, hook: Hook, interfaces: &[&'a Interface]) -> Self {
        let links = present.links.iter();
        let links = links.filter(|link| link.hook == hook && link.interface.is_some());
        Self {
            taken: links.map(|link| &*link.name).collect(),
            wanted: interfaces
                .iter()
                .map(|interface| &*interface.name)
                .collect(),
            first: Vec::new(),
            then: Vec::new(),
        }
    }

    /// Gives the link the name of its interface, via a temporary name while another link still has
    /// it, which in turn may be about to get the name of this one.
    fn follow(&mut self, link: &PresentLink, interface: &Interface) {
        let (name, to) = (link.name.clone(), interface.name.clone());
        if name == to {
            return;
        }
        if self.taken.contains(&*to) {
            let aside = aside(&name, interface.index);
            self.first.push(LinkStep::Rename {
                name,
                to: aside.clone(),
            });
            self.then.push(LinkStep::Rename { name: aside, to });
        } else {
            self.first.push(LinkStep::Rename { name, to });
        }
    }

    /// The name of the pin of a link to remove; a temporary one if another link needs its name.
    fn make_room(&mut self, name: String, index: InterfaceIndex) -> String {
        if !self.wanted.contains(&*name) {
            return name;
        }
        let to = aside(&name, index);
        self.first.push(LinkStep::Rename {
            name,
            to: to.clone(),
        });
        to
    }

    fn steps(self) -> impl Iterator<Item = LinkStep> {
        self.first.into_iter().chain(self.then)
    }
}

/// A name that no interface can have, since it contains `:` (`dev_valid_name`, `net/core/dev.c`).
fn aside(name: &str, index: InterfaceIndex) -> String {
    format!("{name}:{}", index.0)
}

fn modes(mode: Mode) -> &'static [AttachMode] {
    match mode {
        Mode::Native => &[AttachMode::Native],
        Mode::Generic => &[AttachMode::Generic],
        Mode::Auto => &[AttachMode::Native, AttachMode::Generic],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interfaces::list::Attached;

    const OURS: u32 = 7;

    fn interface(index: u32, programs: &[(AttachMode, u32)]) -> Interface {
        Interface {
            index: InterfaceIndex(index),
            name: format!("eth{index}"),
            link_layer: LinkLayer::Ethernet,
            programs: programs
                .iter()
                .map(|&(mode, program)| Attached { mode, program })
                .collect(),
            bonded: Vec::new(),
        }
    }

    fn present(links: &[u32]) -> Present {
        Present {
            size: ImageSize::for_length(1 << 16),
            capacity: Some(Capacity::of_slots(64)),
            flows: None,
            links: links
                .iter()
                .map(|&index| PresentLink {
                    hook: Hook::Xdp,
                    name: format!("eth{index}"),
                    interface: Some(InterfaceIndex(index)),
                    is_elsewhere: false,
                    program: OURS,
                })
                .collect(),
        }
    }

    fn planned(
        present: &Present,
        interfaces: &[Interface],
        mode: Mode,
        length: usize,
        slots: u32,
    ) -> Result<Plan, Occupied> {
        let interfaces: Vec<&Interface> = interfaces.iter().collect();
        let optional = BTreeSet::new();
        let wanted = Wanted {
            size: ImageSize::for_length(length).unwrap(),
            most: ImageSize::within(u32::MAX),
            capacity: Capacity::of_slots(slots),
            mode,
            seeks_best_mode: false,
            interfaces: &interfaces,
            optional: &optional,
            egress: false,
            flows: None,
        };
        plan(present, &wanted)
    }

    fn target(index: u32, modes: &'static [AttachMode]) -> AttachTarget {
        AttachTarget {
            name: format!("eth{index}"),
            index: InterfaceIndex(index),
            modes,
            required: true,
        }
    }

    fn keep(index: u32) -> LinkStep {
        LinkStep::Keep {
            name: format!("eth{index}"),
        }
    }

    #[test]
    fn the_first_rules_load_everything() {
        let eth1 = [interface(1, &[])];
        let plan = planned(&Present::default(), &eth1, Mode::Native, 100, 64).unwrap();
        assert_eq!(
            plan.program,
            ProgramStep::LoadWithCounters(Capacity::of_slots(64))
        );
        assert_eq!(
            plan.links,
            [LinkStep::Attach(target(1, &[AttachMode::Native]))]
        );
    }

    #[test]
    fn rules_that_fit_are_a_mere_switch() {
        let eth1 = [interface(1, &[(AttachMode::Native, OURS)])];
        let plan = planned(&present(&[1]), &eth1, Mode::Native, 1 << 16, 64).unwrap();
        assert_eq!(plan.program, ProgramStep::Keep);
        assert_eq!(plan.links, [keep(1)]);
    }

    #[test]
    fn a_larger_image_needs_a_new_program_but_no_new_counters() {
        let eth1 = [interface(1, &[(AttachMode::Native, OURS)])];
        let plan = planned(&present(&[1]), &eth1, Mode::Native, 1 << 17, 64).unwrap();
        assert_eq!(plan.program, ProgramStep::Load);
        assert_eq!(plan.links, [keep(1)]);
        let plan = planned(&present(&[1]), &eth1, Mode::Native, 1 << 16, 128).unwrap();
        assert_eq!(
            plan.program,
            ProgramStep::LoadWithCounters(Capacity::of_slots(128))
        );
    }

    #[test]
    fn a_link_in_another_mode_than_the_best_stays_unless_the_best_is_sought() {
        let eth1 = interface(1, &[(AttachMode::Generic, OURS)]);
        for seeks_best_mode in [false, true] {
            let wanted = Wanted {
                size: ImageSize::for_length(100).unwrap(),
                most: ImageSize::within(u32::MAX),
                capacity: Capacity::of_slots(64),
                mode: Mode::Auto,
                seeks_best_mode,
                interfaces: &[&eth1],
                optional: &BTreeSet::new(),
                egress: false,
                flows: None,
            };
            let plan = plan(&present(&[1]), &wanted).unwrap();
            let expected = if seeks_best_mode {
                LinkStep::Reattach {
                    name: "eth1".into(),
                    from: AttachMode::Generic,
                    target: target(1, &[AttachMode::Native, AttachMode::Generic]),
                }
            } else {
                keep(1)
            };
            assert_eq!(plan.links, [expected]);
        }
    }

    #[test]
    fn what_another_process_loaded_is_replaced() {
        let found = Present {
            size: None,
            ..present(&[1])
        };
        let eth1 = [interface(1, &[(AttachMode::Generic, OURS)])];
        let plan = planned(&found, &eth1, Mode::Auto, 100, 64).unwrap();
        assert_eq!(plan.program, ProgramStep::Load);
        assert_eq!(plan.links, [keep(1)]);
    }

    #[test]
    fn another_program_is_an_error() {
        let eth1 = [interface(1, &[(AttachMode::Generic, 99)])];
        let occupied = Occupied {
            interface: "eth1".into(),
            index: InterfaceIndex(1),
            program: 99,
        };
        for present in [Present::default(), present(&[1])] {
            let error = planned(&present, &eth1, Mode::Native, 100, 64).unwrap_err();
            assert_eq!(error, occupied);
        }
    }

    #[test]
    fn links_follow_the_interfaces_and_the_mode() {
        let mut before = present(&[1, 2, 3]);
        before.links[2].interface = None;
        let interfaces = [
            interface(2, &[(AttachMode::Native, OURS)]),
            interface(3, &[]),
        ];
        let plan = planned(&before, &interfaces, Mode::Generic, 100, 64).unwrap();
        let forget = LinkStep::Forget {
            name: "eth3".into(),
        };
        let detach = LinkStep::Detach {
            name: "eth1".into(),
        };
        let reattach = LinkStep::Reattach {
            name: "eth2".into(),
            from: AttachMode::Native,
            target: target(2, &[AttachMode::Generic]),
        };
        let attach = LinkStep::Attach(target(3, &[AttachMode::Generic]));
        assert_eq!(plan.links, [forget, attach, reattach, detach]);
    }

    fn rename(name: &str, to: &str) -> LinkStep {
        LinkStep::Rename {
            name: name.into(),
            to: to.into(),
        }
    }

    #[test]
    fn pins_follow_the_names_of_interfaces() {
        let native = [(AttachMode::Native, OURS)];
        let mut before = present(&[1, 2]);
        let mut interfaces = [interface(1, &native), interface(2, &native)];
        interfaces[0].name = "wan".into();
        let plan = planned(&before, &interfaces, Mode::Native, 1 << 16, 64).unwrap();
        let kept = |name: &str| LinkStep::Keep { name: name.into() };
        assert_eq!(
            plan.links,
            [rename("eth1", "wan"), kept("wan"), kept("eth2")]
        );
        // Two that swap names use a temporary one.
        (interfaces[0].name, interfaces[1].name) = ("eth2".into(), "eth1".into());
        let plan = planned(&before, &interfaces, Mode::Native, 1 << 16, 64).unwrap();
        let renames = [
            rename("eth1", "eth1:1"),
            rename("eth2", "eth2:2"),
            rename("eth1:1", "eth2"),
            rename("eth2:2", "eth1"),
        ];
        assert_eq!(plan.links[..4], renames);
        assert_eq!(plan.links[4..], [kept("eth2"), kept("eth1")]);
        // An unwanted one leaves its name to a new one.
        before.links.truncate(1);
        let mut new = interface(2, &[]);
        new.name = "eth1".into();
        let plan = planned(&before, &[new], Mode::Native, 1 << 16, 64).unwrap();
        let attach = AttachTarget {
            name: "eth1".into(),
            ..target(2, &[AttachMode::Native])
        };
        let detach = LinkStep::Detach {
            name: "eth1:1".into(),
        };
        let steps = [rename("eth1", "eth1:1"), LinkStep::Attach(attach), detach];
        assert_eq!(plan.links, steps);
    }

    #[test]
    fn the_index_of_another_network_namespace_is_no_index_of_this_one() {
        // The link called `eth1` went with its interface, which has the index 2 there.
        let mut before = present(&[1, 2]);
        before.links[0].interface = Some(InterfaceIndex(2));
        let eth2 = [interface(2, &[(AttachMode::Native, OURS)])];
        let plan = planned(&before, &eth2, Mode::Native, 1 << 16, 64).unwrap();
        let detach = LinkStep::Detach {
            name: "eth1".into(),
        };
        assert_eq!(plan.links, [keep(2), detach]);
        let unfiltered = [interface(2, &[])];
        let plan = planned(&present(&[2]), &unfiltered, Mode::Native, 1 << 16, 64).unwrap();
        let attach = LinkStep::Attach(target(2, &[AttachMode::Native]));
        let detach = LinkStep::Detach {
            name: "eth2:2".into(),
        };
        assert_eq!(plan.links, [rename("eth2", "eth2:2"), attach, detach]);
    }

    #[test]
    fn an_optional_interface_that_is_occupied_stops_nothing() {
        let interfaces = [
            interface(1, &[(AttachMode::Generic, 99)]),
            interface(2, &[(AttachMode::Native, OURS)]),
        ];
        let wanted = Wanted {
            size: ImageSize::for_length(100).unwrap(),
            most: ImageSize::within(u32::MAX),
            capacity: Capacity::of_slots(64),
            mode: Mode::Native,
            seeks_best_mode: false,
            interfaces: &interfaces.each_ref(),
            optional: &BTreeSet::from([InterfaceIndex(1)]),
            egress: true,
            flows: None,
        };
        let plan = plan(&present(&[2]), &wanted).unwrap();
        assert_eq!(plan.links, [keep(2)]);
        assert_eq!(plan.occupied[0].program, 99);
        let egress = vec![LinkStep::Attach(AttachTarget {
            required: true,
            ..target(2, &[])
        })];
        assert_eq!(plan.traffic_control, [(Hook::Egress, egress)]);
    }

    fn planned_both_ways(present: &Present, interfaces: &[Interface], egress: bool) -> Plan {
        let wanted = Wanted {
            size: ImageSize::for_length(100).unwrap(),
            most: ImageSize::within(u32::MAX),
            capacity: Capacity::of_slots(64),
            mode: Mode::Native,
            seeks_best_mode: false,
            interfaces: &interfaces.iter().collect::<Vec<_>>(),
            optional: &BTreeSet::new(),
            egress,
            flows: None,
        };
        plan(present, &wanted).unwrap()
    }

    #[test]
    fn what_is_sent_is_filtered_only_where_rules_ask_for_it() {
        let mut interfaces = [interface(1, &[]), interface(2, &[])];
        interfaces[1].link_layer = LinkLayer::Bare;
        let attach = |index, hook: Hook| {
            let modes: &[AttachMode] = if hook == Hook::Xdp {
                &[AttachMode::Native]
            } else {
                &[]
            };
            vec![LinkStep::Attach(target(index, modes))]
        };
        let plan = planned_both_ways(&Present::default(), &interfaces, false);
        assert_eq!(plan.links, attach(1, Hook::Xdp));
        let ingress = (Hook::BareIngress, attach(2, Hook::BareIngress));
        assert_eq!(plan.traffic_control, std::slice::from_ref(&ingress));
        let plan = planned_both_ways(&Present::default(), &interfaces, true);
        let egress = [
            ingress,
            (Hook::Egress, attach(1, Hook::Egress)),
            (Hook::BareEgress, attach(2, Hook::BareEgress)),
        ];
        assert_eq!(plan.traffic_control, egress);
    }

    #[test]
    fn links_for_what_is_sent_go_when_no_rule_asks_for_them() {
        let mut before = present(&[1]);
        before.links.push(PresentLink {
            hook: Hook::Egress,
            ..before.links[0].clone()
        });
        let eth1 = [interface(1, &[(AttachMode::Native, OURS)])];
        let kept = planned_both_ways(&before, &eth1, true);
        assert!(kept.keeps_links());
        assert_eq!(kept.hooks().collect::<Vec<_>>(), [Hook::Egress]);
        let plan = planned_both_ways(&before, &eth1, false);
        assert_eq!(plan.links, [keep(1)]);
        let detach = LinkStep::Detach {
            name: "eth1".into(),
        };
        assert_eq!(plan.traffic_control, [(Hook::Egress, vec![detach])]);
        assert_eq!(plan.hooks().count(), 0);
        // Moved to another network namespace, under the index of this one.
        before.links[1].is_elsewhere = true;
        let plan = planned_both_ways(&before, &eth1, true);
        let rename = rename("eth1", "eth1:1");
        let attach = LinkStep::Attach(target(1, &[]));
        let detach = LinkStep::Detach {
            name: "eth1:1".into(),
        };
        assert_eq!(plan.traffic_control[0].1, [rename, attach, detach]);
    }
}
