//! What is loaded, as a command reads it: from the pins, or from the daemon if this process may not open them.

use serde::de::DeserializeOwned;

use crate::{
    config::Config,
    control::{
        client::{self, ControlError},
        protocol::{Answer, ReportRequest, Request},
    },
    error::{Error, UserError},
    kernel::host,
};

/// The daemon is of another version, and its report is not understood.
#[derive(Debug, thiserror::Error)]
#[error("the report of the daemon is not understood")]
struct ReportUnreadable(#[from] serde_json::Error);

impl UserError for ReportUnreadable {}

/// What is loaded, by `read` from the pins. If this process lacks the privileges for that, the daemon is asked, which
/// members of its group of readers may.
///
/// # Errors
///
/// Those of `read`, or of the daemon; that privileges are missing if the daemon cannot be reached.
pub(super) async fn read_or_ask<T: DeserializeOwned>(
    config: &Config,
    request: ReportRequest,
    read: impl AsyncFnOnce() -> Result<T, Error>,
) -> Result<T, Error> {
    let Err(lacking) = host::require_privileges() else {
        return read().await;
    };
    let answer = client::ask(config, &Request::Report(request)).await;
    match answer {
        Ok(Answer::Report { report }) => {
            let report = serde_json::from_value(report);
            Ok(report.map_err(ReportUnreadable::from)?)
        }
        Ok(Answer::Failed(failure)) => Err(failure.into()),
        Ok(
            Answer::Ending
            | Answer::Done { .. }
            | Answer::Alive { .. }
            | Answer::Bans(_)
            | Answer::Capturing { .. }
            | Answer::Addresses(_),
        ) => Err(Error::Ending),
        Err(ControlError::NoDaemon { .. } | ControlError::Forbidden { .. }) => Err(lacking.into()),
        Err(error) => Err(error.into()),
    }
}
