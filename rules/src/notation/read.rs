//! Reads a line in the notation.

use super::{
    about::quoted_packet,
    build,
    options::Options,
    subject::Subject,
    words::{Fault, Word, Words},
};
use crate::{context::Context, field::State, model::Direction};

/// A packet that was read from the notation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// The frame, from the Ethernet header on, without the frame check sequence.
    pub frame: Vec<u8>,
    /// Which way it goes, its interfaces as far as the notation names them, and its mark; its state
    /// is [`State::New`].
    pub context: Context<Option<String>>,
}

/// Reads a packet in the notation.
///
/// # Errors
///
/// The first fault in the text, and its place.
///
/// # Examples
///
/// ```
/// let packet = rules::notation::read("tcp 203.0.113.9:4444 > 192.0.2.1:22 syn").unwrap();
/// assert_eq!(packet.frame.len(), 14 + 20 + 20);
///
/// let fault = rules::notation::read("tcp 203.0.113.9 > 192.0.2.1:22").unwrap_err();
/// assert_eq!(fault.message, "a packet of `tcp` has ports");
/// assert_eq!(fault.at, 4..15);
/// ```
pub fn read(text: &str) -> Result<Described, Fault> {
    let mut words = Words::of(text);
    let direction = direction(&mut words);
    let subject = Subject::read(&mut words)?;
    let options = Options::read(&mut words, &subject, Some(direction))?;
    let about = quoted_packet(&mut words, &subject, &options)?;
    let frame = build::frame(&subject, &options, about)?;
    let named = |word: Word<'_>| word.text.to_owned();
    Ok(Described {
        frame,
        context: Context {
            direction,
            interface: options.interface.map(named),
            in_interface: options.in_interface.map(|word| Some(named(word))),
            mark: options.mark.unwrap_or(0),
            state: State::New,
        },
    })
}

/// Takes the direction from the beginning of a packet.
fn direction(words: &mut Words<'_>) -> Direction {
    let first = words.peek();
    let mut directions = Direction::ALL.into_iter();
    let said = directions.find(|of| first.is_some_and(|word| word.text == of.as_str()));
    if said.is_some() {
        words.next();
    }
    said.unwrap_or(Direction::In)
}

/// A packet in the notation with the words for its context. An interface without a name is left out.
#[must_use]
pub fn with_context(packet: &str, context: &Context<Option<&str>>) -> String {
    let mut text = match context.direction {
        Direction::In => packet.to_owned(),
        Direction::Out => format!("{} {packet}", context.direction.as_str()),
    };
    for (word, name) in [
        ("interface", context.interface),
        ("in_interface", context.in_interface.flatten()),
    ] {
        text.extend(name.map(|name| format!(" {word} {name}")));
    }
    if context.mark != 0 {
        text += &format!(" mark {:#x}", context.mark);
    }
    text
}
