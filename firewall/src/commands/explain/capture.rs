//! The packets of a capture, one after the other: none is kept longer than it takes to explain it.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read, Write as _},
    path::{Path, PathBuf},
};

use flate2::read::MultiGzDecoder;
use rules::{
    Context,
    captures::{self, CaptureError, Frame, Frames},
    field::InterfacePattern,
    text::escaped_lines,
};
use serde::Serialize;

use crate::{
    commands::{
        explain::{
            error::ExplainError,
            explained::Explained,
            explainer::Explainer,
            packets::Packet,
            summary::{Summary, VerdictTally},
        },
        output::json_line,
    },
    error::Error,
    rule_file::gzip,
};

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

/// The packets of a capture file, or the one with a number, and what was found out about those before.
pub(super) struct CaptureReport {
    path: PathBuf,
    index: Option<usize>,
    /// Whether packets arrive on the interfaces that the capture names.
    has_interfaces: bool,
    /// Nothing before the file is opened.
    frames: Option<Frames<'static>>,
    /// The frame that was read and is not explained yet.
    next: Option<Frame>,
    tally: VerdictTally,
    /// The number of the last packet.
    last: usize,
    has_found: bool,
    is_defect: bool,
}

impl CaptureReport {
    /// The packets of the capture at `path`, or the one with this number.
    pub(super) fn new(path: PathBuf, index: Option<usize>, has_interfaces: bool) -> Self {
        Self {
            path,
            index,
            has_interfaces,
            frames: None,
            next: None,
            tally: VerdictTally::default(),
            last: 0,
            has_found: false,
            is_defect: false,
        }
    }

    /// Prints what becomes of the packets that are left. They arrive on `interface` unless the capture names
    /// another.
    pub(super) fn explain(
        &mut self,
        interface: Option<&str>,
        explainer: &Explainer<'_>,
        form: ReportForm,
    ) -> Result<Explained, Error> {
        // The writer of a pipe may be a live capture.
        let is_pipe = self.path.as_os_str() == STDIN;
        let mut out = io::BufWriter::new(io::stdout().lock());
        loop {
            let frame = match self.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(error) => {
                    // What was read before is explained.
                    out.flush().map_err(Error::Output)?;
                    return Err(error.into());
                }
            };
            let named = frame.interface.as_deref().filter(|_| self.has_interfaces);
            let interface = match named.filter(|name| is_name(name)) {
                Some(name) if explainer.knows(name) => Some(name.to_owned()),
                Some(name) if explainer.learns_interfaces => {
                    out.flush().map_err(Error::Output)?;
                    let name = name.to_owned();
                    self.next = Some(frame);
                    return Ok(Explained::Unknown(name));
                }
                Some(_) | None => interface.map(str::to_owned),
            };
            let text = self.text(frame, interface, explainer, form)?;
            out.write_all(text.as_bytes()).map_err(Error::Output)?;
            if is_pipe {
                out.flush().map_err(Error::Output)?;
            }
        }
        if self.index.is_none() {
            let summary = self.tally.summary(explainer);
            let text = match form.json {
                true => json_line(&LastLine { summary })?,
                false => escaped_lines(&summary.to_text()),
            };
            out.write_all(text.as_bytes()).map_err(Error::Output)?;
        }
        out.flush().map_err(Error::Output)?;
        Ok(Explained::of(self.is_defect))
    }

    /// The next frame to be explained; nothing at the end.
    fn next_frame(&mut self) -> Result<Option<Frame>, ExplainError> {
        if let Some(frame) = self.next.take() {
            return Ok(Some(frame));
        }
        let path = &self.path;
        let capture = |source| ExplainError::Capture {
            path: path.clone(),
            source,
        };
        let frames = match &mut self.frames {
            Some(frames) => frames,
            none => none.insert(captures::frames(open(path)?).map_err(capture)?),
        };
        while self.index.is_none_or(|index| self.last < index) {
            match frames.next() {
                None => break,
                Some(Ok(frame)) => {
                    self.last = frame.number;
                    if self.index.is_none_or(|index| index == frame.number) {
                        self.has_found = true;
                        return Ok(Some(frame));
                    }
                }
                Some(Err(CaptureError::NotEthernet { number, link })) => {
                    self.last = number;
                    self.tally.skip(link);
                    if self.index == Some(number) {
                        return Err(capture(CaptureError::NotEthernet { number, link }));
                    }
                }
                Some(Err(error)) => return Err(capture(error)),
            }
        }
        if self.index.is_some() && !self.has_found {
            return Err(ExplainError::NoPacket {
                path: path.clone(),
                count: self.last,
            });
        }
        Ok(None)
    }

    /// What is shown of a frame that arrives on `interface`.
    fn text(
        &mut self,
        frame: Frame,
        interface: Option<String>,
        explainer: &Explainer<'_>,
        form: ReportForm,
    ) -> Result<String, Error> {
        let number = frame.number;
        let packet = packet(frame, &self.path, interface);
        let classified = explainer.classify(&packet)?;
        self.tally.add(&packet, &classified.evaluation);
        if form.full || self.index.is_some() {
            let shown = explainer.full(packet, classified);
            self.is_defect |= shown.is_defect();
            return match form.json {
                true => json_line(&shown),
                false => Ok(escaped_lines(&shown.to_text()) + "\n"),
            };
        }
        let brief = explainer.brief(number, &packet, &classified);
        self.is_defect |= explainer.is_certain && brief.is_disputed();
        match form.json {
            true => json_line(&brief),
            false => Ok(escaped_lines(&brief.to_text())),
        }
    }
}

/// Whether a name in a capture is that of an interface: other systems have other names, and `any` stands
/// for all of a machine.
fn is_name(name: &str) -> bool {
    name != "any" && InterfacePattern::parse(name).is_some_and(|pattern| !pattern.is_glob())
}

fn packet(frame: Frame, path: &Path, interface: Option<String>) -> Packet {
    let part = if frame.is_whole() {
        ""
    } else {
        ", captured in part"
    };
    Packet {
        origin: format!("packet {} of {}{part}", frame.number, path.display()),
        length: frame.length,
        frame: frame.bytes,
        context: Context::arriving(interface),
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
    Ok(if gzip::begins(start) {
        Box::new(MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    })
}
