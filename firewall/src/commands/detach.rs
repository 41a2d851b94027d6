//! `firewall apply --detach`: the daemon as another process, until its rules are in force.

use std::{
    env,
    ffi::OsStr,
    io,
    os::unix::process::ExitStatusExt as _,
    process::{ExitStatus as ProcessStatus, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    io::AsyncReadExt as _,
    process::Command,
    signal::unix::{SignalKind, signal},
};

use crate::{
    commands::output::print_result,
    daemon::background,
    error::{Error, ExitStatus, UserError},
    logging::lines::tell,
};

/// Set in the environment of the process that is to be the daemon.
const DETACHED: &str = "FIREWALL_DETACHED";

/// The daemon died before its rules were in force.
#[derive(Debug, thiserror::Error)]
#[error("the daemon was ended by signal {signal} before its rules were in force")]
pub(crate) struct DiedError {
    signal: i32,
}

impl UserError for DiedError {
    fn help(&self) -> Option<String> {
        Some("`firewall status` shows what is loaded, `firewall unload` removes it".into())
    }
}

/// Whether this process is the one that [`run`] started.
pub(crate) fn is_detached() -> bool {
    env::var_os(DETACHED).is_some_and(|value| value == *OsStr::new("1"))
}

/// Runs the command line of this process again, as a daemon in the background, and waits until its rules are in
/// force, or until it has handed them to the daemon that runs. Its errors are on stderr already.
pub(crate) async fn run(reads_stdin: bool) -> Result<ExitStatus, Error> {
    let failed = || Error::system("cannot start the daemon");
    let program = env::current_exe().map_err(failed())?;
    let listen = |kind| signal(kind).map_err(Error::system("cannot receive signals"));
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hangup = listen(SignalKind::hangup())?;
    let mut daemon = Command::new(program)
        .args(env::args_os().skip(1))
        .env(DETACHED, "1")
        .stdin(if reads_stdin {
            Stdio::inherit()
        } else {
            Stdio::null()
        })
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed())?;
    let id = daemon.id().and_then(|id| i32::try_from(id).ok());
    let mut output = daemon
        .stdout
        .take()
        .ok_or_else(|| failed()(io::ErrorKind::BrokenPipe.into()))?;
    let mut report = String::new();
    let reported = async {
        output.read_to_string(&mut report).await?;
        Ok(report)
    };
    tokio::pin!(reported);
    let report: io::Result<String> = loop {
        tokio::select! {
            report = &mut reported => break report,
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
        // The caller gives up, and the daemon has left its session.
        if let Some(id) = id {
            let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
        }
    };
    let report = report.map_err(failed())?;
    let (document, report) = background::parts(&report);
    print_result(document)?;
    if !report.is_empty() {
        tell("started", report.trim_end());
        return Ok(ExitStatus::Done);
    }
    status(daemon.wait().await.map_err(failed())?)
}

/// The exit status of a process that ended without a report.
fn status(ended: ProcessStatus) -> Result<ExitStatus, Error> {
    match ended.signal() {
        Some(signal) => Err(DiedError { signal }.into()),
        None => Ok(ended
            .code()
            .map_or(ExitStatus::Refused, ExitStatus::of_code)),
    }
}
