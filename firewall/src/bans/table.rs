//! The bans as the daemon manages them: additions, removals, expiry, and the Bloom filter over
//! them.
//!
//! A ban takes effect once it is in the hash map. What the program checks before the map (the
//! prefix lengths in use, the filter) is written first and removed last, so a daemon killed in
//! between leaves at worst a superfluous bit.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use firewall_ebpf::bans::{Ban, FOREVER, Key, Table, find};

use crate::{
    bans::{
        prefilter::{Bloom, Prefilter},
        prefix::Prefix,
        reasons::{Number, ReasonError, Reasons},
        term::Term,
    },
    kernel::{
        bans::{self, Added, BanCounters, BanMap, BanMapsError, BanReader, PrefilterMap},
        max_bans::MaxBans,
        pins::Pins,
    },
    text::format::grouped,
};

/// The bans of an instance, which only this process changes.
pub(crate) struct BanTable {
    prefilter: PrefilterMap,
    reader: BanReader,
    state: Mutex<TableState>,
    /// Held during a pass over all bans; the start and duration of the last one.
    sweeping: Mutex<Sweeps>,
}

/// The state of the bans.
struct TableState {
    map: BanMap,
    counters: BanCounters,
    reasons: Reasons,
    /// The number of bans.
    count: u32,
    /// The number of bans of each prefix length, by word and bit of the prefilter's head.
    lengths: HashMap<(u32, u32), u32>,
    /// A lower bound of the time at which the next ban ends.
    next_end: u64,
    filter: Bloom,
    /// The filter that is being built.
    building: Option<Bloom>,
    /// The number of removed bans that are still in the filter.
    gone: u32,
}

#[derive(Default)]
struct Sweeps {
    last: Option<Instant>,
    took: Duration,
}

/// Why a ban could not be added or removed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BanError {
    /// The map is full.
    #[error("there are {} bans already, the maximum", grouped(.0.bans().into()))]
    Full(MaxBans),
    /// The reason.
    #[error(transparent)]
    Reason(#[from] ReasonError),
    /// There is no ban to remove.
    #[error("`{0}` is not banned")]
    NotBanned(Prefix),
    /// There is no ban to remove, but another one covers the prefix.
    #[error("`{0}` is not banned by itself, but by `{1}`")]
    Covered(Prefix, Prefix),
    /// The maps.
    #[error(transparent)]
    Maps(#[from] BanMapsError),
}

impl BanError {
    /// Whether the ban to remove does not exist.
    pub(crate) fn is_missing(&self) -> bool {
        match self {
            Self::NotBanned(_) | Self::Covered(..) => true,
            Self::Full(_) | Self::Reason(_) | Self::Maps(_) => false,
        }
    }
}

/// The outcome of a ban.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Banned {
    /// The ban is new.
    Added,
    /// It replaced a ban of the same prefix.
    Renewed,
}

/// The minimum rest between two passes over all bans, as a multiple of the duration of the last
/// one: expiry takes at most a fiftieth of a CPU.
const REST: u32 = 50;

/// The maximum number of removed bans in the filter.
const MAX_GONE: u32 = 1024;

impl BanTable {
    /// Opens the bans of an instance, with those that exist.
    pub(crate) fn open(pins: &Pins) -> Result<Self, BanMapsError> {
        let prefilter = PrefilterMap::open(pins)?;
        let view = Prefilter::new(prefilter.words());
        view.begin(rand_seed());
        let state = TableState {
            map: BanMap::open(pins)?,
            counters: BanCounters::open(pins)?,
            reasons: Reasons::read(view),
            count: 0,
            lengths: HashMap::new(),
            next_end: FOREVER,
            filter: view.filter(),
            building: None,
            gone: 0,
        };
        let register = Self {
            prefilter,
            reader: BanReader::open(pins)?,
            state: Mutex::new(state),
            sweeping: Mutex::default(),
        };
        register.take_over()?;
        Ok(register)
    }

    /// The number of bans, and their maximum.
    pub(crate) fn count(&self) -> (u32, MaxBans) {
        let state = self.state();
        (state.count, state.map.most())
    }

    /// Bans a prefix; an earlier ban of the same prefix is replaced.
    pub(crate) fn ban(&self, prefix: Prefix, term: Term, reason: &str) -> Result<Banned, BanError> {
        match self.try_ban(prefix, term, reason) {
            // The map may be full of ended bans.
            Err(BanError::Full(_)) if self.state().next_end <= bans::now()? => {
                self.sweep()?;
                self.try_ban(prefix, term, reason)
            }
            outcome => outcome,
        }
    }

