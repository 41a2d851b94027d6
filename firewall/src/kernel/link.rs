//! Attachments: bpf_links between a program and an interface (XDP: Linux 5.9; traffic control: 6.6),
//! and before Linux 6.6 filters of traffic control.
//!
//! A pinned link, like a filter, keeps its interface filtered when this process dies, and its program
//! is replaced in one step.

use std::{
    collections::BTreeSet,
    fmt, io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
};

use aya_obj::generated::{XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE, bpf_attach_type};
use nix::net::if_::if_nameindex;

use crate::kernel::{
    descriptors,
    hook::Hook,
    pins::{self, PinError},
    program::takes_frags,
    syscall,
    traffic_control::{self, Place},
};

/// The place in the kernel where a program runs.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum AttachMode {
    /// In the driver.
    Native,
    /// In the network stack, after the packet buffer is allocated.
    Generic,
    /// On the card.
    Offloaded,
}

impl AttachMode {
    fn flags(self) -> u32 {
        match self {
            Self::Native => XDP_FLAGS_DRV_MODE,
            Self::Generic => XDP_FLAGS_SKB_MODE,
            Self::Offloaded => aya_obj::generated::XDP_FLAGS_HW_MODE,
        }
    }
}

impl fmt::Display for AttachMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Offloaded => "offloaded",
        })
    }
}

/// Why a program could not be attached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AttachError {
    /// The driver cannot run XDP programs.
    #[error("the driver of `{interface}` has no native XDP")]
    NoNative {
        /// The interface.
        interface: String,
    },
    /// Another program is attached.
    #[error("interface `{interface}` already has an XDP program")]
    Occupied {
        /// The interface.
        interface: String,
    },
    /// The interface is gone.
    #[error("interface `{interface}` is gone")]
    Gone {
        /// The interface.
        interface: String,
    },
    /// The driver refuses because of its settings.
    #[error("the driver of `{interface}` refuses a {mode} XDP program with its present settings")]
    Settings {
        /// The interface.
        interface: String,
        /// The mode.
        mode: AttachMode,
        /// What the driver answered.
        source: DriverAnswer,
    },
    /// The process may not open more files.
    #[error("no descriptor is left for a link to `{interface}`: too many open files")]
    TooManyFiles {
        /// The interface.
        interface: String,
    },
    /// The kernel refuses for another reason.
    #[error("the kernel does not attach a {mode} XDP program to `{interface}`")]
    Refused {
        /// The interface.
        interface: String,
        /// The mode.
        mode: AttachMode,
        /// What the kernel answered.
        source: io::Error,
    },
    /// The kernel refuses a program of traffic control.
    #[error(
        "the kernel does not attach a program to `{interface}` at the {hook} hook of traffic control"
    )]
    TrafficControl {
        /// The interface.
        interface: String,
        /// The hook.
        hook: Hook,
        /// What the kernel answered.
        source: io::Error,
    },
    /// The filters of traffic control cannot be listed.
    #[error("the kernel does not list the filters of traffic control")]
    List(#[source] io::Error),
    /// A link could not be changed.
    #[error("the link to `{interface}` could not be {action}")]
    Link {
        /// The interface.
        interface: String,
        /// The attempted change.
        action: &'static str,
        /// What the kernel answered.
        source: io::Error,
    },
}

/// The number that a driver answers with; in others it would say that the machine has no space or memory.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct DriverAnswer(io::Error);

impl AttachError {
    fn new(interface: &str, mode: AttachMode, source: io::Error) -> Self {
        let interface = interface.to_owned();
        match source.raw_os_error() {
            Some(libc::EOPNOTSUPP) if mode == AttachMode::Native => Self::NoNative { interface },
            // The second is the answer to a native program beside a generic one.
            Some(libc::EBUSY | libc::EEXIST) => Self::Occupied { interface },
            Some(libc::ENODEV) => Self::Gone { interface },
            Some(libc::EMFILE) => Self::TooManyFiles { interface },
            // The last is what drivers answer when they have too few queues.
            Some(libc::EINVAL | libc::ERANGE | libc::E2BIG | libc::ENOSPC | libc::ENOMEM) => {
                Self::Settings {
                    interface,
                    mode,
                    source: DriverAnswer(source),
                }
            }
            Some(_) | None => Self::Refused {
                interface,
                mode,
                source,
            },
        }
    }

    fn of_traffic_control(interface: &str, hook: Hook, source: io::Error) -> Self {
        let interface = interface.to_owned();
        match source.raw_os_error() {
            Some(libc::ENODEV) => Self::Gone { interface },
            Some(libc::EMFILE) => Self::TooManyFiles { interface },
            Some(_) | None => Self::TrafficControl {
                interface,
                hook,
                source,
            },
        }
    }

