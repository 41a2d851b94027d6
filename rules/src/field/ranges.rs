//! Sets of integers as sorted, disjoint, non-adjacent inclusive ranges.

use std::fmt::Debug;

/// An unsigned integer that a [`RangeSet`] can hold.
pub trait Value: Copy + Ord + Debug {
    /// The smallest value of the type.
    const MIN: Self;
    /// The largest value of the type.
    const MAX: Self;
    /// The next larger value, or `None` at the maximum.
    fn next(self) -> Option<Self>;
    /// The next smaller value, or `None` at the minimum.
    fn previous(self) -> Option<Self>;
}

macro_rules! value {
    ($($ty:ty),*) => {$(
        impl Value for $ty {
            const MIN: Self = <$ty>::MIN;
            const MAX: Self = <$ty>::MAX;
            fn next(self) -> Option<Self> {
                self.checked_add(1)
            }
            fn previous(self) -> Option<Self> {
                self.checked_sub(1)
            }
        }
    )*};
}
value!(u8, u16, u32, u64, u128);

/// A set of values, kept as ascending inclusive ranges that neither overlap nor touch, so that
/// equal sets have equal representations.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RangeSet<T> {
    ranges: Vec<(T, T)>,
}

impl<T> Default for RangeSet<T> {
    fn default() -> Self {
        Self { ranges: Vec::new() }
    }
}

impl<T: Value> RangeSet<T> {
    /// The set without members.
    #[must_use]
    pub const fn empty() -> Self {
        Self { ranges: Vec::new() }
    }

    /// The set of all values of the type.
    #[must_use]
    pub fn full() -> Self {
        Self {
            ranges: vec![(T::MIN, T::MAX)],
        }
    }

    /// Collects inclusive ranges in any order, overlapping or not. A range whose first value is
    /// above its last is empty.
    #[must_use]
    pub fn from_ranges(mut ranges: Vec<(T, T)>) -> Self {
        ranges.retain(|(first, last)| first <= last);
        if !ranges.is_sorted() {
            ranges.sort_unstable();
        }
        let mut kept = 0;
        for index in 0..ranges.len() {
            let (first, last) = ranges[index];
            let joins = kept > 0
                && match ranges[kept - 1].1.next() {
                    Some(next) => first <= next,
                    None => true,
                };
            if joins {
                let previous: &mut (T, T) = &mut ranges[kept - 1];
                previous.1 = previous.1.max(last);
            } else {
                ranges[kept] = (first, last);
                kept += 1;
            }
        }
        ranges.truncate(kept);
        ranges.shrink_to_fit();
        Self { ranges }
    }

    /// The ranges, ascending.
    #[must_use]
    pub fn ranges(&self) -> &[(T, T)] {
        &self.ranges
    }

