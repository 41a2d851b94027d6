//! Reads a line in the notation.

use super::{
    build,
    options::Options,
    subject::Subject,
    words::{Fault, Words},
};

/// A packet that was read from the notation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// The frame, from the Ethernet header on, without the frame check sequence.
    pub frame: Vec<u8>,
    /// The interface on which it arrives, if the notation names one.
    pub interface: Option<String>,
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
    let subject = Subject::read(&mut words)?;
    let options = Options::read(&mut words, &subject)?;
    let frame = build::frame(&subject, &options)?;
    Ok(Described {
        frame,
        interface: options.interface.map(|word| word.text.to_owned()),
    })
}