    fn try_ban(&self, prefix: Prefix, term: Term, reason: &str) -> Result<Banned, BanError> {
        let mut state = self.state();
        let began = bans::now()?;
        let reason = match state.reasons.number(reason)? {
            Number::Known(number) => number,
            Number::Fresh(number) => {
                state.counters.zero(number)?;
                self.prefilter().set_reason(number, reason);
                number
            }
        };
        let ban = Ban {
            ends: match term {
                Term::Forever => FOREVER,
                Term::For(duration) => {
                    let length = u64::try_from(duration.as_nanos()).unwrap_or(FOREVER);
                    began.saturating_add(length)
                }
            },
            began,
            reason: reason.into(),
        };
        let key = prefix.key();
        self.let_pass(&mut state, &key);
        let banned = match state.map.add(&key, &ban)? {
            Added::Yes => Banned::Added,
            Added::Exists => {
                let before = state.map.ban(&key)?;
                state.map.replace(&key, &ban)?;
                if let Some(before) = before {
                    state.reasons.take(before.reason);
                }
                Banned::Renewed
            }
            Added::Full => {
                self.stop_letting_pass(&mut state, &key);
                return Err(BanError::Full(state.map.most()));
            }
        };
        state.reasons.add(ban.reason);
        state.next_end = state.next_end.min(ban.ends);
        if banned == Banned::Added {
            state.count += 1;
            *state.lengths.entry((key.word(), key.bit())).or_default() += 1;
            self.prefilter().set_count(state.count);
        }
        Ok(banned)
    }

    /// Removes the ban of a prefix.
    pub(crate) fn unban(&self, prefix: Prefix) -> Result<(), BanError> {
        let mut state = self.state();
        let key = prefix.key();
        let now = bans::now()?;
        let held = match state.map.ban(&key)? {
            Some(ban) => {
                self.remove(&mut state, &key, &ban)?;
                ban.ends > now
            }
            None => false,
        };
        if held {
            return Ok(());
        }
        let table = BanLookup {
            prefilter: self.prefilter(),
            map: &state.map,
            now,
        };
        let (family, high, low) = (key.family(), key.high, key.low);
        Err(match find(&table, family, high, low) {
            Some((other, _)) if other.length() < key.length() => {
                BanError::Covered(prefix, Prefix::of_key(&other))
            }
            Some(_) | None => BanError::NotBanned(prefix),
        })
    }

    /// Removes the bans that have a reason, or all, as far as they began before a time; returns the number of those
    /// that had not ended.
    pub(crate) fn unban_all(&self, reason: Option<&str>, before: u64) -> Result<u64, BanError> {
        let number = match reason {
            None => None,
            Some(reason) => match self.state().reasons.known(reason) {
                None => return Ok(0),
                number => number,
            },
        };
        let is_meant = |ban: &Ban| {
            ban.began < before && number.is_none_or(|number| ban.reason == u64::from(number))
        };
        let now = bans::now()?;
        let mut removed = 0;
        self.reader.each(|part| {
            let mut state = self.state();
            for (key, _) in part.iter().filter(|(_, ban)| is_meant(ban)) {
                // It may have been banned again since it was read.
                if let Some(ban) = state.map.ban(key)?
                    && is_meant(&ban)
                {
                    self.remove(&mut state, key, &ban)?;
                    removed += u64::from(ban.ends > now);
                }
            }
            Ok(())
        })?;
        Ok(removed)
    }

    /// Does the maintenance that is due: removes ended bans, and rebuilds the filter.
    pub(crate) fn keep_house(&self) -> Result<(), BanMapsError> {
        let is_due = {
            let sweeps = self.sweeps();
            let rested = |last: Instant| last.elapsed() >= sweeps.took * REST;
            sweeps.last.is_none_or(rested) && self.state().next_end <= bans::now()?
        };
        if is_due {
            self.sweep()?;
        }
        if self.state().wants_filter() {
            self.build_filter()?;
        }
        Ok(())
    }

    /// Whether the filter should be rebuilt soon.
    pub(crate) fn wants_filter(&self) -> bool {
        self.state().wants_filter()
    }

