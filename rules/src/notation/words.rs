//! Splits a packet in the notation into words, and reports faults in them.

use std::{num::ParseIntError, ops::Range, str::FromStr};

use crate::text::{NumberError, nearest, number, quoted};

/// A fault in a packet in the notation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The bytes of the text that are wrong.
    pub at: Range<usize>,
    /// What is wrong, in one line without a final period.
    pub message: String,
    /// How to fix it.
    pub help: Option<String>,
}

impl Fault {
    /// A fault without help.
    pub(super) fn new(at: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            at,
            message: message.into(),
            help: None,
        }
    }

    /// Adds a help text on how to fix it.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds as help the word of `known` that was probably meant by `word`, if one is similar.
    pub(super) fn suggest(
        mut self,
        word: &str,
        known: impl IntoIterator<Item = &'static str>,
    ) -> Self {
        if let Some(meant) = nearest(word, known) {
            self.help = Some(format!("did you mean `{meant}`?"));
        }
        self
    }
}

/// A word and its position in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word<'t> {
    pub(super) start: usize,
    pub(super) text: &'t str,
}

impl<'t> Word<'t> {
    /// The byte range of the word in the text.
    pub(super) fn at(self) -> Range<usize> {
        self.start..self.start + self.text.len()
    }

    /// A fault at this word.
    pub(super) fn fault(self, message: impl Into<String>) -> Fault {
        Fault::new(self.at(), message)
    }

    /// The fault that this word is not a `what`.
    pub(super) fn is_no(self, what: &str) -> Fault {
        self.fault(format!("{} is no {what}", quoted(self.text)))
    }

    /// The word as a decimal number, called `what`, from 0 to `most`.
    pub(super) fn number(self, what: &str, most: u32) -> Result<u32, Fault> {
        let range = || format!("write a number from 0 to {most}");
        match number::single(self.text) {
            Ok(value) if value <= most => Ok(value),
            Ok(_) | Err(NumberError::TooLarge) => {
                let message = format!("{} is too large for {what}", quoted(self.text));
                Err(self.fault(message).help(range()))
            }
            Err(NumberError::NotANumber | NumberError::Backwards) => {
                let message = format!("{} is not {what}", quoted(self.text));
                Err(self.fault(message).help(range()))
            }
        }
    }

    /// The word as a number of 16 bits, decimal or after `0x` hexadecimal.
    pub(super) fn half(self, what: &str) -> Result<u16, Fault> {
        self.single_hexadecimal().ok_or_else(|| {
            self.is_no(what)
                .help("write a number from 0 to 65535, or from 0x0000 to 0xffff")
        })
    }

    /// The word as a mark, decimal or after `0x` hexadecimal.
    pub(super) fn mark(self) -> Result<u32, Fault> {
        self.single_hexadecimal().ok_or_else(|| {
            self.is_no("mark")
                .help("write a number from 0 to 4294967295, or from 0x0 to 0xffffffff")
        })
    }

    fn single_hexadecimal<T>(self) -> Option<T>
    where
        T: Copy + Ord + TryFrom<u64> + FromStr<Err = ParseIntError>,
    {
        let (first, last) = number::hex_range(self.text).ok()?;
        (first == last && !self.text.contains('-')).then_some(first)
    }

    /// The parts before and after the first `separator`; without one, the whole word is the second
    /// part.
    pub(super) fn split(self, separator: char) -> (Option<Self>, Self) {
        match self.text.split_once(separator) {
            None => (None, self),
            Some((before, behind)) => (
                Some(Self {
                    start: self.start,
                    text: before,
                }),
                Self {
                    start: self.start + before.len() + separator.len_utf8(),
                    text: behind,
                },
            ),
        }
    }
}

/// The words of a text in order, separated by white space; `>` is always a word.
pub(super) struct Words<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Words<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    /// Returns the next word without consuming it.
    pub(super) fn peek(&self) -> Option<Word<'t>> {
        let rest = self.text.get(self.at..)?;
        let start = self.at + rest.len() - rest.trim_start().len();
        let rest = rest.trim_start();
        let end = match rest.strip_prefix('>') {
            Some(_) => 1,
            None => rest
                .find(|c: char| c.is_whitespace() || c == '>')
                .unwrap_or(rest.len()),
        };
        let text = rest.get(..end).filter(|text| !text.is_empty())?;
        Some(Word { start, text })
    }

    /// Returns the next word, which must exist; `what` describes it in the fault.
    pub(super) fn expect(&mut self, what: &str) -> Result<Word<'t>, Fault> {
        self.next().ok_or_else(|| {
            let end = self.text.len();
            Fault::new(end..end, format!("expected {what}"))
        })
    }
}

impl<'t> Iterator for Words<'t> {
    type Item = Word<'t>;

    fn next(&mut self) -> Option<Word<'t>> {
        let word = self.peek()?;
        self.at = word.at().end;
        Some(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_parted_by_white_space_and_arrows() {
        let words: Vec<_> = Words::of(" a>b  \u{e9} > ")
            .map(|word| (word.start, word.text))
            .collect();
        assert_eq!(
            words,
            [(1, "a"), (2, ">"), (3, "b"), (6, "\u{e9}"), (9, ">")]
        );
    }

    #[test]
    fn numbers_are_bounded() {
        let read = |text| Word { start: 3, text }.number("a time", 255);
        assert_eq!(read("255"), Ok(255));
        assert_eq!(read("256").unwrap_err().at, 3..6);
        assert_eq!(
            read("99999999999").unwrap_err().message,
            "`99999999999` is too large for a time"
        );
        assert_eq!(read("-1").unwrap_err().message, "`-1` is not a time");
        let half = |text| Word { start: 0, text }.half("type").ok();
        assert_eq!(
            ["65535", "0xffff", "0x", "0x1ffff", "0x+1", "65536"].map(half),
            [Some(65535), Some(65535), None, None, None, None]
        );
    }
}
