//! The table of flows in the memory of a test.

use std::{cell::Cell, time::Duration};

use firewall_ebpf::flows::{
    FINE_UNIT, FRAGMENTS, FlowEvent, FlowTable, FragmentTable, Keys, LINE_SLOTS, Phase, Protocol,
    SharedTable, Slot, TIMEOUTS, has_expired, timeout_index, unit,
};

use rules::model::Timeouts;

use crate::Random;

/// A table of flows.
pub struct MemoryTable {
    words: Vec<Cell<u64>>,
    tags: Vec<Cell<u8>>,
    fragments: Vec<Cell<u64>>,
    keys: Vec<u64>,
    timeouts: [u32; TIMEOUTS],
    events: [Cell<u64>; FlowEvent::ALL.len()],
    /// The time in seconds.
    pub now: Cell<u64>,
}

impl MemoryTable {
    /// An empty table of so many lines, a power of two.
    #[must_use]
    pub fn new(lines: u32, kept: Timeouts, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let slots = (lines * LINE_SLOTS) as usize;
        let mut timeouts = [0; TIMEOUTS];
        let mut set = |protocol: Protocol, phase: Phase, timeout: Duration| {
            let (protocol, phase) = (protocol as u32, phase.number());
            let units = timeout.as_secs() / u64::from(unit(protocol, phase));
            timeouts[timeout_index(protocol, phase) as usize] = units as u32;
        };
        set(Protocol::Tcp, Phase::Unanswered, kept.tcp_opening);
        set(Protocol::Tcp, Phase::Answered, kept.tcp);
        set(Protocol::Tcp, Phase::FirstClosed, kept.tcp_half_closed);
        set(Protocol::Tcp, Phase::SecondClosed, kept.tcp_half_closed);
        set(Protocol::Tcp, Phase::Closed, kept.tcp_closed);
        set(Protocol::Tcp, Phase::Doubtful, kept.tcp_reset);
        set(Protocol::Tcp, Phase::Incoming, kept.tcp_incoming);
        set(Protocol::Tcp, Phase::Noted, kept.tcp_incoming);
        set(Protocol::Udp, Phase::Unanswered, kept.udp);
        set(Protocol::Udp, Phase::Incoming, kept.udp);
        set(Protocol::Udp, Phase::Answered, kept.udp_answered);
        for phase in [Phase::Unanswered, Phase::Answered, Phase::Incoming] {
            set(Protocol::Echo, phase, kept.icmp_echo);
            set(Protocol::Other, phase, kept.other);
        }
        Self {
            words: vec![Cell::new(0); slots * 2],
            tags: vec![Cell::new(0); slots],
            fragments: vec![Cell::new(0); FRAGMENTS as usize],
            keys: (0..firewall_ebpf::flows::HASH_KEYS)
                .map(|_| random.bits())
                .collect(),
            timeouts,
            events: Default::default(),
            now: Cell::new(0),
        }
    }

    /// Frees the slots of flows that have expired, as is to be done before their stamps become ambiguous.
    pub fn sweep(&self) {
        for (index, tag) in self.tags.iter().enumerate() {
            let slot = Slot {
                first: self.words[index * 2].get(),
                second: self.words[index * 2 + 1].get(),
            };
            if has_expired(self, slot, self.now()) {
                tag.set(0);
            }
        }
    }

    /// How often an event has happened.
    #[must_use]
    pub fn events(&self, event: FlowEvent) -> u64 {
        self.events[event as usize].get()
    }
}

impl Keys for MemoryTable {
    fn key(&self, index: usize) -> u64 {
        self.keys[index]
    }
}

impl FlowTable for MemoryTable {
    type Line = u32;
    type Tags = u32;

    fn last_line(&self) -> u32 {
        self.tags.len() as u32 / LINE_SLOTS - 1
    }

    fn line(&self, number: u32) -> Option<u32> {
        Some(number)
    }

    fn word(&self, line: u32, index: u32) -> u64 {
        self.words[(line * LINE_SLOTS * 2 + index) as usize].get()
    }

    fn store(&self, line: u32, index: u32, word: u64) {
        self.words[(line * LINE_SLOTS * 2 + index) as usize].set(word);
    }

    fn tags(&self, number: u32) -> Option<u32> {
        Some(number)
    }

    fn load_tags(&self, line: u32) -> u32 {
        let first = (line * LINE_SLOTS) as usize;
        u32::from_le_bytes([0, 1, 2, 3].map(|slot| self.tags[first + slot].get()))
    }

    fn store_tag(&self, line: u32, slot: u32, tag: u8) {
        self.tags[(line * LINE_SLOTS + slot) as usize].set(tag);
    }

    fn timeout(&self, index: u32) -> u32 {
        self.timeouts[index as usize]
    }

    fn now(&self) -> u32 {
        (self.now.get() / u64::from(FINE_UNIT)) as u32
    }

    fn count(&self, event: FlowEvent) {
        let count = &self.events[event as usize];
        count.set(count.get() + 1);
    }
}

impl SharedTable for MemoryTable {
    fn exchange(&self, line: u32, index: u32, old: u64, new: u64) -> bool {
        let is_old = self.word(line, index) == old;
        if is_old {
            self.store(line, index, new);
        }
        is_old
    }
}

impl FragmentTable for MemoryTable {
    fn fragment(&self, index: u32) -> u64 {
        self.fragments[index as usize].get()
    }

    fn store_fragment(&self, index: u32, entry: u64) {
        self.fragments[index as usize].set(entry);
    }
}
