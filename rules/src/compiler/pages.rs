//! Pages of a table; equal pages are stored once.

use std::collections::HashMap;

/// The number of each page, and the distinct pages.
pub(super) fn pages<'a, T: Eq + std::hash::Hash>(
    all: impl Iterator<Item = &'a [T]>,
) -> (Vec<u16>, Vec<&'a [T]>) {
    let mut pages = Vec::new();
    let mut known = HashMap::new();
    let numbers = all.map(|page| {
        *known.entry(page).or_insert_with(|| {
            pages.push(page);
            pages.len() as u16 - 1
        })
    });
    (numbers.collect(), pages)
}
