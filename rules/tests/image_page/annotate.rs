//! Annotates the bytes of an image by following its offsets, as [`firewall_ebpf::image`] describes
//! them.
//!
//! It knows only the structures that occur in the image of a few rules.

use std::mem::offset_of;

use firewall_ebpf::{
    abi::{Direction, Reason},
    field::{Field, FieldSet, NO_PROTOCOL, WITH_FLAGS},
    image::{
        AFTER_HEAD, BLOCK, BLOCK_BYTES, COUNT, Cell, DROP, Drops, Entry, FIELD_PAGES, Header,
        MODE_DIRECT_TABLE, Memory as _, NODE_REFERENCES, NodeHead, PAGE, PASS, Records, Reference,
        SECTION_IPV4, SECTION_IPV6, SECTION_OTHER, Section, Step, section_offset, stored_bound,
    },
};

use crate::dump::Dump;

/// Annotates an image.
pub(crate) fn annotate(image: &[u8]) -> Dump<'_> {
    let mut dump = Dump::new(image);
    header(image, &mut dump);
    for direction in Direction::ALL {
        for (packets, section) in [
            ("IPv4", SECTION_IPV4),
            ("IPv6", SECTION_IPV6),
            ("other EtherTypes", SECTION_OTHER),
        ] {
            let packets = match direction {
                Direction::In => packets.to_owned(),
                Direction::Out => format!("{packets} out"),
            };
            let mut section = SectionDump {
                image,
                dump: &mut dump,
                packets,
                offset: section_offset(direction, section),
            };
            section.head();
            section.tables();
        }
    }
    dump
}

fn header(image: &[u8], dump: &mut Dump<'_>) {
    let word = |field: usize| image.u32(field as u32);
    dump.heading(0, "Header");
    let version = image.u8(3);
    let meaning = format!("magic: \"FWI\" and the version of the layout, {version}");
    dump.annotate(offset_of!(Header, magic), 4, meaning);
    let meaning = format!("length: {} bytes", word(offset_of!(Header, length)));
    dump.annotate(offset_of!(Header, length), 4, meaning);
    for (field, name) in [
        (offset_of!(Header, drops), "drops"),
        (offset_of!(Header, drops_out), "drops_out"),
    ] {
        let drops = Drops::from_bits(word(field));
        let names: Vec<_> = Reason::ALL
            .into_iter()
            .filter(|reason| drops.has(*reason))
            .map(Reason::name)
            .collect();
        let mut meanings = names.chunks(4).map(|names| names.join(" "));
        let meaning = format!("{name}: a bit for each of {}", meanings.next().unwrap());
        let meaning = meanings.fold(meaning, |text, line| format!("{text}\n{:34}{line}", ""));
        dump.annotate(field, 4, meaning);
    }
    let (metadata, length) = (
        word(offset_of!(Header, metadata)),
        word(offset_of!(Header, metadata_length)),
    );
    let meaning = format!("metadata: at {metadata:#06x}");
    dump.annotate(offset_of!(Header, metadata), 4, meaning);
    let meaning = format!("metadata_length: {length} bytes");
    dump.annotate(offset_of!(Header, metadata_length), 4, meaning);
    dump.annotate(
        offset_of!(Header, tracking),
        4,
        "tracking: nothing, since no rule asks for states",
    );
    dump.annotate(offset_of!(Header, reserved), 4, "reserved: 0");
    dump.annotate(offset_of!(Header, zero), 8, "zero: always 0");
    dump.heading(metadata as usize, "Metadata");
    dump.annotate(metadata as usize, length as usize, "for user space only");
}

/// A section of an image, and the dump to which its annotations are added.
struct SectionDump<'a, 'd> {
    image: &'a [u8],
    dump: &'d mut Dump<'a>,
    packets: String,
    offset: u32,
}

impl SectionDump<'_, '_> {
    fn word(&self, field: usize) -> u32 {
        self.image.u32(self.offset + field as u32)
    }

    fn used(&self) -> FieldSet {
        FieldSet::from_bits(self.word(offset_of!(Section, steps_used)))
    }