    /// The interface whose settings prevent attaching.
    pub(crate) fn unsuitable(&self) -> Option<&str> {
        match self {
            Self::Settings { interface, .. } => Some(interface),
            Self::NoNative { .. }
            | Self::Occupied { .. }
            | Self::Gone { .. }
            | Self::TooManyFiles { .. }
            | Self::Refused { .. }
            | Self::TrafficControl { .. }
            | Self::List(_)
            | Self::Link { .. } => None,
        }
    }

    /// How to fix it.
    pub(crate) fn help(&self) -> Option<String> {
        match self {
            Self::NoNative { .. } => Some(
                "set `mode = \"auto\"` or `mode = \"generic\"`; generic XDP works with every \
                 driver and is slower; if the driver has native XDP, an offload may conflict with \
                 it: see `dmesg`"
                    .into(),
            ),
            Self::Occupied { interface } => Some(occupied_help(interface)),
            Self::Settings { interface, .. } => Some(settings_help(interface, takes_frags())),
            Self::TooManyFiles { .. } => Some(
                "raise the limit of open files: `LimitNOFILE=` of the unit, or `ulimit -Hn` of the \
                 shell that starts the daemon"
                    .into(),
            ),
            Self::TrafficControl { interface, .. } => Some(format!(
                "before Linux 6.6 the interface needs a free place for the queueing discipline `clsact` \
                 (`tc qdisc show dev {interface}`); an `ingress` one takes it; the most programs at a \
                 hook are 64"
            )),
            Self::Gone { .. } | Self::Refused { .. } | Self::List(_) | Self::Link { .. } => None,
        }
    }
}

/// The help for an interface whose driver refuses the program because of its settings.
fn settings_help(interface: &str, takes_frags: bool) -> String {
    let mtu = if takes_frags {
        "some drivers want a smaller MTU"
    } else {
        "this kernel, older than Linux 5.18, wants an MTU below 3,500 bytes of most drivers"
    };
    format!(
        "{mtu}, some want offloads, queues or rings changed: `ip link set dev {interface} mtu 1500`; \
         `dmesg` may say more; `mode = \"generic\"` works with every driver"
    )
}

/// The help for an interface with another program.
pub(crate) fn occupied_help(interface: &str) -> String {
    format!(
        "it was left untouched; `firewall doctor {interface}` shows how it is attached and how to \
         detach it; or take the interface out of `interfaces`"
    )
}

/// The attachment of a program to an interface. Dropped, it stays attached if it is pinned or a filter.
#[derive(Debug)]
pub(crate) struct Link {
    interface: String,
    hook: Hook,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// A bpf_link.
    Link(OwnedFd),
    /// A filter of traffic control.
    Filter {
        place: Place,
        /// The kernel's number for the program that it was given.
        program: AtomicU32,
    },
}

/// The state of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LinkState {
    /// The program that runs.
    pub(crate) program: u32,
    /// The interface, or 0 once the link is detached or the interface is gone.
    pub(crate) interface: u32,
    /// Whether the interface is known to be in another network namespace: the index is one of that.
    pub(crate) is_elsewhere: bool,
}

impl Link {
    /// Attaches the XDP `program` to the interface of this name and index.
    pub(crate) fn attach(
        program: BorrowedFd<'_>,
        interface: &str,
        index: u32,
        mode: AttachMode,
    ) -> Result<Self, AttachError> {
        let fd = syscall::create_xdp_link(program, index, mode.flags())
            .map_err(|source| AttachError::new(interface, mode, source))?;
        Self::of(fd, Hook::Xdp, interface)
    }

    /// Attaches the program of a hook of traffic control to the interface of this name and index, before
    /// all others, where [`takes_links`] says so.
    pub(crate) fn attach_tcx(
        program: BorrowedFd<'_>,
        hook: Hook,
        interface: &str,
        index: u32,
    ) -> Result<Self, AttachError> {
        let fd = syscall::create_tcx_link(program, index, attach_type(hook))
            .map_err(|source| AttachError::of_traffic_control(interface, hook, source))?;
        Self::of(fd, hook, interface)
    }

    /// The same by a filter, for which [`make_room`] has made room.
    pub(crate) fn attach_filter(
        program: BorrowedFd<'_>,
        hook: Hook,
        interface: &str,
        index: u32,
    ) -> Result<Self, AttachError> {
        let attached = pins::program_number(program).and_then(|number| {
            let place = traffic_control::attach(index, hook, program, number)?;
            Ok((place, number))
        });
        let (place, number) =
            attached.map_err(|source| AttachError::of_traffic_control(interface, hook, source))?;
        Ok(Self {
            interface: interface.to_owned(),
            hook,
            kind: Kind::Filter {
                place,
                program: AtomicU32::new(number),
            },
        })
    }

