//! The keyed hash of IPv4 tuples.
//!
//! Multilinear hashing modulo 2^64, of which the upper 32 bits count, is strongly universal: without the keys,
//! nobody can choose tuples that meet more often than chance has them (Lemire and Kaser, "Strongly universal
//! string hashing is fast", The Computer Journal 57, 2014). Two of them are the 64 bits that a table needs.

/// The keys of one hash: one for each of the four 32-bit words, and one that is added.
pub(super) const KEYS: usize = 5;

/// The upper half of the sum of the products of words and keys.
#[inline(always)]
pub(super) fn multilinear(words: [u32; 4], key: impl Fn(usize) -> u64) -> u32 {
    let mut sum = key(4);
    for (index, word) in words.into_iter().enumerate() {
        sum = sum.wrapping_add(key(index).wrapping_mul(u64::from(word)));
    }
    (sum >> 32) as u32
}
