//! The longest common subsequence of two lists.

use std::{collections::HashMap, hash::Hash};

/// For each element of both lists, which have no element twice, the index of its twin in the other
/// list, if it has one: as many twins as can be, in the same order in both lists.
pub(super) fn twins<T: Eq + Hash>(
    old: &[T],
    new: &[T],
) -> (Vec<Option<usize>>, Vec<Option<usize>>) {
    let places: HashMap<&T, usize> = old.iter().zip(0..).collect();
    // The longest ascending subsequence of the old places, by patience sorting.
    let mut piles: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = vec![None; new.len()];
    let place = |at: usize| new.get(at).and_then(|element| places.get(element).copied());
    for (at, before) in before.iter_mut().enumerate() {
        if let Some(old_place) = place(at) {
            let pile = piles.partition_point(|top| place(*top) < Some(old_place));
            *before = pile.checked_sub(1).map(|left| piles[left]);
            match piles.get_mut(pile) {
                Some(top) => *top = at,
                None => piles.push(at),
            }
        }
    }
    let (mut of_old, mut of_new) = (vec![None; old.len()], vec![None; new.len()]);
    let mut next = piles.last().copied();
    while let Some(at) = next {
        if let Some(old_place) = place(at) {
            of_old[old_place] = Some(at);
            of_new[at] = Some(old_place);
        }
        next = before[at];
    }
    (of_old, of_new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_in_order_is_paired() {
        let (old, new) = twins(&["a", "b", "c", "d", "e"], &["b", "x", "d", "c", "e"]);
        assert_eq!(old, [None, Some(0), Some(3), None, Some(4)]);
        assert_eq!(new, [Some(1), None, None, Some(2), Some(4)]);
    }

    #[test]
    fn lists_with_nothing_in_common_have_no_twins() {
        assert_eq!(twins(&[1, 2], &[3]), (vec![None, None], vec![None]));
    }
}