    /// The fields of the section. Consecutive ones that are 0 and not in use share a row.
    fn head(&mut self) {
        let mut fields = self.named_fields();
        fields.sort_by_key(|(offset, ..)| *offset);
        let offsets = fields.iter().map(|(offset, ..)| *offset);
        assert!(offsets.eq((0..size_of::<Section>()).step_by(4)));
        let heading = format!("Section for {}", self.packets);
        self.dump.heading(self.offset as usize, heading);
        for run in fields.chunk_by(|a, b| a.2.is_none() && b.2.is_none()) {
            let ((offset, first, meaning), (_, last, _)) = (&run[0], &run[run.len() - 1]);
            let text = match meaning {
                Some(meaning) => format!("{first}: {meaning}"),
                None => {
                    assert!(run.iter().all(|(offset, ..)| self.word(*offset) == 0));
                    if first == last {
                        format!("{first}: not used")
                    } else {
                        format!("{first} to {last}: not used")
                    }
                }
            };
            let start = self.offset as usize + offset;
            self.dump.annotate(start, run.len() * 4, text);
        }
    }

    /// The offset, the name and the meaning of each field; no meaning if it is not in use.
    fn named_fields(&self) -> Vec<(usize, String, Option<String>)> {
        macro_rules! unused {
            ($($field:ident),+) => {
                [$((offset_of!(Section, $field), stringify!($field))),+]
            };
        }
        let unused = unused!(
            grid_items,
            grid,
            chunks,
            signatures,
            signature_stride,
            wide,
            wide_columns,
            pair_seeds,
            pair_buckets,
            pairs,
            pair_slots,
            src_rows,
            dst_rows,
            l4_rows,
            stride,
            summaries,
            items
        );
        let mut fields: Vec<_> = unused
            .into_iter()
            .map(|(offset, name)| (offset, name.to_owned(), None))
            .collect();
        for (offset, name) in [
            (offset_of!(Section, src_records), "src_records"),
            (offset_of!(Section, dst_records), "dst_records"),
        ] {
            let (first, last) = (offset_of!(Records, offset), offset_of!(Records, last));
            fields.push((offset + first, format!("{name}.offset"), None));
            fields.push((offset + last, format!("{name}.last"), None));
        }
        let mut used = |offset: usize, name: &str, meaning: &dyn Fn(u32) -> String| {
            fields.push((offset, name.to_owned(), Some(meaning(self.word(offset)))));
        };
        let trie = |word: u32| reference(Reference::from_bits(word));
        used(offset_of!(Section, src), "src", &trie);
        used(offset_of!(Section, dst), "dst", &trie);
        used(offset_of!(Section, mode), "mode", &|word| {
            assert_eq!(word, MODE_DIRECT_TABLE);
            "direct table".to_owned()
        });
        used(offset_of!(Section, steps_used), "steps_used", &|word| {
            let used = FieldSet::from_bits(word);
            let fields = Field::ALL.into_iter().filter(|field| used.has(*field));
            let names: Vec<_> = fields.map(|field| format!("{field:?}")).collect();
            match names.is_empty() {
                true => "none".to_owned(),
                false => format!("a bit for each of {}", names.join(" ")),
            }
        });
        let dst_classes = offset_of!(Section, dst_classes);
        used(dst_classes, "dst_classes", &|word| word.to_string());
        let l4_classes = offset_of!(Section, l4_classes);
        used(l4_classes, "l4_classes", &|word| word.to_string());
        let direct_table = offset_of!(Section, direct_table);
        used(direct_table, "direct_table", &|word| {
            format!("at {word:#06x}")
        });
        for field in Field::ALL {
            self.step_fields(field, &mut fields);
        }
        fields
    }

    fn step_fields(&self, field: Field, fields: &mut Vec<(usize, String, Option<String>)>) {
        let step = step_at(field);
        let used = self.used().has(field);
        let mut push = |offset: usize, name: &str, meaning: String| {
            let name = format!("steps[{field:?}].{name}");
            fields.push((step + offset, name, used.then_some(meaning)));
        };
        let (lookup, classes, table) = self.step(field);
        push(
            offset_of!(Step, lookup),
            "lookup",
            format!("at {lookup:#06x}"),
        );
        push(offset_of!(Step, classes), "classes", classes.to_string());
        let meaning = match table {
            0 => "0, the first step has none".to_owned(),
            table => format!("at {table:#06x}"),
        };
        push(offset_of!(Step, table), "table", meaning);
        push(offset_of!(Step, padding), "padding", "0".to_owned());
    }

