//! The image walker: from the fields of a packet to what the image says of it.
//!
//! This room knows the layout of [`crate::image`] and nothing of how images are made. It runs in
//! the kernel, so that every loop has a constant bound and no operation can fail. Each structure
//! is read by the file of its name.

mod branchless;
mod classify;
mod counts;
mod direct_table;
mod fields;
mod found;
mod grid;
mod hash;
mod hook;
mod leaves;
mod lookup;
mod multibit;
mod pairs;
mod records;
mod reduction;
mod reverse;
mod rows;
mod search;
mod search_tree;
mod trie;
mod uniform;

pub use classify::{Classification, classify};
pub use counts::Counts;
pub use hash::{hash_node, hash_slot};
pub use hook::Hook;
pub use reverse::lets_in;
pub use search::{find_ipv4, find_ipv6};
pub use trie::find;
