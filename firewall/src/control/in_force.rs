//! The generation in force, and the time that each stage from the rule file to it took.

use std::{fmt, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    generation::in_force::Loaded, interfaces::unattached::Unattached,
    kernel::generation::Generation, rule_file::fallback::LastGood, text::format::milliseconds,
};

/// The result of bringing rules into force.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct InForce {
    /// The generation.
    pub(crate) generation: Generation,
    /// The times of the stages.
    pub(crate) times: Times,
    /// The selected interfaces that are not filtered.
    pub(crate) unattached: Vec<Unattached>,
    /// What is wrong with the state that others may have changed, for people.
    pub(crate) faults: Vec<String>,
    /// Why the rules are not those of the rule file, if they are not.
    pub(crate) last_good: Option<LastGood>,
    /// What its image says of itself; `None` if that cannot be read.
    pub(crate) loaded: Option<Arc<Loaded>>,
}

/// The time of each stage; as JSON in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Times {
    /// Reading the rule file and the list files.
    pub(crate) read_ms: Milliseconds,
    /// Parsing them.
    pub(crate) parse_ms: Milliseconds,
    /// Compiling.
    pub(crate) compile_ms: Milliseconds,
    /// Whether the previous image was patched instead of compiling all rules.
    pub(crate) incremental: bool,
    /// Making the maps, writing the image and, if needed, loading the program.
    pub(crate) load_ms: Milliseconds,
    /// Bringing it into force.
    pub(crate) switch_ms: Milliseconds,
}

/// A duration, rounded to microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Milliseconds(f64);

impl Times {
    /// Zero.
    #[cfg(test)]
    pub(crate) const ZERO: Self = Self {
        read_ms: Milliseconds(0.0),
        parse_ms: Milliseconds(0.0),
        compile_ms: Milliseconds(0.0),
        incremental: false,
        load_ms: Milliseconds(0.0),
        switch_ms: Milliseconds(0.0),
    };
}

impl From<Duration> for Milliseconds {
    fn from(duration: Duration) -> Self {
        Self((duration.as_secs_f64() * 1e6).round() / 1e3)
    }
}

impl fmt::Display for Milliseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let duration = Duration::try_from_secs_f64(self.0 / 1e3).unwrap_or(Duration::ZERO);
        f.write_str(&milliseconds(duration))
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            read_ms: read,
            parse_ms: parse,
            compile_ms: compile,
            incremental,
            load_ms: load,
            switch_ms: switch,
        } = self;
        let how = if *incremental { ", incremental" } else { "" };
        write!(
            f,
            "read {read}, parsed {parse}, compiled {compile}{how}, loaded {load}, switched {switch}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_milliseconds() {
        let times = Times {
            read_ms: Duration::from_micros(120).into(),
            switch_ms: Duration::from_millis(23).into(),
            ..Times::ZERO
        };
        assert_eq!(
            times.to_string(),
            "read 0.12 ms, parsed 0.00 ms, compiled 0.00 ms, loaded 0.00 ms, switched 23.0 ms"
        );
        let json = serde_json::to_string(&times).unwrap();
        assert!(json.starts_with("{\"read_ms\":0.12,"), "{json}");
        assert_eq!(serde_json::from_str::<Times>(&json).unwrap(), times);
    }
}
