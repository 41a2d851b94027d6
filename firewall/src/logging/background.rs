//! The log of a daemon in the background: a file, the journal or syslog, in place of the caller's stderr.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io::{self, Write as _},
    net::Shutdown,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{
            fs::OpenOptionsExt as _,
            net::{UnixDatagram, UnixStream},
        },
    },
    path::{Path, PathBuf},
};

use nix::unistd::dup2_stderr;

use crate::logging::lines::{LogSink, use_sink};

/// Where the journal takes lines as from a service (`sd_journal_stream_fd(3)`).
const JOURNAL: &str = "/run/systemd/journal/stdout";

/// Where syslog takes messages (`syslog(3)`).
const SYSLOG: &str = "/dev/log";

/// The first lines of a stream to the journal: the name, no unit, the default priority, priorities at the
/// beginning of lines are read, and nothing goes to syslog, the kernel log and the console.
const JOURNAL_HEADER: &[u8] = b"firewall\n\n6\n1\n0\n0\n0\n";

/// A log file.
pub(crate) struct LogFile {
    path: PathBuf,
    file: File,
}

impl LogFile {
    /// Opens a file to append to, which is for its owner alone if it is new.
    ///
    /// # Errors
    ///
    /// When it cannot be opened.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.append(true).create(true).mode(0o600).open(path)?;
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }
}

/// Where the log goes.
pub(crate) enum Destination {
    /// To a file.
    File(PathBuf),
    /// To the journal.
    Journal,
    /// To syslog.
    Syslog,
    /// Nowhere.
    Nowhere,
}

/// Redirects stderr to a file or, without one, to the journal, else syslog, else nowhere.
///
/// # Errors
///
/// When stderr cannot be redirected.
pub(crate) fn redirect(file: Option<LogFile>) -> io::Result<Destination> {
    let (target, sink, destination): (OwnedFd, _, _) = if let Some(LogFile { path, file }) = file {
        (file.into(), LogSink::Plain, Destination::File(path))
    } else if let Ok(journal) = journal() {
        (journal.into(), LogSink::Journal, Destination::Journal)
    } else if let Ok(syslog) = syslog() {
        (syslog.into(), LogSink::Syslog, Destination::Syslog)
    } else {
        let nowhere = OpenOptions::new().write(true).open("/dev/null")?;
        (nowhere.into(), LogSink::Plain, Destination::Nowhere)
    };
    dup2_stderr(target.as_fd())?;
    use_sink(sink);
    Ok(destination)
}

fn journal() -> io::Result<UnixStream> {
    let mut journal = UnixStream::connect(JOURNAL)?;
    journal.write_all(JOURNAL_HEADER)?;
    journal.shutdown(Shutdown::Read)?;
    Ok(journal)
}

fn syslog() -> io::Result<UnixDatagram> {
    let syslog = UnixDatagram::unbound()?;
    syslog.connect(SYSLOG)?;
    Ok(syslog)
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "it logs to `{}`", path.display()),
            Self::Journal => f.write_str("it logs to the journal: `journalctl -t firewall`"),
            Self::Syslog => f.write_str("it logs to syslog"),
            Self::Nowhere => f.write_str(
                "there is neither a journal nor syslog: its log is discarded, unless `--log-file` names a file",
            ),
        }
    }
}
