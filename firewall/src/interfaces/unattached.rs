//! Selected interfaces that are not filtered, and why.

use std::{fmt, time::Duration};

use rules::compiler::InterfaceIndex;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::{
    error::UserError,
    interfaces::{link_events::Touched, list::InterfaceError},
    kernel::link::AttachError,
    text::causes::Causes,
};

/// A selected interface that is not filtered, or a name or glob that matches none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unattached {
    /// The name or glob.
    pub(crate) name: String,
    /// Why it is not attached; `None` when it does not exist yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    /// How to fix it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) help: Option<String>,
}

impl Unattached {
    /// A name or glob that matches no interface.
    pub(crate) fn waiting(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            error: None,
            help: None,
        }
    }

    /// An interface that could not be attached to because of a failure that is not its own.
    pub(crate) fn failed(name: &str, error: &str) -> Self {
        Self {
            name: name.to_owned(),
            error: Some(error.to_owned()),
            help: None,
        }
    }

    /// Logs it.
    pub(crate) fn log(&self) {
        let interface = self.name.as_str();
        match &self.error {
            None => tracing::warn!(event = "interface_waited_for", interface, "{self}"),
            Some(error) => tracing::warn!(
                event = "interface_refused",
                interface,
                %error,
                help = self.help.as_deref(),
                "{self}"
            ),
        }
    }
}

impl fmt::Display for Unattached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match &self.error {
            None => write!(f, "no interface fits `{name}`: it is waited for"),
            Some(error) => {
                write!(f, "`{name}` is not filtered: {error}")?;
                match &self.help {
                    Some(help) => write!(f, "; help: {help}"),
                    None => Ok(()),
                }
            }
        }
    }
}

/// Why an interface has no program of ours.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Reason {
    /// It cannot be filtered.
    #[error(transparent)]
    Interface(#[from] InterfaceError),
    /// It has another program.
    #[error("interface `{interface}` already has an XDP program: {program}")]
    Occupied {
        /// The interface.
        interface: String,
        /// The name of the program.
        program: String,
    },
    /// The kernel refuses.
    #[error("{error}")]
    Attach {
        /// The error of the kernel.
        #[source]
        error: AttachError,
        /// The settings that prevent it, and how to fix them.
        obstacles: Option<String>,
    },
}

impl Reason {
    fn help(&self) -> Option<String> {
        match self {
            Self::Interface(error) => error.help(),
            Self::Occupied { interface, .. } => Some(crate::kernel::link::occupied_help(interface)),
            Self::Attach { error, obstacles } => obstacles.clone().or_else(|| error.help()),
        }
    }

    /// Whether the reason came from an attempt to attach, on which a driver may reset the
    /// interface.
    fn is_of_an_attempt(&self) -> bool {
        match self {
            Self::Interface(_) | Self::Occupied { .. } => false,
            Self::Attach { .. } => true,
        }
    }
}

/// An interface that could not be attached to, and the time of the next attempt.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// Its index.
    pub(crate) index: InterfaceIndex,
    /// The report for the user.
    pub(crate) unattached: Unattached,
    tried: Instant,
    attempts: u32,
    touched: bool,
}

/// The refused interfaces to try again.
#[derive(Clone, Copy)]
pub(crate) enum Retry {
    /// Those whose time has come.
    Due,
    /// All: somebody asks for it.
    All,
}

/// The time between the first two attempts; it doubles with each further one.
const FIRST_REST: Duration = Duration::from_millis(200);

/// The time until the next attempt without an event of the interface.
const LONGEST_REST: Duration = Duration::from_secs(60);

impl Refusal {
    /// A refusal at this moment; `before` is that of the previous attempt.
    pub(crate) fn new(
        index: InterfaceIndex,
        name: &str,
        reason: &Reason,
        before: Option<&Self>,
    ) -> Self {
        Self {
            index,
            unattached: Unattached {
                name: name.to_owned(),
                error: Some(Causes(reason).to_string()),
                help: reason.help(),
            },
            tried: Instant::now(),
            attempts: before.map_or(0, |before| before.attempts)
                + u32::from(reason.is_of_an_attempt()),
            touched: false,
        }
    }

    /// Records the events of the interface.
    pub(crate) fn note(&mut self, touched: &Touched) {
        self.touched |= touched.contains(self.index);
    }

    /// The time of the next attempt: soon after an event of the interface, with growing delays,
    /// since the attempt may itself be the cause of the event.
    pub(crate) fn due(&self) -> Instant {
        let rest = if self.touched {
            let doublings = self.attempts.saturating_sub(1).min(16);
            (FIRST_REST * (1 << doublings)).min(LONGEST_REST)
        } else {
            LONGEST_REST
        };
        self.tried
            + if self.attempts == 0 && self.touched {
                Duration::ZERO
            } else {
                rest
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(before: Option<&Refusal>) -> Refusal {
        let error = AttachError::NoNative {
            interface: "eth0".into(),
        };
        let reason = Reason::Attach {
            error,
            obstacles: None,
        };
        Refusal::new(InterfaceIndex(3), "eth0", &reason, before)
    }

    #[test]
    fn the_error_and_its_help_are_reported() {
        assert_eq!(
            refusal(None).unattached.to_string(),
            "`eth0` is not filtered: the driver of `eth0` has no native XDP; help: set `mode = \
             \"auto\"` or `mode = \"generic\"`; generic XDP works with every driver and is slower; \
             if the driver has native XDP, an offload may conflict with it: see `dmesg`"
        );
        assert_eq!(
            Unattached::waiting("eth*").to_string(),
            "no interface fits `eth*`: it is waited for"
        );
    }

    #[test]
    fn attempts_become_rare() {
        let mut rests = Vec::new();
        let mut last: Option<Refusal> = None;
        for _ in 0..12 {
            let mut refusal = refusal(last.as_ref());
            assert_eq!(refusal.due() - refusal.tried, LONGEST_REST);
            refusal.touched = true;
            rests.push(refusal.due() - refusal.tried);
            last = Some(refusal);
        }
        assert_eq!(rests[..3], [FIRST_REST, 2 * FIRST_REST, 4 * FIRST_REST]);
        assert_eq!(rests[11], LONGEST_REST);
    }
}