    /// The lookup, the number of classes and the table of a step.
    fn step(&self, field: Field) -> (u32, u32, u32) {
        let step = step_at(field);
        (
            self.word(step + offset_of!(Step, lookup)),
            self.word(step + offset_of!(Step, classes)),
            self.word(step + offset_of!(Step, table)),
        )
    }

    /// The tables to which the section points.
    fn tables(&mut self) {
        for (field, name) in [
            (offset_of!(Section, src), "source"),
            (offset_of!(Section, dst), "destination"),
        ] {
            self.node(Reference::from_bits(self.word(field)), name);
        }
        let mut fused = 1;
        for field in Field::ALL {
            if !self.used().has(field) {
                continue;
            }
            let (lookup, classes, table) = self.step(field);
            match field {
                Field::Protocol => self.protocols(lookup as usize),
                Field::Sport | Field::Dport => self.paged(field, lookup as usize),
                Field::Icmp
                | Field::Interface
                | Field::SrcMac
                | Field::DstMac
                | Field::Vlan
                | Field::Ethertype
                | Field::Length
                | Field::Ttl
                | Field::Traffic
                | Field::Options
                | Field::InInterface
                | Field::Mark => panic!("{field:?}: the page does not show this field"),
            }
            fused = match table {
                0 => classes,
                table => self.reduction(field, table as usize, fused, classes),
            };
        }
        self.direct_table();
    }

    /// A node of the trie of IPv4 addresses.
    fn node(&mut self, node: Reference, name: &str) {
        if node.is_leaf() || node == Reference::default() {
            return;
        }
        assert_eq!(node.kind(), NODE_REFERENCES);
        let at = node.offset();
        let head = NodeHead::from_bits(self.image.u32(at));
        assert_eq!(head.levels(), 1);
        let start = at as usize;
        let heading = format!("{}: trie of {name} addresses, root node", self.packets);
        self.dump.heading(start, heading);
        let count = head.bounds();
        let meaning = format!("head: {count} bounds, a search tree of 1 level");
        self.dump.annotate(start, size_of::<NodeHead>(), meaning);
        let tree = start + AFTER_HEAD as usize;
        let image = self.image;
        let bound = |index: u32| stored_bound(image.u16(tree as u32 + index * 2));
        for index in 0..count {
            let bound = bound(index);
            let meaning = format!("bound {index}: the complement of {bound:#06x}");
            self.dump.annotate(tree + index as usize * 2, 2, meaning);
        }
        let bytes = (BLOCK - count) as usize * 2;
        let meaning = "no more bounds: complements of 0xffff";
        self.dump
            .annotate(tree + count as usize * 2, bytes, meaning);
        let references = tree + BLOCK_BYTES as usize;
        for interval in 0..=count {
            let first = match interval {
                0 => 0,
                interval => bound(interval - 1) + 1,
            };
            let last = if interval == count {
                u16::MAX
            } else {
                bound(interval)
            };
            let at = references + interval as usize * 4;
            let found = reference(Reference::from_bits(self.image.u32(at as u32)));
            let [a, b] = first.to_be_bytes();
            let [c, d] = last.to_be_bytes();
            let meaning = format!("{a}.{b}.0.0 to {c}.{d}.255.255: {found}");
            self.dump.annotate(at, 4, meaning);
        }
    }

    fn protocols(&mut self, at: usize) {
        let heading = format!("{}: lookup of Protocol", self.packets);
        self.dump.heading(at, heading);
        let (flags, none) = (WITH_FLAGS as usize, NO_PROTOCOL as usize);
        let part = move |key: usize| usize::from(key >= flags) + usize::from(key >= none);
        self.dump
            .annotate_u16s(at, none + 1, part, |first, last, class| {
                let keys = match part(first) {
                    0 => numbers("protocol", first, last),
                    1 => numbers("TCP with flags", first - flags, last - flags),
                    _ => "not IP".to_owned(),
                };
                format!("{keys}: class {class}")
            });
    }

