//! The image walker: from the fields of a packet to what the image says of it.
//!
//! This module knows the layout of [`crate::image`] and nothing of how images are made. It runs
//! in the kernel, so that every loop has a constant bound and no operation can fail.

use core::mem::offset_of;

use crate::{
    abi::Reason,
    details,
    hash::{pair_key, slot, spread},
    headers::{Headers, present},
    image::{
        BY_WIDE, CHUNK, COUNT, DETAILS, EMPTY, FIELD_PAGES, Field, LIST, MAX_COUNTS, MAX_LIST,
        MAX_WALK, MODE_CELLS, MODE_GRID, Memory, NO_MATCH, NO_PAGE, NONE, PAGE, PAIRED, PASS, Pair,
        Record, Records, SECTION_IPV4, SECTION_IPV6, SECTION_OTHER, Section, Step, TABLE,
    },
    packet::Packet,
    search::{find, find_ipv4, find_ipv6, unless},
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
            find_ipv4(image, src, headers.src_high),
            find_ipv4(image, dst, headers.dst_high),
        )
    } else if headers.has(present::IPV6) {
        let head = image.head(SECTION_IPV6);
        let (src, dst) = fields!(image, head, Section, src, dst);
        (
            SECTION_IPV6,
            find_ipv6(image, src, headers.src_high, headers.src_low),
            find_ipv6(image, dst, headers.dst_high, headers.dst_low),
        )
    } else {
        // Opaque like the classes above, or else the verifier follows all that comes next for both.
        (SECTION_OTHER, image.opaque_u32(0), image.opaque_u32(0))
    };
    let section = image.head(image.opaque_u32(section));
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
            src_row: image.opaque_u32(found.src_row),
            dst_row: image.opaque_u32(found.dst_row),
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

/// Returned by a walk that left its bounds.
const BAD_IMAGE: u32 = 1 << 2 | NO_MATCH;

/// Fields of a section.
macro_rules! fields {
    ($image:ident, $head:ident, $of:ident, $($field:ident),+) => {
        ($($image.field($head, offset_of!($of, $field))),+)
    };
}
use fields;

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
        fused = image.opaque_u32(next);
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
    let (wide, row) = image.two_u32(at, offset_of!(Record, wide));
    let (leaves, flags) = image.two_u32(at, offset_of!(Record, leaves));
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
    let (bucket, hash) = spread(pair_key(src, dst), buckets);
    let seed = u32::from(image.u16(seeds.wrapping_add(bucket.wrapping_mul(2))));
    let (pairs, slots) = fields!(image, section, Section, pairs, pair_slots);
    let number = slot(hash, seed, slots);
    let at = pairs.wrapping_add(number.wrapping_mul(size_of::<Pair>() as u32));
    let leaf = image.u64(at.wrapping_add(offset_of!(Pair, leaf) as u32));
    let classes = image.u64(at.wrapping_add(offset_of!(Pair, src) as u32));
    let difference = classes ^ (u64::from(dst) << 32 | u64::from(src));
    unless(difference, leaf, EMPTY)
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
        at = image.opaque_u32(at.wrapping_add(8));
        left = image.opaque_u32(left - 1);
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
    let mut next = image.opaque_u32(0);
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
        next = image.opaque_u32(next);
        word = image.opaque_u32(word);
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
