//! The image walker: from the fields of a packet to what the image says of it.
//!
//! This module knows the layout of [`crate::image`] and nothing of how images are made. It runs
//! in the kernel, so that every loop has a constant bound and no operation can fail; searches are
//! free of branches on data, or else the verifier follows both sides at each level.

use core::mem::offset_of;

use crate::{
    abi::Reason,
    headers::{Headers, present},
    image::{
        BY_WIDE, COUNT, EMPTY, Field, Header, LEAF, LIST, MAX_COUNTS, MAX_LIST, MAX_WALK,
        MODE_CELLS, Memory, NO_MATCH, NODE_CLASSES, NODE_DENSE, NODE_PAIR, NONE, PAIRED, PASS,
        Pair, Record, Records, SECTION_IPV4, SECTION_IPV6, SECTION_OTHER, Section, Step, TABLE,
        pair_hash, pair_slot,
    },
};

/// Where the walker counts matches of `count` rules.
pub trait Counts {
    /// Counts the packet in `slot`.
    fn count(&mut self, slot: u32);
}

/// What the image says of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The rule with this counter slot passes it.
    Pass(u32),
    /// The rule with this counter slot drops it.
    Drop(u32),
    /// No rule decides; [`Header::drops`] has the verdict of the reason.
    NoRule(Reason),
}

/// Judges a packet that arrived on the interface with index `interface`.
#[inline(always)]
pub fn judge<M: Memory + ?Sized, C: Counts>(
    image: &M,
    headers: &Headers,
    interface: u32,
    counts: &mut C,
) -> Judgement {
    let index = if headers.has(present::IPV4) {
        SECTION_IPV4
    } else if headers.has(present::IPV6) {
        SECTION_IPV6
    } else {
        SECTION_OTHER
    };
    let section = image.u32((offset_of!(Header, sections) + 4 * index) as u32);
    let (src, dst) = if headers.has(present::IPV4) {
        (
            find::<2, M>(
                image,
                get(image, section, offset_of!(Section, src)),
                headers.src_high,
                0,
            ),
            find::<2, M>(
                image,
                get(image, section, offset_of!(Section, dst)),
                headers.dst_high,
                0,
            ),
        )
    } else if headers.has(present::IPV6) {
        (
            find::<8, M>(
                image,
                get(image, section, offset_of!(Section, src)),
                headers.src_high,
                headers.src_low,
            ),
            find::<8, M>(
                image,
                get(image, section, offset_of!(Section, dst)),
                headers.dst_high,
                headers.dst_low,
            ),
        )
    } else {
        (0, 0)
    };
    let upper = upper_class(image, section, headers, interface);
    let mode = get(image, section, offset_of!(Section, mode));
    let entry = if mode == MODE_CELLS {
        walk_cells(image, section, src, dst, upper, counts)
    } else {
        walk_pairs(image, section, src, dst, upper, counts)
    };
    match entry & 3 {
        NO_MATCH if entry >> 2 != 0 => Judgement::NoRule(Reason::BadImage),
        NO_MATCH if headers.has(present::NEIGHBOUR) => Judgement::NoRule(Reason::Neighbour),
        NO_MATCH => Judgement::NoRule(Reason::Policy),
        PASS => Judgement::Pass(entry >> 2),
        _ => Judgement::Drop(entry >> 2),
    }
}

#[inline(always)]
fn opaque<M: Memory + ?Sized>(image: &M, value: u32) -> u32 {
    image.opaque(u64::from(value)) as u32
}

/// Returned by a walk that left its bounds.
const BAD_IMAGE: u32 = 1 << 2 | NO_MATCH;

#[inline(always)]
fn get<M: Memory + ?Sized>(image: &M, section: u32, field: usize) -> u32 {
    image.u32(section.wrapping_add(field as u32))
}

/// The class of the small fields together.
#[inline(always)]
fn upper_class<M: Memory + ?Sized>(
    image: &M,
    section: u32,
    headers: &Headers,
    interface: u32,
) -> u32 {
    let used = get(image, section, offset_of!(Section, steps_used));
    let ip = headers.has(present::IPV4) || headers.has(present::IPV6);
    let ports = headers.has(present::PORTS);
    let mut fused = 0_u32;
    let mut step = |field: Field, present: bool, key: u32| {
        if used & (1 << field as u32) != 0 {
            fused = fuse(image, section, field, present, key, fused);
        }
    };
    step(Field::Protocol, ip, u32::from(headers.protocol) << 16);
    step(Field::Sport, ports, u32::from(headers.sport) << 16);
    step(Field::Dport, ports, u32::from(headers.dport) << 16);
    step(
        Field::TcpFlags,
        headers.has(present::TCP),
        u32::from(headers.tcp_flags) << 16,
    );
    step(
        Field::Icmp,
        headers.has(present::ICMP),
        u32::from(headers.icmp) << 16,
    );
    step(Field::Interface, true, interface);
    fused
}

