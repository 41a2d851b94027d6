//! What a capture is written as: words, JSON, or a capture file. Each packet is there to be read as
//! soon as it is written.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    num::NonZeroU64,
    sync::{Arc, atomic::Ordering},
};

use jiff::{Timestamp, tz::TimeZone};
use rules::text::{escaped_json, escaped_lines};
use tokio::sync::{Notify, mpsc};

use crate::{
    commands::capture::{
        error::CaptureError,
        form::{Form, Target},
        lines::{Received, Tally},
        pcapng::Writer,
    },
    control::protocol::CaptureLine,
    error::Error,
    logging::lines::tell,
    packet_log::LoggedPacket,
    text::format::grouped,
};

/// Where packets go.
pub(super) struct Output {
    pub(super) form: Form,
    /// How many there are to be.
    pub(super) count: Option<NonZeroU64>,
    /// What was written so far.
    pub(super) tally: Arc<Tally>,
    /// Told when there are as many, if something comes after them: what became of the others.
    pub(super) full: Option<Arc<Notify>>,
}

impl Output {
    /// Writes packets until there are enough, or no more come.
    ///
    /// # Errors
    ///
    /// When they cannot be written. That nobody reads them any more is always [`Error::Output`].
    pub(super) fn write(self, lines: mpsc::Receiver<Received>) -> Result<(), Error> {
        let path = match &self.form {
            Form::Text | Form::Json | Form::Pcapng(Target::Stdout) => None,
            Form::Pcapng(Target::File(path)) => Some(path.clone()),
        };
        self.try_write(lines).map_err(|source| match path {
            Some(path) if source.kind() != io::ErrorKind::BrokenPipe => {
                CaptureError::File { path, source }.into()
            }
            Some(_) | None => Error::Output(source),
        })
    }

    fn try_write(self, mut lines: mpsc::Receiver<Received>) -> io::Result<()> {
        let mut sink = Sink::open(&self.form)?;
        let mut packets = 0;
        while let Some(line) = lines.blocking_recv() {
            match &line.line {
                CaptureLine::Packet(_)
                    if self.count.is_some_and(|count| count.get() == packets) => {}
                CaptureLine::Packet(packet) => {
                    sink.packet(packet, &line.text)?;
                    packets += 1;
                    self.tally.packets.store(packets, Ordering::Relaxed);
                    if self.count.is_some_and(|count| count.get() == packets) {
                        match &self.full {
                            Some(full) => full.notify_one(),
                            None => break,
                        }
                    }
                }
                CaptureLine::Lost { lost } => {
                    self.tally.lost.fetch_add(*lost, Ordering::Relaxed);
                    sink.lost(*lost, &line.text)?;
                }
                CaptureLine::Tally { tally } => {
                    // There is one.
                    let _ = self.tally.drops.set(*tally);
                    sink.tally(&line.text)?;
                }
                CaptureLine::Ends(_) => break,
            }
        }
        Ok(())
    }
}

enum Sink {
    Text(io::Stdout, TimeZone),
    Json(io::Stdout),
    Pcapng(Writer<Box<dyn Write>>),
}

impl Sink {
    fn open(form: &Form) -> io::Result<Self> {
        Ok(match form {
            Form::Text => Self::Text(io::stdout(), TimeZone::system()),
            Form::Json => Self::Json(io::stdout()),
            Form::Pcapng(target) => {
                let out: Box<dyn Write> = match target {
                    // What stdout would keep back is not text, in which it looks for lines.
                    Target::Stdout => Box::new(BufWriter::new(io::stdout())),
                    Target::File(path) => Box::new(BufWriter::new(File::create(path)?)),
                };
                Self::Pcapng(Writer::begin(out)?)
            }
        })
    }

    fn packet(&mut self, packet: &LoggedPacket, text: &str) -> io::Result<()> {
        match self {
            Self::Text(out, zone) => write(out, &escaped_lines(&in_words(packet, zone))),
            Self::Json(out) => write(out, &escaped_json(text)),
            Self::Pcapng(writer) => writer.packet(packet),
        }
    }

    fn tally(&mut self, text: &str) -> io::Result<()> {
        match self {
            // It is in the message at the end.
            Self::Text(..) | Self::Pcapng(_) => Ok(()),
            Self::Json(out) => write(out, text),
        }
    }

    fn lost(&mut self, lost: u64, text: &str) -> io::Result<()> {
        match self {
            Self::Text(..) | Self::Pcapng(_) => {
                tell(
                    "packets_missed",
                    &format!(
                        "{} lost: they came faster than they were read",
                        grouped(lost)
                    ),
                );
                Ok(())
            }
            Self::Json(out) => write(out, text),
        }
    }
}

fn write(out: &mut io::Stdout, line: &str) -> io::Result<()> {
    out.write_all(line.as_bytes())?;
    out.flush()
}

/// A packet in a line: when, which rule, what it does, which way, where, how long, and what.
fn in_words(packet: &LoggedPacket, zone: &TimeZone) -> String {
    let time = Timestamp::from_nanosecond(packet.time_ns.into()).unwrap_or_default();
    let time = time.to_zoned(zone.clone());
    let cause = packet.cause();
    let LoggedPacket {
        direction,
        action,
        interface,
        length,
        packet,
        ..
    } = packet;
    let time = time.strftime("%Y-%m-%d %H:%M:%S%.3f");
    format!("{time}  {cause}  {action}  {direction}  {interface}  {length}  {packet}\n")
}

#[cfg(test)]
mod tests {
    use jiff::tz;

    use super::*;

    #[test]
    fn a_packet_is_a_line_in_local_time() {
        let packet = LoggedPacket {
            time_ns: 1_709_251_199_999_900_000,
            rule: Some("ssh from elsewhere".into()),
            length: 1040,
            packet: "tcp 203.0.113.9:4444 > 192.0.2.1:22 syn".into(),
            ..LoggedPacket::sample()
        };
        assert_eq!(
            in_words(&packet, &TimeZone::fixed(tz::offset(2))),
            "2024-03-01 01:59:59.999  ssh from elsewhere  drop  in  eth0  1040  \
             tcp 203.0.113.9:4444 > 192.0.2.1:22 syn\n"
        );
    }
}
