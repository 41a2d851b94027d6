//! Bit vectors over the rules of a section.

/// The maximum number of bytes that the rows of all fields of a section may take while it is
/// compiled.
const MAX_WORK: usize = 1 << 26;

/// Whether there is room for one row of `rules` bits for each of the classes of several fields.
pub(super) fn can_be_made(classes: &[usize], rules: usize) -> bool {
    let row_bytes = rules.div_ceil(64) * 8;
    classes.iter().sum::<usize>().saturating_mul(row_bytes) <= MAX_WORK
}

/// Rows of bits, all of one length; bit `b` of word `w` is rule `64 w + b`.
pub(super) struct Rows {
    words: usize,
    bits: Vec<u64>,
}

impl Rows {
    /// An empty collection of rows of `length` bits.
    pub(super) fn new(length: usize) -> Self {
        Self {
            words: length.div_ceil(64).max(1),
            bits: Vec::new(),
        }
    }

    /// The words of a row.
    pub(super) fn words(&self) -> usize {
        self.words
    }

    /// The number of rows.
    pub(super) fn len(&self) -> usize {
        self.bits.len() / self.words
    }

    /// Appends a row in which the bits of `ones` are set.
    pub(super) fn push(&mut self, ones: impl IntoIterator<Item = usize>) {
        let start = self.bits.len();
        self.bits.resize(start + self.words, 0);
        let row = &mut self.bits[start..];
        for bit in ones {
            row[bit / 64] |= 1 << (bit % 64);
        }
    }

    /// All rows.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u64]> {
        self.bits.chunks_exact(self.words)
    }
}

/// Sets `both` to the bits that two rows have in common.
pub(super) fn meet(both: &mut [u64], one: &[u64], other: &[u64]) {
    for (word, (one, other)) in both.iter_mut().zip(one.iter().zip(other)) {
        *word = one & other;
    }
}

/// The positions of the ones in a row, ascending.
pub(super) fn ones(row: impl IntoIterator<Item = u64>) -> impl Iterator<Item = usize> {
    let present = |word: u64| (word != 0).then_some(word);
    row.into_iter().enumerate().flat_map(move |(index, word)| {
        std::iter::successors(present(word), move |word| present(word & (word - 1)))
            .map(move |word| index * 64 + word.trailing_zeros() as usize)
    })
}

/// The summary of a row: bit `w` is set when word `w` of the row is not 0.
pub(super) fn summary(row: &[u64]) -> Vec<u64> {
    row.chunks(64)
        .map(|words| {
            (0..)
                .zip(words)
                .filter(|(_, word)| **word != 0)
                .fold(0, |bits, (bit, _)| bits | 1 << bit)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_hold_what_was_pushed(bits in prop::collection::btree_set(0_usize..5000, 0..200)) {
            let mut rows = Rows::new(5000);
            rows.push([]);
            rows.push(bits.iter().copied());
            let row = rows.iter().nth(1).unwrap();
            prop_assert_eq!(ones(row.iter().copied()).collect::<Vec<_>>(), bits.iter().copied().collect::<Vec<_>>());
            let words: std::collections::BTreeSet<_> = bits.iter().map(|bit| bit / 64).collect();
            prop_assert_eq!(ones(summary(row)).collect::<Vec<_>>(), words.into_iter().collect::<Vec<_>>());
            prop_assert!(rows.iter().next().unwrap().iter().all(|word| *word == 0));
        }
    }
}