#[inline(always)]
fn fuse<M: Memory + ?Sized>(
    image: &M,
    section: u32,
    field: Field,
    present: bool,
    key: u32,
    fused: u32,
) -> u32 {
    let step = section
        .wrapping_add((offset_of!(Section, steps) + size_of::<Step>() * field as usize) as u32);
    let class = if present {
        let trie = get(image, step, offset_of!(Step, trie));
        let high = u64::from(key) << 32;
        match field {
            Field::Interface => find::<2, M>(image, trie, high, 0),
            Field::Protocol | Field::Sport | Field::Dport | Field::TcpFlags | Field::Icmp => {
                find::<1, M>(image, trie, high, 0)
            }
        }
    } else {
        get(image, step, offset_of!(Step, absent))
    };
    let classes = get(image, step, offset_of!(Step, classes));
    let table = get(image, step, offset_of!(Step, table));
    let cell = fused.wrapping_mul(classes).wrapping_add(class);
    opaque(
        image,
        u32::from(image.u16(table.wrapping_add(cell.wrapping_mul(2)))),
    )
}

/// The class of a key in the trie at `reference`, which has at most `LEVELS` levels.
#[inline(always)]
pub fn find<const LEVELS: usize, M: Memory + ?Sized>(
    image: &M,
    mut reference: u32,
    mut high: u64,
    mut low: u64,
) -> u32 {
    for _ in 0..LEVELS {
        if reference & LEAF != 0 {
            break;
        }
        reference = opaque(image, descend(image, reference, (high >> 48) as u32));
        high = image.opaque(high << 16 | low >> 48);
        low = image.opaque(low << 16);
    }
    opaque(image, reference & !LEAF)
}

/// The reference of the interval of `node` that holds `digit`.
#[inline(always)]
fn descend<M: Memory + ?Sized>(image: &M, node: u32, digit: u32) -> u32 {
    let head = image.u32(node);
    let count = head & 0xffff;
    let kind = (head >> 16) as u16;
    let body = node.wrapping_add(4);
    if kind == NODE_DENSE {
        return image.u32(body.wrapping_add(digit * 4));
    }
    let bounds = if kind == NODE_PAIR {
        body.wrapping_add(8)
    } else {
        body
    };
    let interval = upper_bound(image, bounds, count, digit);
    if kind == NODE_PAIR {
        image.u32(body.wrapping_add((interval & 1) * 4))
    } else if kind == NODE_CLASSES {
        let classes = bounds.wrapping_add(count * 2);
        LEAF | u32::from(image.u16(classes.wrapping_add(interval * 2)))
    } else {
        let references = bounds.wrapping_add((count + (count & 1)) * 2);
        image.u32(references.wrapping_add(interval * 4))
    }
}

/// The number of the `count` ascending bounds at `bounds` that are at most `digit`.
#[inline(always)]
fn upper_bound<M: Memory + ?Sized>(image: &M, bounds: u32, count: u32, digit: u32) -> u32 {
    let mut below = 0_u32;
    let mut left = count;
    // 16 halvings take 65,535 bounds to 0.
    for _ in 0..16 {
        if left == 0 {
            break;
        }
        let half = left - (left >> 1);
        let probe = below + half - 1;
        let bound = u32::from(image.u16(bounds.wrapping_add(probe.wrapping_mul(2))));
        // All ones when `bound <= digit`: the difference is negative.
        let taken = (i64::from(bound) - i64::from(digit) - 1) >> 63;
        below += half & taken as u32;
        left >>= 1;
    }
    opaque(image, below)
}

#[inline(always)]
fn walk_cells<M: Memory + ?Sized, C: Counts>(
    image: &M,
    section: u32,
    src: u32,
    dst: u32,
    upper: u32,
    counts: &mut C,
) -> u32 {
    let dst_classes = get(image, section, offset_of!(Section, dst_classes));
    let upper_classes = get(image, section, offset_of!(Section, upper_classes));
    let cells = get(image, section, offset_of!(Section, cells));
    let cell = src
        .wrapping_mul(dst_classes)
        .wrapping_add(dst)
        .wrapping_mul(upper_classes)
        .wrapping_add(upper);
    let mut at = image.u32(cells.wrapping_add(cell.wrapping_mul(4)));
    for _ in 0..=MAX_COUNTS {
        let entry = image.u32(at);
        if entry & 3 != COUNT {
            return entry;
        }
        counts.count(entry >> 2);
        at = at.wrapping_add(4);
    }
    BAD_IMAGE
}

