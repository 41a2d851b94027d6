//! The maximum number of loads in a plan is a bound, not the loads of a packet: this counts the
//! loads of the walker.

use std::cell::Cell;

use benches::{
    rulesets::{
        Index, RuleSet,
        stream::{Pattern, Stream},
    },
    tuple::Tuple,
};

use firewall_ebpf::{
    image::{Memory, RuleSlot},
    parse::parse,
    walk::{Counts, classify},
};
use rules::Context;
use rules::compiler::{Image, PacketKind};

/// The number of packets aimed at a rule set.
const PACKETS: usize = 4000;

/// An image that counts its loads.
struct CountingImage<'a> {
    image: &'a [u8],
    loads: Cell<u32>,
}

impl CountingImage<'_> {
    fn counted<T>(&self, word: T) -> T {
        self.loads.set(self.loads.get() + 1);
        word
    }
}

impl Memory for CountingImage<'_> {
    type Head = u32;

    fn head(&self, offset: u32) -> u32 {
        self.image.head(offset)
    }

    fn field(&self, head: u32, field: usize) -> u32 {
        self.counted(self.image.field(head, field))
    }

    fn u8(&self, offset: u32) -> u8 {
        self.counted(self.image.u8(offset))
    }

    fn u16(&self, offset: u32) -> u16 {
        self.counted(self.image.u16(offset))
    }

    fn u32(&self, offset: u32) -> u32 {
        self.counted(self.image.u32(offset))
    }

    fn u64(&self, offset: u32) -> u64 {
        self.counted(self.image.u64(offset))
    }
}

/// Ignores the matches of `count` rules.
struct DiscardedCounts;

impl Counts for DiscardedCounts {
    fn count(&mut self, _: RuleSlot) {}
}

/// Checks that no packet aimed at the rules takes more loads than the plan of their image says, and
/// returns the maximum.
pub(crate) fn check(name: &str, set: &RuleSet, image: &Image) -> u32 {
    let index = Index::new(set);
    let some = |pattern| Stream::new(&index, pattern, 1).take(PACKETS / 2);
    let packets = some(Pattern::Uniform).chain(some(Pattern::Boundary));
    let most = |tuple: Tuple| {
        let frame = tuple.packet().unwrap().build();
        let counting = CountingImage {
            image: image.bytes(),
            loads: Cell::new(0),
        };
        classify(
            &counting,
            frame.as_slice(),
            &parse(frame.as_slice()).unwrap(),
            &Context::arriving(1),
            &mut DiscardedCounts,
        );
        let kind = match frame[12..14] {
            [0x08, 0x00] => PacketKind::Ipv4,
            _ => PacketKind::Ipv6,
        };
        let sections = &image.plan().sections;
        let section = sections.iter().find(|section| section.packets == kind);
        let allowed = section.unwrap().loads();
        let loads = counting.loads.get();
        assert!(
            loads <= allowed,
            "{name}: {tuple:?} takes {loads} loads, {allowed} at most"
        );
        loads
    };
    packets.map(most).max().unwrap_or(0)
}
