//! The maps of the bans: the hash map, the prefilter before it, the counters by reason. They are made
//! once for an instance, and every program of it is loaded with them.
//!
//! [`crate::bans`] owns the contents of the prefilter.

use std::{io, os::fd::AsFd as _, path::PathBuf, sync::atomic::AtomicU64};

use aya::{
    maps::{HashMap, Map, MapData, MapError, PerCpuArray, PerCpuValues},
    util::nr_cpus,
};
use aya_obj::generated::{BPF_ANY, BPF_F_MMAPABLE, BPF_F_NO_PREALLOC, BPF_NOEXIST, bpf_map_type};
use firewall_ebpf::{
    abi,
    bans::{Ban, Key, LINE_WORDS, Line, REASONS},
};

use crate::kernel::{
    clock,
    counters::Count,
    max_bans::MaxBans,
    memory::Words,
    pins::{PinError, Pins, Shared},
    shared::{self, MakeError, OpenError, Spec},
    syscall,
};

/// Why the maps of the bans could not be made or used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BanMapsError {
    /// The kernel did not make a map.
    #[error("no map for {} bans", most.bans())]
    Create {
        /// How many were asked for.
        most: MaxBans,
        /// What the kernel answered.
        source: Box<MapError>,
    },
    /// A map could not be opened.
    #[error("the bans could not be opened at `{}`", path.display())]
    Open {
        /// Its pin.
        path: PathBuf,
        /// What the kernel answered.
        source: Box<MapError>,
    },
    /// The prefilter could not be mapped.
    #[error("the prefilter of the bans could not be mapped")]
    Prefilter(#[source] io::Error),
    /// The number of CPUs is unknown.
    #[error("the number of CPUs could not be read from `{path}`")]
    Cpus {
        /// The file that has it.
        path: &'static str,
        /// Why it could not be read.
        source: io::Error,
    },
    /// The bans could not be read.
    #[error("the bans could not be read")]
    Read(#[source] io::Error),
    /// The counters could not be read or set.
    #[error("the counters of the bans could not be read or set")]
    Counters(#[source] Box<MapError>),
    /// A ban could not be written.
    #[error("the kernel does not take the ban")]
    Write(#[source] Box<MapError>),
    /// A pin could not be made.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// The clock cannot be read.
    #[error("the time since boot cannot be read")]
    Clock(#[source] nix::Error),
}

impl BanMapsError {
    /// What the user can do.
    pub(crate) fn help(&self) -> Option<String> {
        match self {
            Self::Create { .. } => Some("`--max-bans` asks for room for fewer".into()),
            Self::Open { .. }
            | Self::Prefilter(_)
            | Self::Cpus { .. }
            | Self::Read(_)
            | Self::Counters(_)
            | Self::Write(_)
            | Self::Pin(_)
            | Self::Clock(_) => None,
        }
    }
}

/// Makes and pins the maps, with room for as many bans; whether they are new. Maps that are pinned
/// stay as they are, since they hold bans.
pub(crate) fn create(pins: &Pins, most: MaxBans) -> Result<bool, BanMapsError> {
    let specs = [
        Spec {
            object: Shared::Bans,
            kind: bpf_map_type::BPF_MAP_TYPE_HASH,
            key: size_of::<Key>(),
            value: size_of::<Ban>(),
            entries: most.bans(),
            flags: BPF_F_NO_PREALLOC,
        },
        Spec {
            object: Shared::BanPrefilter,
            kind: bpf_map_type::BPF_MAP_TYPE_ARRAY,
            key: size_of::<u32>(),
            value: size_of::<Line>(),
            entries: most.prefilter_lines(),
            flags: BPF_F_MMAPABLE,
        },
        Spec {
            object: Shared::BanCounters,
            kind: bpf_map_type::BPF_MAP_TYPE_PERCPU_ARRAY,
            key: size_of::<u32>(),
            value: size_of::<abi::Counter>(),
            entries: REASONS,
            flags: 0,
        },
    ];
    shared::make(pins, &specs).map_err(|error| match error {
        MakeError::Create { source, .. } => BanMapsError::Create { most, source },
        MakeError::Pin(error) => BanMapsError::Pin(error),
    })
}

/// The current time of the clock of bans, in nanoseconds.
pub(crate) fn now() -> Result<u64, BanMapsError> {
    clock::nanoseconds_since_start().map_err(BanMapsError::Clock)
}

fn open(pins: &Pins, object: Shared) -> Result<MapData, BanMapsError> {
    shared::open(pins, object)
        .map_err(|OpenError { path, source }| BanMapsError::Open { path, source })
}

type KeyWords = [u64; size_of::<Key>() / 8];

type BanWords = [u64; size_of::<Ban>() / 8];

fn to_words(key: &Key) -> KeyWords {
    [key.high, key.low, key.kind]
}

fn from_words([high, low, kind]: KeyWords) -> Key {
    Key { high, low, kind }
}

fn to_ban([ends, began, reason]: BanWords) -> Ban {
    Ban {
        ends,
        began,
        reason,
    }
}

/// The hash map.
pub(crate) struct BanMap {
    map: HashMap<MapData, KeyWords, BanWords>,
    most: MaxBans,
}

/// The outcome of adding a ban.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Added {
    /// It is in the map.
    Yes,
    /// The map already has a ban of the same prefix.
    Exists,
    /// The map is full.
    Full,
}

impl BanMap {
    /// Opens the map of an instance.
    pub(crate) fn open(pins: &Pins) -> Result<Self, BanMapsError> {
        let failed = |source| BanMapsError::Open {
            path: pins.shared(Shared::Bans),
            source: Box::new(source),
        };
        let map = open(pins, Shared::Bans)?;
        let most = map.info().map_err(failed)?.max_entries();
        let map = HashMap::try_from(Map::HashMap(map)).map_err(failed)?;
        Ok(Self {
            map,
            most: MaxBans::of_map(most),
        })
    }

    /// The capacity.
    pub(crate) fn most(&self) -> MaxBans {
        self.most
    }

    /// The ban of a prefix.
    pub(crate) fn ban(&self, key: &Key) -> Result<Option<Ban>, BanMapsError> {
        match self.map.get(&to_words(key), 0) {
            Ok(ban) => Ok(Some(to_ban(ban))),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(error) => Err(write_failed(error)),
        }
    }

    /// Adds a ban.
    pub(crate) fn add(&mut self, key: &Key, ban: &Ban) -> Result<Added, BanMapsError> {
        match self.write(key, ban, BPF_NOEXIST) {
            Ok(()) => Ok(Added::Yes),
            Err(error) => match error_number(&error) {
                Some(libc::EEXIST) => Ok(Added::Exists),
                Some(libc::E2BIG) => Ok(Added::Full),
                Some(_) | None => Err(write_failed(error)),
            },
        }
    }

    /// Replaces the ban of a prefix.
    pub(crate) fn replace(&mut self, key: &Key, ban: &Ban) -> Result<(), BanMapsError> {
        self.write(key, ban, BPF_ANY).map_err(write_failed)
    }

    /// Removes the ban of a prefix, if there is one.
    pub(crate) fn remove(&mut self, key: &Key) -> Result<(), BanMapsError> {
        match self.map.remove(&to_words(key)) {
            Err(error) if error_number(&error) != Some(libc::ENOENT) => Err(write_failed(error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn write(&mut self, key: &Key, ban: &Ban, flags: u32) -> Result<(), MapError> {
        let words: BanWords = [ban.ends, ban.began, ban.reason];
        self.map.insert(to_words(key), words, u64::from(flags))
    }
}

fn write_failed(error: MapError) -> BanMapsError {
    BanMapsError::Write(Box::new(error))
}

fn counters_failed(error: MapError) -> BanMapsError {
    BanMapsError::Counters(Box::new(error))
}

fn error_number(error: &MapError) -> Option<i32> {
    if let MapError::SyscallError(error) = error {
        error.io_error.raw_os_error()
    } else if let MapError::KeyNotFound = error {
        Some(libc::ENOENT)
    } else {
        None
    }
}

/// Iterates over the hash map.
pub(crate) struct BanReader(MapData);

impl BanReader {
    /// Opens the map of an instance.
    pub(crate) fn open(pins: &Pins) -> Result<Self, BanMapsError> {
        open(pins, Shared::Bans).map(Self)
    }

    /// Passes all bans to `take`, in batches. Bans that are added or removed meanwhile may be
    /// missing.
    pub(crate) fn each(
        &self,
        mut take: impl FnMut(&[(Key, Ban)]) -> Result<(), BanMapsError>,
    ) -> Result<(), BanMapsError> {
        // Grows if one bucket has more.
        let mut room = 1024;
        let mut bucket = None;
        loop {
            let mut keys: Vec<KeyWords> = vec![[0; 3]; room];
            let mut bans: Vec<BanWords> = vec![[0; 3]; room];
            let found =
                match syscall::lookup_batch(self.0.fd().as_fd(), &mut bucket, &mut keys, &mut bans)
                {
                    Err(error) if error.raw_os_error() == Some(libc::ENOSPC) => {
                        room *= 2;
                        continue;
                    }
                    found => found.map_err(BanMapsError::Read)?,
                };
            let part: Vec<(Key, Ban)> = keys
                .into_iter()
                .map(from_words)
                .zip(bans.into_iter().map(to_ban))
                .take(found)
                .collect();
            take(&part)?;
            if bucket.is_none() {
                return Ok(());
            }
        }
    }
}

/// The prefilter, shared with the program.
pub(crate) struct PrefilterMap {
    words: Words,
}

impl PrefilterMap {
    /// Opens the prefilter of an instance.
    pub(crate) fn open(pins: &Pins) -> Result<Self, BanMapsError> {
        let map = open(pins, Shared::BanPrefilter)?;
        let lines = map
            .info()
            .map_err(|source| BanMapsError::Open {
                path: pins.shared(Shared::BanPrefilter),
                source: Box::new(source),
            })?
            .max_entries();
        let count = lines as usize * LINE_WORDS as usize;
        let words = Words::map(map.fd().as_fd(), count).map_err(BanMapsError::Prefilter)?;
        Ok(Self { words })
    }

    /// Its words, line after line.
    pub(crate) fn words(&self) -> &[AtomicU64] {
        self.words.as_slice()
    }
}

/// Waits until no program uses an earlier state of the prefilter.
pub(crate) fn await_programs() -> Result<(), BanMapsError> {
    syscall::await_programs().map_err(BanMapsError::Prefilter)
}

/// The counters by reason.
pub(crate) struct BanCounters {
    map: PerCpuArray<MapData, [u64; 2]>,
    cpus: usize,
}

impl BanCounters {
    /// Opens the counters of an instance.
    pub(crate) fn open(pins: &Pins) -> Result<Self, BanMapsError> {
        let cpus = nr_cpus().map_err(|(path, source)| BanMapsError::Cpus { path, source })?;
        let map = Map::PerCpuArray(open(pins, Shared::BanCounters)?);
        Ok(Self {
            map: PerCpuArray::try_from(map).map_err(counters_failed)?,
            cpus,
        })
    }

    /// The packets dropped for a reason.
    pub(crate) fn read(&self, reason: u32) -> Result<Count, BanMapsError> {
        let values = self.map.get(&reason, 0).map_err(counters_failed)?;
        let counts = values
            .iter()
            .map(|&[packets, bytes]| Count { packets, bytes });
        Ok(counts.fold(Count::default(), Count::plus))
    }

    /// Resets the counter of a reason.
    pub(crate) fn zero(&mut self, reason: u32) -> Result<(), BanMapsError> {
        let zeros = PerCpuValues::try_from(vec![[0; 2]; self.cpus])
            .map_err(|error| counters_failed(error.into()))?;
        self.map.set(reason, zeros, 0).map_err(counters_failed)
    }
}
