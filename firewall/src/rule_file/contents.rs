//! Where the files of a rule set are read from, and which of their bytes are held for a copy.

use std::{collections::BTreeMap, io, sync::Arc};

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
    /// Those of files of which there is no copy.
    Unless(Leases),
}

/// The copies that there are, by the SHA-256 of their contents. They stay while this is held.
pub(crate) type Leases = BTreeMap<String, Lease>;

/// A copy stays while its lease is held by anybody.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lease(Arc<()>);

impl Lease {
    /// Whether anybody else holds it.
    pub(super) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

/// A file that was read.
#[derive(Clone, Debug)]
pub(crate) struct FileRead {
    /// Its name, as the rule file has it; empty for the rule file.
    pub(crate) name: String,
    /// Its SHA-256, in hexadecimal.
    pub(crate) sha256: String,
    /// Where its bytes are.
    pub(crate) contents: Contents,
}

/// Where the bytes of a file are that was read.
#[derive(Clone, Debug)]
pub(crate) enum Contents {
    /// In memory.
    Held(Arc<Vec<u8>>),
    /// In a copy.
    Copied {
        /// The copy stays until the file was kept.
        _lease: Lease,
    },
}

impl Hold {
    /// The file as it is held.
    pub(super) fn note(&self, name: &str, bytes: &[u8]) -> Option<FileRead> {
        let Self::Unless(copies) = self else {
            return None;
        };
        let sha256 = digest(bytes);
        let contents = match copies.get(&sha256) {
            Some(lease) => Contents::Copied {
                _lease: lease.clone(),
            },
            None => Contents::Held(Arc::new(bytes.to_vec())),
        };
        Some(FileRead {
            name: name.to_owned(),
            sha256,
            contents,
        })
    }
}

/// The SHA-256 of bytes, in hexadecimal.
pub(super) fn digest(bytes: &[u8]) -> String {
    hexadecimal::digits(&Sha256::digest(bytes))
}
