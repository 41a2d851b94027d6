//! The packets of a capture, one after the other: none is kept longer than it takes to explain it.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read, Write as _},
    path::Path,
};

use flate2::read::MultiGzDecoder;
use rules::captures::{self, CaptureError, Frame};
use serde::Serialize;

use crate::{
    commands::explain::{
        error::ExplainError,
        explainer::Explainer,
        packets::Packet,
        summary::{Summary, VerdictTally},
    },
    error::Error,
};

/// How a file begins that is compressed with gzip (RFC 1952, section 2.3.1).
const GZIP: &[u8] = &[0x1f, 0x8b, 8];

/// The name of standard input.
const STDIN: &str = "-";

/// How the packets are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReportForm {
    /// With all rules, and not in a line.
    pub(super) full: bool,
    pub(super) json: bool,
}

/// The last line of JSON.
#[derive(Serialize)]
struct LastLine {
    summary: Summary,
}

/// Explains the packets of a capture file, or the one with this number, which arrive on
/// `interface`. Returns whether walker and evaluator disagree about one, where only a defect can be
/// the cause.
pub(super) fn explain(
    path: &Path,
    index: Option<usize>,
    interface: Option<&str>,
    explainer: &Explainer<'_>,
    form: ReportForm,
) -> Result<bool, Error> {
    let capture = |source| ExplainError::Capture {
        path: path.to_owned(),
        source,
    };
    // The writer of a pipe may be a live capture.
    let is_pipe = path.as_os_str() == STDIN;
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut tally = VerdictTally::default();
    let (mut last, mut found) = (0, false);
    let mut is_defect = false;
    let mut fault = None;
    for frame in captures::frames(open(path)?).map_err(capture)? {
        let wanted = |number| index.is_none_or(|index| index == number);
        match frame {
            Ok(frame) => {
                last = frame.number;
                if !wanted(frame.number) {
                    continue;
                }
                found = true;
                let number = frame.number;
                let packet = packet(frame, path, interface);
                let classified = explainer.classify(&packet)?;
                tally.add(&packet, &classified.evaluation);
                let text = if form.full || index.is_some() {
                    let shown = explainer.full(packet, classified);
                    is_defect |= shown.is_defect();
                    match form.json {
                        true => line(&shown)?,
                        false => shown.to_text() + "\n",
                    }
                } else {
                    let brief = explainer.brief(number, &packet, &classified);
                    is_defect |= explainer.is_certain && brief.is_disputed();
                    match form.json {
                        true => line(&brief)?,
                        false => brief.to_text(),
                    }
                };
                out.write_all(text.as_bytes()).map_err(Error::Output)?;
                if is_pipe {
                    out.flush().map_err(Error::Output)?;
                }
            }
            Err(CaptureError::NotEthernet { number, link }) => {
                last = number;
                tally.skip(link);
                if index == Some(number) {
                    return Err(capture(CaptureError::NotEthernet { number, link }).into());
                }
            }
            // What was read of it is explained before.
            Err(error) => fault = Some(capture(error)),
        }
        if index == Some(last) {
            break;
        }
    }
    match (index, found, fault) {
        (_, _, Some(fault)) => {
            out.flush().map_err(Error::Output)?;
            return Err(fault.into());
        }
        (Some(_), false, None) => {
            return Err(ExplainError::NoPacket {
                path: path.to_owned(),
                count: last,
            }
            .into());
        }
        (Some(_), true, None) => {}
        (None, _, None) => {
            let summary = tally.summary(explainer);
            let text = match form.json {
                true => line(&LastLine { summary })?,
                false => summary.to_text(),
            };
            out.write_all(text.as_bytes()).map_err(Error::Output)?;
        }
    }
    out.flush().map_err(Error::Output)?;
    Ok(is_defect)
}

/// A value in a line of JSON.
fn line(value: &impl Serialize) -> Result<String, Error> {
    let json = serde_json::to_string(value);
    Ok(json.map_err(|error| Error::Output(error.into()))? + "\n")
}

fn packet(frame: Frame, path: &Path, interface: Option<&str>) -> Packet {
    let part = if frame.is_whole() {
        ""
    } else {
        ", captured in part"
    };
    Packet {
        origin: format!("packet {} of {}{part}", frame.number, path.display()),
        length: frame.length,
        frame: frame.bytes,
        interface: interface.map(str::to_owned),
    }
}

/// The contents of a file, or of standard input, which may be compressed.
fn open(path: &Path) -> Result<Box<dyn Read + Send>, ExplainError> {
    let failed = |source| ExplainError::Read {
        path: path.to_owned(),
        source,
    };
    let file: Box<dyn Read + Send> = if path.as_os_str() == STDIN {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(path).map_err(failed)?)
    };
    let mut file = BufReader::with_capacity(1 << 16, file);
    let start = file.fill_buf().map_err(failed)?;
    Ok(if start.starts_with(GZIP) {
        Box::new(MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    })
}
