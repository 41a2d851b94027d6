//! What an error must say to reach the user.

use std::error::Error as StdError;

use rules::diagnostics::Diagnostic;

use crate::error::ExitStatus;

/// An error that a command can end with.
pub trait UserError: StdError + Send + Sync + 'static {
    /// What the user can do about it.
    fn help(&self) -> Option<String> {
        None
    }

    /// What is wrong with a rule file or a packet, as far as it is not printed yet.
    fn diagnostics(&self) -> &[Diagnostic] {
        &[]
    }

    /// The exit status of a command that ends with it.
    fn exit_status(&self) -> ExitStatus {
        ExitStatus::Refused
    }

    /// The whole report, where the daemon has written it already.
    fn finished_report(&self) -> Option<&str> {
        None
    }
}
