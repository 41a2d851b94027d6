//! A client of the control socket.

use std::{
    io,
    net::Shutdown,
    os::{fd::AsFd as _, unix::net},
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{
    io::{AsyncWriteExt as _, BufReader},
    net::UnixStream,
    time::{Instant, timeout},
};

use crate::{
    config::Config,
    control::{
        lock::{self, process},
        protocol::{Answer, CaptureLine, PATIENCE, Request, read_line},
    },
    error::UserError,
    interfaces::namespace::NetworkNamespace,
    logging::lines::tell,
};

/// The maximum length of an answer in bytes, with its line feed.
pub(crate) const MAX_ANSWER: u64 = 64 << 20;

/// How long a command waits without a word.
const SILENCE: Duration = Duration::from_secs(5);

/// How long a daemon may fail to respond to pings before a command gives up.
const HANGING: Duration = Duration::from_secs(30);

/// The time between the response to a ping and the next one.
const PING_INTERVAL: Duration = Duration::from_secs(2);

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControlError {
    /// No daemon is running.
    #[error("no daemon is running for instance `{instance}`")]
    NoDaemon {
        /// The instance.
        instance: String,
    },
    /// This user may not connect to the socket.
    #[error("no permission to connect to the daemon at `{}`", socket.display())]
    Forbidden {
        /// The socket of the daemon, if one runs.
        socket: PathBuf,
    },
    /// The socket cannot be connected to.
    #[error("cannot connect to the daemon at `{}`", socket.display())]
    NoConnection {
        /// Where it listens.
        socket: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process has the instance, and does not answer.
    #[error("another process has instance `{instance}`{} but does not answer", process(*.holder))]
    Hangs {
        /// The instance.
        instance: String,
        /// The process.
        holder: Option<u32>,
    },
    /// A daemon runs, and its socket is missing or closed.
    #[error("the daemon{} of instance `{instance}` cannot be reached at `{}`", process(*.holder), socket.display())]
    Unreachable {
        /// The instance.
        instance: String,
        /// Its process, if it is known.
        holder: Option<u32>,
        /// Where its socket should be.
        socket: PathBuf,
    },
    /// The daemon does not accept requests from this user; its message.
    #[error("{0}")]
    Refused(String),
    /// The daemon ended, or closed the connection, before it answered.
    #[error("the daemon of instance `{instance}` ended before it answered")]
    Lost {
        /// The instance.
        instance: String,
    },
    /// The daemon does not answer.
    #[error("the daemon does not answer at `{}`", socket.display())]
    NoAnswer {
        /// Where.
        socket: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl ControlError {
    /// The error for an instance whose lock another process holds without answering.
    pub(crate) fn hangs(config: &Config) -> Self {
        Self::Hangs {
            instance: config.instance.clone(),
            holder: lock::holder(&config.run),
        }
    }

    fn of_connecting(error: io::Error, socket: PathBuf, instance: &str) -> Self {
        let kind = error.kind();
        if matches!(
            kind,
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
        ) {
            Self::NoDaemon {
                instance: instance.to_owned(),
            }
        } else if kind == io::ErrorKind::PermissionDenied {
            Self::Forbidden { socket }
        } else {
            Self::NoConnection {
                socket,
                source: error,
            }
        }
    }
}

impl UserError for ControlError {
    fn help(&self) -> Option<String> {
        match self {
            Self::NoDaemon { .. } => {
                Some("`firewall apply FILE` starts one; what is loaded stays in force".into())
            }
            Self::Forbidden { .. } => Some("run it as root, for example with `sudo`".into()),
            Self::Hangs { .. } => Some(
                "wait, and try again; what is loaded stays in force, and the log of the daemon has what it does"
                    .into(),
            ),
            Self::Unreachable { .. } => Some(
                "what is loaded stays in force; the daemon makes its socket again within seconds, and logs why if \
                 it cannot"
                    .into(),
            ),
            Self::Lost { .. } => Some(
                "`firewall status` shows what is loaded, which stays in force, and whether a daemon runs"
                    .into(),
            ),
            Self::NoConnection { .. } | Self::Refused(_) | Self::NoAnswer { .. } => None,
        }
    }

    fn finished_report(&self) -> Option<&str> {
        match self {
            Self::Refused(report) => Some(report),
            Self::NoDaemon { .. }
            | Self::Forbidden { .. }
            | Self::NoConnection { .. }
            | Self::Hangs { .. }
            | Self::Unreachable { .. }
            | Self::Lost { .. }
            | Self::NoAnswer { .. } => None,
        }
    }
}

/// Sends a request to the daemon of an instance. A ping times out after [`PATIENCE`]; other
/// requests have no time limit as long as the daemon responds to pings.
pub(crate) async fn ask(config: &Config, request: &Request) -> Result<Answer, ControlError> {
    Client::connect(config).await?.ask(request).await
}

/// A connection to the daemon of an instance.
pub(crate) struct Client {
    stream: BufReader<UnixStream>,
    socket: PathBuf,
    instance: String,
}

impl Client {
    /// Connects. A daemon that has begun or ends, or whose socket was removed, has its lock and does not listen: it
    /// is waited for.
    pub(crate) async fn connect(config: &Config) -> Result<Self, ControlError> {
        let begin = Instant::now();
        let socket = &config.run.socket;
        loop {
            let error = match UnixStream::connect(socket).await {
                Ok(stream) => {
                    return Ok(Self {
                        stream: BufReader::new(stream),
                        socket: socket.clone(),
                        instance: config.instance.clone(),
                    });
                }
                Err(error) => ControlError::of_connecting(error, socket.clone(), &config.instance),
            };
            if !matches!(error, ControlError::NoDaemon { .. }) || !lock::is_held(config) {
                return Err(error);
            }
            if begin.elapsed() > PATIENCE {
                return Err(ControlError::Unreachable {
                    instance: config.instance.clone(),
                    holder: lock::holder(&config.run),
                    socket: socket.clone(),
                });
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The network namespaces of the daemon and of this process, if they are known and not the same.
    pub(crate) fn namespaces(&self) -> Option<(NetworkNamespace, NetworkNamespace)> {
        let daemon = self.stream.get_ref().peer_cred().ok()?.pid()?;
        let daemon = NetworkNamespace::of(u32::try_from(daemon).ok()?).ok()?;
        let own = NetworkNamespace::own().ok()?;
        (daemon != own).then_some((daemon, own))
    }

    /// Sends a request and reads its answer, like [`ask`].
    pub(crate) async fn ask(&mut self, request: &Request) -> Result<Answer, ControlError> {
        self.send(request).await?;
        match request {
            Request::Ping {} => match timeout(PATIENCE, self.receive()).await {
                Ok(answer) => answer,
                Err(elapsed) => Err(self.failed(elapsed.into())),
            },
            Request::Apply { .. }
            | Request::Reload { .. }
            | Request::Confirm {}
            | Request::Rollback { .. }
            | Request::Unload {}
            | Request::Ban { .. }
            | Request::Unban(_)
            | Request::Capture(_)
            | Request::Addresses {} => self.receive_patiently().await,
        }
    }

    /// Waits for an answer as long as the daemon responds to pings, and says so when it takes long.
    async fn receive_patiently(&mut self) -> Result<Answer, ControlError> {
        let peer = self.stream.get_ref().peer_cred().ok();
        let holder = peer.and_then(|peer| u32::try_from(peer.pid()?).ok());
        let hangs = ControlError::Hangs {
            instance: self.instance.clone(),
            holder,
        };
        let socket = self.socket.clone();
        let answer = self.receive();
        tokio::pin!(answer);
        if let Ok(answer) = timeout(SILENCE, &mut answer).await {
            return answer;
        }
        tell(
            "waiting",
            &format!("waiting for the daemon{}", process(holder)),
        );
        let mut responded_at = Instant::now();
        while responded_at.elapsed() < HANGING {
            tokio::select! {
                answer = &mut answer => return answer,
                responds = responds(&socket) => if responds {
                    responded_at = Instant::now();
                },
            }
            if let Ok(answer) = timeout(PING_INTERVAL, &mut answer).await {
                return answer;
            }
        }
        Err(hangs)
    }

    /// Sends a request.
    pub(crate) async fn send(&mut self, request: &Request) -> Result<(), ControlError> {
        let sent = async {
            let line = serde_json::to_string(request)? + "\n";
            timeout(PATIENCE, self.stream.write_all(line.as_bytes())).await?
        };
        let Err(error) = sent.await else {
            return Ok(());
        };
        // A refused client may find the other end closed, with the reason still readable.
        match timeout(PATIENCE, self.receive()).await {
            Ok(Ok(Answer::Failed(failure))) => Err(ControlError::Refused(failure.report())),
            Ok(_) | Err(_) => Err(self.failed(error)),
        }
    }

    /// Waits for the next answer.
    pub(crate) async fn receive(&mut self) -> Result<Answer, ControlError> {
        let received = async {
            let line = read_line(&mut self.stream, MAX_ANSWER).await?;
            Ok(serde_json::from_str(&line)?)
        };
        received.await.map_err(|error| self.failed(error))
    }

    /// What closes the writing side of the connection, even while a line is awaited.
    pub(crate) fn writing_side(&self) -> io::Result<WritingSide> {
        let stream = self.stream.get_ref().as_fd().try_clone_to_owned()?;
        Ok(WritingSide(stream.into()))
    }

    /// Waits for the next line of a capture; `None` when the daemon has closed the connection.
    pub(crate) async fn receive_line(&mut self) -> Result<Option<String>, ControlError> {
        match read_line(&mut self.stream, MAX_ANSWER).await {
            Ok(line) => Ok(Some(line)),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Parses a line of a capture.
    pub(crate) fn understood(&self, line: &str) -> Result<CaptureLine, ControlError> {
        serde_json::from_str(line).map_err(|error| self.failed(error.into()))
    }

    fn failed(&self, source: io::Error) -> ControlError {
        if matches!(
            source.kind(),
            io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::BrokenPipe
        ) {
            return ControlError::Lost {
                instance: self.instance.clone(),
            };
        }
        ControlError::NoAnswer {
            socket: self.socket.clone(),
            source,
        }
    }
}

/// The writing side of a connection.
pub(crate) struct WritingSide(net::UnixStream);

impl WritingSide {
    /// Closes it, so that the daemon ends a capture. It may have closed the connection already.
    pub(crate) fn close(&self) {
        let _ = self.0.shutdown(Shutdown::Write);
    }
}

/// Whether the daemon responds to a ping.
async fn responds(socket: &Path) -> bool {
    let responded = async {
        let mut stream = UnixStream::connect(socket).await?;
        let line = serde_json::to_string(&Request::Ping {})? + "\n";
        stream.write_all(line.as_bytes()).await?;
        read_line(&mut BufReader::new(stream), MAX_ANSWER).await
    };
    matches!(timeout(PATIENCE, responded).await, Ok(Ok(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_reported_without_their_numbers() {
        let message = |errno| {
            let error = io::Error::from_raw_os_error(errno);
            let error = ControlError::of_connecting(error, "/run/x.sock".into(), "x");
            crate::error::Error::from(error).report()
        };
        let none = "error: no daemon is running for instance `x`\n\
                    help: `firewall apply FILE` starts one; what is loaded stays in force";
        assert_eq!(message(libc::ENOENT), none);
        assert_eq!(message(libc::ECONNREFUSED), none);
        assert_eq!(
            message(libc::EACCES),
            "error: no permission to connect to the daemon at `/run/x.sock`\n\
             help: run it as root, for example with `sudo`"
        );
        assert_eq!(
            message(libc::ENOTDIR),
            "error: cannot connect to the daemon at `/run/x.sock`: Not a directory"
        );
    }
}
