//! The prefilter as user space writes and reads it: prefix lengths in use, Bloom filter,
//! texts of reasons.
//!
//! A filter is never cleared while it is in force: the next one is built beside it and replaces it
//! in one step.

use std::sync::atomic::{AtomicU64, Ordering};

use firewall_ebpf::bans::{
    FILTER_LINES, HEAD_COUNT, HEAD_FILTER, HEAD_LENGTHS, HEAD_SEED, Key, LINE_WORDS, Place,
    REASON_LINES,
};

use crate::kernel::max_bans::{BANS_PER_LINE, FEWEST_LINES, filter_lines};

/// The maximum length of a reason in bytes.
pub(crate) const MAX_REASON: usize = LINE_WORDS as usize * 8;

/// The words of a prefilter.
#[derive(Clone, Copy)]
pub(crate) struct Prefilter<'a>(&'a [AtomicU64]);

/// The location of a filter, as the head encodes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bloom(u64);

impl Bloom {
    fn new(first: u32, lines: u32) -> Self {
        Self(u64::from(first) | u64::from(lines - 1) << 32)
    }

    fn first(self) -> u32 {
        self.0 as u32
    }

    fn lines(self) -> u32 {
        (self.0 >> 32) as u32 + 1
    }

    /// The number of bans that it is sized for.
    pub(crate) fn bans(self) -> u32 {
        self.lines().saturating_mul(BANS_PER_LINE)
    }
}

impl<'a> Prefilter<'a> {
    /// The prefilter of these words.
    pub(crate) fn new(words: &'a [AtomicU64]) -> Self {
        Self(words)
    }

    /// Initializes filter and seed, unless the prefilter has them.
    pub(crate) fn begin(self, seed: u64) {
        if self.head(HEAD_FILTER) == 0 {
            self.set_head(HEAD_SEED, seed);
            let filter = Bloom::new(FILTER_LINES, FEWEST_LINES.min(self.room()));
            self.put_in_force(filter);
        }
    }

    /// The word of a line; 0 beyond the prefilter.
    pub(crate) fn word(self, line: u32, word: u32) -> u64 {
        let index = line as usize * LINE_WORDS as usize + word as usize;
        self.0
            .get(index)
            .map_or(0, |word| word.load(Ordering::Acquire))
    }

    /// The number of lines.
    pub(crate) fn lines(self) -> u32 {
        u32::try_from(self.0.len() / LINE_WORDS as usize).unwrap_or(u32::MAX)
    }

    /// Sets whether there are bans of the key's prefix length.
    pub(crate) fn set_length(self, key: &Key, is_used: bool) {
        if let Some(word) = self.0.get(key.word() as usize) {
            let bit = 1 << key.bit();
            if is_used {
                word.fetch_or(bit, Ordering::AcqRel);
            } else {
                word.fetch_and(!bit, Ordering::AcqRel);
            }
        }
    }

    /// Sets the prefix lengths in use, by words and bits of the head.
    pub(crate) fn set_lengths(self, lengths: impl Iterator<Item = (u32, u32)>) {
        let mut words = [0_u64; HEAD_FILTER as usize];
        for (word, bit) in lengths {
            if let Some(word) = words.get_mut(word as usize) {
                *word |= 1 << bit;
            }
        }
        for (number, word) in (HEAD_LENGTHS..).zip(words) {
            self.set_head(number, word);
        }
    }

    /// The filter in force.
    pub(crate) fn filter(self) -> Bloom {
        Bloom(self.head(HEAD_FILTER))
    }

    /// A cleared filter for so many bans, or as many as there is room for. No program may still
    /// read the predecessor of the current filter.
    pub(crate) fn next_filter(self, bans: u32) -> Bloom {
        let room = self.room();
        let first = if self.filter().first() < FILTER_LINES + room {
            FILTER_LINES + room
        } else {
            FILTER_LINES
        };
        let filter = Bloom::new(first, filter_lines(bans).min(room));
        let begin = first as usize * LINE_WORDS as usize;
        let length = filter.lines() as usize * LINE_WORDS as usize;
        for word in self.0.iter().skip(begin).take(length) {
            word.store(0, Ordering::Relaxed);
        }
        filter
    }

