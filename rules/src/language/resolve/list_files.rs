//! The list files of a set, and the options for reading them.

use std::{collections::HashMap, sync::Arc};

use super::{choice::choice, files::ListReader};
use crate::{
    diagnostics::{Code, Report, Source},
    field::{AddressSet, Ranges},
    language::{
        lists::{self, ListOptions},
        syntax::{ListFiles, Term},
    },
    text::quoted,
};

/// The options for reading list files; reports faults in them.
pub(crate) fn options(written: &ListFiles<'_>, report: &mut Report) -> Option<ListOptions> {
    let column = match &written.column {
        None => None,
        Some(term) => Some(
            term.text
                .parse()
                .map_err(|_| {
                    let message = format!("invalid column {}", quoted(&term.text));
                    report
                        .add(Code::InvalidValue, term.span, message)
                        .label("columns are counted from 1");
                })
                .ok()?,
        ),
    };
    let bad_lines = [("refuse", false), ("skip", true)];
    let empty = [("refuse", false), ("allow", true)];
    let mut chosen = |key, word, choices| match word {
        None => Some(false),
        Some(word) => choice(key, word, choices, report),
    };
    Some(ListOptions {
        column,
        skips_bad_lines: chosen("bad_lines", written.bad_lines, &bad_lines)?,
        may_be_empty: chosen("empty", written.empty, &empty)?,
    })
}

/// The largest part of a list, in percent, that may be gone when it is read again, unless the set says otherwise.
const SHRINK: u8 = 50;

/// By how much the list files of a set may shrink, in percent; reports what is wrong with that.
pub(super) fn shrink(written: &ListFiles<'_>, report: &mut Report) -> Option<u8> {
    let Some(word) = written.shrink else {
        return Some(SHRINK);
    };
    let percent = word.value.strip_suffix('%').and_then(|number| {
        let is_plain = number == "0" || !number.starts_with(['0', '+']);
        number.parse::<u8>().ok().filter(|_| is_plain)
    });
    let percent = percent.filter(|percent| *percent <= 100);
    if percent.is_none() {
        let message = format!("invalid part {}", quoted(word.value));
        report
            .add(Code::InvalidValue, word.span, message)
            .help("write a part from `0%` to `100%`, which allows any");
    }
    percent
}

/// A list file as one set needs it.
#[derive(Clone, Debug)]
pub(super) struct ListFile {
    /// Its contents.
    pub(super) set: Arc<AddressSet>,
    /// The number of lines with addresses.
    pub(super) members: usize,
    /// Its name, as it is written.
    pub(super) name: Arc<str>,
    /// The file.
    pub(super) source: Arc<Source>,
    /// The options with which it was read.
    pub(super) options: ListOptions,
}

/// The list files that were read.
#[derive(Default)]
pub(super) struct ListFilesRead {
    sources: HashMap<String, Option<Arc<Source>>>,
    lists: HashMap<(String, ListOptions), Option<ListFile>>,
}

impl ListFilesRead {
    /// Reads the list files of a set, each once. `None` if one cannot be read, which is reported.
    pub(super) fn read(
        &mut self,
        written: &ListFiles<'_>,
        list: &mut ListReader<'_>,
        report: &mut Report,
    ) -> Option<Vec<ListFile>> {
        let options = options(written, report)?;
        let files = written.files.iter();
        let files: Vec<_> = files
            .map(|file| self.file(file, options, list, report))
            .collect();
        files.into_iter().collect()
    }

    fn file(
        &mut self,
        file: &Term<'_>,
        options: ListOptions,
        list: &mut ListReader<'_>,
        report: &mut Report,
    ) -> Option<ListFile> {
        let key = (file.text.as_ref().to_owned(), options);
        if let Some(read) = self.lists.get(&key) {
            return read.clone();
        }
        let source = self.source(file, list, report);
        let read = source.and_then(|source| match lists::parse_with(&source, options) {
            Ok(list) => {
                report.extend(list.warnings);
                Some(ListFile {
                    set: Arc::new(list.set),
                    members: list.members,
                    name: file.text.as_ref().into(),
                    source,
                    options,
                })
            }
            Err(diagnostics) => {
                report.extend(diagnostics);
                None
            }
        });
        self.lists.insert(key, read.clone());
        read
    }

    fn source(
        &mut self,
        file: &Term<'_>,
        list: &mut ListReader<'_>,
        report: &mut Report,
    ) -> Option<Arc<Source>> {
        let name = file.text.as_ref();
        if let Some(source) = self.sources.get(name) {
            return source.clone();
        }
        let source = list(name).map_err(|error| {
            let message = format!("cannot read the list {}: {error}", quoted(name));
            report.add(Code::UnreadableFile, file.span, message);
        });
        let source = source.ok();
        self.sources.insert(name.to_owned(), source.clone());
        source
    }
}

/// All members of list files.
pub(super) fn union(files: &[ListFile]) -> Arc<AddressSet> {
    if let [file] = files {
        return Arc::clone(&file.set);
    }
    let mut ranges = Ranges::default();
    for file in files {
        ranges.extend(&file.set);
    }
    Arc::new(ranges.into_set())
}
