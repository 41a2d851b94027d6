//! Where the files of a rule set are read from, and which of their bytes are held for a copy.

use std::{collections::BTreeSet, io, sync::Arc};

use rules::text::hexadecimal;
use sha2::{Digest as _, Sha256};

use crate::rule_file::{files::Folder, input::RuleInput};

/// Where a rule file, its lists and its captures are read from.
pub(crate) trait Files {
    /// Reads the rule file, of at most `limit` bytes.
    fn rules(&self, limit: u64) -> io::Result<Vec<u8>>;

    /// Reads a file that the rule file names.
    fn named(&self, name: &str, limit: u64) -> io::Result<Vec<u8>>;
}

/// The files where the operator has them.
pub(super) struct OnDisk<'i> {
    input: &'i RuleInput,
    folder: Folder,
}

impl<'i> OnDisk<'i> {
    /// A rule file, with the others beside it.
    pub(super) fn of(input: &'i RuleInput) -> Self {
        Self {
            input,
            folder: input.folder(),
        }
    }
}

impl Files for OnDisk<'_> {
    fn rules(&self, limit: u64) -> io::Result<Vec<u8>> {
        self.input.bytes(limit)
    }

    fn named(&self, name: &str, limit: u64) -> io::Result<Vec<u8>> {
        self.folder.read(name, limit)
    }
}

/// Which bytes are held after they were parsed.
#[derive(Clone, Debug)]
pub(crate) enum Hold {
    /// None; nor are the files listed.
    Nothing,
    /// Those of files whose SHA-256 is not among these, of which there are copies.
    Unless(Arc<BTreeSet<String>>),
}

/// A file that was read.
#[derive(Clone, Debug)]
pub(crate) struct FileRead {
    /// Its name, as the rule file has it; empty for the rule file.
    pub(crate) name: String,
    /// Its SHA-256, in hexadecimal.
    pub(crate) sha256: String,
    /// Its bytes, if they are held.
    pub(crate) bytes: Option<Arc<Vec<u8>>>,
}

impl Hold {
    /// The file as it is held.
    pub(super) fn note(&self, name: &str, bytes: &[u8]) -> Option<FileRead> {
        let Self::Unless(known) = self else {
            return None;
        };
        let sha256 = digest(bytes);
        let is_held = !known.contains(&sha256);
        Some(FileRead {
            name: name.to_owned(),
            sha256,
            bytes: is_held.then(|| Arc::new(bytes.to_vec())),
        })
    }
}

/// The SHA-256 of bytes, in hexadecimal.
pub(super) fn digest(bytes: &[u8]) -> String {
    hexadecimal::digits(&Sha256::digest(bytes))
}
