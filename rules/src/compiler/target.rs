//! What an image is compiled for.

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
