//! Everything that can go wrong, as the user is told of it.

pub(crate) mod capture;
pub(crate) mod explain;

use std::{io, path::PathBuf};

use rules::diagnostics::Diagnostic;
use serde::Serialize;
use tracing::Level;

use crate::{
    bans::error::BansError,
    candidate::{compile::CandidateError, rule_tests::TestsError},
    control::{client::ControlError, lock::LockError},
    daemon::privileges::PrivilegesError,
    error::{capture::CaptureError, explain::ExplainError},
    filter::{
        attachments::AttachmentError, error::FilterError, plan::Occupied, takeover::TakeoverError,
        unload::UnloadError,
    },
    generation::{confirmation::ConfirmationError, in_force::LoadedError, pinned::PinnedError},
    interfaces::list::InterfaceError,
    kernel::{
        counters::CountersError, events::EventsError, generation::Generation, host::HostError,
        info::InfoError, link, program::LoadError,
    },
    lockout::LockoutError,
    logging::lines::{self, Fields},
    rule_file::load::{self, SourceError},
    text::causes::Causes,
};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The machine does not grant what is needed.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The rule file.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The rules do not compile.
    #[error(transparent)]
    Candidate(#[from] CandidateError),
    /// The rules are not as their file demands.
    #[error(transparent)]
    Tests(#[from] TestsError),
    /// The same of a checked file, which was printed.
    #[error(transparent)]
    TestsChecked(TestsError),
    /// A packet cannot be explained.
    #[error(transparent)]
    Explain(#[from] ExplainError),
    /// The interfaces.
    #[error(transparent)]
    Interface(#[from] InterfaceError),
    /// An interface has somebody else's program.
    #[error("{occupied}: {program}")]
    Occupied {
        /// The interface and the kernel's number for the program.
        occupied: Occupied,
        /// What the program is called.
        program: String,
    },
    /// What is pinned cannot be taken over.
    #[error(transparent)]
    Found(#[from] TakeoverError),
    /// What is loaded cannot be read.
    #[error(transparent)]
    Loaded(#[from] LoadedError),
    /// The counters cannot be read.
    #[error(transparent)]
    Counters(#[from] CountersError),
    /// What limits logged packets cannot be read.
    #[error(transparent)]
    Events(#[from] EventsError),
    /// The bans.
    #[error(transparent)]
    Bans(#[from] BansError),
    /// A capture.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The object file.
    #[error(transparent)]
    Object(#[from] LoadError),
    /// The kernel did not take the change.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// An interface did not take the program as it is set, and it is known why.
    #[error("{error}")]
    Unsuitable {
        /// What the kernel said.
        #[source]
        error: FilterError,
        /// What is in the way, and what mends it.
        obstacles: String,
    },
    /// The links cannot be inspected.
    #[error(transparent)]
    Attachment(#[from] AttachmentError),
    /// Something may still be loaded.
    #[error(transparent)]
    Unload(#[from] UnloadError),
    /// The kernel does not say enough.
    #[error(transparent)]
    Info(#[from] InfoError),
    /// The capabilities.
    #[error(transparent)]
    Privileges(#[from] PrivilegesError),
    /// The run folder.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The control socket.
    #[error("no control socket")]
    Socket(#[source] io::Error),
    /// The daemon.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// Another process has the instance but does not answer.
    #[error("another process has instance `{instance}`{} but does not answer", pid(*.holder))]
    Hangs {
        /// The instance.
        instance: String,
        /// The process.
        holder: Option<u32>,
    },
    /// A checked file has errors, which were printed.
    #[error("`{}` has {found}", path.display())]
    Checked {
        /// The file.
        path: PathBuf,
        /// How many.
        found: String,
    },
    /// A checked file has warnings, which were printed and are not to be.
    #[error("`{}` has {found}", path.display())]
    Denied {
        /// The file.
        path: PathBuf,
        /// How many.
        found: String,
    },
    /// The analysis is wrong.
    #[error(transparent)]
    Analysis(#[from] rules::analysis::Contradiction),
    /// There are no threads.
    #[error("the runtime does not start")]
    Runtime(#[source] io::Error),
    /// The kernel does not tell of interfaces.
    #[error("changes of network interfaces cannot be followed")]
    LinkEvents(#[source] io::Error),
    /// Signals cannot be received.
    #[error("signals cannot be received")]
    Signals(#[source] io::Error),
    /// Rules that wait, or do not wait, for a confirmation.
    #[error(transparent)]
    Confirmation(#[from] ConfirmationError),
    /// An earlier generation.
    #[error(transparent)]
    Earlier(#[from] PinnedError),
    /// The rules would lock somebody out.
    #[error(transparent)]
    Lockout(#[from] LockoutError),
    /// There is no earlier generation.
    #[error("no generation before generation {0} is kept")]
    NoPrevious(Generation),
    /// The daemon was told to end before it had done what it was about to do.
    #[error("the daemon was told to end")]
    Ending,
    /// The compiler failed in a way that nobody foresaw.
    #[error("the compiler broke off: this is a defect of this software")]
    Broken(#[from] tokio::task::JoinError),
    /// The output cannot be written.
    #[error("cannot write the output")]
    Output(#[source] io::Error),
    /// The current folder is gone.
    #[error("the current folder cannot be found")]
    CurrentFolder(#[source] io::Error),
    /// What a daemon answered.
    #[error("{0}")]
    Answered(String),
}

impl Error {
    /// What the user can do.
    pub(crate) fn help(&self) -> Option<String> {
        match self {
            Self::Host(error) => error.help(),
            Self::Candidate(error) => error.help(),
            Self::Tests(error) | Self::TestsChecked(error) => error.help(),
            Self::Interface(error) => error.help(),
            Self::Occupied { occupied, .. } => Some(link::occupied_help(&occupied.interface)),
            Self::Found(error) => Some(error.help().into()),
            Self::Loaded(error) => error.help(),
            Self::Object(error) => error.help(),
            Self::Filter(error) => error.help(),
            Self::Unsuitable { obstacles, .. } => Some(obstacles.clone()),
            Self::Confirmation(error) => error.help(),
            Self::Lockout(_) => Some(LockoutError::HELP.into()),
            Self::Bans(error) => error.help(),
            Self::Capture(error) => error.help(),
            Self::Lock(error) => error.help(),
            Self::Denied { .. } => Some("`--deny-warnings` makes them errors".into()),
            Self::Control(ControlError::NoDaemon { .. }) => {
                Some("`firewall apply FILE` starts one; what is loaded stays in force".into())
            }
            Self::Hangs { holder, .. } => Some(match holder {
                Some(pid) => format!(
                    "wait, or end it with `kill -KILL {pid}`; what is loaded stays in force"
                ),
                None => "wait, and try again".into(),
            }),
            Self::Source(_)
            | Self::Explain(_)
            | Self::Counters(_)
            | Self::Events(_)
            | Self::Attachment(_)
            | Self::Unload(_)
            | Self::Info(_)
            | Self::Privileges(_)
            | Self::Socket(_)
            | Self::Control(ControlError::NoAnswer { .. } | ControlError::Refused(_))
            | Self::Checked { .. }
            | Self::Runtime(_)
            | Self::Signals(_)
            | Self::LinkEvents(_)
            | Self::Ending
            | Self::Earlier(_)
            | Self::NoPrevious(_)
            | Self::Broken(_)
            | Self::Output(_)
            | Self::CurrentFolder(_)
            | Self::Analysis(_)
            | Self::Answered(_) => None,
        }
    }

    /// The diagnostics that are not printed yet.
    pub(crate) fn diagnostics(&self) -> &[Diagnostic] {
        if let Self::Source(error) = self {
            error.diagnostics()
        } else if let Self::Tests(error) = self {
            error.diagnostics()
        } else if let Self::Explain(error) = self {
            error.diagnostics()
        } else {
            &[]
        }
    }

    /// The error as the user reads it: diagnostics, message with its causes, help.
    pub(crate) fn report(&self) -> String {
        if let Self::Answered(report) | Self::Control(ControlError::Refused(report)) = self {
            return report.clone();
        }
        let mut report = String::new();
        if !self.diagnostics().is_empty() {
            report = load::render(self.diagnostics()) + "\n";
        }
        report.push_str(&format!("error: {}", Causes(self)));
        if let Some(help) = self.help() {
            report.push_str(&format!("\nhelp: {help}"));
        }
        report
    }
}

impl Error {
    /// Tells whoever called the command.
    pub(crate) fn tell(&self) {
        #[derive(Serialize)]
        struct Failed {
            error: String,
            #[serde(skip_serializing_if = "Option::is_none")]
            help: Option<String>,
        }
        if !lines::is_json() {
            lines::tell_error(&self.report());
            return;
        }
        load::tell(self.diagnostics());
        let error = Causes(self).to_string();
        let fields = Fields::of(&Failed {
            error: error.clone(),
            help: self.help(),
        });
        lines::tell_event(Level::ERROR, "failed", &error, &fields);
    }
}

fn pid(holder: Option<u32>) -> String {
    holder.map_or_else(String::new, |pid| format!(" (process {pid})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_causes_and_help() {
        let error = Error::Control(ControlError::NoDaemon {
            instance: "default".into(),
            source: io::ErrorKind::NotFound.into(),
        });
        assert_eq!(
            error.report(),
            "error: no daemon runs for instance `default`: entity not found\n\
             help: `firewall apply FILE` starts one; what is loaded stays in force"
        );
    }
}
