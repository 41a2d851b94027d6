//! Addresses that move from one class to another.

/// A range of addresses of one family that move from one class to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Move<A> {
    /// The first address.
    pub(crate) first: A,
    /// The last address, inclusive.
    pub(crate) last: A,
    /// The XOR of the numbers of the sets that gain or lose them.
    pub(crate) sets: u128,
}