#[inline(always)]
fn walk_pairs<M: Memory + ?Sized, C: Counts>(
    image: &M,
    section: u32,
    src_class: u32,
    dst_class: u32,
    upper: u32,
    counts: &mut C,
) -> u32 {
    let src = record(image, section, offset_of!(Section, src_records), src_class);
    let dst = record(image, section, offset_of!(Section, dst_records), dst_class);
    let signatures = get(image, section, offset_of!(Section, signatures)).wrapping_add(
        get(image, section, offset_of!(Section, signature_stride)).wrapping_mul(upper),
    );
    let wide = get(image, section, offset_of!(Section, wide_columns))
        .wrapping_mul(src.wide)
        .wrapping_add(dst.wide);
    let leaf_at = |leaves: u32, index: u32| image.u64(leaves.wrapping_add(index.wrapping_mul(8)));
    // All leaves are loaded before any is resolved, so that the loads overlap.
    let leaves = [
        leaf_at(src.leaves, dst.wide & by_wide(src.flags)),
        leaf_at(dst.leaves, src.wide & by_wide(dst.flags)),
        leaf_at(get(image, section, offset_of!(Section, wide)), wide),
        if src.flags & dst.flags & PAIRED != 0 {
            pair(image, section, src_class, dst_class)
        } else {
            EMPTY
        },
    ];
    let mut best = NONE;
    for leaf in leaves {
        let item = resolve(image, leaf, signatures, upper);
        if item < best {
            best = item;
        }
    }
    best = image.opaque(best);
    if get(image, section, offset_of!(Section, summaries)) == 0 {
        return entry(best);
    }
    walk_rows(image, section, src.row, dst.row, upper, best, counts)
}

/// What an item says, as an entry.
#[inline(always)]
fn entry(item: u64) -> u32 {
    if item == NONE {
        NO_MATCH
    } else {
        (item >> 16) as u32 & 0x00ff_ffff
    }
}

#[inline(always)]
fn record<M: Memory + ?Sized>(image: &M, section: u32, records: usize, class: u32) -> Record {
    let last = get(image, section, records + offset_of!(Records, last));
    let index = if class < last { class } else { last };
    let at = get(image, section, records + offset_of!(Records, offset))
        .wrapping_add(index.wrapping_mul(size_of::<Record>() as u32));
    Record {
        wide: get(image, at, offset_of!(Record, wide)),
        row: get(image, at, offset_of!(Record, row)),
        leaves: get(image, at, offset_of!(Record, leaves)),
        flags: get(image, at, offset_of!(Record, flags)),
    }
}

/// All ones when the record has a leaf for each wide class, else 0.
#[inline(always)]
fn by_wide(flags: u32) -> u32 {
    0_u32.wrapping_sub(flags & BY_WIDE)
}

/// The leaf of a pair of classes.
#[inline(always)]
fn pair<M: Memory + ?Sized>(image: &M, section: u32, src: u32, dst: u32) -> u64 {
    let buckets = get(image, section, offset_of!(Section, pair_buckets));
    let (bucket, hash) = pair_hash(src, dst, buckets);
    let seeds = get(image, section, offset_of!(Section, pair_seeds));
    let seed = u32::from(image.u16(seeds.wrapping_add(bucket.wrapping_mul(2))));
    let slots = get(image, section, offset_of!(Section, pair_slots));
    let slot = pair_slot(hash, seed, slots);
    let at = get(image, section, offset_of!(Section, pairs))
        .wrapping_add(slot.wrapping_mul(size_of::<Pair>() as u32));
    let same = get(image, at, offset_of!(Pair, src)) == src
        && get(image, at, offset_of!(Pair, dst)) == dst;
    if same {
        image.u64(at.wrapping_add(offset_of!(Pair, leaf) as u32))
    } else {
        EMPTY
    }
}

