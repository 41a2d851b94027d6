//! The keyed hash of IPv4 tuples.
//!
//! Multilinear hashing modulo 2^64, of which the upper 32 bits count, is strongly universal: without the keys,
//! nobody can choose tuples that meet more often than chance has them (Lemire and Kaser, "Strongly universal
//! string hashing is fast", The Computer Journal 57, 2014). But it is linear: tuples at equal distances, such as
//! neighbouring addresses or ports, have hashes at equal distances, and under a few of the keys these crowd into a small
//! part of a table. So the 32 bits are mixed, each value into another one, and made the 64 that a table needs.

/// The keys: one for each of the four 32-bit words, and one that is added.
pub(super) const KEYS: usize = 5;

/// Hashes the words under keys.
#[inline(always)]
pub(super) fn hash(words: [u32; 4], key: impl Fn(usize) -> u64) -> u64 {
    mixed(multilinear(words, key))
}

/// The upper half of the sum of the products of words and keys.
#[inline(always)]
fn multilinear(words: [u32; 4], key: impl Fn(usize) -> u64) -> u64 {
    let mut sum = key(4);
    for (index, word) in words.into_iter().enumerate() {
        sum = sum.wrapping_add(key(index).wrapping_mul(u64::from(word)));
    }
    sum >> 32
}

/// A number of 64 bits for each of 32: products with odd numbers of no pattern carry bits upwards, shifts downwards.
#[inline(always)]
const fn mixed(bits: u64) -> u64 {
    // 2^64 divided by the golden ratio; the multiplier of rrmxmx (Evensen 2018).
    let up = bits.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let up = (up ^ up >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
    up ^ up >> 32
}
