//! Scripts for nft.

mod addresses;
mod concatenated;
mod linear;
mod table;

pub use self::{
    addresses::addresses,
    concatenated::{Concatenated, concatenated},
    linear::linear,
    table::{Counters, Hook, TABLE},
};
