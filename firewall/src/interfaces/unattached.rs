//! Interfaces that are to be filtered and are not, and why.

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

/// An interface that is to be filtered and is not, or a name or glob that fits none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unattached {
    /// The name or glob.
    pub(crate) name: String,
    /// Why it is not attached; `None` when it is waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    /// What the user can do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) help: Option<String>,
}

impl Unattached {
    /// A name or glob that fits no interface.
    pub(crate) fn waiting(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            error: None,
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

/// Why an interface is not attached to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Reason {
    /// It cannot be filtered.
    #[error(transparent)]
    Interface(#[from] InterfaceError),
    /// It has somebody else's program.
    #[error("interface `{interface}` already has an XDP program: {program}")]
    Occupied {
        /// The interface.
        interface: String,
        /// What the program is called.
        program: String,
    },
    /// The kernel refuses.
    #[error("{error}")]
    Attach {
        /// What it says.
        #[source]
        error: AttachError,
        /// What is in the way, and what mends it.
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

    /// Whether it took an attempt to find out, which a driver may answer by setting the interface
    /// up anew.
    fn is_of_an_attempt(&self) -> bool {
        match self {
            Self::Interface(_) | Self::Occupied { .. } => false,
            Self::Attach { .. } => true,
        }
    }
}

/// An interface that is not attached to, and when it is tried again.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// Its index.
    pub(crate) index: InterfaceIndex,
    /// What the user is told.
    pub(crate) told: Unattached,
    tried: Instant,
    attempts: u32,
    touched: bool,
}

/// How long an interface rests after the first attempt, and twice as long after each further one.
const FIRST_REST: Duration = Duration::from_millis(200);

/// When an interface is tried again though nothing was heard of it.
const LONGEST_REST: Duration = Duration::from_secs(60);

impl Refusal {
    /// A refusal of this moment; `before` is the one of the attempt before.
    pub(crate) fn new(
        index: InterfaceIndex,
        name: &str,
        reason: &Reason,
        before: Option<&Self>,
    ) -> Self {
        Self {
            index,
            told: Unattached {
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

    /// Takes note of what happened.
    pub(crate) fn note(&mut self, touched: &Touched) {
        self.touched |= touched.contains(self.index);
    }

    /// When the interface is to be tried again: soon after something happened to it, but less and
    /// less often, since an attempt may itself be what happens.
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
    fn the_error_and_its_help_are_told() {
        assert_eq!(
            refusal(None).told.to_string(),
            "`eth0` is not filtered: the driver of `eth0` has no native XDP; help: set `mode = \
             \"auto\"` or `mode = \"generic\"`; generic XDP works with every driver and is slower; \
             of a driver that has native XDP offloads may be in the way: `dmesg` says which"
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
