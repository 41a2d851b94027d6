//! Attachments: bpf_links between the XDP program and an interface (Linux 5.9).
//!
//! A pinned link keeps its interface filtered when this process dies, and its program is replaced
//! in one step.

use std::{
    fmt, io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::Path,
};

use aya_obj::generated::{XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE};

pub(crate) use crate::kernel::syscall::XdpLinkInfo;
use crate::kernel::{
    descriptors,
    pins::{self, PinError},
    program::takes_frags,
    syscall,
};

/// The place in the kernel where a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
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

    /// The interface whose settings prevent attaching.
    pub(crate) fn unsuitable(&self) -> Option<&str> {
        match self {
            Self::Settings { interface, .. } => Some(interface),
            Self::NoNative { .. }
            | Self::Occupied { .. }
            | Self::Gone { .. }
            | Self::TooManyFiles { .. }
            | Self::Refused { .. }
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
            Self::Gone { .. } | Self::Refused { .. } | Self::Link { .. } => None,
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

/// The attachment of a program to an interface. Dropped, it stays attached if it is pinned.
#[derive(Debug)]
pub(crate) struct Link {
    interface: String,
    fd: OwnedFd,
}

impl Link {
    /// Attaches `program` to the interface of this name and index.
    pub(crate) fn attach(
        program: BorrowedFd<'_>,
        interface: &str,
        index: u32,
        mode: AttachMode,
    ) -> Result<Self, AttachError> {
        let fd = syscall::create_xdp_link(program, index, mode.flags())
            .map_err(|source| AttachError::new(interface, mode, source))?;
        if descriptors::is_reserved(fd.as_fd()) {
            // Closed, the link detaches.
            return Err(AttachError::TooManyFiles {
                interface: interface.to_owned(),
            });
        }
        Ok(Self {
            interface: interface.to_owned(),
            fd,
        })
    }

    /// Opens the link pinned to `path`; `None` when nothing is.
    pub(crate) fn open(path: &Path, interface: &str) -> Result<Option<Self>, AttachError> {
        match syscall::open_pin(path) {
            Ok(fd) => Ok(Some(Self {
                interface: interface.to_owned(),
                fd,
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Self::failed(interface, "opened")(error)),
        }
    }

    /// The interface's name when the link was made or opened.
    pub(crate) fn interface(&self) -> &str {
        &self.interface
    }

    /// Pins the link.
    pub(crate) fn pin(&self, path: &Path) -> Result<(), PinError> {
        pins::pin(self.fd.as_fd(), path)
    }

    /// Replaces the program in one step.
    pub(crate) fn replace(&self, program: BorrowedFd<'_>) -> Result<(), AttachError> {
        syscall::update_link(self.fd.as_fd(), program)
            .map_err(Self::failed(&self.interface, "given another program"))
    }

    /// The descriptor of the link.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Detaches the program at once, even if other processes hold the link.
    pub(crate) fn detach(&self) -> Result<(), AttachError> {
        syscall::detach_link(self.fd.as_fd()).map_err(Self::failed(&self.interface, "detached"))
    }

    /// The state of the link in the kernel.
    pub(crate) fn info(&self) -> Result<XdpLinkInfo, AttachError> {
        syscall::xdp_link_info(self.fd.as_fd()).map_err(Self::failed(&self.interface, "inspected"))
    }

    fn failed(
        interface: &str,
        action: &'static str,
    ) -> impl FnOnce(io::Error) -> AttachError + use<> {
        let interface = interface.to_owned();
        move |source| AttachError::Link {
            interface,
            action,
            source,
        }
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
