//! Updates of a compiled rule set in which only members of address sets have changed.
//!
//! Rules depend on an address only through its class, and a class is identified by the XOR of the
//! numbers of the sets that contain it. Addresses that a set gains or loses move to the class
//! identified by the XOR of their old class and the number of that set. If the image already has
//! that class, as it does for nearly all changes to a long list, only the trie has to change: the
//! nodes on the path to the address are rewritten (`patch`). The rest of the image is copied.
//!
//! Parts that are no longer used stay in the image until the next full build.

mod compiled;
mod differences;
mod patch;

pub use self::compiled::Compiled;
#[cfg(test)]
pub(super) use self::patch::Patch;
