//! The error of a command.

use std::{fmt, io};

use rules::diagnostics::Diagnostic;
use serde::Serialize;
use tokio::task::JoinError;
use tracing::Level;

use crate::{
    error::{ErrorParts, ExitStatus, UserError, lack::is_caused_by_lack},
    logging::{
        diagnostics,
        lines::{self, Fields},
    },
    text::causes::Causes,
};

/// Why a command failed.
#[derive(Debug)]
pub enum Error {
    /// What a part of the firewall reports.
    Reported(Box<dyn UserError>),
    /// The system refused what every command relies on.
    System {
        /// What could not be done.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The output cannot be written.
    Output(io::Error),
    /// The compiler panicked.
    Panicked(JoinError),
    /// What the daemon answered.
    Answered {
        /// Its report, ready to be printed.
        report: String,
        /// The exit status that follows from it.
        status: ExitStatus,
        /// The same in parts, if the daemon has it.
        parts: Option<Box<ErrorParts>>,
    },
    /// The daemon was asked to stop before it had done what it was about to do.
    Ending,
}

impl Error {
    /// Makes the error of a system call on which every command relies.
    pub(crate) fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { what, source }
    }

    /// What the user can do.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Reported(error) => error.help(),
            Self::Panicked(_) => Some("please report this, with the rule file".into()),
            Self::System { .. } | Self::Output(_) | Self::Answered { .. } | Self::Ending => None,
        }
    }

    /// The diagnostics that are not printed yet.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        match self {
            Self::Reported(error) => error.diagnostics(),
            Self::System { .. }
            | Self::Output(_)
            | Self::Panicked(_)
            | Self::Answered { .. }
            | Self::Ending => &[],
        }
    }

    /// The error in parts.
    pub(crate) fn parts(&self) -> ErrorParts {
        let report = match self {
            Self::Answered {
                parts: Some(parts), ..
            } => return (**parts).clone(),
            Self::Answered { report, .. } => Some(report.as_str()),
            Self::Reported(error) => error.finished_report(),
            Self::System { .. } | Self::Output(_) | Self::Panicked(_) | Self::Ending => None,
        };
        match report {
            Some(report) => ErrorParts::of_report(report),
            None => ErrorParts {
                message: Causes(self).to_string(),
                help: self.help(),
                diagnostics: self.diagnostics().iter().map(Into::into).collect(),
            },
        }
    }

    /// The exit status of a command that ends with it.
    pub fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Answered { status, .. } => *status,
            Self::Output(_) | Self::Panicked(_) | Self::Ending => ExitStatus::Refused,
            Self::Reported(_) | Self::System { .. } if is_caused_by_lack(self) => {
                ExitStatus::Lacking
            }
            Self::Reported(error) => error.exit_status(),
            Self::System { .. } => ExitStatus::Refused,
        }
    }

    /// Whether the reader of the output has closed it, having seen enough.
    pub(crate) fn is_closed_output(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// The error as the user reads it: diagnostics, message with its causes, help.
    pub fn report(&self) -> String {
        if let Self::Answered { report, .. } = self {
            return report.clone();
        }
        if let Self::Reported(error) = self
            && let Some(report) = error.finished_report()
        {
            return report.to_owned();
        }
        let mut report = String::new();
        if !self.diagnostics().is_empty() {
            report = diagnostics::render(self.diagnostics()) + "\n";
        }
        report.push_str(&format!("error: {}", Causes(self)));
        if let Some(help) = self.help() {
            report.push_str(&format!("\nhelp: {help}"));
        }
        report
    }

    /// Reports it to the caller of the command.
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
        diagnostics::tell(self.diagnostics());
        let error = Causes(self).to_string();
        let fields = Fields::of(&Failed {
            error: error.clone(),
            help: self.help(),
        });
        lines::tell_event(Level::ERROR, "failed", &error, &fields);
    }
}

impl<E: UserError> From<E> for Error {
    fn from(error: E) -> Self {
        Self::Reported(Box::new(error))
    }
}

impl From<JoinError> for Error {
    fn from(error: JoinError) -> Self {
        Self::Panicked(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reported(error) => error.fmt(f),
            Self::System { what, .. } => f.write_str(what),
            Self::Output(_) => f.write_str("cannot write the output"),
            Self::Panicked(_) => f.write_str("internal error: the compiler panicked"),
            Self::Answered { report, .. } => f.write_str(report),
            Self::Ending => f.write_str("the daemon is stopping"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // It shows itself; what it has is one step further.
            Self::Reported(error) => error.source(),
            Self::System { source, .. } | Self::Output(source) => Some(source),
            Self::Panicked(error) => Some(error),
            Self::Answered { .. } | Self::Ending => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("no way")]
    struct NoWay(#[source] io::Error);

    impl UserError for NoWay {
        fn help(&self) -> Option<String> {
            Some("turn back".into())
        }

        fn exit_status(&self) -> ExitStatus {
            ExitStatus::BadRules
        }
    }

    #[test]
    fn a_report_has_causes_and_help() {
        let error = Error::from(NoWay(io::ErrorKind::NotFound.into()));
        assert_eq!(
            error.report(),
            "error: no way: entity not found\nhelp: turn back"
        );
        assert_eq!(error.exit_status(), ExitStatus::BadRules);
    }

    #[test]
    fn what_the_machine_lacks_for_now_has_a_status_of_its_own() {
        for number in [libc::ENOSPC, libc::EMFILE, libc::ENOMEM, libc::EROFS] {
            let lacks = || io::Error::from_raw_os_error(number);
            assert_eq!(
                Error::from(NoWay(lacks())).exit_status(),
                ExitStatus::Lacking
            );
            let system = Error::system("cannot go")(lacks());
            assert_eq!(system.exit_status(), ExitStatus::Lacking);
        }
        let refused = Error::system("cannot go")(io::Error::from_raw_os_error(libc::EPERM));
        assert_eq!(refused.exit_status(), ExitStatus::Refused);
    }

    #[test]
    fn what_the_daemon_reports_is_passed_on_as_it_is() {
        let error = Error::Answered {
            report: "error: no\nhelp: yes".into(),
            status: ExitStatus::BadRules,
            parts: None,
        };
        assert_eq!(error.report(), "error: no\nhelp: yes");
        assert_eq!(error.exit_status(), ExitStatus::BadRules);
    }
}
