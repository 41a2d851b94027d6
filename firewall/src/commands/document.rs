//! The JSON that commands with `--json` print about what they did. `docs/json.md` describes it.

use serde::Serialize;

use crate::{
    commands::{
        ban_input::BanDocument,
        output::{json, print_result},
    },
    control::protocol::RulesResult,
    error::{Error, ExitStatus},
    logging::diagnostics::DiagnosticRecord,
};

/// The version of the documents. Keys may be added in the same version.
const VERSION: u32 = 1;

/// What a command did.
#[derive(Debug, Serialize)]
struct Document<'a, T> {
    version: u32,
    command: &'a str,
    ok: bool,
    exit_status: u8,
    #[serde(flatten)]
    result: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorDocument>,
    diagnostics: Vec<DiagnosticRecord>,
}

#[derive(Debug, Serialize)]
struct ErrorDocument {
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
}

/// What `apply`, `reload` and `rollback` did.
#[derive(Debug, Serialize)]
struct RulesDocument {
    changed: bool,
    generation: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    confirm_seconds: Option<u64>,
}

/// Prints what a command did, or why not, if `is_json`. What it did is `result`, as far as it got.
///
/// # Errors
///
/// That of the command, or when its result cannot be printed.
pub(super) fn conclude<T: Serialize>(
    command: &str,
    is_json: bool,
    ended: Result<ExitStatus, Error>,
    result: T,
    mut diagnostics: Vec<DiagnosticRecord>,
) -> Result<ExitStatus, Error> {
    if !is_json {
        return ended;
    }
    let status = match &ended {
        Ok(status) => *status,
        Err(error) => error.exit_status(),
    };
    let error = ended.as_ref().err().map(|error| {
        let parts = error.parts();
        diagnostics.extend(parts.diagnostics);
        ErrorDocument {
            message: parts.message,
            help: parts.help,
        }
    });
    print_result(&json(&Document {
        version: VERSION,
        command,
        ok: error.is_none(),
        exit_status: status.number(),
        result,
        error,
        diagnostics,
    })?)?;
    ended
}

/// Prints what became of bans.
///
/// # Errors
///
/// Those of [`conclude`].
pub(super) fn conclude_bans(
    command: &str,
    is_json: bool,
    ended: Result<(), Error>,
    bans: BanDocument,
) -> Result<ExitStatus, Error> {
    let ended = ended.map(|()| ExitStatus::Done);
    conclude(command, is_json, ended, bans, Vec::new())
}

/// Prints what an order for rules came to.
///
/// # Errors
///
/// Those of [`conclude`].
pub(super) fn conclude_rules(
    command: &str,
    is_json: bool,
    is_detailed: bool,
    ended: Result<Option<RulesResult>, Error>,
) -> Result<ExitStatus, Error> {
    let (ended, result) = match ended {
        Ok(result) => (Ok(()), result),
        Err(error) => (Err(error), None),
    };
    let is_unchanged = result.as_ref().is_some_and(|result| !result.changed);
    let status = if is_detailed && is_unchanged {
        ExitStatus::Unchanged
    } else {
        ExitStatus::Done
    };
    let (document, warnings) = match result {
        Some(result) => (
            Some(RulesDocument {
                changed: result.changed,
                generation: result.generation.number(),
                confirm_seconds: result.confirm_seconds,
            }),
            result.warnings,
        ),
        None => (None, Vec::new()),
    };
    conclude(command, is_json, ended.map(|()| status), document, warnings)
}
