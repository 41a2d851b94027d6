//! The search for an address: from its bits to its class.

mod family;
mod form;
pub(super) mod hash;
mod moved;
mod multibit;
pub(super) mod search;
mod side;
pub(super) mod trie;
mod uniform;

pub use self::form::SearchForm;
pub(super) use self::{
    family::Address,
    moved::Move,
    search::{Small, write_trie},
    side::Side,
    trie::{Depths, Key, Node, Trie, leaf},
};
