//! The table of flows in user space: made, listed, swept, moved.
//!
//! Programs change it all the time; nothing here stops them. A slot that is read while it is written
//! may be one of no flow, and is then shown or moved to where no packet finds it.

use std::{
    io,
    os::fd::{AsFd as _, OwnedFd},
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use aya::maps::{Map, MapData, MapError, PerCpuArray};
use firewall_ebpf::flows::{
    Addresses, FlowEvent, HASH_KEYS, Keys, LINE_BYTES, LINE_SLOTS, Phase, SETTINGS_WORDS, Settings,
    Slot, TAG_LINES, TIMEOUTS, age, phase_of, places, timeout_index, unit,
};

use crate::kernel::{
    clock, maps,
    memory::Words,
    pins::{self, FlowObject, PinError, PinState, PinnedObject, Pins},
};

/// Why the table could not be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FlowsError {
    /// A map could not be opened.
    #[error("the flows could not be opened at `{}`", path.display())]
    Open {
        /// Its pin.
        path: PathBuf,
        /// What the kernel answered.
        source: Box<MapError>,
    },
    /// A map could not be mapped.
    #[error("the flows could not be mapped")]
    Map(#[source] io::Error),
    /// The numbers of events could not be read.
    #[error("the counters of the flows could not be read")]
    Events(#[source] Box<MapError>),
    /// The kernel gave no random bytes.
    #[error("the kernel gave no random bytes for the keys of the flows")]
    Random(#[source] io::Error),
    /// The clock cannot be read.
    #[error("the time since boot cannot be read")]
    Clock(#[source] nix::Error),
    /// A map could not be pinned.
    #[error(transparent)]
    Pin(#[from] PinError),
}

/// How jiffies and the time relate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticks {
    /// Ticks a second.
    pub(crate) hz: u64,
    /// The jiffies when `CLOCK_MONOTONIC` was 0.
    pub(crate) at_start: u64,
}

impl Ticks {
    /// Those of a kernel with so many ticks a second, whose jiffies, of which the lower half is given, were read right
    /// before a time.
    pub(super) fn new(hz: u64, time: Duration, jiffies: u32) -> Self {
        let since_start = (time.as_nanos() * u128::from(hz) / 1_000_000_000) as u64;
        // They begin five minutes before their lower half overflows (`INITIAL_JIFFIES`, `include/linux/jiffies.h`).
        let about = (1_u64 << 32) - 300 * hz;
        let expected = about + since_start;
        let off = jiffies.wrapping_sub(expected as u32) as i32;
        let now = expected.wrapping_add_signed(off.into());
        Self {
            hz,
            at_start: now.wrapping_sub(since_start),
        }
    }
}

/// A table.
pub(crate) struct FlowTable {
    lines: Words,
    tags: Words,
    addresses: Words,
    settings: Words,
    events: PerCpuArray<MapData, u64>,
    slots: u32,
    /// The kernel's numbers of the maps, in the order of [`OTHERS`].
    maps: [u32; 4],
    /// These maps.
    held: Vec<OwnedFd>,
}

/// A flow, as those who list flows have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListedFlow {
    /// The number of its slot.
    pub(crate) index: u32,
    /// Its words.
    pub(crate) slot: Slot,
    /// The addresses of an IPv6 flow.
    pub(crate) addresses: Addresses,
    /// What it has come to.
    pub(crate) phase: Phase,
    /// The seconds since its last packet.
    pub(crate) age: u32,
    /// The seconds for which it is kept after that.
    pub(crate) timeout: u32,
}

impl FlowTable {
    /// Opens the table that is pinned in its place; `None` if there is none.
    pub(crate) fn open(pins: &Pins) -> Result<Option<Self>, FlowsError> {
        Self::open_at(|object| pins.flows(object))
    }

    /// Opens the table whose maps are pinned to these paths, the settings to the first of theirs; `None` if there is none.
    ///
    /// The settings name the other maps: their pins take their places one after the other when a table takes the place of
    /// another, and the one of the settings decides.
    pub(crate) fn open_at(
        pins: impl Fn(FlowObject) -> Result<Vec<PathBuf>, PinError>,
    ) -> Result<Option<Self>, FlowsError> {
        let found = |path: &PathBuf| {
            let opened = maps::find(path).and_then(|map| {
                let map = map.map(|map| map.info().map(|info| (map, info)));
                map.transpose()
            });
            opened.map_err(|source| FlowsError::Open {
                path: path.clone(),
                source: Box::new(source),
            })
        };
        let words =
            |map: &MapData, count| Words::map(map.fd().as_fd(), count).map_err(FlowsError::Map);
        let place = pins(FlowObject::Settings)?.into_iter().next();
        let Some((settings, _)) = place.as_ref().map(found).transpose()?.flatten() else {
            return Ok(None);
        };
        let settings = words(&settings, SETTINGS_WORDS)?;
        let named = numbers(&settings);
        let mut others = Vec::new();
        for (object, number) in OTHERS.into_iter().zip(named) {
            let mut right = None;
            for path in pins(object)? {
                let map = found(&path)?;
                // A new table names none yet.
                right = map.filter(|(_, info)| number == 0 || info.id() == number);
                if right.is_some() {
                    break;
                }
            }
            others.extend(right);
        }
        let Ok([lines, tags, addresses, events]) = <[_; 4]>::try_from(others) else {
            return Ok(None);
        };
        let maps = [lines.1.id(), tags.1.id(), addresses.1.id(), events.1.id()];
        let held = [&lines.0, &tags.0, &addresses.0, &events.0]
            .map(|map| map.fd().as_fd().try_clone_to_owned())
            .into_iter()
            .collect::<Result<_, _>>()
            .map_err(FlowsError::Map)?;
        let count = lines.1.max_entries();
        let failed = |source| FlowsError::Events(Box::new(source));
        Ok(Some(Self {
            lines: words(&lines.0, count as usize * LINE_WORDS)?,
            tags: words(&tags.0, tags.1.max_entries() as usize * LINE_WORDS)?,
            addresses: words(
                &addresses.0,
                addresses.1.max_entries() as usize * ADDRESS_WORDS,
            )?,
            settings,
            events: PerCpuArray::try_from(Map::PerCpuArray(events.0)).map_err(failed)?,
            slots: count * LINE_SLOTS,
            maps,
            held,
        }))
    }

    /// Pins the maps of the table to their places, where a process that died on the way has left those of another.
    pub(crate) fn pin(&self, pins: &Pins) -> Result<(), PinError> {
        for (object, map) in OTHERS.into_iter().zip(&self.held) {
            let path = pins.object(PinnedObject::Flows(object));
            match pins::state(&path, map.as_fd())? {
                PinState::Same => continue,
                PinState::Foreign => pins::unpin(&path)?,
                PinState::Missing => {}
            }
            pins::pin(map.as_fd(), &path)?;
        }
        Ok(())
    }

    /// The bytes of a table of so many slots, all of which the kernel reserves when it is made.
    pub(crate) fn memory(slots: u32) -> u64 {
        Self::memory_of_look_ups(slots) + u64::from(slots) * size_of::<Addresses>() as u64
    }

    /// The bytes of it that looking up packets touches when it is full: slots and tags.
    pub(crate) fn memory_of_look_ups(slots: u32) -> u64 {
        u64::from(slots) * u64::from(LINE_BYTES / LINE_SLOTS + 1)
    }

    /// The number of slots.
    pub(crate) fn slots(&self) -> u32 {
        self.slots
    }

    /// Writes the settings of a new table, with keys that nobody knows, or those of the table whose flows it takes over.
    pub(crate) fn initialize(&self, ticks: Ticks, before: Option<&Self>) -> Result<(), FlowsError> {
        let keys = match before {
            Some(before) => std::array::from_fn(|index| before.key(index)),
            None => random_keys().map_err(FlowsError::Random)?,
        };
        for (index, key) in keys.into_iter().enumerate() {
            self.set(Settings::KEYS + index, key);
        }
        self.set_ticks(ticks);
        let [lines, tags, addresses, events] = self.maps.map(u64::from);
        let pair = |first: u64, second: u64| {
            if cfg!(target_endian = "little") {
                first | second << 32
            } else {
                first << 32 | second
            }
        };
        self.set(Settings::MAPS, pair(lines, tags));
        self.set(Settings::MAPS + 1, pair(addresses, events));
        Ok(())
    }

    /// How jiffies and time relate, as they were measured when the table was made.
    pub(crate) fn ticks(&self) -> Ticks {
        Ticks {
            hz: self.setting(Settings::HZ),
            at_start: self.setting(Settings::JIFFIES),
        }
    }

    fn set_ticks(&self, ticks: Ticks) {
        const FINE_UNIT: u64 = firewall_ebpf::flows::FINE_UNIT as u64;
        self.set(Settings::HZ, ticks.hz);
        self.set(Settings::JIFFIES, ticks.at_start);
        self.set(Settings::CLOCK, (1 << 32) / (FINE_UNIT * ticks.hz));
    }

    /// Writes the timeouts, in units of their stamps.
    pub(crate) fn set_timeouts(&self, timeouts: &[u16; TIMEOUTS]) {
        for (index, word) in timeout_words(timeouts) {
            self.set(index, word);
        }
    }

    /// The current time of the table's clock.
    pub(crate) fn now(&self) -> Result<u32, FlowsError> {
        let time = clock::since_start_awake().map_err(FlowsError::Clock)?;
        let hz = self.setting(Settings::HZ).max(1);
        let ticks = time.as_nanos() * u128::from(hz) / 1_000_000_000;
        let jiffies = u128::from(self.setting(Settings::JIFFIES)) + ticks;
        let units = (jiffies * u128::from(self.setting(Settings::CLOCK))) >> 32;
        let units = units + u128::from(self.setting(Settings::LATER));
        Ok((units & u128::from(u32::MAX)) as u32)
    }

    /// The flows that have not expired.
    pub(crate) fn flows(&self) -> Result<Vec<ListedFlow>, FlowsError> {
        Ok(self.alive(self.now()?).collect())
    }

    /// How many flows have not expired.
    pub(crate) fn count(&self) -> Result<u32, FlowsError> {
        let count = self.alive(self.now()?).count();
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    fn alive(&self, now: u32) -> impl Iterator<Item = ListedFlow> {
        self.used().filter_map(move |index| self.flow(index, now))
    }

    /// The slots that are not free.
    fn used(&self) -> impl Iterator<Item = u32> {
        (0..self.slots).filter(|index| self.tag(*index) != 0)
    }

    /// The flow of a slot, unless it has expired.
    fn flow(&self, index: u32, now: u32) -> Option<ListedFlow> {
        let slot = self.slot(index);
        let (protocol, life) = (slot.protocol(), slot.life());
        let number = phase_of(life);
        let phase = Phase::ALL
            .into_iter()
            .find(|phase| phase.number() == number)?;
        let unit = unit(protocol, number);
        let flow = ListedFlow {
            index,
            slot,
            addresses: self.addresses(index),
            phase,
            age: age(protocol, life, now) * unit,
            timeout: u32::from(self.timeout(timeout_index(protocol, number))) * unit,
        };
        (flow.age <= flow.timeout).then_some(flow)
    }

    /// Frees the slots of flows that have expired: a stamp becomes ambiguous after hours. Returns how many flows
    /// are left, and how many were removed.
    pub(crate) fn sweep(&self) -> Result<(u32, u32), FlowsError> {
        let now = self.now()?;
        let (mut left, mut removed) = (0, 0);
        for index in self.used() {
            if self.flow(index, now).is_some() {
                left += 1;
            } else {
                self.free(index);
                removed += 1;
            }
        }
        Ok((left, removed))
    }

    /// Frees the slot of a flow, unless it has another one by now.
    pub(crate) fn remove(&self, flow: &ListedFlow) -> bool {
        let is_it = self.tag(flow.index) != 0 && self.slot(flow.index).first == flow.slot.first;
        if is_it {
            self.free(flow.index);
        }
        is_it
    }

    /// Copies the flows of another table with the same keys that this one does not have.
    pub(crate) fn take_over(&self, other: &Self) {
        let last_line = self.slots / LINE_SLOTS - 1;
        for index in 0..other.slots {
            if other.tag(index) == 0 {
                continue;
            }
            let slot = other.slot(index);
            // Its slot does not say where its place is.
            if phase_of(slot.life()) == Phase::Noted.number() {
                continue;
            }
            let (lines, tag) = places(self, slot);
            let candidates = lines.into_iter().flat_map(|line| {
                let first = (line & last_line) * LINE_SLOTS;
                first..first + LINE_SLOTS
            });
            let mut free = None;
            let mut is_there = false;
            for candidate in candidates {
                if self.tag(candidate) == 0 {
                    free = free.or(Some(candidate));
                } else {
                    let there = self.slot(candidate);
                    is_there |=
                        there.first == slot.first && there.second >> 16 == slot.second >> 16;
                }
            }
            if let (Some(free), false) = (free, is_there) {
                self.place(free, slot, other.addresses(index), tag);
            }
        }
    }

    fn place(&self, index: u32, slot: Slot, addresses: Addresses, tag: u8) {
        self.set_word(index * 2, slot.first);
        self.set_word(index * 2 + 1, slot.second);
        if slot.is_ipv6() {
            self.set_addresses(index, addresses);
        }
        self.set_tag(index, tag);
    }

    /// Writes the addresses of an IPv6 flow.
    pub(super) fn set_addresses(&self, index: u32, addresses: Addresses) {
        let words = [
            addresses.first[0],
            addresses.first[1],
            addresses.second[0],
            addresses.second[1],
            addresses.ports,
        ];
        for (offset, word) in words.into_iter().enumerate() {
            let at = index as usize * ADDRESS_WORDS + offset;
            store(self.addresses.as_slice(), at, word);
        }
    }

    fn free(&self, index: u32) {
        self.set_tag(index, 0);
    }

    /// The number of times that an event has happened.
    pub(crate) fn events(&self, event: FlowEvent) -> Result<u64, FlowsError> {
        let failed = |error| FlowsError::Events(Box::new(error));
        let values = self.events.get(&(event as u32), 0).map_err(failed)?;
        Ok(values.iter().fold(0, |sum, value| sum.wrapping_add(*value)))
    }

    fn slot(&self, index: u32) -> Slot {
        Slot {
            first: self.word(index * 2),
            second: self.word(index * 2 + 1),
        }
    }

    /// A word of the lines, two for each slot.
    pub(super) fn word(&self, index: u32) -> u64 {
        load(self.lines.as_slice(), index as usize)
    }

    /// Writes one.
    pub(super) fn set_word(&self, index: u32, word: u64) {
        store(self.lines.as_slice(), index as usize, word);
    }

    /// Replaces one if it is still `old`; returns whether it was.
    pub(super) fn exchange_word(&self, index: u32, old: u64, new: u64) -> bool {
        let word = self.lines.as_slice().get(index as usize);
        word.is_some_and(|word| {
            let (success, failure) = (Ordering::AcqRel, Ordering::Acquire);
            word.compare_exchange(old, new, success, failure).is_ok()
        })
    }

    fn addresses(&self, index: u32) -> Addresses {
        let at = index as usize * ADDRESS_WORDS;
        let word = |offset| load(self.addresses.as_slice(), at + offset);
        Addresses {
            first: [word(0), word(1)],
            second: [word(2), word(3)],
            ports: word(4),
        }
    }

    /// The tag of a slot. The tags of a line are four bytes, two lines to a word.
    pub(super) fn tag(&self, index: u32) -> u8 {
        let word = load(self.tags.as_slice(), index as usize / 8);
        word.to_le_bytes()[index as usize % 8]
    }

    /// Programs store a tag as a byte; so it is stored here, and a neighbor that they store meanwhile stays.
    pub(super) fn set_tag(&self, index: u32, tag: u8) {
        self.tags.set_byte(index as usize, tag);
    }

    pub(super) fn timeout(&self, index: u32) -> u16 {
        let index = index as usize % TIMEOUTS;
        let word = self.setting(Settings::TIMEOUTS_AT / 8 + index / 4);
        let bytes = word.to_ne_bytes();
        u16::from_ne_bytes([bytes[index % 4 * 2], bytes[index % 4 * 2 + 1]])
    }

    fn setting(&self, index: usize) -> u64 {
        load(self.settings.as_slice(), index)
    }

    fn set(&self, index: usize, word: u64) {
        store(self.settings.as_slice(), index, word);
    }
}

impl Keys for FlowTable {
    fn key(&self, index: usize) -> u64 {
        self.setting(Settings::KEYS + index)
    }
}

/// Keys that nobody knows.
pub(super) fn random_keys() -> io::Result<[u64; HASH_KEYS]> {
    let mut bytes = [0_u8; HASH_KEYS * 8];
    getrandom::fill(&mut bytes)?;
    let (words, _) = bytes.as_chunks();
    let mut keys = [0; HASH_KEYS];
    for (key, word) in keys.iter_mut().zip(words) {
        *key = u64::from_ne_bytes(*word);
    }
    Ok(keys)
}

/// The words of timeouts, in units of their stamps, with their indices in the settings.
pub(super) fn timeout_words(timeouts: &[u16; TIMEOUTS]) -> impl Iterator<Item = (usize, u64)> {
    let (fours, _) = timeouts.as_chunks::<4>();
    fours.iter().enumerate().map(|(index, four)| {
        let [[a, b], [c, d], [e, f], [g, h]] = four.map(u16::to_ne_bytes);
        let word = u64::from_ne_bytes([a, b, c, d, e, f, g, h]);
        (Settings::TIMEOUTS_AT / 8 + index, word)
    })
}

/// The maps that the settings name.
const OTHERS: [FlowObject; 4] = [
    FlowObject::Lines,
    FlowObject::Tags,
    FlowObject::Addresses,
    FlowObject::Events,
];

/// The kernel's numbers of these, 0 in a table that is new.
fn numbers(settings: &Words) -> [u32; 4] {
    let words = [Settings::MAPS, Settings::MAPS + 1].map(|index| load(settings.as_slice(), index));
    let halves = words.map(|word| {
        let (low, high) = (word as u32, (word >> 32) as u32);
        if cfg!(target_endian = "little") {
            [low, high]
        } else {
            [high, low]
        }
    });
    [halves[0][0], halves[0][1], halves[1][0], halves[1][1]]
}

const LINE_WORDS: usize = LINE_BYTES as usize / 8;
const ADDRESS_WORDS: usize = size_of::<Addresses>() / 8;

const _: () = assert!(TAG_LINES as usize * 4 == LINE_WORDS * 8);

fn load(words: &[AtomicU64], index: usize) -> u64 {
    words
        .get(index)
        .map_or(0, |word| word.load(Ordering::Acquire))
}

fn store(words: &[AtomicU64], index: usize, word: u64) {
    if let Some(place) = words.get(index) {
        place.store(word, Ordering::Release);
    }
}
