//! Annotated bytes, and their text form.

use std::{collections::BTreeMap, fmt::Write as _};

/// The number of bytes per line.
const SHOWN: usize = 8;

/// The width of the column of bytes.
const WIDTH: usize = SHOWN * 3;

/// An image with annotations of its bytes.
pub(crate) struct Dump<'a> {
    image: &'a [u8],
    /// The headings, by the offset at which they apply.
    headings: BTreeMap<usize, String>,
    /// The annotated bytes, by their offset.
    rows: BTreeMap<usize, Row>,
}

/// Consecutive bytes with one meaning.
struct Row {
    length: usize,
    meaning: String,
}

impl<'a> Dump<'a> {
    pub(crate) fn new(image: &'a [u8]) -> Self {
        Self {
            image,
            headings: BTreeMap::new(),
            rows: BTreeMap::new(),
        }
    }

    /// Starts a part of the image at `offset`.
    pub(crate) fn heading(&mut self, offset: usize, text: impl Into<String>) {
        self.headings.insert(offset, text.into());
    }

    /// Annotates bytes.
    pub(crate) fn annotate(&mut self, offset: usize, length: usize, meaning: impl Into<String>) {
        let meaning = meaning.into();
        let row = Row { length, meaning };
        assert!(
            self.rows.insert(offset, row).is_none(),
            "{offset:#06x} is annotated twice"
        );
    }

    /// Annotates `count` words of 16 bits at `offset` by their index and value; words with the same
    /// annotation share a row, which has the indexes of the first and the last.
    pub(crate) fn annotate_u16s(
        &mut self,
        offset: usize,
        count: usize,
        part: impl Fn(usize) -> usize,
        meaning: impl Fn(usize, usize, u16) -> String,
    ) {
        let value = |index: usize| {
            let at = offset + index * 2;
            u16::from_le_bytes([self.image[at], self.image[at + 1]])
        };
        let words: Vec<_> = (0..count).map(|index| (index, value(index))).collect();
        let same = |a: &(usize, u16), b: &(usize, u16)| (part(a.0), a.1) == (part(b.0), b.1);
        for run in words.chunk_by(same) {
            let ((first, value), (last, _)) = (run[0], run[run.len() - 1]);
            self.annotate(
                offset + first * 2,
                run.len() * 2,
                meaning(first, last, value),
            );
        }
    }

    /// The whole image. Every byte must be annotated once, except for zeros before an aligned
    /// part.
    pub(crate) fn render(&self) -> String {
        let mut text = String::new();
        let mut end = 0;
        for (&offset, row) in &self.rows {
            self.padding(end, offset, &mut text);
            if let Some(heading) = self.headings.get(&offset) {
                let gap = if text.is_empty() { "" } else { "\n" };
                writeln!(text, "{gap}{heading}").unwrap();
            }
            text.push_str(&self.show(offset, row.length, &row.meaning));
            end = offset + row.length;
        }
        self.padding(end, self.image.len(), &mut text);
        text
    }

    /// The `length` bytes at `offset`, with the annotation of the row in which they begin.
    pub(crate) fn row(&self, offset: usize, length: usize) -> String {
        let (start, row) = self.rows.range(..=offset).next_back().unwrap();
        if offset + length <= start + row.length {
            return self.show(offset, length, &row.meaning);
        }
        let meaning = format!("{}; and what follows", row.meaning);
        self.show(offset, length, &meaning)
    }

    fn padding(&self, from: usize, to: usize, text: &mut String) {
        assert!(from <= to, "{to:#06x} is annotated twice");
        let bytes = &self.image[from..to];
        assert!(
            bytes.len() < 8 && bytes.iter().all(|byte| *byte == 0),
            "{from:#06x} to {to:#06x} are not annotated"
        );
        if from < to {
            text.push_str(&self.show(from, to - from, "padding"));
        }
    }

    fn show(&self, offset: usize, length: usize, meaning: &str) -> String {
        let bytes = &self.image[offset..offset + length];
        let hex = |bytes: &[u8]| {
            let shown: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            shown.join(" ")
        };
        let mut text = String::new();
        if length <= SHOWN {
            writeln!(text, "  {offset:04x}  {:WIDTH$}  {meaning}", hex(bytes)).unwrap();
            return text;
        }
        let unit = if length.is_multiple_of(2) { 2 } else { 1 };
        if bytes.chunks(unit).all(|word| word == &bytes[..unit]) {
            let times = format!("{} x {}", hex(&bytes[..unit]), length / unit);
            writeln!(text, "  {offset:04x}  {times:WIDTH$}  {meaning}").unwrap();
            return text;
        }
        for (index, line) in bytes.chunks(SHOWN).enumerate() {
            let meaning = if index == 0 { meaning } else { "" };
            let line = format!(
                "  {:04x}  {:WIDTH$}  {meaning}",
                offset + index * SHOWN,
                hex(line)
            );
            writeln!(text, "{}", line.trim_end()).unwrap();
        }
        text
    }
}
