//! The lines that the daemon sends, and how many of them were written.

use std::{
    fmt,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    control::protocol::CaptureLine,
    packet_log::drop_captures::DropTally,
    text::format::{counted, grouped},
};

/// A line from the daemon.
pub(super) struct Received {
    /// As it came, with its line feed.
    pub(super) text: String,
    /// What it says.
    pub(super) line: CaptureLine,
}

/// How many packets were written, how many were missed, and what became of all that were dropped meanwhile.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) packets: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) drops: OnceLock<DropTally>,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let packets = self.packets.load(Ordering::Relaxed);
        let packets = counted(packets, "packet");
        let lost = grouped(self.lost.load(Ordering::Relaxed));
        write!(f, "{packets} captured, {lost} lost")?;
        let Some(DropTally {
            dropped,
            emitted,
            suppressed,
            lost,
            not_sampled,
            not_chosen,
        }) = self.drops.get().copied()
        else {
            return Ok(());
        };
        let parts = [
            (emitted, "emitted"),
            (suppressed, "suppressed"),
            (lost, "lost"),
            (not_sampled, "not sampled"),
            (not_chosen, "not chosen"),
        ];
        let parts = parts.iter().filter(|(packets, _)| *packets > 0);
        let parts: Vec<String> = parts
            .map(|(packets, what)| format!("{} {what}", grouped(*packets)))
            .collect();
        write!(f, "; {} dropped meanwhile", counted(dropped, "packet"))?;
        if parts.is_empty() {
            return Ok(());
        }
        write!(f, ": {}", parts.join(", "))
    }
}
