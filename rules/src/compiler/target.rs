//! The parameters of a compilation.

/// The inputs of the compiler apart from the rules.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The interfaces that packets can arrive on or leave by: index and name. A packet of any other
    /// interface matches no rule that names one.
    pub interfaces: &'a [(InterfaceIndex, String)],
    /// The counter slot of each rule, in rule order.
    pub slots: &'a [u32],
    /// The metadata for user space, stored at the end of the image.
    pub metadata: &'a [u8],
    /// The maximum size of the image in bytes.
    pub max_bytes: usize,
}

/// The kernel's number for an interface, unique in its network namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceIndex(pub u32);
