//! A daemon in the background: it leaves its caller, and reports to it when its rules are in force.
//!
//! The caller reads the report from the daemon's stdout, and everything else from stderr, which stays the
//! caller's until then: errors at the start are seen as those of a command in the foreground.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::Path,
};

use nix::unistd::{close, dup2_stdout, setsid};

use crate::{
    error::Error,
    logging::background::{self, LogFile},
};

/// Where the descriptors of this process are listed.
const DESCRIPTORS: &str = "/proc/self/fd";

/// A process that is to be the daemon, and has not reported yet.
pub(crate) struct Background {
    log: Option<LogFile>,
}

/// How a report begins.
const REPORT: &str = "process ";

/// What the daemon wrote on its stdout for the caller of the command, and its report, which may be missing.
pub(crate) fn parts(output: &str) -> (&str, &str) {
    let last = output.trim_end().rfind('\n').map_or(0, |end| end + 1);
    let (document, report) = output.split_at(last);
    if report.starts_with(REPORT) {
        (document, report)
    } else {
        (output, "")
    }
}

impl Background {
    /// Leaves the session, the folder and the files of the caller; opens the log file.
    ///
    /// # Errors
    ///
    /// When the system refuses, or the log file cannot be opened.
    pub(crate) fn enter(log: Option<&Path>) -> Result<Self, Error> {
        close_inherited().map_err(Error::system("cannot close inherited files"))?;
        let log = log
            .map(LogFile::open)
            .transpose()
            .map_err(Error::system("cannot open the log file"))?;
        let leave = || -> io::Result<()> {
            setsid()?;
            std::env::set_current_dir("/")
        };
        leave().map_err(Error::system("cannot leave the session"))?;
        Ok(Self { log })
    }

    /// Redirects the log and reports to the caller, which ends with that.
    pub(crate) fn report(self) {
        let redirect = || -> io::Result<()> {
            let null = OpenOptions::new().write(true).open("/dev/null")?;
            let destination = background::redirect(self.log)?;
            // A caller that is gone misses the report.
            let _ = writeln!(
                io::stdout(),
                "{REPORT}{} runs in the background; {destination}",
                std::process::id()
            );
            dup2_stdout(null)?;
            Ok(())
        };
        if let Err(error) = redirect() {
            tracing::error!(event = "log_not_redirected", %error, "the log cannot be redirected");
        }
    }
}

/// Closes what a caller may have left open: the lock of a script, say, would be held for as long as the daemon runs.
fn close_inherited() -> io::Result<()> {
    let mut inherited = Vec::new();
    for entry in fs::read_dir(DESCRIPTORS)? {
        let name = entry?.file_name();
        let number: Option<i32> = name.to_str().and_then(|name| name.parse().ok());
        inherited.extend(number.filter(|number| *number > 2));
    }
    for number in inherited {
        // That of the listing is closed already.
        let _ = close(number);
    }
    Ok(())
}
