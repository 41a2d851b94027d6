//! The guest's end of the report.

use std::{
    fs::File,
    io::{self, Write as _},
};

use anyhow::{Context as _, Result};
use nix::sys::termios::tcdrain;
use vm_tests::report::{Event, PORT};

/// The file to which events are written.
pub(crate) struct Reporter(File);

impl Reporter {
    pub(crate) fn open() -> Result<Self> {
        let port = File::options()
            .write(true)
            .open(PORT)
            .with_context(|| format!("cannot open the serial port `{PORT}`"))?;
        Ok(Self(port))
    }

    /// Writes an event.
    pub(crate) fn report(&self, event: &Event) -> Result<()> {
        let mut port = &self.0;
        port.write_all(event.to_line().as_bytes())
            .with_context(|| format!("cannot write to the serial port `{PORT}`"))
    }

    /// Waits until everything, the console's part too, has left the machine.
    pub(crate) fn drain(&self) -> Result<()> {
        tcdrain(&self.0)
            .and_then(|()| tcdrain(io::stderr()))
            .context("cannot wait for the serial ports")
    }
}
