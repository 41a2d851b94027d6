//! Rule files, and the list files and captures they name, from the disk to a rule set.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use rules::{
    Loaded, analysis,
    diagnostics::{Code, Diagnostic, Source},
    language::{ListSize, Listing, RuleTest},
    lint::{self, Linted},
    model::Ruleset,
};

use crate::{
    error::{ExitStatus, UserError, is_lack},
    logging::{diagnostics::counted, progress::Progress},
    rule_file::{
        contents::{FileRead, Files, Hold, OnDisk, digest},
        fallback::LastGood,
        gzip,
        input::{self, MAX_RULE_FILE, RuleInput, StdinError},
    },
    text::causes::Causes,
};

/// The most bytes of all list files and captures of a rule file, decompressed.
const MAX_LIST_FILES: u64 = 1 << 30;

/// A rule file that can be used.
#[derive(Clone)]
pub(crate) struct RuleFile {
    /// Where it is written.
    pub(crate) input: RuleInput,
    /// The SHA-256 of its bytes, in hexadecimal.
    pub(crate) sha256: String,
    /// What it says.
    pub(crate) ruleset: Arc<Ruleset>,
    /// What it demands of that.
    pub(crate) tests: Arc<[RuleTest]>,
    /// What may not be as it was meant.
    pub(crate) warnings: Vec<Diagnostic>,
    /// The sizes of the list files, by set.
    pub(crate) lists: Arc<[ListSize]>,
    /// What its rules say, for people.
    pub(crate) listing: Arc<Listing>,
    /// The files that it was read from, if they are to be kept.
    pub(crate) files: Vec<FileRead>,
    /// Why it is not the operator's file but the last good copy, if it is that.
    pub(crate) last_good: Option<LastGood>,
    /// The warnings that it allows.
    pub(crate) allowed: Vec<Code>,
    /// How long the files were read.
    pub(crate) read: Duration,
    /// How long they were parsed.
    pub(crate) parse: Duration,
}

impl RuleFile {
    /// Whether the image depends on the indexes of interfaces.
    pub(crate) fn names_interfaces(&self) -> bool {
        let mut rules = self.ruleset.rules.iter();
        rules.any(|rule| rule.matches.interface.is_some()) || self.ruleset.names_origins()
    }
}

/// Why a rule file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    /// Stdin could not be read.
    #[error(transparent)]
    Stdin(#[from] StdinError),
    /// It could not be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It has errors.
    #[error("`{}` has {}", path.display(), counted(diagnostics))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The errors, and the warnings.
        diagnostics: Vec<Diagnostic>,
    },
}

impl UserError for SourceError {
    fn help(&self) -> Option<String> {
        match self {
            Self::Read { path, source }
                if input::was_stdin(path) && source.kind() == io::ErrorKind::NotFound =>
            {
                Some(
                    "an earlier process read these rules from stdin; apply a file, or give them again"
                        .into(),
                )
            }
            Self::Stdin(_) | Self::Read { .. } | Self::Invalid { .. } => None,
        }
    }

    fn diagnostics(&self) -> &[Diagnostic] {
        match self {
            Self::Stdin(_) | Self::Read { .. } => &[],
            Self::Invalid { diagnostics, .. } => diagnostics,
        }
    }

    fn exit_status(&self) -> ExitStatus {
        ExitStatus::BadRules
    }
}

/// Reads a rule file, its list files and its captures, which are looked for beside it.
///
/// # Errors
///
/// When it cannot be read, or with everything that is wrong with it.
pub(crate) fn load(input: &RuleInput, progress: &Progress) -> Result<RuleFile, SourceError> {
    load_holding(input, &Hold::Nothing, progress)
}

/// The same, with the bytes of files that are to be kept.
///
/// # Errors
///
/// Those of [`load`].
pub(crate) fn load_holding(
    input: &RuleInput,
    hold: &Hold,
    progress: &Progress,
) -> Result<RuleFile, SourceError> {
    load_from(input, &OnDisk::of(input), hold, progress)
}

/// Reads kept copies of the files of a rule set in place of the rule file at `path`.
///
/// # Errors
///
/// Those of [`load`], as if they were about the rule file.
pub(crate) fn load_copies(
    path: &Path,
    copies: &impl Files,
    last_good: LastGood,
    progress: &Progress,
) -> Result<RuleFile, SourceError> {
    let file = load_from(
        &RuleInput::File(path.to_owned()),
        copies,
        &Hold::Nothing,
        progress,
    )?;
    Ok(RuleFile {
        last_good: Some(last_good),
        ..file
    })
}

