//! From the classes of a packet to the rule that decides: the direct table, the grid, or pairs with rows.

mod direct_table;
mod grid;
mod leaves;
pub(super) mod pairs;
mod parts;
mod records;
mod rows;
mod wide;

pub(super) use self::{direct_table::Cells, grid::Grid, parts::Parts};
