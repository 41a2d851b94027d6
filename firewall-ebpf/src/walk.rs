//! The image walker: from the fields of a packet to what the image says of it.
//!
//! This module knows the layout of [`crate::image`] and nothing of how images are made. It runs
//! in the kernel, so that every loop has a constant bound and no operation can fail; searches are
//! free of branches on data, or else the verifier follows both sides at each level.

use core::mem::offset_of;

use crate::{
    abi::Reason,
    details,
    headers::{Headers, present},
    image::{
        BLOCK, BY_WIDE, CHUNK, COUNT, DETAILS, EMPTY, FIELD_PAGES, Field, LEAF, LIST, MAX_COUNTS,
        MAX_LEVELS, MAX_LIST, MAX_UNIFORM_LEVELS, MAX_WALK, MODE_CELLS, MODE_GRID, Memory,
        NO_MATCH, NO_PAGE, NODE_KIND, NODE_PAGES, NODE_PAIR, NODE_UNIFORM, NONE, PAGE,
        PAGE_NUMBERS, PAIRED, PASS, Pair, Record, Records, SECTION_IPV4, SECTION_IPV6,
        SECTION_OTHER, Section, Step, TABLE, UNIFORM_LEAF, pair_hash, pair_slot, tree_level,
    },
    packet::Packet,
};

/// Where the walker counts matches of `count` rules.
pub trait Counts {
    /// Counts the packet in `slot`, which has [`LOGS`](crate::image::LOGS) beside it when the rule
    /// logs.
    fn count(&mut self, slot: u32);
}

/// What the image says of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The rule with this counter slot passes it; a slot has [`LOGS`](crate::image::LOGS) beside it
    /// when the rule logs.
    Pass(u32),
    /// The rule with this counter slot drops it.
    Drop(u32),
    /// No rule decides; [`Header::drops`] has the verdict of the reason.
    NoRule(Reason),
}

