//! The table of flows, as what is known elsewhere is entered in it: by the code of the programs.

use firewall_ebpf::flows::{self, Addresses, Entered, FlowEvent, FlowOrigin, Keys, LINE_SLOTS};

use crate::kernel::{
    connection::{KnownConnection, words},
    flows::{FlowTable, FlowsError},
};

/// A table in which connections are entered.
pub(crate) struct FlowWriter<'a> {
    table: &'a FlowTable,
    now: u32,
    /// How many were added.
    pub(crate) added: u64,
    /// How many the table had no room for.
    pub(crate) left_out: u64,
}

impl<'a> FlowWriter<'a> {
    /// Begins to enter connections as seen now.
    pub(crate) fn new(table: &'a FlowTable) -> Result<Self, FlowsError> {
        Ok(Self {
            table,
            now: table.now()?,
            added: 0,
            left_out: 0,
        })
    }

    /// Enters a connection, unless the table has it.
    pub(crate) fn enter(&mut self, connection: &KnownConnection, origin: FlowOrigin) {
        let upper = connection.transport();
        let (source, destination) = (connection.source.ip(), connection.destination.ip());
        let (src, dst) = (words(source), words(destination));
        match flows::enter(&*self, src, dst, upper, connection.progress, origin) {
            Entered::Known => {}
            Entered::NoRoom => self.left_out += 1,
            Entered::Added(placed) => {
                self.added += 1;
                if upper.is_ipv6() {
                    let (sport, dport) = (upper.sport(), upper.dport());
                    let (first, second, ports) = if placed.from_second {
                        (dst, src, dport | sport << 16)
                    } else {
                        (src, dst, sport | dport << 16)
                    };
                    let addresses = Addresses {
                        first,
                        second,
                        ports,
                    };
                    self.table.set_addresses(placed.slot, addresses);
                }
            }
        }
    }
}

impl Keys for FlowWriter<'_> {
    fn key(&self, index: usize) -> u64 {
        self.table.key(index)
    }
}

impl flows::FlowTable for FlowWriter<'_> {
    type Line = u32;
    type Tags = u32;

    fn last_line(&self) -> u32 {
        self.table.slots() / LINE_SLOTS - 1
    }

    fn line(&self, number: u32) -> Option<u32> {
        Some(number)
    }

    fn word(&self, line: u32, index: u32) -> u64 {
        self.table.word(line * LINE_SLOTS * 2 + index)
    }

    fn store(&self, line: u32, index: u32, word: u64) {
        self.table.set_word(line * LINE_SLOTS * 2 + index, word);
    }

    fn tags(&self, number: u32) -> Option<u32> {
        Some(number)
    }

    fn load_tags(&self, line: u32) -> u32 {
        let first = line * LINE_SLOTS;
        u32::from_le_bytes([0, 1, 2, 3].map(|slot| self.table.tag(first + slot)))
    }

    fn store_tag(&self, line: u32, slot: u32, tag: u8) {
        self.table.set_tag(line * LINE_SLOTS + slot, tag);
    }

    fn timeout(&self, index: u32) -> u32 {
        self.table.timeout(index).into()
    }

    fn now(&self) -> u32 {
        self.now
    }

    /// The counters are those of the programs, each of which has its own.
    fn count(&self, _event: FlowEvent) {}
}

impl flows::SharedTable for FlowWriter<'_> {
    fn exchange(&self, line: u32, index: u32, old: u64, new: u64) -> bool {
        let index = line * LINE_SLOTS * 2 + index;
        self.table.exchange_word(index, old, new)
    }
}
