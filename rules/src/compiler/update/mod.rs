//! Updates: from one compiled rule set to the next when little but the members of address sets
//! has changed.
//!
//! What rules see of an address is its class, and a class is identified by the XOR of the numbers
//! of the sets that hold it. Addresses that a set gains or loses move to the class that is
//! identified by their old class and that set's number. When the image has that class already,
//! as it has for nearly all changes to a long list, only the trie of the address must lead to
//! it: the nodes on the way are written anew (`patch`). The rest of the image is copied.
//!
//! What is no longer used stays in the image until the next full build.

mod compiled;
mod differences;
mod patch;

pub use self::compiled::Compiled;
#[cfg(test)]
pub(super) use self::patch::Patch;
