//! Regions at which packets are aimed.

use super::Region;
use crate::{
    rulesets::{AddressList, Index},
    tuple::Tuple,
};

/// A collection of [`Region`]s: the rules of a set, or the members of a list.
pub trait Regions {
    /// How many regions there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The region at an index below [`Self::len`].
    fn region(&self, index: usize) -> Option<Region>;

    /// Whether a region contains the packet.
    fn matches(&self, tuple: &Tuple) -> bool;
}

impl Regions for Index<'_> {
    fn len(&self) -> usize {
        self.rule_set().rules.len()
    }

    fn region(&self, index: usize) -> Option<Region> {
        self.rule_set().rules.get(index).map(Region::of_rule)
    }

    fn matches(&self, tuple: &Tuple) -> bool {
        self.decide(tuple).rule.is_some()
    }
}

/// An address list with a fast search. Packets match by their source.
#[derive(Clone, Debug)]
pub struct Listed<'a> {
    list: &'a AddressList,
    merged: AddressList,
}

impl<'a> Listed<'a> {
    /// Builds the search structure of a list.
    #[must_use]
    pub fn new(list: &'a AddressList) -> Self {
        Self {
            list,
            merged: list.merged(),
        }
    }
}

impl Regions for Listed<'_> {
    fn len(&self) -> usize {
        self.list.members.len()
    }

    fn region(&self, index: usize) -> Option<Region> {
        self.list.members.get(index).copied().map(Region::of_source)
    }

    fn matches(&self, tuple: &Tuple) -> bool {
        let members = &self.merged.members;
        let behind = members.partition_point(|member| member.first() <= tuple.src);
        let member = behind.checked_sub(1).and_then(|place| members.get(place));
        member.is_some_and(|member| member.contains(tuple.src))
    }
}
