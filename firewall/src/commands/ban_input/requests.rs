//! Bans on their way to the daemon, in batches.

use std::{
    io::{self, BufRead, BufReader, Stdin},
    slice,
    time::{Duration, Instant},
};

use rules::{
    language::lists::{LineError, MAX_LINE},
    text::escaped,
};
use serde::Serialize;

use crate::{
    bans::{error::BansError, guard::MachineAddresses, service::BanOutcome},
    config::Config,
    control::{
        client::Client,
        protocol::{Answer, Request},
    },
    error::Error,
    logging::lines::tell,
    text::format::grouped,
};

/// How many go to the daemon at a time: a line of the longest stays well below what it reads.
const TOGETHER: usize = 250;

/// How long a connection that is idle is trusted to be open: the daemon closes it after a while.
const IDLE: Duration = Duration::from_secs(2);

/// How many bytes of a line that is too long are skipped.
const MAX_SKIPPED: usize = 1 << 20;

/// How many refusals are reported one by one.
const MAX_REPORTED: u64 = 20;

/// How many refusals a document has.
const MAX_REFUSALS: usize = 1000;

/// What is sent to the daemon, and what came of it.
pub(in crate::commands) struct BanRequests<'a> {
    config: &'a Config,
    client: Client,
    /// When the daemon was asked last.
    asked: Instant,
    ignores_missing: bool,
    done: BanOutcome,
    all: u64,
    refused: u64,
    /// The first refusals.
    refusals: Vec<RefusedItem>,
    /// Where those were written that the daemon has not answered yet: it works while the next are
    /// read.
    unanswered: Option<Vec<Origin>>,
}

/// Where something to be done was written.
#[derive(Clone, Copy)]
enum Origin {
    CommandLine,
    /// On this line of stdin.
    Line(usize),
}

impl<'a> BanRequests<'a> {
    /// Connects to the daemon; `ignores_missing` keeps quiet about what is not banned.
    pub(in crate::commands) async fn begin(
        config: &'a Config,
        ignores_missing: bool,
    ) -> Result<Self, Error> {
        Ok(Self {
            config,
            asked: Instant::now(),
            client: Client::connect(config).await?,
            ignores_missing,
            done: BanOutcome::default(),
            all: 0,
            refused: 0,
            refusals: Vec::new(),
            unanswered: None,
        })
    }

    /// Sends all of `addresses` and, for `-`, all lines of stdin, as `read` understands them.
    pub(in crate::commands) async fn run<T>(
        &mut self,
        addresses: &[String],
        read: impl Fn(&str) -> Result<Option<T>, String>,
        request: impl Fn(Vec<T>) -> Request,
    ) -> Result<(), Error> {
        let mut batch = Batch::new();
        let mut input = Input::new(addresses);
        while let Some(line) = input.next()? {
            self.note(&mut batch, line.origin, line.read(&read));
            let is_full = batch.items.len() == TOGETHER;
            if is_full || line.is_last && !batch.items.is_empty() {
                self.carry(&mut batch, &request).await?;
            }
            // Nothing waits for lines that may come much later.
            if line.is_last {
                self.listen().await?;
            }
        }
        self.flush(batch, request).await
    }

    /// Reads all that [`run`](Self::run) would send.
    pub(in crate::commands) fn collect<T>(
        &mut self,
        addresses: &[String],
        read: impl Fn(&str) -> Result<Option<T>, String>,
    ) -> Result<Batch<T>, Error> {
        let mut batch = Batch::new();
        let mut input = Input::new(addresses);
        while let Some(line) = input.next()? {
            self.note(&mut batch, line.origin, line.read(&read));
        }
        Ok(batch)
    }

    /// Sends what was read, in parts.
    pub(in crate::commands) async fn send<T>(
        &mut self,
        batch: Batch<T>,
        request: impl Fn(Vec<T>) -> Request,
    ) -> Result<(), Error> {
        let mut part = Batch::new();
        for (item, origin) in batch.items.into_iter().zip(batch.origins) {
            part.items.push(item);
            part.origins.push(origin);
            if part.items.len() == TOGETHER {
                self.carry(&mut part, &request).await?;
            }
        }
        self.flush(part, request).await
    }

    /// Sends a request that names no single bans.
    pub(in crate::commands) async fn send_one(&mut self, request: Request) -> Result<(), Error> {
        self.all += 1;
        let batch = Batch {
            items: vec![request],
            origins: vec![Origin::CommandLine],
        };
        self.flush(batch, |mut requests| {
            // The batch has one.
            requests.pop().unwrap_or(Request::Ping {})
        })
        .await
    }

