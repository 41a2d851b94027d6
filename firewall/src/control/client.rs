//! A client of the control socket.

use std::{io, path::PathBuf};

use tokio::{
    io::{AsyncWriteExt as _, BufReader},
    net::UnixStream,
    time::timeout,
};

use crate::{
    config::RunFiles,
    control::protocol::{Answer, CaptureLine, PATIENCE, Request, read_line},
};

/// The longest answer in bytes, with its line feed.
pub(crate) const MAX_ANSWER: u64 = 64 << 20;

/// Why no answer came.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControlError {
    /// No daemon listens.
    #[error("no daemon runs for instance `{instance}`")]
    NoDaemon {
        /// The instance.
        instance: String,
        /// Why.
        source: io::Error,
    },
    /// The daemon does not take orders from this user; this is what it says.
    #[error("{0}")]
    Refused(String),
    /// The daemon does not answer.
    #[error("the daemon does not answer at `{}`", socket.display())]
    NoAnswer {
        /// Where.
        socket: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Asks the daemon of an instance. A ping is given up after [`PATIENCE`]; what is to be carried
/// out takes as long as it takes.
pub(crate) async fn ask(
    places: &RunFiles,
    instance: &str,
    request: &Request,
) -> Result<Answer, ControlError> {
    Client::connect(places, instance).await?.ask(request).await
}

/// A connection to the daemon of an instance.
pub(crate) struct Client {
    stream: BufReader<UnixStream>,
    socket: PathBuf,
}

impl Client {
    /// Connects.
    pub(crate) async fn connect(places: &RunFiles, instance: &str) -> Result<Self, ControlError> {
        let socket = places.socket.clone();
        match UnixStream::connect(&socket).await {
            Ok(stream) => Ok(Self {
                stream: BufReader::new(stream),
                socket,
            }),
            Err(source) => Err(ControlError::NoDaemon {
                instance: instance.to_owned(),
                source,
            }),
        }
    }

    /// Asks, like [`ask`].
    pub(crate) async fn ask(&mut self, request: &Request) -> Result<Answer, ControlError> {
        self.send(request).await?;
        match request {
            Request::Ping => match timeout(PATIENCE, self.receive()).await {
                Ok(answer) => answer,
                Err(elapsed) => Err(self.failed(elapsed.into())),
            },
            Request::Apply { .. }
            | Request::Reload { .. }
            | Request::Confirm
            | Request::Rollback { .. }
            | Request::Unload
            | Request::Ban { .. }
            | Request::Unban { .. }
            | Request::Capture(_) => self.receive().await,
        }
    }

    /// Sends a request; another one only after `ban` and `unban`.
    pub(crate) async fn send(&mut self, request: &Request) -> Result<(), ControlError> {
        let sent = async {
            let line = serde_json::to_string(request)? + "\n";
            timeout(PATIENCE, self.stream.write_all(line.as_bytes())).await?
        };
        let Err(error) = sent.await else {
            return Ok(());
        };
        // Who is refused may find the other end closed already, and the reason before its end.
        match timeout(PATIENCE, self.receive()).await {
            Ok(Ok(Answer::Failed { message })) => Err(ControlError::Refused(message)),
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

    /// Waits for the next line of a capture, as it comes; `None` when the daemon has closed the
    /// connection.
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

    /// What a line of a capture says.
    pub(crate) fn understood(&self, line: &str) -> Result<CaptureLine, ControlError> {
        serde_json::from_str(line).map_err(|error| self.failed(error.into()))
    }

    fn failed(&self, source: io::Error) -> ControlError {
        ControlError::NoAnswer {
            socket: self.socket.clone(),
            source,
        }
    }
}
