//! Standard error as the output of the log: it never makes a daemon wait for its reader.
//!
//! A daemon whose log goes to a pipe or a socket that nobody reads would stop in the middle of its
//! work. It loses lines instead, and reports their number once the reader goes on.

use std::{
    io::{self, Write as _},
    os::fd::AsFd as _,
    sync::{Mutex, PoisonError},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// The bytes that are written at once: a pipe that is writable takes so many without waiting
/// (`PIPE_BUF`, `pipe(7)`).
const AT_ONCE: usize = 4096;

/// What became of the lines of a daemon.
struct Losses {
    /// Whether lines may be lost.
    may_lose: bool,
    /// The lines lost since the reader went on.
    lost: u64,
    /// Whether the last line was cut off.
    is_cut: bool,
}

static LOSSES: Mutex<Losses> = Mutex::new(Losses {
    may_lose: false,
    lost: 0,
    is_cut: false,
});

/// From now on a line that standard error does not take at once is lost.
pub(crate) fn lose_lines_rather_than_wait() {
    let mut losses = LOSSES.lock().unwrap_or_else(PoisonError::into_inner);
    losses.may_lose = true;
}

/// Writes lines; `report` makes the line about lost ones.
pub(super) fn write(lines: &[u8], report: impl FnOnce(u64) -> String) {
    let mut losses = LOSSES.lock().unwrap_or_else(PoisonError::into_inner);
    // A closed stderr is no error.
    let _ = losses.write(lines, report, is_writable, |bytes| {
        io::stderr().write_all(bytes)
    });
}

impl Losses {
    fn write(
        &mut self,
        lines: &[u8],
        report: impl FnOnce(u64) -> String,
        is_writable: impl Fn() -> bool,
        mut write: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        if !self.may_lose {
            return write(lines);
        }
        if self.lost > 0 && is_writable() {
            let end = if self.is_cut { "\n" } else { "" };
            write(format!("{end}{}", report(self.lost)).as_bytes())?;
            (self.lost, self.is_cut) = (0, false);
        }
        for (number, part) in lines.chunks(AT_ONCE).enumerate() {
            if self.lost > 0 || !is_writable() {
                self.lost = self.lost.saturating_add(1);
                self.is_cut |= number > 0;
                return Ok(());
            }
            write(part)?;
        }
        Ok(())
    }
}

/// Whether standard error takes [`AT_ONCE`] bytes without waiting; also when that is unknown.
fn is_writable() -> bool {
    let stderr = io::stderr();
    let mut polled = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    match poll(&mut polled, PollTimeout::ZERO) {
        Ok(ready) => ready > 0,
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn what_is_not_taken_at_once_is_lost_and_counted() {
        let mut losses = Losses {
            may_lose: true,
            lost: 0,
            is_cut: false,
        };
        let room = Cell::new(3);
        let written = Cell::new(Vec::new());
        let mut log = |line: &str| {
            let write = |bytes: &[u8]| {
                room.set(room.get() - 1);
                let mut all = written.take();
                all.extend_from_slice(bytes);
                written.set(all);
                Ok(())
            };
            let report = |lost| format!("{lost} lost\n");
            let is_writable = || room.get() > 0;
            losses
                .write(line.as_bytes(), report, is_writable, write)
                .unwrap();
        };
        log("one\n");
        // Two parts are written, and the third is not.
        let long = "x".repeat(2 * AT_ONCE + 1) + "\n";
        log(&long);
        log("three\n");
        room.set(9);
        log("four\n");
        let expected = format!("one\n{}\n2 lost\nfour\n", &long[..2 * AT_ONCE]);
        assert_eq!(String::from_utf8(written.take()).unwrap(), expected);
    }
}
