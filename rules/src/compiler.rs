//! From a [`Ruleset`] to a table image.

use crate::ruleset::Ruleset;

/// What the compiler needs beside the rules.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The interfaces that packets can arrive on: index and name. A packet from any other
    /// interface matches no rule that names one.
    pub interfaces: &'a [(InterfaceIndex, String)],
    /// The counter slot of each rule, in rule order.
    pub slots: &'a [u32],
    /// Bytes for user space that the image carries to its end.
    pub metadata: &'a [u8],
    /// The most bytes that the image may have.
    pub max_bytes: usize,
}

/// The kernel's number for an interface, unique in its network namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceIndex(pub u32);

/// A table image, laid out as [`firewall_ebpf::image`] describes.
#[derive(Clone, PartialEq, Eq)]
pub struct Image {
    bytes: Vec<u8>,
}

impl Image {
    /// The image; its length is a multiple of 8.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Why a rule set has no image.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CompileError {
    /// The tables would be larger than allowed.
    #[error("the rules need an image of {needed} bytes, more than the {allowed} allowed")]
    TooLarge {
        /// The bytes needed, or the bytes reached when the compiler gave up.
        needed: usize,
        /// The bytes allowed.
        allowed: usize,
    },
    /// A table would have more rules than one section can hold.
    #[error("{rules} rules for {family} packets, more than the {allowed} that an image holds")]
    TooManyRules {
        /// Which packets the rules are for.
        family: &'static str,
        /// The rules there are.
        rules: usize,
        /// The most that fit.
        allowed: usize,
    },
}

/// Compiles a rule set.
///
/// # Errors
///
/// [`CompileError`] when the tables would exceed a limit.
pub fn compile(ruleset: &Ruleset, target: &Target<'_>) -> Result<Image, CompileError> {
    let _ = (ruleset, target);
    Ok(Image { bytes: Vec::new() })
}