    /// Removes ended bans.
    fn sweep(&self) -> Result<(), BanMapsError> {
        let mut sweeps = self.sweeps();
        let begin = Instant::now();
        let now = bans::now()?;
        self.state().next_end = FOREVER;
        let mut removed = 0_usize;
        let swept = self.reader.each(|part| {
            let mut state = self.state();
            for (key, ban) in part {
                if ban.ends > now {
                    state.next_end = state.next_end.min(ban.ends);
                    continue;
                }
                // It may have been banned again since it was read.
                if let Some(ban) = state.map.ban(key)?
                    && ban.ends <= now
                {
                    self.remove(&mut state, key, &ban)?;
                    removed += 1;
                }
            }
            Ok(())
        });
        if swept.is_err() {
            // Some may not have been seen.
            self.state().next_end = now;
        }
        sweeps.last = Some(begin);
        sweeps.took = begin.elapsed();
        if removed > 0 {
            tracing::debug!(
                event = "bans_ended",
                count = removed,
                "{removed} bans have ended"
            );
        }
        swept
    }

    /// Builds a filter of the current bans, and puts it in force.
    fn build_filter(&self) -> Result<(), BanMapsError> {
        let _alone = self.sweeps();
        // A program may still read the predecessor of the current filter.
        bans::await_programs()?;
        let count = self.state().count;
        let filter = self
            .prefilter()
            .next_filter(count.saturating_add(count / 2));
        self.state().building = Some(filter);
        let built = self.reader.each(|part| {
            for (key, _) in part {
                self.prefilter().add(filter, key);
            }
            Ok(())
        });
        let mut state = self.state();
        state.building = None;
        built?;
        self.prefilter().put_in_force(filter);
        state.filter = filter;
        state.gone = 0;
        Ok(())
    }

    /// Counts the bans left by an earlier process.
    fn take_over(&self) -> Result<(), BanMapsError> {
        let mut state = self.state();
        self.reader.each(|part| {
            for (key, ban) in part {
                state.count += 1;
                *state.lengths.entry((key.word(), key.bit())).or_default() += 1;
                state.reasons.add(ban.reason);
                state.next_end = state.next_end.min(ban.ends);
            }
            Ok(())
        })?;
        self.prefilter().set_count(state.count);
        self.prefilter().set_lengths(state.lengths.keys().copied());
        // The number of removed bans in the filter is unknown.
        state.gone = MAX_GONE.max(state.count);
        Ok(())
    }

    /// Lets the program look the key up.
    fn let_pass(&self, state: &mut TableState, key: &Key) {
        let prefilter = self.prefilter();
        prefilter.add(state.filter, key);
        if let Some(building) = state.building {
            prefilter.add(building, key);
        }
        prefilter.set_length(key, true);
    }

    /// Stops lookups of the key's prefix length once no ban has it.
    fn stop_letting_pass(&self, state: &mut TableState, key: &Key) {
        if !state.lengths.contains_key(&(key.word(), key.bit())) {
            self.prefilter().set_length(key, false);
        }
    }

    fn remove(&self, state: &mut TableState, key: &Key, ban: &Ban) -> Result<(), BanMapsError> {
        state.map.remove(key)?;
        state.reasons.take(ban.reason);
        state.count = state.count.saturating_sub(1);
        state.gone = state.gone.saturating_add(1);
        let place = (key.word(), key.bit());
        if let Some(count) = state.lengths.get_mut(&place) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                state.lengths.remove(&place);
            }
        }
        self.stop_letting_pass(state, key);
        self.prefilter().set_count(state.count);
        Ok(())
    }

    fn prefilter(&self) -> Prefilter<'_> {
        Prefilter::new(self.prefilter.words())
    }

    /// The state; a poisoned lock is ignored, since each change leaves it consistent.
    fn state(&self) -> MutexGuard<'_, TableState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sweeps(&self) -> MutexGuard<'_, Sweeps> {
        self.sweeping.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TableState {
    fn wants_filter(&self) -> bool {
        let is_small =
            self.count > self.filter.bans() && self.filter.bans() < self.map.most().bans();
        is_small || self.gone > MAX_GONE.max(self.count / 4)
    }
}

/// An unpredictable number.
fn rand_seed() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(0)
}

/// The bans as the program sees them.
pub(crate) struct BanLookup<'a> {
    pub(crate) prefilter: Prefilter<'a>,
    pub(crate) map: &'a BanMap,
    pub(crate) now: u64,
}

impl Table for BanLookup<'_> {
    type Line = u32;

    fn line(&self, number: u32) -> Option<u32> {
        (number < self.prefilter.lines()).then_some(number)
    }

    fn word(&self, line: u32, word: u32) -> u64 {
        self.prefilter.word(line, word)
    }

    fn ban(&self, key: &Key) -> Option<Ban> {
        self.map.ban(key).ok().flatten()
    }

    fn now(&self) -> u64 {
        self.now
    }
}
