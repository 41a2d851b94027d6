//! The file that a capture is read from.
//!
//! `pcap-parser` wants the header of a file at its first read, which a pipe may give in pieces, and
//! does not say why a read fails. This module makes up for both.

use std::{
    io::{Cursor, Error, ErrorKind, Read, Result as ReadResult},
    sync::{Arc, Mutex, PoisonError},
};

use super::error::CaptureError;
use crate::text::without_error_number;

/// The bytes of the header of a classic file.
const CLASSIC: usize = 24;

/// The bytes of a pcapng file that say how long its first block is.
const UP_TO_BYTE_ORDER: usize = 12;

/// The most bytes of a first block, which has texts of its writer.
const MAX_FIRST_BLOCK: usize = 1 << 20;

/// A file, of which the beginning is read already.
pub(super) struct CaptureSource<R> {
    start: Cursor<Vec<u8>>,
    rest: R,
    failure: Failure,
}

/// Why a file could not be read, if that is so.
#[derive(Clone, Default)]
pub(super) struct Failure(Arc<Mutex<Option<String>>>);

impl Failure {
    /// The failure, after the packet of this number.
    pub(super) fn take(&self, number: usize) -> Option<CaptureError> {
        let mut reason = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let reason = reason.take()?;
        Some(CaptureError::Unreadable { number, reason })
    }

    fn put(&self, error: &Error) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(in_words(error));
    }
}

fn in_words(error: &Error) -> String {
    without_error_number(&error.to_string()).to_owned()
}

impl<R: Read> CaptureSource<R> {
    /// Reads the first header of the file; also how many bytes that are.
    pub(super) fn begin(mut rest: R) -> Result<(Self, usize, Failure), CaptureError> {
        let mut start = Vec::new();
        let mut read = |up_to: usize| {
            let missing = up_to.saturating_sub(start.len()) as u64;
            let read = rest.by_ref().take(missing).read_to_end(&mut start);
            read.map_err(|error| CaptureError::Unreadable {
                number: 0,
                reason: in_words(&error),
            })?;
            Ok(first_block(&start))
        };
        let length = read(UP_TO_BYTE_ORDER)?.unwrap_or(CLASSIC);
        read(length.min(MAX_FIRST_BLOCK))?;
        let length = start.len();
        let failure = Failure::default();
        let source = Self {
            start: Cursor::new(start),
            rest,
            failure: failure.clone(),
        };
        Ok((source, length, failure))
    }
}

/// The length of the first block, if it is that of a pcapng file
/// (`draft-ietf-opsawg-pcapng`, section 4.1).
fn first_block(start: &[u8]) -> Option<usize> {
    let words: &[[u8; 4]; 3] = start.as_chunks().0.first_chunk()?;
    let [kind, length, order] = *words;
    if u32::from_be_bytes(kind) != 0x0a0d_0d0a {
        return None;
    }
    let length = match u32::from_be_bytes(order) {
        0x1a2b_3c4d => u32::from_be_bytes(length),
        _ => u32::from_le_bytes(length),
    };
    usize::try_from(length).ok()
}

impl<R: Read> Read for CaptureSource<R> {
    fn read(&mut self, into: &mut [u8]) -> ReadResult<usize> {
        match self.start.read(into)? {
            0 => loop {
                match self.rest.read(into) {
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    read => return read.inspect_err(|error| self.failure.put(error)),
                }
            },
            read => Ok(read),
        }
    }
}
