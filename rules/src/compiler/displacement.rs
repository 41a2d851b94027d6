//! Perfect hash tables by hash and displace (Belazzougui, Botelho, Dietzfelbinger: Hash, Displace,
//! and Compress, 2009): keys fall into small buckets, and each bucket has a seed that takes its
//! keys to slots of their own. A search loads the seed and one slot.

use firewall_ebpf::{
    hash::{pair_key, slot, spread},
    image::{Pair, Section},
};

use super::{error::CompileError, writer::Writer};

/// How full a table is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Density {
    /// The mean number of keys in a bucket.
    pub(super) bucket: usize,
    /// The share of slots in use, in 16ths; more makes seeds hard to find.
    pub(super) load: usize,
}

/// The density of a table that is never updated.
const PAIRS: Density = Density {
    bucket: 4,
    load: 13,
};

/// Where the keys of a table lie.
pub(super) struct Placement {
    /// The seed of each bucket.
    pub(super) seeds: Vec<u16>,
    /// The index of the key in each slot.
    pub(super) slots: Vec<Option<u32>>,
}

impl Density {
    /// The size of a table for `keys` keys.
    pub(super) fn size(self, keys: usize) -> DisplacementSize {
        DisplacementSize {
            buckets: keys / self.bucket + 1,
            slots: keys * 16 / self.load + 1,
        }
    }
}

/// The size of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct DisplacementSize {
    pub(super) buckets: usize,
    pub(super) slots: usize,
}

impl DisplacementSize {
    /// The next larger size, used if no seed is found for a bucket.
    pub(super) fn grown(self) -> Self {
        let grown = |size: usize| size + size / 8 + 1;
        Self {
            buckets: grown(self.buckets),
            slots: grown(self.slots),
        }
    }
}

/// Places distinct keys; `None` if no seed is found for some bucket.
pub(super) fn place(
    keys: &[u64],
    DisplacementSize { buckets, slots }: DisplacementSize,
) -> Option<Placement> {
    let mut hashes: Vec<(u32, u32, u64)> = (0..)
        .zip(keys)
        .map(|(index, key)| {
            let (bucket, hash) = spread(*key, buckets as u32);
            (bucket, index, hash)
        })
        .collect();
    hashes.sort_unstable_by_key(|(bucket, index, _)| (*bucket, *index));
    let mut members: Vec<_> = hashes.chunk_by(|a, b| a.0 == b.0).collect();
    // Large buckets are placed first, while most slots are free.
    members.sort_by_key(|members| std::cmp::Reverse(members.len()));
    let mut placement = Placement {
        seeds: vec![0; buckets],
        slots: vec![None; slots],
    };
    let mut taken = Vec::new();
    for members in members {
        let (bucket, ..) = members[0];
        let hashes = members.iter().map(|(.., hash)| *hash);
        let is_free = |slot: u32| placement.slots[slot as usize].is_none();
        placement.seeds[bucket as usize] = seed(hashes, slots as u32, is_free, &mut taken)?;
        for (slot, (_, index, _)) in taken.iter().zip(members) {
            placement.slots[*slot as usize] = Some(*index);
        }
    }
    Some(placement)
}

/// The first seed that takes each of a bucket's `hashes` to distinct free slots, which are then in
/// `taken`.
pub(super) fn seed(
    hashes: impl Iterator<Item = u64> + Clone,
    slots: u32,
    is_free: impl Fn(u32) -> bool,
    taken: &mut Vec<u32>,
) -> Option<u16> {
    (0..=u16::MAX).find(|seed| {
        taken.clear();
        hashes.clone().all(|hash| {
            let slot = slot(hash, u32::from(*seed), slots);
            let free = is_free(slot) && !taken.contains(&slot);
            taken.push(slot);
            free
        })
    })
}

/// Writes the table of `pairs`, whose classes are all different, and returns its size in bytes.
///
/// # Errors
///
/// [`CompileError::TooLarge`].
pub(super) fn write(
    pairs: &[Pair],
    section: &mut Section,
    writer: &mut Writer,
) -> Result<usize, CompileError> {
    let start = writer.len();
    let keys: Vec<u64> = pairs
        .iter()
        .map(|pair| pair_key(pair.src, pair.dst))
        .collect();
    let mut size = PAIRS.size(keys.len());
    let placement = loop {
        writer.check(size.slots * size_of::<Pair>() + size.buckets * 2)?;
        match place(&keys, size) {
            Some(placement) => break placement,
            None => size = size.grown(),
        }
    };
    writer.align(2)?;
    section.pair_seeds = writer.offset();
    section.pair_buckets = size.buckets as u32;
    writer.u16s(placement.seeds)?;
    writer.align(16)?;
    section.pairs = writer.offset();
    section.pair_slots = size.slots as u32;
    for index in placement.slots {
        let pair = index.map_or(Pair::UNUSED, |index| pairs[index as usize]);
        writer.u64s(pair.words())?;
    }
    Ok(writer.len() - start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use firewall_ebpf::image::{Leaf, Memory};
    use proptest::prelude::*;

    /// Asserts that every pair is found in its slot, and other pairs are not.
    fn check(pairs: &[Pair]) {
        let mut section = Section::default();
        let mut writer = Writer::new(1 << 28);
        let bytes = write(pairs, &mut section, &mut writer).unwrap();
        assert!(bytes <= 256 + pairs.len() * 32, "{bytes}");
        let image = writer.finish();
        let find = |src: u32, dst: u32| {
            let (bucket, hash) = spread(pair_key(src, dst), section.pair_buckets);
            let seed = image.u16(section.pair_seeds + bucket * 2);
            let slot = slot(hash, u32::from(seed), section.pair_slots);
            let at = section.pairs + slot * 16;
            (image.u32(at) == src && image.u32(at + 4) == dst)
                .then(|| Leaf::from_bits(image.u64(at + 8)))
        };
        for pair in pairs {
            assert_eq!(find(pair.src, pair.dst), Some(pair.leaf));
        }
        assert_eq!(find(u32::MAX - 1, 0), None);
    }

    #[test]
    fn tables_of_every_size_hold_their_pairs() {
        for count in [0, 1, 2, 3, 10, 100, 1000, 200_000] {
            let pairs: Vec<Pair> = (0..count)
                .map(|number| Pair {
                    src: number / 300,
                    dst: number % 300,
                    leaf: Leaf::from_bits(number.into()),
                })
                .collect();
            check(&pairs);
        }
    }

    proptest! {
        #[test]
        fn random_pairs_are_found(keys in prop::collection::btree_set((0_u32..5000, 0_u32..5000), 0..2000)) {
            let pairs: Vec<Pair> = (0..)
                .zip(keys)
                .map(|(number, (src, dst))| Pair {
                    src,
                    dst,
                    leaf: Leaf::from_bits(number),
                })
                .collect();
            check(&pairs);
        }
    }
}
