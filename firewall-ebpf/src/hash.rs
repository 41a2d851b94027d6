//! Where the keys of the hash tables of [`crate::image`] lie.

/// The number that a table of single IPv6 addresses knows an address by. Addresses that share it
/// cannot be in one table.
#[inline(always)]
#[must_use]
pub const fn ipv6_key(high: u64, low: u64) -> u64 {
    high.wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ low
}

/// The number that the table of pairs knows two classes by.
#[inline(always)]
#[must_use]
pub const fn pair_key(src: u32, dst: u32) -> u64 {
    (src as u64) << 32 | dst as u64
}

/// The bucket of a key in a table by hash and displace, and the hash that [`slot`] places it by.
///
/// The multiplier is the golden ratio's (Knuth, The Art of Computer Programming, volume 3, section
/// 6.4), which brings every bit of the key into the upper half.
#[inline(always)]
#[must_use]
pub const fn spread(key: u64, buckets: u32) -> (u32, u64) {
    let hash = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (
        ((hash >> 32).wrapping_mul(buckets as u64) >> 32) as u32,
        hash,
    )
}

/// The slot of a key, from its hash and its bucket's seed: as in double hashing, each seed is a
/// step whose length is the hash's upper half.
#[inline(always)]
#[must_use]
pub const fn slot(hash: u64, seed: u32, slots: u32) -> u32 {
    let step = (hash >> 32) as u32;
    let placed = (hash as u32 ^ step).wrapping_add(seed.wrapping_mul(step));
    ((placed as u64 * slots as u64) >> 32) as u32
}