    fn of(fd: OwnedFd, hook: Hook, interface: &str) -> Result<Self, AttachError> {
        if descriptors::is_reserved(fd.as_fd()) {
            // Closed, the link detaches.
            return Err(AttachError::TooManyFiles {
                interface: interface.to_owned(),
            });
        }
        Ok(Self {
            interface: interface.to_owned(),
            hook,
            kind: Kind::Link(fd),
        })
    }

    /// Opens the link pinned to `path`; `None` when nothing is.
    pub(crate) fn open(
        path: &Path,
        hook: Hook,
        interface: &str,
    ) -> Result<Option<Self>, AttachError> {
        match syscall::open_pin(path) {
            Ok(fd) => Ok(Some(Self {
                interface: interface.to_owned(),
                hook,
                kind: Kind::Link(fd),
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(interface, "opened")(error)),
        }
    }

    /// The filters with one of these programs at a hook, on all interfaces of this network namespace.
    pub(crate) fn filters(hook: Hook, programs: &BTreeSet<u32>) -> Result<Vec<Self>, AttachError> {
        let mut found = Vec::new();
        if programs.is_empty() || has_links(LOOPBACK).map_err(AttachError::List)? {
            return Ok(found);
        }
        let interfaces = if_nameindex().map_err(|error| AttachError::List(error.into()))?;
        for interface in &interfaces {
            let filters = traffic_control::filters(interface.index(), hook);
            let filters = filters.map_err(AttachError::List)?.into_iter();
            let ours = filters.filter(|filter| programs.contains(&filter.program));
            found.extend(ours.map(|filter| Self {
                interface: interface.name().to_string_lossy().into_owned(),
                hook,
                kind: Kind::Filter {
                    place: filter.place,
                    program: AtomicU32::new(filter.program),
                },
            }));
        }
        Ok(found)
    }

    /// The interface's name when the link was made or opened.
    pub(crate) fn interface(&self) -> &str {
        &self.interface
    }

    /// Where the program runs.
    pub(crate) fn hook(&self) -> Hook {
        self.hook
    }

    /// Pins the link; a filter has no pin.
    pub(crate) fn pin(&self, path: &Path) -> Result<(), PinError> {
        match &self.kind {
            Kind::Link(fd) => pins::pin(fd.as_fd(), path),
            Kind::Filter { .. } => Ok(()),
        }
    }

    /// Replaces the program in one step.
    pub(crate) fn replace(&self, program: BorrowedFd<'_>) -> Result<(), AttachError> {
        let replaced = match &self.kind {
            Kind::Link(fd) => syscall::update_link(fd.as_fd(), program),
            Kind::Filter {
                place,
                program: present,
            } => pins::program_number(program).and_then(|number| {
                traffic_control::replace(place, program)?;
                present.store(number, Ordering::Relaxed);
                Ok(())
            }),
        };
        replaced.map_err(failed(&self.interface, "given another program"))
    }

    /// The descriptor of the link; a filter has none.
    pub(crate) fn fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.kind {
            Kind::Link(fd) => Some(fd.as_fd()),
            Kind::Filter { .. } => None,
        }
    }

    /// The index of the interface of a filter.
    pub(crate) fn filtered(&self) -> Option<u32> {
        match &self.kind {
            Kind::Link(_) => None,
            Kind::Filter { place, .. } => Some(place.interface()),
        }
    }

    /// Detaches the program at once, even if other processes hold the link.
    pub(crate) fn detach(&self) -> Result<(), AttachError> {
        let detached = match &self.kind {
            Kind::Link(fd) => syscall::detach_link(fd.as_fd()),
            // Another filter may have taken the place of one that was removed.
            Kind::Filter { place, .. } => self.state_of_filter().and_then(|state| {
                if state.interface == 0 {
                    Ok(())
                } else {
                    traffic_control::detach(place)
                }
            }),
        };
        detached.map_err(failed(&self.interface, "detached"))
    }

    /// The state of the link in the kernel.
    pub(crate) fn state(&self) -> Result<LinkState, AttachError> {
        let state = match (&self.kind, self.hook) {
            (Kind::Link(fd), Hook::Xdp) => {
                syscall::xdp_link_info(fd.as_fd()).map(|info| LinkState {
                    program: info.program,
                    interface: info.interface,
                    is_elsewhere: false,
                })
            }
            (Kind::Link(fd), Hook::BareIngress | Hook::Egress | Hook::BareEgress) => {
                self.state_of_tcx(fd.as_fd())
            }
            (Kind::Filter { .. }, _) => self.state_of_filter(),
        };
        state.map_err(failed(&self.interface, "inspected"))
    }

    fn state_of_tcx(&self, fd: BorrowedFd<'_>) -> io::Result<LinkState> {
        let info = syscall::tcx_link_info(fd)?;
        let runs_here = || {
            let programs = syscall::tcx_programs(info.interface, attach_type(self.hook));
            programs.is_ok_and(|programs| programs.iter().any(|one| one.link == info.link))
        };
        Ok(LinkState {
            program: info.program,
            interface: info.interface,
            is_elsewhere: info.interface != 0 && !runs_here(),
        })
    }

    fn state_of_filter(&self) -> io::Result<LinkState> {
        let Kind::Filter { place, program } = &self.kind else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let program = program.load(Ordering::Relaxed);
        let filters = traffic_control::filters(place.interface(), self.hook)?;
        let is_there = filters
            .iter()
            .any(|filter| filter.place == *place && filter.program == program);
        Ok(LinkState {
            program,
            interface: if is_there { place.interface() } else { 0 },
            is_elsewhere: false,
        })
    }
}

/// Gives an interface the queueing discipline that filters need; returns whether it had none.
pub(crate) fn make_room(interface: &str, index: u32) -> Result<bool, AttachError> {
    traffic_control::add_clsact(index)
        .map_err(|source| AttachError::of_traffic_control(interface, Hook::Egress, source))
}

/// Removes from an interface the queueing discipline that it got for filters, unless others have filters
/// there by now.
pub(crate) fn clear_room(interface: &str, index: u32) -> Result<(), AttachError> {
    traffic_control::remove_unused_clsact(index).map_err(failed(interface, "cleared"))
}

/// Whether an interface has filters of traffic control.
pub(crate) fn has_filters(interface: &str, index: u32) -> Result<bool, AttachError> {
    traffic_control::has_filters(index).map_err(failed(interface, "inspected"))
}

/// The numbers of the programs at a hook of traffic control of an interface, in the order in which they run.
pub(crate) fn programs_at(hook: Hook, interface: u32) -> io::Result<Vec<u32>> {
    let mut programs = Vec::new();
    if has_links(interface)? {
        let linked = syscall::tcx_programs(interface, attach_type(hook))?;
        programs.extend(linked.iter().map(|linked| linked.program));
    }
    // These come after the links (`sch_handle_egress`, `net/core/dev.c`).
    let filters = traffic_control::filters(interface, hook)?;
    programs.extend(filters.iter().map(|filter| filter.program));
    Ok(programs)
}

/// The loopback interface, which every network namespace has.
const LOOPBACK: u32 = 1;

/// Whether the kernel attaches programs of traffic control to an interface by links.
pub(crate) fn takes_links(interface: &str, index: u32) -> Result<bool, AttachError> {
    has_links(index)
        .map_err(|source| AttachError::of_traffic_control(interface, Hook::Egress, source))
}

/// Whether filters of traffic control take the place of links in this kernel. They do, too, where it does not say.
pub(crate) fn uses_filters() -> bool {
    !has_links(LOOPBACK).is_ok_and(|has_links| has_links)
}

/// Whether it does: since Linux 6.6, which also introduced the query that is made here.
fn has_links(interface: u32) -> io::Result<bool> {
    match syscall::tcx_programs(interface, attach_type(Hook::Egress)) {
        Ok(_) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(false),
        Err(error) => Err(error),
    }
}

fn attach_type(hook: Hook) -> bpf_attach_type {
    match hook {
        Hook::Xdp => bpf_attach_type::BPF_XDP,
        Hook::BareIngress => bpf_attach_type::BPF_TCX_INGRESS,
        Hook::Egress | Hook::BareEgress => bpf_attach_type::BPF_TCX_EGRESS,
    }
}

fn failed(interface: &str, action: &'static str) -> impl FnOnce(io::Error) -> AttachError + use<> {
    let interface = interface.to_owned();
    move |source| AttachError::Link {
        interface,
        action,
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(number: i32, mode: AttachMode) -> AttachError {
        AttachError::new("eth0", mode, io::Error::from_raw_os_error(number))
    }

    #[test]
    fn what_the_kernel_answers_is_told_apart() {
        let native = error(libc::EOPNOTSUPP, AttachMode::Native);
        assert_eq!(native.to_string(), "the driver of `eth0` has no native XDP");
        assert!(native.help().unwrap().contains("mode = \"generic\""));
        for number in [libc::EBUSY, libc::EEXIST] {
            let occupied = error(number, AttachMode::Native);
            assert!(
                matches!(occupied, AttachError::Occupied { .. }),
                "{occupied}"
            );
        }
        let settings = error(libc::ERANGE, AttachMode::Native);
        assert!(settings.help().unwrap().contains("mtu 1500"));
        assert!(settings_help("eth0", false).contains("Linux 5.18"));
        assert!(!settings_help("eth0", true).contains("Linux 5.18"));
        let refused = error(libc::EOPNOTSUPP, AttachMode::Generic);
        assert!(matches!(refused, AttachError::Refused { .. }), "{refused}");
    }
}
