//! SipHash-1-3 with 128 bits of output (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012),
//! of five words.

/// The words that are hashed.
pub(super) const WORDS: usize = 5;

/// Hashes the words under a key.
#[inline(always)]
pub(super) const fn siphash(key: [u64; 2], words: [u64; WORDS]) -> [u64; 2] {
    let mut v = [
        key[0] ^ 0x736f_6d65_7073_6575,
        // The last bits differ from those for 64 bits of output.
        key[1] ^ 0x646f_7261_6e64_6f6d ^ 0xee,
        key[0] ^ 0x6c79_6765_6e65_7261,
        key[1] ^ 0x7465_6462_7974_6573,
    ];
    v = compress(v, words[0]);
    v = compress(v, words[1]);
    v = compress(v, words[2]);
    v = compress(v, words[3]);
    v = compress(v, words[4]);
    // The length in bytes, in the top byte of a last word.
    v = compress(v, (WORDS as u64 * 8) << 56);
    v[2] ^= 0xee;
    v = round(round(round(v)));
    let first = v[0] ^ v[1] ^ v[2] ^ v[3];
    v[1] ^= 0xdd;
    v = round(round(round(v)));
    [first, v[0] ^ v[1] ^ v[2] ^ v[3]]
}

#[inline(always)]
const fn compress(mut v: [u64; 4], word: u64) -> [u64; 4] {
    v[3] ^= word;
    v = round(v);
    v[0] ^= word;
    v
}

#[inline(always)]
const fn round([mut a, mut b, mut c, mut d]: [u64; 4]) -> [u64; 4] {
    a = a.wrapping_add(b);
    b = b.rotate_left(13) ^ a;
    a = a.rotate_left(32);
    c = c.wrapping_add(d);
    d = d.rotate_left(16) ^ c;
    a = a.wrapping_add(d);
    d = d.rotate_left(21) ^ a;
    c = c.wrapping_add(b);
    b = b.rotate_left(17) ^ c;
    c = c.rotate_left(32);
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use core::hash::Hasher as _;

    use siphasher::sip128::{Hasher128 as _, SipHasher13};

    use super::*;

    #[test]
    fn hashes_are_those_of_another_implementation() {
        let mut word = 1_u64;
        let mut next = || {
            word = word.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            word
        };
        for _ in 0..1_000 {
            let key = [next(), next()];
            let words: [u64; WORDS] = core::array::from_fn(|_| next());
            let mut hasher = SipHasher13::new_with_keys(key[0], key[1]);
            for word in words {
                hasher.write(&word.to_le_bytes());
            }
            let expected = hasher.finish128();
            assert_eq!(siphash(key, words), [expected.h1, expected.h2]);
        }
    }
}