    fn paged(&mut self, field: Field, at: usize) {
        let heading = format!("{}: lookup of {field:?}, page numbers", self.packets);
        self.dump.heading(at, heading);
        let page = PAGE as usize;
        let pages = (0..=page)
            .map(|high| usize::from(self.image.u16((at + high * 2) as u32)) + 1)
            .max()
            .unwrap();
        let part = |high: usize| usize::from(high == page);
        self.dump
            .annotate_u16s(at, page + 1, part, |first, last, number| {
                match part(first) {
                    0 => format!(
                        "{}: page {number}",
                        numbers("port", first * page, last * page + page - 1)
                    ),
                    _ => format!("no port: page {number}"),
                }
            });
        let numbers_end = at + (page + 1) * 2;
        let start = at + FIELD_PAGES as usize;
        self.dump
            .annotate(numbers_end, start - numbers_end, "padding");
        let heading = format!("{}: lookup of {field:?}, {pages} pages", self.packets);
        self.dump.heading(start, heading);
        let part = |index: usize| index / page;
        self.dump
            .annotate_u16s(start, pages * page, part, |first, last, class| {
                let low = numbers("low byte", first % page, last % page);
                format!("page {}, {low}: class {class}", part(first))
            });
    }

    /// A reduction table; the number of classes after it.
    fn reduction(&mut self, field: Field, at: usize, fused: u32, classes: u32) -> u32 {
        let heading = format!("{}: reduction table of {field:?}", self.packets);
        self.dump.heading(at, heading);
        let mut after = 0;
        for cell in 0..fused * classes {
            let at = at + cell as usize * 2;
            let to = self.image.u16(at as u32);
            after = after.max(u32::from(to) + 1);
            let (before, class) = (cell / classes, cell % classes);
            let meaning = format!("fused class {before}, class {class} of {field:?}: {to}");
            self.dump.annotate(at, 2, meaning);
        }
        after
    }

    fn direct_table(&mut self) {
        let at = self.word(offset_of!(Section, direct_table)) as usize;
        let dst_classes = self.word(offset_of!(Section, dst_classes)) as usize;
        let l4_classes = self.word(offset_of!(Section, l4_classes)) as usize;
        // The root of the source trie may be a class.
        let src = Reference::from_bits(self.word(offset_of!(Section, src)));
        let src_classes = self.source_classes(src);
        let heading = format!("{}: direct table", self.packets);
        self.dump.heading(at, heading);
        let mut lists = Vec::new();
        for index in 0..src_classes * dst_classes * l4_classes {
            let at = at + index * 4;
            let cell = Cell::from_bits(self.image.u32(at as u32));
            let found = match cell.as_entry() {
                Some(found) => entry(found),
                None => {
                    lists.push(cell.offset() as usize);
                    format!("list at {:#06x}", cell.offset())
                }
            };
            let (both, l4) = (index / l4_classes, index % l4_classes);
            let (src, dst) = (both / dst_classes, both % dst_classes);
            let meaning = format!("source {src}, destination {dst}, L4 {l4}: {found}");
            self.dump.annotate(at, 4, meaning);
        }
        lists.sort_unstable();
        lists.dedup();
        for start in lists {
            let heading = format!("{}: list of entries", self.packets);
            self.dump.heading(start, heading);
            for at in (start..).step_by(4) {
                let found = Entry::from_bits(self.image.u32(at as u32));
                self.dump.annotate(at, 4, entry(found));
                if found.what() != COUNT {
                    break;
                }
            }
        }
    }

    /// The number of classes in a trie of one node.
    fn source_classes(&self, root: Reference) -> usize {
        if root.is_leaf() || root == Reference::default() {
            return 1;
        }
        let node = root.offset();
        let count = NodeHead::from_bits(self.image.u32(node)).bounds();
        let references = node + AFTER_HEAD + BLOCK_BYTES;
        let classes = (0..=count).map(|interval| {
            let word = self.image.u32(references + interval * 4);
            Reference::from_bits(word).class() as usize + 1
        });
        classes.max().unwrap()
    }
}

fn step_at(field: Field) -> usize {
    offset_of!(Section, steps) + field as usize * size_of::<Step>()
}

fn reference(reference: Reference) -> String {
    if reference.is_leaf() {
        format!("class {}", reference.class())
    } else {
        assert_eq!(reference.kind(), NODE_REFERENCES);
        format!("node of references at {:#06x}", reference.offset())
    }
}

fn entry(entry: Entry) -> String {
    let slot = entry.slot().number();
    match entry.what() {
        PASS => format!("pass, slot {slot}"),
        DROP => format!("drop, slot {slot}"),
        COUNT => format!("count, slot {slot}"),
        _ => "no rule matches".to_owned(),
    }
}

fn numbers(what: &str, first: usize, last: usize) -> String {
    if first == last {
        format!("{what} {first}")
    } else {
        format!("{what} {first} to {last}")
    }
}
