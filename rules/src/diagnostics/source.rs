//! The files that diagnostics point into.
//!
//! This module owns the conversion from byte offsets to lines and columns. It does not know the
//! contents of the files: a list file may have any encoding.

use std::{fmt, iter, num::NonZeroU32, sync::OnceLock};

use crate::model::Place;

/// A file that was read: a name for messages, and its bytes.
pub struct Source {
    name: String,
    bytes: Vec<u8>,
    /// Built when the first place is needed.
    index: OnceLock<Index>,
}

/// An index that makes places cheap to find, whatever the number and length of lines.
struct Index {
    /// The offset of the first byte of each line.
    line_starts: Vec<usize>,
    /// The number of characters before each block of [`BLOCK`] bytes.
    characters: Vec<usize>,
}

/// The size in bytes of a block, whose characters are counted again for each place.
const BLOCK: usize = 4096;

impl Source {
    /// A file that is called `name` in messages.
    #[must_use]
    pub fn new(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            name: name.into(),
            bytes: bytes.into(),
            index: OnceLock::new(),
        }
    }

    /// The name for messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The contents of the file.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The place of the character at `offset`, or of the end of the file if `offset` is beyond it.
    #[must_use]
    pub fn place(&self, offset: usize) -> Place {
        let (line, start) = self.line_at(offset);
        let offset = offset.min(self.bytes.len());
        let column = self.characters_before(offset) - self.characters_before(start);
        Place {
            line: counted_from_one(line),
            column: counted_from_one(column),
        }
    }

    /// The span from `place` to the end of its line.
    pub(crate) fn span_at(&self, place: Place) -> Span {
        let line = place.line.get() as usize - 1;
        let start = self.index().line_starts.get(line).copied();
        let (start, bytes) = self.line(start.unwrap_or(self.bytes.len()));
        let line = String::from_utf8_lossy(bytes);
        let before = line.chars().take(place.column.get() as usize - 1);
        Span {
            start: start + before.map(char::len_utf8).sum::<usize>(),
            end: start + bytes.len(),
        }
    }

    /// The span of the bytes `at` of `text`, the value of the string at `span`; the whole string if
    /// its source differs from its value, as with escapes.
    pub(crate) fn inside(&self, span: Span, text: &str, at: std::ops::Range<usize>) -> Span {
        let written = self.bytes.get(span.start..span.end).unwrap_or_default();
        let quotes = [3, 1].into_iter().find(|&quotes| {
            let end = written.len().saturating_sub(quotes);
            written.get(quotes..end) == Some(text.as_bytes())
        });
        quotes.map_or(span, |quotes| Span {
            start: span.start + quotes + at.start,
            end: span.start + quotes + at.end,
        })
    }

    /// The bytes of the line that contains `offset`, without its line ending, and the offset of the
    /// first.
    pub(crate) fn line(&self, offset: usize) -> (usize, &[u8]) {
        let (_, start) = self.line_at(offset);
        let rest = self.bytes.get(start..).unwrap_or_default();
        let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
        (start, line.strip_suffix(b"\r").unwrap_or(line))
    }

    /// The number, counted from 0, and the first offset of the line that contains `offset`.
    fn line_at(&self, offset: usize) -> (usize, usize) {
        let starts = &self.index().line_starts;
        // The first line starts at 0, and no offset is smaller.
        let line = starts.partition_point(|start| *start <= offset) - 1;
        (line, starts[line])
    }

    fn characters_before(&self, offset: usize) -> usize {
        let block = offset / BLOCK;
        let counted = self.index().characters.get(block);
        let rest = self.bytes.get(block * BLOCK..offset);
        counted.copied().unwrap_or_default() + characters(rest.unwrap_or_default())
    }

    fn index(&self) -> &Index {
        self.index.get_or_init(|| {
            let bytes = self.bytes.iter().enumerate();
            let after_newlines = bytes.filter_map(|(at, byte)| (*byte == b'\n').then_some(at + 1));
            let blocks = self.bytes.chunks(BLOCK).scan(0, |sum, block| {
                *sum += characters(block);
                Some(*sum)
            });
            Index {
                line_starts: iter::once(0).chain(after_newlines).collect(),
                characters: iter::once(0).chain(blocks).collect(),
            }
        })
    }
}

/// The number of characters that begin in `bytes`: all bytes except the continuation bytes of
/// UTF-8.
fn characters(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| (**byte & 0xc0) != 0x80).count()
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Source").field(&self.name).finish()
    }
}

/// Converts `index` to a count from 1; beyond 2^32 lines or columns, the result is the maximum.
fn counted_from_one(index: usize) -> NonZeroU32 {
    let index = u32::try_from(index).unwrap_or(u32::MAX - 1);
    NonZeroU32::MIN.saturating_add(index)
}

/// A span of a file as byte offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The offset of the first byte.
    pub start: usize,
    /// The offset after the last byte.
    pub end: usize,
}

impl From<std::ops::Range<usize>> for Span {
    fn from(range: std::ops::Range<usize>) -> Self {
        Self {
            start: range.start,
            end: range.end,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str, offset: usize) -> (u32, u32) {
        let place = Source::new("test", text).place(offset);
        (place.line.get(), place.column.get())
    }

    #[test]
    fn columns_count_characters() {
        let text = "é\tü = 1\nnext\n";
        assert_eq!(place(text, 0), (1, 1));
        assert_eq!(place(text, "é\t".len()), (1, 3));
        assert_eq!(place(text, text.len() - 5), (2, 1));
    }

    #[test]
    fn the_end_has_a_place() {
        assert_eq!(place("", 0), (1, 1));
        assert_eq!(place("a\n", 2), (2, 1));
        assert_eq!(place("a", 7), (1, 2));
    }

    #[test]
    fn long_lines_have_their_columns() {
        let text = format!("start\n{}", "é".repeat(3 * BLOCK));
        for character in [0, 1, BLOCK / 2, BLOCK, 3 * BLOCK - 1, 3 * BLOCK] {
            let column = u32::try_from(character).unwrap() + 1;
            assert_eq!(place(&text, 6 + 2 * character), (2, column));
        }
    }

    #[test]
    fn places_have_spans_to_the_end_of_their_line() {
        let source = Source::new("test", "\u{e9}\t\u{fc} = 1\r\nnext\n");
        for (offset, rest) in [(3, "\u{fc} = 1"), (0, "\u{e9}\t\u{fc} = 1"), (13, "xt")] {
            let span = source.span_at(source.place(offset));
            assert_eq!(span.start, offset);
            assert_eq!(&source.bytes()[span.start..span.end], rest.as_bytes());
        }
    }

    #[test]
    fn lines_lack_their_ends() {
        let source = Source::new("test", "one\r\ntwo\nthree");
        assert_eq!(source.line(1), (0, &b"one"[..]));
        assert_eq!(source.line(4), (0, &b"one"[..]));
        assert_eq!(source.line(5), (5, &b"two"[..]));
        assert_eq!(source.line(99), (9, &b"three"[..]));
    }
}
