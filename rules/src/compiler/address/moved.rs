//! Addresses that move from class to class.

/// Addresses of one family that move from class to class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Move<A> {
    /// The first one.
    pub(crate) first: A,
    /// The last one.
    pub(crate) last: A,
    /// The XOR of the numbers of the sets that gain or lose them.
    pub(crate) sets: u128,
}