/// Judges a packet, whose `headers` are known, that arrived on the interface with index
/// `interface`.
#[inline(always)]
pub fn judge<M: Memory + ?Sized, P: Packet + ?Sized, C: Counts>(
    image: &M,
    packet: &P,
    headers: &Headers,
    interface: u32,
    counts: &mut C,
) -> Judgement {
    let (section, src, dst) = if headers.has(present::IPV4) {
        let head = image.head(SECTION_IPV4);
        let (src, dst) = fields!(image, head, Section, src, dst);
        (
            SECTION_IPV4,
            find::<2, M>(image, src, headers.src_high, 0),
            find::<2, M>(image, dst, headers.dst_high, 0),
        )
    } else if headers.has(present::IPV6) {
        let head = image.head(SECTION_IPV6);
        let (src, dst) = fields!(image, head, Section, src, dst);
        (
            SECTION_IPV6,
            find::<8, M>(image, src, headers.src_high, headers.src_low),
            find::<8, M>(image, dst, headers.dst_high, headers.dst_low),
        )
    } else {
        // Opaque like the classes above, or else the verifier follows all that comes next for both.
        (SECTION_OTHER, opaque(image, 0), opaque(image, 0))
    };
    let section = image.head(opaque(image, section));
    let (mode, steps_used) = fields!(image, section, Section, mode, steps_used);
    let upper = upper_class(image, section, steps_used, packet, headers, interface);
    let entry = if mode == MODE_CELLS {
        walk_cells(image, section, src, dst, upper, counts)
    } else {
        let found = if mode == MODE_GRID {
            walk_grid(image, section, src, dst, upper)
        } else {
            walk_pairs(image, section, src, dst, upper)
        };
        let found = Found {
            item: image.opaque(found.item),
            src_row: opaque(image, found.src_row),
            dst_row: opaque(image, found.dst_row),
        };
        walk_rows(image, section, &found, upper, counts)
    };
    match entry & 3 {
        NO_MATCH if entry >> 2 != 0 => Judgement::NoRule(Reason::BadImage),
        NO_MATCH if headers.has(present::NEIGHBOUR) => Judgement::NoRule(Reason::Neighbour),
        NO_MATCH if headers.bit(present::IPV4) | headers.bit(present::IPV6) == 0 => {
            Judgement::NoRule(Reason::UnknownEthertype)
        }
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

/// Fields of a section.
macro_rules! fields {
    ($image:ident, $head:ident, $of:ident, $($field:ident),+) => {
        ($($image.field($head, offset_of!($of, $field))),+)
    };
}
use fields;

/// Two neighbouring fields, of which the first lies at a multiple of 8.
#[inline(always)]
fn get_two<M: Memory + ?Sized>(image: &M, start: u32, field: usize) -> (u32, u32) {
    let both = image.u64(start.wrapping_add(field as u32));
    (both as u32, (both >> 32) as u32)
}

/// The class of the small fields together.
#[inline(always)]
fn upper_class<M: Memory + ?Sized, P: Packet + ?Sized>(
    image: &M,
    section: M::Head,
    used: u32,
    packet: &P,
    headers: &Headers,
    interface: u32,
) -> u32 {
    let mut fused = 0_u32;
    let mut step = |field: Field, find_class: &dyn Fn(u32) -> u32| {
        if used & (1 << field as u32) == 0 {
            return;
        }
        let step = offset_of!(Section, steps) + size_of::<Step>() * field as usize;
        let of_step = |field: usize| image.field(section, step + field);
        let class = find_class(of_step(offset_of!(Step, lookup)));
        let table = of_step(offset_of!(Step, table));
        let next = if table == 0 {
            class
        } else {
            let classes = of_step(offset_of!(Step, classes));
            let cell = fused.wrapping_mul(classes).wrapping_add(class);
            u32::from(image.u16(table.wrapping_add(cell.wrapping_mul(2))))
        };
        fused = opaque(image, next);
    };
    // The longest searches first, where the verifier has the fewest paths.
    if used & DETAILS != 0 {
        step(Field::SrcMac, &|lookup| {
            find::<3, M>(image, lookup, image.opaque(details::src_mac(packet)), 0)
        });
        step(Field::DstMac, &|lookup| {
            find::<3, M>(image, lookup, image.opaque(details::dst_mac(packet)), 0)
        });
    }
    let no_ports = !headers.bit(present::PORTS) & 1;
    let no_message = !headers.bit(present::ICMP) & 1;
    step(Field::Protocol, &|lookup| {
        let key = u32::from(headers.key);
        u32::from(image.u16(lookup.wrapping_add(key * 2)))
    });
    step(Field::Sport, &|lookup| {
        paged(image, lookup, headers.sport, no_ports)
    });
    step(Field::Dport, &|lookup| {
        paged(image, lookup, headers.dport, no_ports)
    });
    step(Field::Icmp, &|lookup| {
        paged(image, lookup, headers.icmp, no_message)
    });
    step(Field::Interface, &|lookup| {
        find::<2, M>(image, lookup, u64::from(interface) << 32, 0)
    });
    if used & DETAILS == 0 {
        return fused;
    }
    let direct = |lookup: u32, value: u32| u32::from(image.u16(lookup.wrapping_add(value * 2)));
    step(Field::Vlan, &|lookup| {
        paged(image, lookup, details::vlan(packet), 0)
    });
    step(Field::Ethertype, &|lookup| {
        paged(image, lookup, details::ethertype(packet, headers), 0)
    });
    step(Field::Length, &|lookup| {
        paged(image, lookup, details::length(packet, headers), 0)
    });
    step(Field::Ttl, &|lookup| {
        direct(lookup, details::ttl(packet, headers).into())
    });
    step(Field::Traffic, &|lookup| {
        direct(lookup, details::traffic(packet, headers))
    });
    fused
}

/// The class of a value of 16 bits, or with `absent` = 1 that of packets without it.
#[inline(always)]
fn paged<M: Memory + ?Sized>(image: &M, lookup: u32, value: u16, absent: u32) -> u32 {
    let value = u32::from(value);
    let high = (value >> 8) | (absent * NO_PAGE);
    let page = u32::from(image.u16(lookup.wrapping_add(high * 2)));
    let index = page.wrapping_mul(PAGE).wrapping_add(value & (PAGE - 1));
    let pages = lookup.wrapping_add(FIELD_PAGES);
    u32::from(image.u16(pages.wrapping_add(index.wrapping_mul(2))))
}

/// `yes` or `no`, without a branch: which one is as random as packets are.
#[inline(always)]
fn select(condition: bool, yes: u64, no: u64) -> u64 {
    let mask = 0_u64.wrapping_sub(condition.into());
    yes & mask | no & !mask
}

/// The class of a key in the trie at `reference`, which has at most `LEVELS` levels.
#[inline(always)]
pub fn find<const LEVELS: usize, M: Memory + ?Sized>(
    image: &M,
    mut reference: u32,
    mut high: u64,
    mut low: u64,
) -> u32 {
    if LEVELS == 2 && reference & LEAF == 0 && reference & NODE_KIND >= NODE_UNIFORM {
        return opaque(image, find_uniform(image, reference, high));
    }
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

/// The class of the key in the upper 32 bits of `key`, in the uniform trie at `root`.
#[inline(always)]
fn find_uniform<M: Memory + ?Sized>(image: &M, root: u32, key: u64) -> u32 {
    const BLOCK_BYTES: u32 = BLOCK * 2;
    let above_last = (root & NODE_KIND) - NODE_UNIFORM;
    let mut level = page_entry(image, root & !NODE_KIND, (key >> 48) as u32);
    let digit = (key >> 32) as u32 & 0xffff;
    let mut index = 0_u32;
    for depth in 0..MAX_UNIFORM_LEVELS - 1 {
        if depth == above_last {
            break;
        }
        let above = bounds_below(image, level.wrapping_add(index * BLOCK_BYTES), digit);
        index = opaque(image, index.wrapping_mul(BLOCK).wrapping_add(above));
        level = opaque(image, level.wrapping_add(tree_level(depth) * BLOCK_BYTES));
    }
    let leaf = level.wrapping_add(index.wrapping_mul(UNIFORM_LEAF));
    let interval = bounds_below(image, leaf, digit);
    image.u32(leaf.wrapping_add(BLOCK_BYTES + interval * 4))
}

/// What the pages of the node at `node` have for `digit`.
#[inline(always)]
fn page_entry<M: Memory + ?Sized>(image: &M, node: u32, digit: u32) -> u32 {
    let page = u32::from(image.u16(node.wrapping_add((digit >> 8) * 2)));
    let index = page.wrapping_mul(PAGE).wrapping_add(digit & (PAGE - 1));
    let pages = node.wrapping_add(PAGE_NUMBERS);
    image.u32(pages.wrapping_add(index.wrapping_mul(4)))
}

/// What the node at `reference` has for `digit`.
#[inline(always)]
fn descend<M: Memory + ?Sized>(image: &M, reference: u32, digit: u32) -> u32 {
    let kind = reference & NODE_KIND;
    let node = reference & !NODE_KIND;
    if kind == NODE_PAGES {
        return page_entry(image, node, digit);
    }
    let head = image.u32(node);
    let references = node.wrapping_add(8);
    if kind == NODE_PAIR {
        let (interval, _) = interval(image, head, node.wrapping_add(16), digit);
        image.u32(references.wrapping_add((interval & 1) * 4))
    } else {
        let (interval, values) = interval(image, head, references, digit);
        image.u32(values.wrapping_add(interval * 4))
    }
}

/// The interval that holds `digit`, by the search tree at `tree`, and the offset behind the tree.
#[inline(always)]
fn interval<M: Memory + ?Sized>(image: &M, head: u32, tree: u32, digit: u32) -> (u32, u32) {
    const BLOCK_BYTES: u32 = BLOCK * 2;
    let count = head & 0xffff;
    let levels = head >> 16;
    let mut level = tree;
    let mut below = 0_u32;
    for depth in 0..MAX_LEVELS {
        let block = level.wrapping_add(below.wrapping_mul(BLOCK_BYTES));
        below = below
            .wrapping_mul(BLOCK)
            .wrapping_add(bounds_below(image, block, digit));
        below = opaque(image, below);
        if depth + 1 >= levels {
            break;
        }
        level = opaque(image, level.wrapping_add(tree_level(depth) * BLOCK_BYTES));
    }
    let blocks = count.div_ceil(BLOCK);
    (
        opaque(image, below),
        level.wrapping_add(blocks * BLOCK_BYTES),
    )
}

/// The number of bounds below `digit` in the block at `block`.
#[inline(always)]
fn bounds_below<M: Memory + ?Sized>(image: &M, block: u32, digit: u32) -> u32 {
    count_below([image.u64(block), image.u64(block.wrapping_add(8))], digit)
}

/// The number of bounds below `digit`, from the complements of eight.
///
/// In each 16-bit lane `digit > bound` exactly when `digit + !bound` carries out of the lane: the
/// carry out of the lower 15 bits is added apart, and that out of the top bit is the majority of
/// three bits.
#[inline(always)]
fn count_below(complements: [u64; 2], digit: u32) -> u32 {
    const ONES: u64 = 0x0001_0001_0001_0001;
    const LOW: u64 = ONES * 0x7fff;
    let digits = u64::from(digit).wrapping_mul(ONES);
    let low = digits & LOW;
    let carries = |word: u64| {
        let sum = low.wrapping_add(word & LOW);
        ((digits & word | (digits | word) & sum) >> 15) & ONES
    };
    let each = carries(complements[0]).wrapping_add(carries(complements[1]));
    (each.wrapping_mul(ONES) >> 48) as u32
}

#[inline(always)]
fn walk_cells<M: Memory + ?Sized, C: Counts>(
    image: &M,
    section: M::Head,
    src: u32,
    dst: u32,
    upper: u32,
    counts: &mut C,
) -> u32 {
    let (dst_classes, upper_classes, cells) =
        fields!(image, section, Section, dst_classes, upper_classes, cells);
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

/// What a grid or pairs say, before rules that count.
struct Found {
    /// The item that decides, or [`NONE`].
    item: u64,
    /// The row class of the source.
    src_row: u32,
    /// The row class of the destination.
    dst_row: u32,
}

#[inline(always)]
fn walk_grid<M: Memory + ?Sized>(
    image: &M,
    section: M::Head,
    src: u32,
    dst: u32,
    upper: u32,
) -> Found {
    let (columns, items) = fields!(image, section, Section, dst_classes, grid_items);
    let (grid, chunks) = fields!(image, section, Section, grid, chunks);
    let cell = src.wrapping_mul(columns).wrapping_add(dst);
    let leaf = image.u32(grid.wrapping_add(cell.wrapping_mul(4)));
    let chunk = u32::from(image.u16(leaf.wrapping_add(upper / CHUNK * 2)));
    let at = chunk.wrapping_mul(CHUNK).wrapping_add(upper % CHUNK);
    let index = u32::from(image.u8(chunks.wrapping_add(at)));
    let number = u32::from(image.u16(leaf.wrapping_sub((index + 1) * 2)));
    Found {
        item: image.u64(items.wrapping_add(number * 8)),
        src_row: src,
        dst_row: dst,
    }
}

#[inline(always)]
fn walk_pairs<M: Memory + ?Sized>(
    image: &M,
    section: M::Head,
    src_class: u32,
    dst_class: u32,
    upper: u32,
) -> Found {
    let src = record(image, section, offset_of!(Section, src_records), src_class);
    let dst = record(image, section, offset_of!(Section, dst_records), dst_class);
    let (signatures, stride) = fields!(image, section, Section, signatures, signature_stride);
    let signatures = signatures.wrapping_add(stride.wrapping_mul(upper));
    let (wide, columns) = fields!(image, section, Section, wide, wide_columns);
    let cell = columns.wrapping_mul(src.wide).wrapping_add(dst.wide);
    let leaf_at = |leaves: u32, index: u32| image.u64(leaves.wrapping_add(index.wrapping_mul(8)));
    // All leaves are loaded before any is resolved, so that the loads overlap.
    let leaves = [
        leaf_at(src.leaves, dst.wide & by_wide(src.flags)),
        leaf_at(dst.leaves, src.wide & by_wide(dst.flags)),
        leaf_at(wide, cell),
        if src.flags & dst.flags & PAIRED != 0 {
            pair(image, section, src_class, dst_class)
        } else {
            EMPTY
        },
    ];
    let mut best = NONE;
    for leaf in leaves {
        best = min(best, resolve(image, leaf, signatures, upper));
    }
    Found {
        item: best,
        src_row: src.row,
        dst_row: dst.row,
    }
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
fn record<M: Memory + ?Sized>(image: &M, section: M::Head, records: usize, class: u32) -> Record {
    let offset = image.field(section, records + offset_of!(Records, offset));
    let last = image.field(section, records + offset_of!(Records, last));
    let index = if class < last { class } else { last };
    let at = offset.wrapping_add(index.wrapping_mul(size_of::<Record>() as u32));
    let (wide, row) = get_two(image, at, offset_of!(Record, wide));
    let (leaves, flags) = get_two(image, at, offset_of!(Record, leaves));
    Record {
        wide,
        row,
        leaves,
        flags,
    }
}

/// All ones when the record has a leaf for each wide class, else 0.
#[inline(always)]
fn by_wide(flags: u32) -> u32 {
    0_u32.wrapping_sub(flags & BY_WIDE)
}

/// The leaf of a pair of classes.
#[inline(always)]
fn pair<M: Memory + ?Sized>(image: &M, section: M::Head, src: u32, dst: u32) -> u64 {
    let (seeds, buckets) = fields!(image, section, Section, pair_seeds, pair_buckets);
    let (bucket, hash) = pair_hash(src, dst, buckets);
    let seed = u32::from(image.u16(seeds.wrapping_add(bucket.wrapping_mul(2))));
    let (pairs, slots) = fields!(image, section, Section, pairs, pair_slots);
    let slot = pair_slot(hash, seed, slots);
    let at = pairs.wrapping_add(slot.wrapping_mul(size_of::<Pair>() as u32));
    let leaf = image.u64(at.wrapping_add(offset_of!(Pair, leaf) as u32));
    let same = get_two(image, at, offset_of!(Pair, src)) == (src, dst);
    select(same, leaf, EMPTY)
}

/// The smaller of two items.
#[inline(always)]
fn min(a: u64, b: u64) -> u64 {
    let difference = a.wrapping_sub(b);
    b.wrapping_add(difference & ((difference as i64 >> 63) as u64))
}

/// The first item of a leaf whose signature the upper-layer class has.
#[inline(always)]
fn resolve<M: Memory + ?Sized>(image: &M, leaf: u64, signatures: u32, upper: u32) -> u64 {
    let has = |item: u64| {
        let signature = item as u32 & 0xffff;
        let word = image.u64(signatures.wrapping_add((signature >> 6) * 8));
        word >> (signature & 63) & 1
    };
    if (leaf >> 16) as u32 & 3 != LIST {
        // All ones below the sign when the class has not got the signature.
        return (leaf | has(leaf).wrapping_sub(1)) & NONE;
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
        if has(item) != 0 {
            found = item;
            break;
        }
        at = opaque(image, at.wrapping_add(8));
        left = opaque(image, left - 1);
    }
    image.opaque(found)
}

/// Counts in the rules of the rows that count and come before the item found, and returns the
/// entry of the first rule that decides.
#[inline(always)]
fn walk_rows<M: Memory + ?Sized, C: Counts>(
    image: &M,
    section: M::Head,
    found: &Found,
    upper: u32,
    counts: &mut C,
) -> u32 {
    let best = found.item;
    if image.field(section, offset_of!(Section, summaries)) == 0 {
        return entry(best);
    }
    let stride = image.field(section, offset_of!(Section, stride));
    let row = |rows: usize, class: u32| {
        image
            .field(section, rows)
            .wrapping_add(class.wrapping_mul(stride))
    };
    let src = row(offset_of!(Section, src_rows), found.src_row);
    let dst = row(offset_of!(Section, dst_rows), found.dst_row);
    let upper = row(offset_of!(Section, upper_rows), upper);
    let meet = |word: u32| {
        let at = word.wrapping_mul(8);
        image.u64(src.wrapping_add(at))
            & image.u64(dst.wrapping_add(at))
            & image.u64(upper.wrapping_add(at))
    };
    let summaries = image.field(section, offset_of!(Section, summaries));
    let items = image.field(section, offset_of!(Section, items));
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
    use super::{count_below, lowest};

    #[test]
    fn bounds_are_compared_as_numbers() {
        let edges = [0_u16, 1, 2, 0x7ffe, 0x7fff, 0x8000, 0x8001, 0xfffe, 0xffff];
        for digit in edges {
            for bound in edges {
                for lane in 0..8 {
                    // The other lanes hold what is below, or not, any digit but the first.
                    for others in [0_u128, u128::MAX] {
                        let mask = 0xffff << (16 * lane);
                        let word = others & !mask | u128::from(!bound) << (16 * lane) & mask;
                        let found = count_below([word as u64, (word >> 64) as u64], digit.into());
                        let full = if others == 0 || digit == 0 { 0 } else { 7 };
                        assert_eq!(found, full + u32::from(bound < digit));
                    }
                }
            }
        }
    }

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
