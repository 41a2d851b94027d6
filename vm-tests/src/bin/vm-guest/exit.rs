//! The end of the machine, by QEMU's `isa-debug-exit`.

#![expect(unsafe_code, reason = "an I/O port is written to")]

use std::{arch::asm, convert::Infallible, thread, time::Duration};

use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use vm_tests::report::{EXIT_PORT, End};

/// How long QEMU may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Ends the machine at once, with the status for this end.
pub(crate) fn exit(end: End) -> Result<Infallible> {
    // SAFETY: the call changes which ports this thread may use, and no memory.
    let granted = unsafe { libc::ioperm(EXIT_PORT.into(), 1, 1) };
    Errno::result(granted).context("the I/O port of the exit device is out of reach")?;
    // SAFETY: the port belongs to the exit device, which takes any byte, and the write touches no
    // memory and no flags.
    unsafe {
        asm!(
            "out dx, al",
            in("dx") EXIT_PORT,
            in("al") end.value(),
            options(nomem, nostack, preserves_flags),
        );
    }
    thread::sleep(PATIENCE);
    bail!("the machine has no exit device at port {EXIT_PORT:#x}")
}
