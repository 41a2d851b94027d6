//! Sets of addresses.

use super::range::AddressRange;
use crate::field::ranges::RangeSet;

/// A set of IPv4 and IPv6 addresses, each as its number in host byte order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct AddressSet {
    /// The IPv4 members.
    pub v4: RangeSet<u32>,
    /// The IPv6 members.
    pub v6: RangeSet<u128>,
}

/// Ranges of both families, from which a set is built.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ranges {
    /// IPv4.
    pub(crate) v4: Vec<(u32, u32)>,
    /// IPv6.
    pub(crate) v6: Vec<(u128, u128)>,
}

impl Ranges {
    /// Adds a range.
    pub(crate) fn push(&mut self, range: AddressRange) {
        match range {
            AddressRange::V4(first, last) => self.v4.push((first, last)),
            AddressRange::V6(first, last) => self.v6.push((first, last)),
        }
    }

    /// Adds the members of a set.
    pub(crate) fn extend(&mut self, set: &AddressSet) {
        self.v4.extend_from_slice(set.v4.ranges());
        self.v6.extend_from_slice(set.v6.ranges());
    }

    /// The set of all addresses within the ranges.
    pub(crate) fn into_set(self) -> AddressSet {
        AddressSet {
            v4: RangeSet::from_ranges(self.v4),
            v6: RangeSet::from_ranges(self.v6),
        }
    }
}