    /// The addresses of the machine of the daemon.
    pub(in crate::commands) async fn addresses(&mut self) -> Result<MachineAddresses, Error> {
        match self.client.ask(&Request::Addresses {}).await? {
            Answer::Addresses(addresses) => Ok(addresses),
            Answer::Failed(failure) => Err(failure.into()),
            Answer::Ending
            | Answer::Alive { .. }
            | Answer::Done { .. }
            | Answer::Bans(_)
            | Answer::Capturing { .. }
            | Answer::Report { .. } => Err(Error::Ending),
        }
    }

    /// Whether anything was refused so far.
    pub(in crate::commands) fn has_refused(&self) -> bool {
        self.refused > 0
    }

    async fn flush<T>(
        &mut self,
        mut batch: Batch<T>,
        request: impl Fn(Vec<T>) -> Request,
    ) -> Result<(), Error> {
        if !batch.items.is_empty() {
            self.carry(&mut batch, &request).await?;
        }
        self.listen().await
    }

    fn note<T>(&mut self, batch: &mut Batch<T>, origin: Origin, read: Result<Option<T>, String>) {
        match read {
            Ok(Some(item)) => {
                self.all += 1;
                batch.items.push(item);
                batch.origins.push(origin);
            }
            Ok(None) => {}
            Err(message) => {
                self.all += 1;
                self.refuse(origin, &message);
            }
        }
    }

    async fn carry<T>(
        &mut self,
        batch: &mut Batch<T>,
        request: impl Fn(Vec<T>) -> Request,
    ) -> Result<(), Error> {
        self.listen().await?;
        if self.asked.elapsed() > IDLE {
            self.client = Client::connect(self.config).await?;
        }
        self.asked = Instant::now();
        let items = std::mem::take(&mut batch.items);
        self.client.send(&request(items)).await?;
        self.unanswered = Some(std::mem::take(&mut batch.origins));
        Ok(())
    }

    /// Waits for the answer to what was sent last.
    async fn listen(&mut self) -> Result<(), Error> {
        let Some(origins) = self.unanswered.take() else {
            return Ok(());
        };
        let outcome = match self.client.receive().await? {
            Answer::Bans(outcome) => outcome,
            Answer::Failed(failure) => return Err(failure.into()),
            Answer::Ending
            | Answer::Alive { .. }
            | Answer::Done { .. }
            | Answer::Capturing { .. }
            | Answer::Addresses(_)
            | Answer::Report { .. } => {
                return Err(Error::Ending);
            }
        };
        self.done.added += outcome.added;
        self.done.renewed += outcome.renewed;
        self.done.removed += outcome.removed;
        for refused in outcome.refused {
            if refused.missing && self.ignores_missing {
                continue;
            }
            let origin = origins.get(refused.item);
            self.refuse(*origin.unwrap_or(&Origin::CommandLine), &refused.message);
        }
        Ok(())
    }

    fn refuse(&mut self, origin: Origin, message: &str) {
        self.refused += 1;
        if self.refusals.len() < MAX_REFUSALS {
            self.refusals.push(RefusedItem {
                line: match origin {
                    Origin::CommandLine => None,
                    Origin::Line(number) => Some(number),
                },
                message: message.to_owned(),
            });
        }
        if self.refused > MAX_REPORTED {
            return;
        }
        match origin {
            Origin::CommandLine => tell("ban_refused", message),
            Origin::Line(number) => tell("ban_refused", &format!("line {number}: {message}")),
        }
    }

    /// What was done so far, for programs.
    pub(in crate::commands) fn document(&self) -> BanDocument {
        BanDocument {
            added: self.done.added,
            renewed: self.done.renewed,
            removed: self.done.removed,
            refused: self.refused,
            refusals: self.refusals.clone(),
        }
    }

    /// Reports what was done, and what was refused.
    pub(in crate::commands) fn finish(
        &self,
        done: impl Fn(&BanOutcome) -> String,
    ) -> Result<(), Error> {
        if self.refused > MAX_REPORTED {
            let more = grouped(self.refused - MAX_REPORTED);
            tell("ban_refused", &format!("and {more} more"));
        }
        if self.refused < self.all || self.all == 0 {
            tell("done", &done(&self.done));
        }
        if self.refused == 0 {
            return Ok(());
        }
        Err(BansError::Refused {
            refused: self.refused,
            all: self.all,
        }
        .into())
    }
}

/// What became of bans, for programs.
#[derive(Debug, Default, Serialize)]
pub(in crate::commands) struct BanDocument {
    added: u64,
    renewed: u64,
    removed: u64,
    refused: u64,
    /// At most [`MAX_REFUSALS`].
    refusals: Vec<RefusedItem>,
}

/// Why an item was refused.
#[derive(Clone, Debug, Serialize)]
struct RefusedItem {
    /// The line of stdin; `None` for an item of the command line.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    message: String,
}

/// What goes to the daemon at a time, and where it was written.
pub(in crate::commands) struct Batch<T> {
    pub(in crate::commands) items: Vec<T>,
    origins: Vec<Origin>,
}