    /// Whether the set has no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether the set holds every value of the type.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self.ranges.as_slice(), [(first, last)] if *first == T::MIN && *last == T::MAX)
    }

    /// Whether `value` is a member.
    #[must_use]
    pub fn contains(&self, value: T) -> bool {
        let at = self.ranges.partition_point(|(first, _)| *first <= value);
        at > 0 && self.ranges[at - 1].1 >= value
    }

    /// Whether a value from `first` to `last` is a member.
    #[must_use]
    pub fn meets(&self, first: T, last: T) -> bool {
        let at = self.ranges.partition_point(|(_, end)| *end < first);
        self.ranges.get(at).is_some_and(|(start, _)| *start <= last)
    }

    /// Whether every value from `first` to `last` is a member.
    #[must_use]
    pub fn covers(&self, first: T, last: T) -> bool {
        let at = self.ranges.partition_point(|(_, end)| *end < first);
        let range = self.ranges.get(at);
        range.is_some_and(|(start, end)| *start <= first && last <= *end)
    }

    /// The values that are members of either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut ranges = Vec::with_capacity(self.ranges.len() + other.ranges.len());
        ranges.extend_from_slice(&self.ranges);
        ranges.extend_from_slice(&other.ranges);
        Self::from_ranges(ranges)
    }

    /// The values of the type that are not members.
    #[must_use]
    pub fn complement(&self) -> Self {
        let mut ranges = Vec::with_capacity(self.ranges.len() + 1);
        let mut next = Some(T::MIN);
        for &(first, last) in &self.ranges {
            if let (Some(start), Some(end)) = (next, first.previous())
                && start <= end
            {
                ranges.push((start, end));
            }
            next = last.next();
        }
        if let Some(start) = next {
            ranges.push((start, T::MAX));
        }
        Self { ranges }
    }

    /// The members that are not in `other`.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.intersection(&other.complement())
    }

    /// The values that are members of exactly one of the sets.
    #[must_use]
    pub fn symmetric_difference(&self, other: &Self) -> Self {
        let mut ranges = Vec::new();
        let (mut left, mut right) = (self.ranges.iter().copied(), other.ranges.iter().copied());
        let (mut one, mut two) = (left.next(), right.next());
        while let (Some((a, b)), Some((c, d))) = (one, two) {
            if b < c {
                ranges.push((a, b));
                one = left.next();
            } else if d < a {
                ranges.push((c, d));
                two = right.next();
            } else {
                // They overlap: the part before is in only one set, and the part after remains.
                if a != c {
                    ranges.extend(a.max(c).previous().map(|last| (a.min(c), last)));
                }
                let rest = |end: T, of: T| end.next().filter(|_| end < of).map(|first| (first, of));
                one = rest(d, b).or_else(|| left.next());
                two = rest(b, d).or_else(|| right.next());
            }
        }
        ranges.extend(one.into_iter().chain(left));
        ranges.extend(two.into_iter().chain(right));
        Self::from_ranges(ranges)
    }

    /// The values that are members of both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let mut ranges = Vec::new();
        let (mut left, mut right) = (0, 0);
        while let (Some(&(a, b)), Some(&(c, d))) = (self.ranges.get(left), other.ranges.get(right))
        {
            let (first, last) = (a.max(c), b.min(d));
            if first <= last {
                ranges.push((first, last));
            }
            if b < d {
                left += 1;
            } else {
                right += 1;
            }
        }
        Self { ranges }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn members(set: &RangeSet<u8>) -> Vec<u8> {
        (0..=u8::MAX).filter(|value| set.contains(*value)).collect()
    }

    prop_compose! {
        fn ranges()(ranges in prop::collection::vec((any::<u8>(), any::<u8>()), 0..12))
            -> Vec<(u8, u8)> { ranges }
    }

    proptest! {
        #[test]
        fn holds_what_its_ranges_hold(input in ranges()) {
            let set = RangeSet::from_ranges(input.clone());
            for value in 0..=u8::MAX {
                let expected = input.iter().any(|(first, last)| (*first..=*last).contains(&value));
                prop_assert_eq!(set.contains(value), expected);
            }
            for pair in set.ranges().windows(2) {
                prop_assert!(pair[0].1.checked_add(1).is_some_and(|next| next < pair[1].0));
            }
        }

        #[test]
        fn operations_agree_with_membership(a in ranges(), b in ranges()) {
            let (a, b) = (RangeSet::from_ranges(a), RangeSet::from_ranges(b));
            let all = 0..=u8::MAX;
            let by = |keep: &dyn Fn(u8) -> bool| all.clone().filter(|v| keep(*v)).collect::<Vec<_>>();
            prop_assert_eq!(members(&a.union(&b)), by(&|v| a.contains(v) || b.contains(v)));
            prop_assert_eq!(members(&a.intersection(&b)), by(&|v| a.contains(v) && b.contains(v)));
            prop_assert_eq!(members(&a.difference(&b)), by(&|v| a.contains(v) && !b.contains(v)));
            let differ = by(&|v| a.contains(v) != b.contains(v));
            prop_assert_eq!(members(&a.symmetric_difference(&b)), differ);
            prop_assert_eq!(members(&a.complement()), by(&|v| !a.contains(v)));
            prop_assert_eq!(a.complement().complement(), a);
        }
    }
}
