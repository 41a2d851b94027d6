//! Messages between two machines: one line of JSON each.

use std::{
    fs::File,
    io::{ErrorKind, Read as _, Write as _},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde::{Serialize, de::DeserializeOwned};
use vm_tests::wire::TALK;

/// The interval between two attempts to read from the other machine.
const PAUSE: Duration = Duration::from_millis(20);

/// One end of a conversation.
pub(crate) struct Talk(File);

impl Talk {
    pub(crate) fn open() -> Result<Self> {
        let port = File::options().read(true).write(true).open(TALK);
        port.map(Self)
            .with_context(|| format!("cannot open the port `{TALK}`"))
    }

    /// Sends a message.
    pub(crate) fn say(&mut self, what: &impl Serialize) -> Result<()> {
        let mut line = serde_json::to_vec(what)?;
        line.push(b'\n');
        self.0.write_all(&line).context("cannot talk")
    }

    /// Receives the next message.
    pub(crate) fn hear<T: DeserializeOwned>(&mut self, patience: Duration) -> Result<T> {
        let begin = Instant::now();
        let mut line = Vec::new();
        loop {
            let mut byte = [0];
            match self.0.read(&mut byte) {
                // The other end is not open yet.
                Ok(0) => thread::sleep(PAUSE),
                Ok(_) if byte == *b"\n" => break,
                Ok(_) => line.extend(byte),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("cannot listen"),
            }
            if begin.elapsed() > patience {
                bail!("the other machine said nothing for {patience:?}");
            }
        }
        serde_json::from_slice(&line).context("this is nothing to say")
    }
}
