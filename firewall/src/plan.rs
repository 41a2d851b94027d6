//! What must happen in the kernel to bring a compiled rule set into force. Planning does no I/O.

use rules::{compiler::InterfaceIndex, ruleset::Mode};

use crate::{
    image_size::ImageSize, interfaces::Interface, kernel::link::AttachMode, slots::Capacity,
};

/// What is in the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Present {
    /// The length of the images that the running program of this process takes; `None` when this
    /// process has not loaded it.
    pub(crate) size: Option<ImageSize>,
    /// The capacity of the counters; `None` when there are none to be used again.
    pub(crate) capacity: Option<Capacity>,
    /// Our links.
    pub(crate) links: Vec<PresentLink>,
}

/// A link that is pinned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PresentLink {
    /// The interface's name when the link was pinned.
    pub(crate) name: String,
    /// The interface, unless it is gone or the link was detached.
    pub(crate) interface: Option<InterfaceIndex>,
    /// The program that the link runs.
    pub(crate) program: u32,
}

/// What is to be in the kernel.
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
    /// The interfaces to attach to.
    pub(crate) interfaces: &'a [&'a Interface],
}

/// What must happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The length of the new image's map.
    pub(crate) size: ImageSize,
    /// What becomes of the program.
    pub(crate) program: ProgramStep,
    /// What becomes of each link, in the order in which it happens.
    pub(crate) links: Vec<LinkStep>,
}

/// What becomes of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProgramStep {
    /// It stays, and the new image takes the place of the old one.
    Keep,
    /// A new one is loaded, with the counters that there are.
    Load,
    /// A new one is loaded, with new counters of this capacity.
    LoadWithCounters(Capacity),
}

/// What becomes of the link to an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LinkStep {
    /// Its pin is removed: the interface is gone, or somebody detached the link.
    Forget {
        /// The name under which it is pinned.
        name: String,
    },
    /// It stays; a new program takes the place of the old one.
    Keep {
        /// The name under which it is pinned.
        name: String,
    },
    /// It is made.
    Attach(Target),
    /// It is made anew in another mode; in between the interface is not filtered.
    Reattach {
        /// The name under which the present one is pinned.
        name: String,
        /// The mode of the present one.
        from: AttachMode,
        /// The new one.
        target: Target,
    },
    /// It is removed.
    Detach {
        /// The name under which it is pinned.
        name: String,
    },
}

impl LinkStep {
    fn order(&self) -> u8 {
        match self {
            Self::Forget { .. } => 0,
            Self::Keep { .. } => 1,
            Self::Attach(_) => 2,
            Self::Reattach { .. } => 3,
            Self::Detach { .. } => 4,
        }
    }
}

/// An interface to attach to, and in which modes to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// The interface's name.
    pub(crate) name: String,
    /// The interface.
    pub(crate) index: InterfaceIndex,
    /// The modes to try, best first; never empty.
    pub(crate) modes: &'static [AttachMode],
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum PlanError {
    /// An interface has somebody else's program.
    #[error("interface `{interface}` already has an XDP program")]
    Occupied {
        /// The interface.
        interface: String,
        /// The program.
        program: u32,
    },
}

/// Plans the way from `present` to `wanted`.
///
/// # Errors
///
/// When an interface has somebody else's program.
pub(crate) fn plan(present: &Present, wanted: &Wanted<'_>) -> Result<Plan, PlanError> {
    let modes = modes(wanted.mode);
    let mut links = Vec::new();
    for interface in wanted.interfaces {
        let target = Target {
            name: interface.name.clone(),
            index: interface.index,
            modes,
        };
        let link = present
            .links
            .iter()
            .find(|link| link.interface == Some(interface.index));
        let foreign = interface
            .programs
            .iter()
            .find(|attached| link.is_none_or(|link| link.program != attached.program));
        if let Some(foreign) = foreign {
            return Err(PlanError::Occupied {
                interface: interface.name.clone(),
                program: foreign.program,
            });
        }
        let mode = interface.programs.first().map(|attached| attached.mode);
        links.push(match (link, mode) {
            (None, _) => LinkStep::Attach(target),
            (Some(link), Some(from)) if !modes.contains(&from) => LinkStep::Reattach {
                name: link.name.clone(),
                from,
                target,
            },
            (Some(link), _) => LinkStep::Keep {
                name: link.name.clone(),
            },
        });
    }
    for link in &present.links {
        let name = link.name.clone();
        match link.interface {
            None => links.push(LinkStep::Forget { name }),
            Some(index) if wanted.interfaces.iter().any(|wanted| wanted.index == index) => {}
            Some(_) => links.push(LinkStep::Detach { name }),
        }
    }
    links.sort_by_key(LinkStep::order);
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
            Some(_) if present.size == Some(size) => ProgramStep::Keep,
            Some(_) => ProgramStep::Load,
        },
        links,
    })
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
    use crate::interfaces::Attached;

    const OURS: u32 = 7;

    fn interface(index: u32, programs: &[(AttachMode, u32)]) -> Interface {
        Interface {
            index: InterfaceIndex(index),
            name: format!("eth{index}"),
            has_ethernet: true,
            programs: programs
                .iter()
                .map(|&(mode, program)| Attached { mode, program })
                .collect(),
        }
    }

    fn present(links: &[u32]) -> Present {
        Present {
            size: ImageSize::for_length(1 << 16),
            capacity: Some(Capacity::of_slots(64)),
            links: links
                .iter()
                .map(|&index| PresentLink {
                    name: format!("eth{index}"),
                    interface: Some(InterfaceIndex(index)),
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
    ) -> Result<Plan, PlanError> {
        let interfaces: Vec<&Interface> = interfaces.iter().collect();
        let wanted = Wanted {
            size: ImageSize::for_length(length).unwrap(),
            most: ImageSize::within(u32::MAX),
            capacity: Capacity::of_slots(slots),
            mode,
            interfaces: &interfaces,
        };
        plan(present, &wanted)
    }

    fn target(index: u32, modes: &'static [AttachMode]) -> Target {
        Target {
            name: format!("eth{index}"),
            index: InterfaceIndex(index),
            modes,
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
    fn somebody_elses_program_is_an_error() {
        let eth1 = [interface(1, &[(AttachMode::Generic, 99)])];
        let occupied = PlanError::Occupied {
            interface: "eth1".into(),
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
}
