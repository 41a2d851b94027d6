//! The table of flows of programs under test: its clock stands still unless a test moves it.

use std::io;

use aya::{
    Ebpf,
    maps::{Array, MapData, MapError},
};
use firewall_ebpf::{
    abi,
    flows::{SETTINGS_WORDS, Settings, TAG_LINES, TIMEOUTS},
};

use crate::kernel::{
    flows::{random_keys, timeout_words},
    program::LoadError,
};

/// Why the table cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrialFlowsError {
    /// It is not there.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// It could not be written.
    #[error("the flows of the test could not be written")]
    Write(#[from] MapError),
    /// The kernel gave no random bytes.
    #[error("the kernel gave no random bytes for the keys of the flows")]
    Random(#[from] io::Error),
}

/// What the table knows of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FlowTime {
    /// The time, in units of the table's clock.
    pub(crate) now: u32,
    /// The timeouts, in units of their stamps.
    pub(crate) timeouts: [u16; TIMEOUTS],
}

/// The table.
pub(super) struct TrialFlows {
    settings: Array<MapData, [u64; SETTINGS_WORDS]>,
    tags: Array<MapData, [u32; TAG_LINES as usize]>,
    /// The settings, with keys and without a clock.
    words: [u64; SETTINGS_WORDS],
}

impl TrialFlows {
    /// The table of programs that are loaded and have not run.
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, TrialFlowsError> {
        let keys = random_keys()?;
        let mut words = [0; SETTINGS_WORDS];
        for (word, key) in words.iter_mut().skip(Settings::KEYS).zip(keys) {
            *word = key;
        }
        let mut map = |name| ebpf.take_map(name).ok_or(LoadError::NoMap(name));
        let (settings, tags) = (map(abi::FLOW_SETTINGS)?, map(abi::FLOW_TAGS)?);
        Ok(Self {
            settings: settings.try_into()?,
            tags: tags.try_into()?,
            words,
        })
    }

    /// Forgets all flows.
    pub(super) fn clear(&mut self) -> Result<(), TrialFlowsError> {
        for index in 0..self.tags.len() {
            self.tags.set(index, [0; TAG_LINES as usize], 0)?;
        }
        // With other keys, no fragment is known either.
        if let Some(key) = self.words.get_mut(Settings::KEYS) {
            *key = key.wrapping_add(1);
        }
        Ok(())
    }

    /// Sets the time.
    pub(super) fn set_time(&mut self, time: &FlowTime) -> Result<(), TrialFlowsError> {
        let moved = [(Settings::LATER, u64::from(time.now))];
        for (index, value) in timeout_words(&time.timeouts).chain(moved) {
            if let Some(word) = self.words.get_mut(index) {
                *word = value;
            }
        }
        Ok(self.settings.set(0, self.words, 0)?)
    }
}
