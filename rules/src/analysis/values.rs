//! The relation between two sets of values.

use crate::field::RangeSet;

/// The values of one field, converted to `u128`.
pub(super) type Values = RangeSet<u128>;

/// The relation of the values of a region to those of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    /// They have no value in common.
    Disjoint,
    /// The rule takes some values of the region.
    Partial,
    /// The rule takes all values of the region.
    Covered,
}

/// The relation of the values of a region, which must not be empty, to those of a rule; fast if one
/// of the sets has few ranges.
pub(super) fn relation(region: &Values, rule: &Values) -> Relation {
    if region.ranges().len() > rule.ranges().len() {
        // The first range of the region that the rule does not cover decides; this is usually the
        // first of all.
        let mut ranges = region.ranges().iter();
        return if !meets(rule, region) {
            Relation::Disjoint
        } else if ranges.all(|(first, last)| rule.covers(*first, *last)) {
            Relation::Covered
        } else {
            Relation::Partial
        };
    }
    let (mut some, mut all) = (false, true);
    for &(first, last) in region.ranges() {
        let at = rule.ranges().partition_point(|(_, end)| *end < first);
        match rule.ranges().get(at) {
            Some(&(start, _)) if start > last => all = false,
            Some(&(start, end)) => {
                some = true;
                all &= start <= first && last <= end;
            }
            None => all = false,
        }
        if some && !all {
            return Relation::Partial;
        }
    }
    if some {
        Relation::Covered
    } else {
        Relation::Disjoint
    }
}

/// Whether the sets have a value in common.
fn meets(few: &Values, many: &Values) -> bool {
    let mut ranges = few.ranges().iter();
    ranges.any(|(first, last)| many.meets(*first, *last))
}

/// The values in both sets; fast if one has few ranges.
pub(super) fn common(one: &Values, other: &Values) -> Values {
    let (few, many) = if one.ranges().len() <= other.ranges().len() {
        (one, other)
    } else {
        (other, one)
    };
    let mut ranges = Vec::new();
    for &(first, last) in few.ranges() {
        let at = many.ranges().partition_point(|(_, end)| *end < first);
        let behind = many.ranges().iter().skip(at);
        let meeting = behind.take_while(|(start, _)| *start <= last);
        ranges.extend(meeting.map(|&(start, end)| (start.max(first), end.min(last))));
    }
    Values::from_ranges(ranges)
}

/// The values of `one` that `other` lacks; fast if `one` has few ranges.
pub(super) fn without(one: &Values, other: &Values) -> Values {
    let mut ranges = Vec::new();
    for &(first, last) in one.ranges() {
        let at = other.ranges().partition_point(|(_, end)| *end < first);
        let mut next = Some(first);
        for &(start, end) in other.ranges().iter().skip(at) {
            let Some(from) = next.filter(|_| start <= last) else {
                break;
            };
            if from < start {
                ranges.push((from, start - 1));
            }
            next = end.checked_add(1).filter(|next| *next <= last);
        }
        ranges.extend(next.map(|from| (from, last)));
    }
    Values::from_ranges(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values(most: usize) -> impl Strategy<Value = Values> {
        let edge = prop_oneof![0..40_u128, (u128::MAX - 5)..=u128::MAX];
        prop::collection::vec((edge, 0..6_u128), 1..=most).prop_map(|ranges| {
            let ends = ranges
                .into_iter()
                .map(|(first, n)| (first, first.saturating_add(n)));
            Values::from_ranges(ends.collect())
        })
    }

    proptest! {
        #[test]
        fn what_is_quick_is_right(one in values(9), other in values(9)) {
            let both = one.intersection(&other);
            prop_assert_eq!(&common(&one, &other), &both);
            prop_assert_eq!(without(&one, &other), one.difference(&other));
            let expected = if both.is_empty() {
                Relation::Disjoint
            } else if both == one {
                Relation::Covered
            } else {
                Relation::Partial
            };
            prop_assert_eq!(relation(&one, &other), expected);
        }
    }
}