impl<T> Batch<T> {
    const fn new() -> Self {
        Self {
            items: Vec::new(),
            origins: Vec::new(),
        }
    }
}

/// The words of the command line and, for `-`, the lines of stdin.
struct Input<'a> {
    words: slice::Iter<'a, String>,
    /// Stdin while it is read, and the number of lines that were.
    stdin: Option<(BufReader<Stdin>, usize)>,
}

struct InputLine {
    origin: Origin,
    /// Its text, or why it has none.
    text: Result<String, String>,
    /// Whether there is nothing more to read from stdin at present.
    is_last: bool,
}

impl InputLine {
    /// What `read` finds in the line. A word of the command line has to name something.
    fn read<T>(
        &self,
        read: impl Fn(&str) -> Result<Option<T>, String>,
    ) -> Result<Option<T>, String> {
        let text = self.text.as_ref().map_err(String::clone)?;
        match (self.origin, read(text)?) {
            (Origin::CommandLine, None) => Err(format!("`{}` names no address", escaped(text))),
            (Origin::CommandLine | Origin::Line(_), found) => Ok(found),
        }
    }
}

impl<'a> Input<'a> {
    fn new(words: &'a [String]) -> Self {
        Self {
            words: words.iter(),
            stdin: None,
        }
    }

    fn next(&mut self) -> Result<Option<InputLine>, BansError> {
        loop {
            if let Some((stdin, number)) = &mut self.stdin {
                *number += 1;
                let origin = Origin::Line(*number);
                let text = match next_line(stdin).map_err(BansError::Input)? {
                    StdinLine::End => None,
                    StdinLine::Text(line) => Some(Ok(String::from_utf8_lossy(&line).into_owned())),
                    StdinLine::TooLong => Some(Err(LineError::TooLong.to_string())),
                    StdinLine::Endless => {
                        self.stdin = None;
                        return Ok(Some(InputLine {
                            origin,
                            text: Err(format!(
                                "the line is longer than {MAX_SKIPPED} bytes: reading ends here"
                            )),
                            is_last: false,
                        }));
                    }
                };
                if let Some(text) = text {
                    return Ok(Some(InputLine {
                        origin,
                        text,
                        is_last: stdin.buffer().is_empty(),
                    }));
                }
                self.stdin = None;
            }
            match self.words.next() {
                Some(word) if word == "-" => {
                    self.stdin = Some((BufReader::with_capacity(1 << 16, io::stdin()), 0));
                }
                Some(word) => {
                    return Ok(Some(InputLine {
                        origin: Origin::CommandLine,
                        text: Ok(word.clone()),
                        is_last: false,
                    }));
                }
                None => return Ok(None),
            }
        }
    }
}

/// A line of stdin.
enum StdinLine {
    /// There is no more.
    End,
    /// Its bytes, with the line feed.
    Text(Vec<u8>),
    /// It is too long, and skipped.
    TooLong,
    /// It is far too long, and what follows is not read.
    Endless,
}

/// Reads a line, of which no more is kept than a line may have.
fn next_line(input: &mut impl BufRead) -> io::Result<StdinLine> {
    let mut line = Vec::new();
    let mut length = 0;
    loop {
        let read = match input.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        let end = read.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(read.len(), |end| end + 1);
        let (part, _) = read.split_at(taken);
        // A line that may be read has a carriage return and a line feed beside its text.
        if length + taken <= MAX_LINE + 2 {
            line.extend_from_slice(part);
        }
        length += taken;
        input.consume(taken);
        if end.is_none() && taken > 0 {
            if length > MAX_SKIPPED {
                return Ok(StdinLine::Endless);
            }
            continue;
        }
        return Ok(match length {
            0 => StdinLine::End,
            length if length == line.len() => StdinLine::Text(line),
            _ => StdinLine::TooLong,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(mut input: impl BufRead) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = match next_line(&mut input).unwrap() {
                StdinLine::End => return lines,
                StdinLine::Text(line) => String::from_utf8(line).unwrap(),
                StdinLine::TooLong => "too long".to_owned(),
                StdinLine::Endless => "endless".to_owned(),
            };
            let is_last = line == "endless";
            lines.push(line);
            if is_last {
                return lines;
            }
        }
    }

    #[test]
    fn lines_are_read_whole_or_skipped() {
        let long = "x".repeat(MAX_LINE);
        let input = format!("a\n\n{long}\r\n{long}yyy\nb");
        // Whatever the parts are in which they come.
        for size in [1, 7, 1 << 16] {
            let read = BufReader::with_capacity(size, input.as_bytes());
            let expected = ["a\n", "\n", &format!("{long}\r\n"), "too long", "b"];
            assert_eq!(lines(read), expected, "{size}");
        }
    }

    #[test]
    fn a_line_without_end_is_not_kept() {
        assert_eq!(lines(BufReader::new(io::repeat(0))), ["endless"]);
    }
}