    /// Adds the key to a filter.
    pub(crate) fn add(self, filter: Bloom, key: &Key) {
        let place = Place::new(filter.0, key.hash(self.head(HEAD_SEED)));
        let index = place.line as usize * LINE_WORDS as usize + place.word as usize;
        if let Some(word) = self.0.get(index) {
            word.fetch_or(place.bits, Ordering::AcqRel);
        }
    }

    /// Puts a filter in force.
    pub(crate) fn put_in_force(self, filter: Bloom) {
        self.set_head(HEAD_FILTER, filter.0);
    }

    /// The number of bans that was last set.
    pub(crate) fn count(self) -> u64 {
        self.head(HEAD_COUNT)
    }

    /// Sets the number of bans.
    pub(crate) fn set_count(self, count: u32) {
        self.set_head(HEAD_COUNT, count.into());
    }

    /// The text of a reason; empty when it has none.
    pub(crate) fn reason(self, number: u32) -> String {
        let words = (0..LINE_WORDS).map(|word| self.word(REASON_LINES + number, word));
        let mut bytes: Vec<u8> = words.flat_map(u64::to_ne_bytes).collect();
        while bytes.last() == Some(&0) {
            bytes.pop();
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Sets the text of a reason, cut to [`MAX_REASON`] bytes.
    pub(crate) fn set_reason(self, number: u32, text: &str) {
        let mut bytes = text.bytes();
        let line = (REASON_LINES + number) as usize * LINE_WORDS as usize;
        for word in self.0.iter().skip(line).take(LINE_WORDS as usize) {
            let part = std::array::from_fn(|_| bytes.next().unwrap_or(0));
            word.store(u64::from_ne_bytes(part), Ordering::Release);
        }
    }

    /// The number of lines available to each of the two filters.
    fn room(self) -> u32 {
        self.lines().saturating_sub(FILTER_LINES) / 2
    }

    fn head(self, word: u32) -> u64 {
        self.word(0, word)
    }

    fn set_head(self, word: u32, value: u64) {
        if let Some(word) = self.0.get(word as usize) {
            word.store(value, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use benches::random::Random;
    use firewall_ebpf::bans::{Ban, FOREVER, Family, Table, find};

    use super::*;
    use crate::kernel::max_bans::MaxBans;

    struct InMemory<'a> {
        prefilter: Prefilter<'a>,
        bans: &'a HashMap<Key, Ban>,
        asked: std::cell::Cell<u32>,
    }

    impl Table for InMemory<'_> {
        type Line = u32;

        fn line(&self, number: u32) -> Option<u32> {
            (number < self.prefilter.lines()).then_some(number)
        }

        fn word(&self, line: u32, word: u32) -> u64 {
            self.prefilter.word(line, word)
        }

        fn ban(&self, key: &Key) -> Option<Ban> {
            self.asked.set(self.asked.get() + 1);
            self.bans.get(key).copied()
        }

        fn now(&self) -> u64 {
            NOW
        }
    }

    const NOW: u64 = 1000;

    fn words(most: MaxBans) -> Vec<AtomicU64> {
        let count = most.prefilter_lines() * LINE_WORDS;
        (0..count).map(|_| AtomicU64::new(0)).collect()
    }

    fn address(family: Family, number: u128) -> (u64, u64) {
        match family {
            Family::V4 => ((number as u64) << 32, 0),
            Family::V6 => ((number >> 64) as u64, number as u64),
        }
    }

    /// Whether the first `length` bits of two addresses are the same, bit by bit.
    fn agree(family: Family, length: u8, a: u128, b: u128) -> bool {
        let bits = if family == Family::V4 { 32 } else { 128 };
        (0..length).all(|bit| (a ^ b) >> (bits - 1 - u32::from(bit)) & 1 == 0)
    }

    #[test]
    fn what_is_found_is_what_a_look_at_every_ban_finds() {
        let mut random = Random::new(11);
        for round in 0..400 {
            let words = words(MaxBans::of_map(300));
            let prefilter = Prefilter::new(&words);
            prefilter.begin(random.number());
            let mut bans = HashMap::new();
            let mut written: Vec<(Family, u8, u128, u64)> = Vec::new();
            // Few bits differ, so that prefixes cover each other and near misses occur.
            let number = |random: &mut Random| {
                let spread = random.number();
                let bit = 1_u128 << (spread % 128);
                let base = u128::from(spread >> 40 & 3) * (u128::MAX / 7);
                if spread & 1 << 60 == 0 {
                    base ^ bit
                } else {
                    base
                }
            };
            for _ in 0..random.below(1 + round % 60) {
                let (family, most) = if random.below(2) == 0 {
                    (Family::V4, 32)
                } else {
                    (Family::V6, 128)
                };
                let length = if random.below(2) == 0 {
                    most
                } else {
                    random.below(most + 1)
                };
                let length = u8::try_from(length).unwrap();
                let ends = [FOREVER, NOW, NOW + 1, 1][random.below(4) as usize];
                let mut value = number(&mut random);
                if family == Family::V4 {
                    value &= 0xffff_ffff;
                }
                let (high, low) = address(family, value);
                let key = Key::new(family, high, low, length);
                prefilter.set_length(&key, true);
                prefilter.add(prefilter.filter(), &key);
                let ban = Ban {
                    ends,
                    began: 0,
                    reason: 0,
                };
                if bans.insert(key, ban).is_some() {
                    written.retain(|&(f, l, v, _)| {
                        (f, l) != (family, length) || !agree(family, length, v, value)
                    });
                }
                written.push((family, length, value, ends));
            }
            for _ in 0..60 {
                let family = [Family::V4, Family::V6][random.below(2) as usize];
                let mut value = number(&mut random);
                if family == Family::V4 {
                    value &= 0xffff_ffff;
                }
                let (high, low) = address(family, value);
                let table = InMemory {
                    prefilter,
                    bans: &bans,
                    asked: 0.into(),
                };
                let found = find(&table, family, high, low).map(|(key, _)| key.length());
                let expected = written
                    .iter()
                    .filter(|&&(f, l, v, ends)| f == family && ends > NOW && agree(f, l, v, value))
                    .map(|&(_, length, _, _)| length)
                    .max();
                assert_eq!(found, expected, "{value:#x} among {written:?}");
            }
        }
    }

    #[test]
    fn a_full_filter_lets_few_pass_that_it_does_not_have() {
        const BANS: u32 = 1 << 17;
        let mut random = Random::new(5);
        let words = words(MaxBans::of_map(BANS));
        let prefilter = Prefilter::new(&words);
        prefilter.begin(random.number());
        let bans = HashMap::new();
        let filter = prefilter.next_filter(BANS);
        for address in 0..BANS {
            let key = Key::new(Family::V4, u64::from(address) << 32, 0, 32);
            prefilter.set_length(&key, true);
            prefilter.add(filter, &key);
        }
        prefilter.put_in_force(filter);
        let table = InMemory {
            prefilter,
            bans: &bans,
            asked: 0.into(),
        };
        for address in BANS..2 * BANS {
            assert_eq!(find(&table, Family::V4, u64::from(address) << 32, 0), None);
        }
        let share = f64::from(table.asked.get()) / f64::from(BANS);
        println!("{:.3}% pass", share * 100.0);
        assert!(share < 0.01, "{share}");
    }

    #[test]
    fn filters_take_turns_and_reasons_keep_their_texts() {
        let words = words(MaxBans::of_map(1));
        let prefilter = Prefilter::new(&words);
        prefilter.begin(1);
        let key = Key::new(Family::V6, 1, 2, 128);
        let first = prefilter.filter();
        prefilter.add(first, &key);
        let second = prefilter.next_filter(1);
        assert_ne!(first, second);
        prefilter.put_in_force(second);
        assert_eq!(prefilter.next_filter(1), first);
        prefilter.set_reason(255, "ssh, für immer");
        assert_eq!(prefilter.reason(255), "ssh, für immer");
        prefilter.set_reason(255, "x");
        assert_eq!(
            (prefilter.reason(255), prefilter.reason(254)),
            ("x".into(), String::new())
        );
    }
}