fn load_from(
    input: &RuleInput,
    files: &impl Files,
    hold: &Hold,
    progress: &Progress,
) -> Result<RuleFile, SourceError> {
    let (file, ()) = load_by(input, files, hold, progress, |source, list| {
        Ok((lint::load_for_use(source, list)?, ()))
    })?;
    Ok(file)
}

/// The same, with all that there is to warn of, as far as the budget goes; the number is that of
/// rules of which the budget did not suffice to say whether a packet reaches them.
///
/// # Errors
///
/// Those of [`load`].
pub(crate) fn load_and_lint(
    input: &RuleInput,
    budget: &mut analysis::Budget,
    progress: &Progress,
) -> Result<(RuleFile, usize), SourceError> {
    load_by(
        input,
        &OnDisk::of(input),
        &Hold::Nothing,
        progress,
        |source, list| {
            let begin = || progress.at(format!("analysing `{}`", input.path().display()));
            let Linted { loaded, undecided } = lint::load(source, list, budget, begin)?;
            Ok((loaded, undecided))
        },
    )
}

/// Gives the list files and captures that a rule file names.
type Lists<'l> = &'l mut dyn FnMut(&str) -> Result<Source, String>;

/// Reads a rule file with what makes a rule set of its bytes, and something more.
fn load_by<T>(
    input: &RuleInput,
    files: &impl Files,
    hold: &Hold,
    progress: &Progress,
    parse: impl FnOnce(&Arc<Source>, Lists<'_>) -> Result<(Loaded, T), Vec<Diagnostic>>,
) -> Result<(RuleFile, T), SourceError> {
    let path = input.path();
    progress.at(format!("reading `{}`", path.display()));
    let begin = Instant::now();
    let bytes = files.rules(MAX_RULE_FILE);
    let bytes = bytes.map_err(|source| SourceError::Read {
        path: path.to_owned(),
        source,
    })?;
    let sha256 = digest(&bytes);
    let mut read: Vec<FileRead> = hold.note("", &bytes).into_iter().collect();
    let once_read = input.once_read(&bytes);
    let mut read_time = begin.elapsed();

    let begin = Instant::now();
    let source = Arc::new(Source::new(path.display().to_string(), bytes));
    let mut read_lists = Duration::ZERO;
    let folder = input.folder();
    let mut left = MAX_LIST_FILES;
    let parsing = |path: &Path| progress.at(format!("parsing `{}`", path.display()));
    parsing(path);
    let mut lacking = None;
    let parsed = parse(&source, &mut |name| {
        let begin = Instant::now();
        let path = folder.path(name);
        progress.at(format!("reading `{}`", path.display()));
        let in_words = |error: io::Error| Causes(&error).to_string();
        let read_named = files.named(name, left).inspect_err(|error| {
            if is_lack(error) {
                lacking = Some((path.clone(), error.raw_os_error()));
            }
        });
        let bytes = read_named.map_err(in_words)?;
        read.extend(hold.note(name, &bytes));
        let bytes = gzip::contents(bytes, left).map_err(in_words)?;
        left = left.saturating_sub(bytes.len() as u64);
        read_lists += begin.elapsed();
        parsing(&path);
        Ok(Source::new(path.display().to_string(), bytes))
    });
    let (loaded, more) = parsed.map_err(|diagnostics| match lacking {
        // What is written there is not to blame.
        Some((path, Some(number))) => SourceError::Read {
            path,
            source: io::Error::from_raw_os_error(number),
        },
        Some((_, None)) | None => SourceError::Invalid {
            path: path.to_owned(),
            diagnostics,
        },
    })?;
    read_time += read_lists;
    let file = RuleFile {
        input: once_read,
        sha256,
        ruleset: Arc::new(loaded.ruleset),
        tests: loaded.tests.into(),
        warnings: loaded.warnings,
        lists: loaded.lists.into(),
        listing: Arc::new(loaded.listing),
        files: read,
        last_good: None,
        allowed: loaded.allowed,
        read: read_time,
        parse: begin.elapsed().saturating_sub(read_lists),
    };
    Ok((file, more))
}
