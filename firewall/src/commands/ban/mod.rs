//! `firewall ban` and `firewall unban`: what the command line or stdin names, handed to the daemon.

pub(crate) mod input;

use std::{
    io::{self, BufRead as _, BufReader},
    time::{Duration, Instant},
};

use crate::{
    bans::{
        error::BansError,
        guard::Guard,
        prefix::Prefix,
        service::{BanOutcome, BanRequest},
    },
    commands::ban::input::Line,
    config::Config,
    control::{
        client::Client,
        protocol::{Answer, Request},
    },
    error::Error,
    logging::lines::tell,
    text::format::grouped,
};

/// What is to be banned.
#[derive(Clone, Debug)]
pub(crate) struct Ban {
    /// Addresses and prefixes; `-` is stdin.
    pub(crate) addresses: Vec<String>,
    /// How long, where a line does not say it.
    pub(crate) term: Option<String>,
    /// Why, where a line does not say it.
    pub(crate) reason: String,
    /// Whether also what keeps the caller connected.
    pub(crate) force: bool,
}

/// Which bans are to be taken back.
#[derive(Clone, Debug)]
pub(crate) struct Unban {
    /// Addresses and prefixes; `-` is stdin.
    pub(crate) addresses: Vec<String>,
    /// Whether to be silent of those that are not banned.
    pub(crate) if_banned: bool,
}

/// How many go to the daemon at a time: a line of the longest stays well below what it reads.
const TOGETHER: usize = 250;

/// How long a connection that is idle is trusted to be open: the daemon closes it after a while.
const IDLE: Duration = Duration::from_secs(2);

/// How many refusals are told one by one.
const MOST_TOLD: u64 = 20;

/// Bans.
pub(crate) async fn ban(config: &Config, options: Ban) -> Result<(), Error> {
    let guard = if options.force {
        None
    } else {
        Some(Guard::new()?)
    };
    let read = |text: &str| {
        let Some(line) = Line::read(text) else {
            return Ok(None);
        };
        let prefix = Prefix::parse(line.prefix).map_err(|error| error.to_string())?;
        if let Some(objection) = guard.as_ref().and_then(|guard| guard.objection(prefix)) {
            return Err(objection);
        }
        let term = line.term.or(options.term.as_deref());
        Ok(Some(BanRequest {
            prefix: line.prefix.to_owned(),
            term: term.map(str::to_owned),
            reason: line.reason.unwrap_or(&options.reason).to_owned(),
        }))
    };
    let mut errand = Errand::begin(config, false).await?;
    let request = |bans| Request::Ban { bans };
    errand.run(&options.addresses, read, request).await?;
    errand.finish(|outcome| {
        let again = match outcome.renewed {
            0 => String::new(),
            renewed => format!(", {} of them again", grouped(renewed)),
        };
        format!("banned {}{again}", grouped(outcome.added + outcome.renewed))
    })
}

/// Takes bans back.
pub(crate) async fn unban(config: &Config, options: Unban) -> Result<(), Error> {
    let read = |text: &str| {
        let Some(line) = Line::read(text) else {
            return Ok(None);
        };
        Prefix::parse(line.prefix).map_err(|error| error.to_string())?;
        Ok(Some(line.prefix.to_owned()))
    };
    let mut errand = Errand::begin(config, options.if_banned).await?;
    let request = |prefixes| Request::Unban { prefixes };
    errand.run(&options.addresses, read, request).await?;
    errand.finish(|outcome| format!("took back {}", grouped(outcome.removed)))
}

/// What is carried to the daemon, and what came of it.
struct Errand<'a> {
    config: &'a Config,
    client: Client,
    /// When the daemon was asked last.
    asked: Instant,
    ignores_missing: bool,
    done: BanOutcome,
    all: u64,
    refused: u64,
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

impl<'a> Errand<'a> {
    async fn begin(config: &'a Config, ignores_missing: bool) -> Result<Self, Error> {
        Ok(Self {
            config,
            asked: Instant::now(),
            client: Client::connect(&config.run, &config.instance).await?,
            ignores_missing,
            done: BanOutcome::default(),
            all: 0,
            refused: 0,
            unanswered: None,
        })
    }

    /// Takes everything there, as `read` reads it.
    async fn run<T>(
        &mut self,
        addresses: &[String],
        read: impl Fn(&str) -> Result<Option<T>, String>,
        request: impl Fn(Vec<T>) -> Request,
    ) -> Result<(), Error> {
        let mut batch = Batch::new();
        for address in addresses {
            if address == "-" {
                let mut stdin = BufReader::with_capacity(1 << 16, io::stdin());
                let mut line = Vec::new();
                for number in 1.. {
                    line.clear();
                    let read_bytes = stdin.read_until(b'\n', &mut line);
                    if read_bytes.map_err(BansError::Input)? == 0 {
                        break;
                    }
                    let text = String::from_utf8_lossy(&line);
                    self.note(&mut batch, Origin::Line(number), read(&text));
                    // Nothing waits for lines that may come much later.
                    let is_last = stdin.buffer().is_empty();
                    if batch.items.len() == TOGETHER || is_last && !batch.items.is_empty() {
                        self.carry(&mut batch, &request).await?;
                    }
                    if is_last {
                        self.listen().await?;
                    }
                }
            } else {
                self.note(&mut batch, Origin::CommandLine, read(address));
                if batch.items.len() == TOGETHER {
                    self.carry(&mut batch, &request).await?;
                }
            }
        }
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
            self.client = Client::connect(&self.config.run, &self.config.instance).await?;
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
            Answer::Failed { message } => return Err(Error::Answered(message)),
            Answer::Ending
            | Answer::Alive { .. }
            | Answer::Done { .. }
            | Answer::Capturing { .. } => {
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
        if self.refused > MOST_TOLD {
            return;
        }
        match origin {
            Origin::CommandLine => tell("ban_refused", message),
            Origin::Line(number) => tell("ban_refused", &format!("line {number}: {message}")),
        }
    }

    fn finish(self, done: impl Fn(&BanOutcome) -> String) -> Result<(), Error> {
        if self.refused > MOST_TOLD {
            let more = grouped(self.refused - MOST_TOLD);
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

/// What goes to the daemon at a time, and where it was written.
struct Batch<T> {
    items: Vec<T>,
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
