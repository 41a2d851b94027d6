//! One address of a section: the sets that its rules name and the classes they make.

use std::hash::Hash;

use super::trie::Depths;
use crate::{
    compiler::{
        bit_vectors::Rows,
        classes::{ClassSets, Classes, SetId},
    },
    field::{RangeSet, Value},
};

/// The source or the destination addresses of a section.
pub(crate) struct Side<'a, A> {
    /// The distinct sets that rules name.
    pub(crate) sets: ClassSets<'a, A>,
    /// The set that each rule names; `None` when any address does.
    pub(crate) named: Vec<Option<SetId>>,
    /// The classes of addresses.
    pub(crate) classes: Classes<A>,
    /// The loads of the trie, once it is written.
    pub(crate) depths: Depths,
}

impl<'a, A: Value + Hash> Side<'a, A> {
    /// The side of rules that name `sets`.
    pub(crate) fn new(sets: impl Iterator<Item = Option<&'a RangeSet<A>>>) -> Self {
        let mut distinct = ClassSets::default();
        let named = sets
            .map(|set| set.map(|set| distinct.intern(set)))
            .collect();
        let classes = distinct.classes();
        Self {
            sets: distinct,
            named,
            classes,
            depths: Depths::default(),
        }
    }

    /// The side for a subset of the rules, given by index.
    pub(crate) fn of(&self, rules: &[usize]) -> Self {
        let set = |rule: &usize| self.named[*rule].map(|set| self.sets.get(set));
        Self::new(rules.iter().map(set))
    }

    /// For each class a row over the rules that it fits.
    pub(crate) fn rows(&self) -> Rows {
        self.rows_of(&(0..self.named.len()).collect::<Vec<_>>())
    }

    /// For each class a row over those of `rules`, which are indexes, that it fits.
    pub(crate) fn rows_of(&self, rules: &[usize]) -> Rows {
        let mut open = Vec::new();
        let mut naming = vec![Vec::new(); self.sets.len()];
        for (bit, rule) in rules.iter().enumerate() {
            match self.named[*rule] {
                Some(set) => naming[set.0 as usize].push(bit),
                None => open.push(bit),
            }
        }
        let mut rows = Rows::new(rules.len());
        for sets in self.sets.holders(&self.classes) {
            let named = sets.iter().flat_map(|set| &naming[set.0 as usize]);
            rows.push(open.iter().chain(named).copied());
        }
        rows
    }
}