/// The first item of a leaf whose signature the upper-layer class has.
#[inline(always)]
fn resolve<M: Memory + ?Sized>(image: &M, leaf: u64, signatures: u32, upper: u32) -> u64 {
    let has = |item: u64| {
        let signature = item as u32 & 0xffff;
        let word = image.u64(signatures.wrapping_add((signature >> 6) * 8));
        word >> (signature & 63) & 1 != 0
    };
    if (leaf >> 16) as u32 & 3 != LIST {
        return if has(leaf) { leaf } else { NONE };
    }
    let count = leaf as u32 & 0xffff;
    let mut at = (leaf >> 18 << 3) as u32;
    if count == TABLE {
        let index = u32::from(image.u16(at.wrapping_add(upper.wrapping_mul(2))));
        return image.u64(at.wrapping_sub((index + 1) * 8));
    }
    let mut found = NONE;
    let mut left = count;
    for _ in 0..MAX_LIST {
        if left == 0 {
            break;
        }
        let item = image.u64(at);
        if has(item) {
            found = item;
            break;
        }
        at = opaque(image, at.wrapping_add(8));
        left = opaque(image, left - 1);
    }
    image.opaque(found)
}

/// Counts in the rules that count and come before the item `best`, and returns the entry of the
/// first rule that decides, `best` included.
#[inline(always)]
fn walk_rows<M: Memory + ?Sized, C: Counts>(
    image: &M,
    section: u32,
    src: u32,
    dst: u32,
    upper: u32,
    best: u64,
    counts: &mut C,
) -> u32 {
    let stride = get(image, section, offset_of!(Section, stride));
    let row = |rows: usize, class: u32| {
        get(image, section, rows).wrapping_add(class.wrapping_mul(stride))
    };
    let src = row(offset_of!(Section, src_rows), src);
    let dst = row(offset_of!(Section, dst_rows), dst);
    let upper = row(offset_of!(Section, upper_rows), upper);
    let meet = |word: u32| {
        let at = word.wrapping_mul(8);
        image.u64(src.wrapping_add(at))
            & image.u64(dst.wrapping_add(at))
            & image.u64(upper.wrapping_add(at))
    };
    let summaries = get(image, section, offset_of!(Section, summaries));
    let items = get(image, section, offset_of!(Section, items));
    // Opaque, or else the position would be a different constant on each path through the loop
    // and the verifier could not merge them.
    let mut next = opaque(image, 0);
    let mut words = 0_u64;
    let mut word = 0_u32;
    let mut rules = 0_u64;
    for _ in 0..MAX_WALK {
        if rules == 0 {
            if words == 0 {
                if next == summaries {
                    return entry(best);
                }
                words = meet(next);
                next = next.wrapping_add(1);
            }
            if words != 0 {
                word = next
                    .wrapping_sub(1)
                    .wrapping_mul(64)
                    .wrapping_add(lowest(words));
                words &= words - 1;
                rules = meet(summaries.wrapping_add(word));
            }
        }
        if rules != 0 {
            let rule = word.wrapping_mul(64).wrapping_add(lowest(rules));
            rules &= rules - 1;
            let item = image.u64(items.wrapping_add(rule.wrapping_mul(8)));
            if item > best {
                return entry(best);
            }
            let found = entry(item);
            if found & 3 != COUNT {
                return found;
            }
            counts.count(found >> 2);
        }
        rules = image.opaque(rules);
        words = image.opaque(words);
        next = opaque(image, next);
        word = opaque(image, word);
    }
    BAD_IMAGE
}

/// The index of the lowest bit that is set in `word`, which is not 0.
///
/// BPF has no instruction for it: the lowest bit, multiplied by a de Bruijn sequence, brings a
/// different 6-bit number to the top for each position (Leiserson, Prokop, Randall: Using
/// de Bruijn Sequences to Index a 1 in a Computer Word, 1998).
#[inline(always)]
fn lowest(word: u64) -> u32 {
    const SEQUENCE: u64 = 0x0218_a392_cd3d_5dbf;
    const POSITIONS: [u8; 64] = {
        let mut positions = [0; 64];
        let mut bit = 0;
        while bit < 64 {
            positions[(SEQUENCE.wrapping_shl(bit) >> 58) as usize] = bit as u8;
            bit += 1;
        }
        positions
    };
    static TABLE: [u8; 64] = POSITIONS;
    let isolated = word & word.wrapping_neg();
    u32::from(TABLE[(isolated.wrapping_mul(SEQUENCE) >> 58) as usize])
}

#[cfg(test)]
mod tests {
    use super::lowest;

    #[test]
    fn the_lowest_bit_of_every_word_is_found() {
        for bit in 0..64 {
            for above in 0..64 {
                let word = 1_u64 << bit | (!0_u64 << bit) & (1 << above);
                assert_eq!(lowest(word), word.trailing_zeros());
            }
        }
    }
}
