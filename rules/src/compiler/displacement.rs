//! A perfect hash table for pairs of classes, by hash and displace (Belazzougui, Botelho,
//! Dietzfelbinger: Hash, Displace, and Compress, 2009): pairs fall into small buckets, and each
//! bucket has a seed that takes its pairs to slots of their own. A search loads the seed and one
//! slot.

use firewall_ebpf::image::{EMPTY, Pair, Section, pair_hash, pair_slot};

use super::{CompileError, writer::Writer};

/// The mean number of pairs in a bucket.
const BUCKET: usize = 4;

/// The share of slots in use, in 16ths; more makes seeds hard to find.
const LOAD: usize = 13;

/// Writes the table of `pairs`, each of which has other classes, and returns its bytes.
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
    let mut slots = pairs.len() * 16 / LOAD + 1;
    let mut buckets = pairs.len() / BUCKET + 1;
    let (seeds, table) = loop {
        writer.check(slots * size_of::<Pair>() + buckets * 2)?;
        match place(pairs, buckets, slots) {
            Some(placed) => break placed,
            None => {
                slots += slots / 8 + 1;
                buckets += buckets / 8 + 1;
            }
        }
    };
    writer.align(2)?;
    section.pair_seeds = writer.offset();
    section.pair_buckets = buckets as u32;
    writer.u16s(seeds)?;
    writer.align(16)?;
    section.pairs = writer.offset();
    section.pair_slots = slots as u32;
    for pair in table {
        // No class has this number.
        let Pair { src, dst, leaf } = pair.copied().unwrap_or(Pair {
            src: u32::MAX,
            dst: u32::MAX,
            leaf: EMPTY,
        });
        writer.u64s(&[u64::from(dst) << 32 | u64::from(src), leaf])?;
    }
    Ok(writer.len() - start)
}

/// The seed of each bucket and the pair in each slot; `None` when some bucket has no seed.
fn place(pairs: &[Pair], buckets: usize, slots: usize) -> Option<(Vec<u16>, Vec<Option<&Pair>>)> {
    let mut members = vec![Vec::new(); buckets];
    for pair in pairs {
        let (bucket, hash) = pair_hash(pair.src, pair.dst, buckets as u32);
        members[bucket as usize].push((hash, pair));
    }
    let mut order: Vec<usize> = (0..buckets).collect();
    // Large buckets are placed first, while most slots are free.
    order.sort_by_key(|bucket| std::cmp::Reverse(members[*bucket].len()));
    let mut seeds = vec![0; buckets];
    let mut table = vec![None; slots];
    let mut taken = Vec::new();
    for bucket in order {
        let members = &members[bucket];
        if members.is_empty() {
            break;
        }
        seeds[bucket] = (0..=u16::MAX).find(|seed| {
            taken.clear();
            members.iter().all(|(hash, _)| {
                let slot = pair_slot(*hash, u32::from(*seed), slots as u32) as usize;
                let free = table[slot].is_none() && !taken.contains(&slot);
                taken.push(slot);
                free
            })
        })?;
        for (slot, (_, pair)) in taken.iter().zip(members) {
            table[*slot] = Some(*pair);
        }
    }
    Some((seeds, table))
}

#[cfg(test)]
mod tests {
    use super::*;
    use firewall_ebpf::image::Memory;
    use proptest::prelude::*;

    /// Every pair is found in its slot, and others are not.
    fn check(pairs: &[Pair]) {
        let mut section = Section::default();
        let mut writer = Writer::new(1 << 28);
        let bytes = write(pairs, &mut section, &mut writer).unwrap();
        assert!(bytes <= 256 + pairs.len() * 32, "{bytes}");
        let image = writer.finish();
        let find = |src: u32, dst: u32| {
            let (bucket, hash) = pair_hash(src, dst, section.pair_buckets);
            let seed = image.u16(section.pair_seeds + bucket * 2);
            let slot = pair_slot(hash, u32::from(seed), section.pair_slots);
            let at = section.pairs + slot * 16;
            (image.u32(at) == src && image.u32(at + 4) == dst).then(|| image.u64(at + 8))
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
                    leaf: u64::from(number),
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
                .map(|(leaf, (src, dst))| Pair { src, dst, leaf })
                .collect();
            check(&pairs);
        }
    }
}
