//! The condition of a rule on a field, as far as it is the same for all fields.

use std::sync::Arc;

use super::{
    address::AddressSet,
    family::Family,
    icmp::IcmpSet,
    interface::InterfaceMatch,
    ranges::{RangeSet, Value},
    state::StateSet,
    vlan::VlanSet,
};

/// The condition of a rule on a field.
pub(crate) trait Wanted: Sized {
    /// Whether, by this field alone, no value matches.
    fn is_empty(&self) -> bool;

    /// The values that match, of a field whose values are numbers.
    fn numbers(&self) -> Option<RangeSet<u64>> {
        None
    }

    /// The field that these values match, if its values are numbers.
    fn of_numbers(_numbers: &RangeSet<u16>) -> Option<Self> {
        None
    }
}

impl<T: Value + Into<u64> + TryFrom<u16>> Wanted for RangeSet<T> {
    fn is_empty(&self) -> bool {
        self.is_empty()
    }

    fn numbers(&self) -> Option<RangeSet<u64>> {
        let ranges = self.ranges().iter();
        let wide = ranges.map(|(first, last)| ((*first).into(), (*last).into()));
        Some(RangeSet::from_ranges(wide.collect()))
    }

    fn of_numbers(numbers: &RangeSet<u16>) -> Option<Self> {
        let narrow = |number: u16| T::try_from(number).ok();
        let ranges = numbers.ranges().iter();
        let ranges = ranges.map(|(first, last)| Some((narrow(*first)?, narrow(*last)?)));
        ranges.collect::<Option<_>>().map(Self::from_ranges)
    }
}

impl Wanted for Arc<AddressSet> {
    fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }
}

impl Wanted for IcmpSet {
    fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }
}

impl Wanted for VlanSet {
    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

impl Wanted for StateSet {
    fn is_empty(&self) -> bool {
        (*self).is_empty()
    }
}

/// The field does not know which interfaces exist.
impl Wanted for InterfaceMatch {
    fn is_empty(&self) -> bool {
        false
    }
}

impl Wanted for Family {
    fn is_empty(&self) -> bool {
        false
    }
}

impl Wanted for bool {
    fn is_empty(&self) -> bool {
        false
    }
}
